package channel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
)

// servers log in, and refuse the accounts that they have an answer for.
type servers struct {
	mu       sync.Mutex
	refuse   map[string]string
	asked    []string
	now, top int
	hold     chan struct{} // nil, or what a log-in waits for
}

func (s *servers) Verify(ctx context.Context, a channel.Account, _ string) error {
	s.mu.Lock()
	s.asked = append(s.asked, a.ID)
	s.now++
	s.top = max(s.top, s.now)
	s.mu.Unlock()
	if s.hold != nil {
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	if answer := s.refuse[a.ID]; answer != "" {
		return errors.New(answer)
	}
	return nil
}

func (s *servers) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.asked
	s.asked = nil
	slices.Sort(out)
	return out
}

func (s *servers) asking() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// logins is the schedule over servers, and what it reported.
func (d *desks) logins(s *servers) (*channel.Logins, *[]string) {
	var mu sync.Mutex
	var told []string
	return &channel.Logins{Docs: d.docs, Secrets: d.secrets, Mail: s, Config: channel.NewConfiguration(d.docs), Now: d.clock,
		Report: func(_ context.Context, id string, st channel.AccountStatus) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprintf("%s %t %s", id, st.Valid, st.Error))
		}}, &told
}

func (d *desks) status(id string) channel.AccountStatus {
	d.Helper()
	acc, err := d.admin.Account(d.Context(), id)
	if err != nil {
		d.Fatal(err)
	}
	return acc.Status
}

func TestTheScheduleLogsInToBothServers(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	s := &servers{refuse: map[string]string{}}
	l, told := d.logins(s)
	step := func(want ...string) {
		t.Helper()
		if err := l.Handle(ctx); err != nil {
			t.Fatal(err)
		}
		if got := s.take(); !slices.Equal(got, want) {
			t.Errorf("logged in to %v, want %v", got, want)
		}
	}
	step("billing", "support") // nobody ever logged in
	step()
	success := d.status("support").LastSuccess
	const answer = "smtp.example.com:465: 535 5.7.8 Username and Password not accepted"
	s.refuse["support"] = answer
	d.pass(time.Hour)
	step("billing", "support")
	if st := d.status("support"); st.Valid || st.Error != answer || !st.LastSuccess.Equal(success) {
		t.Errorf("refused: %+v", st)
	}
	if st := d.status("billing"); !st.Valid || !st.LastSuccess.After(success) {
		t.Errorf("the other: %+v", st)
	}
	// A poll knows of the incoming server only.
	if err := d.docs.Write(ctx, func(tx channel.Tx) {
		tx.Patch("accounts/support", map[string]any{"status.valid": true, "status.error": "", "status.checked_at": d.clock()})
	}); err != nil {
		t.Fatal(err)
	}
	if list, err := d.admin.Accounts(ctx); err != nil || list[1].ID != "support" || list[1].Status.Valid {
		t.Errorf("after a poll: %+v, %v", list, err)
	}
	d.pass(15 * time.Minute)
	step("support")
	delete(s.refuse, "support")
	d.pass(15 * time.Minute)
	step("support")
	if st := d.status("support"); !st.Valid || st.Error != "" || !st.LastSuccess.After(success) {
		t.Errorf("taken again: %+v", st)
	}
	// Between log-ins a poll has the newer word.
	if err := d.docs.Write(ctx, func(tx channel.Tx) {
		tx.Patch("accounts/support", map[string]any{"status.valid": false, "status.error": "imap away", "status.checked_at": d.clock()})
	}); err != nil {
		t.Fatal(err)
	}
	if st := d.status("support"); st.Valid || st.Error != "imap away" {
		t.Errorf("a poll refused: %+v", st)
	}
	want := []string{"support false " + answer, "support false " + answer, "support true "}
	if got := slices.DeleteFunc(*told, func(s string) bool { return strings.HasPrefix(s, "billing") }); !slices.Equal(got[1:], want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLogInsAreManyAtATimeAndNextDueFirst(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	const n = 1200
	for from := 0; from < n; from += 200 {
		if err := d.docs.Write(ctx, func(tx channel.Tx) {
			for i := from; i < from+200; i++ {
				id := fmt.Sprintf("a%04d", i)
				tx.Set("accounts/"+id, channel.Account{ID: id, Secret: "account-support"})
				tx.Set("logins/"+id, channel.Login{Account: id, Due: d.now.Add(-time.Duration(i) * time.Second)})
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	s := &servers{hold: make(chan struct{})}
	l, _ := d.logins(s)
	done := make(chan error)
	go func() { done <- l.Handle(ctx) }()
	for range n + 2 { // and the two of the demo
		s.hold <- struct{}{}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s.top < 2 || s.top > 32 {
		t.Errorf("%d log-ins at a time", s.top)
	}
	if first := s.asked[:40]; !slices.Contains(first, "support") || !slices.Contains(first, "a1199") || slices.Contains(first, "a0000") {
		t.Errorf("first were %v", first)
	}
	if got := s.take(); len(got) != n+2 || len(slices.Compact(got)) != n+2 {
		t.Errorf("%d log-ins", len(got))
	}
}

func TestALogInThatCameTooLateIsNotKept(t *testing.T) {
	d := newDesks(t)
	s := &servers{refuse: map[string]string{"support": "the old password"}, hold: make(chan struct{})}
	l, told := d.logins(s)
	done := make(chan error)
	go func() { done <- l.Handle(t.Context()) }()
	for len(s.asking()) < 2 {
		time.Sleep(time.Millisecond)
	}
	f := form()
	f.Address = "support@example.com"
	if _, err := d.admin.PutAccount(t.Context(), "support", f); err != nil {
		t.Fatal(err)
	}
	s.hold <- struct{}{}
	s.hold <- struct{}{}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if st := d.status("support"); !st.Valid || slices.Contains(*told, "support false the old password") {
		t.Errorf("%+v, told %v", st, *told)
	}
}

func TestWithTheChannelOffNobodyLogsIn(t *testing.T) {
	d := newDesks(t)
	set, err := d.admin.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	set.Email = false
	if _, err := d.admin.PutSettings(t.Context(), *set, ""); err != nil {
		t.Fatal(err)
	}
	s := &servers{}
	l, _ := d.logins(s)
	if err := l.Handle(t.Context()); err != nil || len(s.asked) > 0 {
		t.Errorf("%v, %v", s.asked, err)
	}
}

// stuck is a vault that cannot delete.
type stuck struct{ *deskSecrets }

func (stuck) Delete(context.Context, string) error { return errors.New("the vault is away") }

func TestNoPasswordIsLeftBehind(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	l, _ := d.logins(&servers{})
	left := func() int {
		t.Helper()
		if err := l.Handle(ctx); err != nil {
			t.Fatal(err)
		}
		return len(d.secrets.values)
	}
	first, err := d.admin.PutAccount(ctx, "help", form())
	if err != nil {
		t.Fatal(err)
	}
	half := d.admin
	half.Secrets = stuck{d.secrets}
	if err := half.DeleteAccount(ctx, "help"); err == nil {
		t.Error("no error while the vault is away")
	}
	if _, err := d.admin.Account(ctx, "help"); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("the account is not gone: %v", err)
	}
	second, err := d.admin.PutAccount(ctx, "help", form()) // before the first password is removed
	if err != nil || second.Secret == first.Secret || !second.Status.Valid {
		t.Fatalf("%+v, %v", second, err)
	}
	if n := left(); n != 3 || d.secrets.values[second.Secret] != "demo" {
		t.Errorf("secrets %v", d.secrets.values)
	}
	// A save that ends after the password is stored.
	crash := d.admin
	crash.Mail = verifier(func() error { panic("crash") })
	func() {
		defer func() { recover() }()
		f := form()
		f.Address = "new@example.com"
		crash.PutAccount(ctx, "new", f)
	}()
	if n := left(); n != 4 {
		t.Errorf("a save may still be under way: %v", d.secrets.values)
	}
	d.pass(20 * time.Minute)
	if n := left(); n != 3 {
		t.Errorf("secrets %v", d.secrets.values)
	}
	// A secret that two accounts have stays with the other.
	if err := d.docs.Write(ctx, func(tx channel.Tx) { tx.Patch("accounts/billing", map[string]any{"secret": second.Secret}) }); err != nil {
		t.Fatal(err)
	}
	if err := d.admin.DeleteAccount(ctx, "help"); err != nil || d.secrets.values[second.Secret] != "demo" {
		t.Errorf("%v, secrets %v", err, d.secrets.values)
	}
}

type verifier func() error

func (v verifier) Verify(context.Context, channel.Account, string) error { return v() }
