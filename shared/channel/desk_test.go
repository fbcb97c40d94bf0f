package channel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/emulator/firestore"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/session"
	"emailchannel.dev/emailchannel/shared/store"
)

// deskBus keeps what was published; while down it takes nothing.
type deskBus struct {
	mu   sync.Mutex
	down error
	sent map[string][]event.Message
}

func (b *deskBus) Publish(_ context.Context, topic string, ms ...event.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil {
		return b.down
	}
	b.sent[topic] = append(b.sent[topic], ms...)
	return nil
}

func (b *deskBus) count(topic string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sent[topic])
}

// deskArchive is a write-once archive in memory.
type deskArchive struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func (a *deskArchive) Put(_ context.Context, name, _ string, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.objects[name]; !ok {
		a.objects[name] = b
	}
	return nil
}

func (a *deskArchive) Open(_ context.Context, name string) (io.ReadCloser, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, ok := a.objects[name]
	if !ok {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// deskSecrets keeps secrets in memory.
type deskSecrets struct {
	mu     sync.Mutex
	values map[string]string
}

func (s *deskSecrets) Get(_ context.Context, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[name]
	if !ok {
		return "", fmt.Errorf("secret %s: %w", name, os.ErrNotExist)
	}
	return v, nil
}

func (s *deskSecrets) Put(_ context.Context, name, v string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[name] = v
	return nil
}

// deskMail logs in where the password is "demo".
type deskMail struct{}

func (deskMail) Verify(_ context.Context, a channel.Account, secret string) error {
	if channel.ParseCredentials(secret).Password != "demo" {
		return fmt.Errorf("AUTHENTICATE: NO [AUTHENTICATIONFAILED] no such user %s", a.User)
	}
	return nil
}

// deskSchedule remembers whether the jobs run.
type deskSchedule struct {
	paused bool
	before func() // what somebody else does before the first pause
}

func (s *deskSchedule) Pause(context.Context) error {
	if before := s.before; before != nil {
		s.before = nil
		before()
	}
	s.paused = true
	return nil
}

func (s *deskSchedule) Resume(context.Context) error { s.paused = false; return nil }

// desks is a channel with its database.
type desks struct {
	*testing.T
	desk     channel.Desk
	admin    channel.Admin
	read     channel.Read
	docs     *store.Store
	bus      *deskBus
	archive  *deskArchive
	secrets  *deskSecrets
	schedule *deskSchedule
	database string // its address
	mu       sync.Mutex
	now      time.Time
}

var (
	ana  = channel.Actor{ID: "ana@example.com", Role: channel.RoleAgent}
	ben  = channel.Actor{ID: "ben@example.com", Role: channel.RoleAgent}
	dora = channel.Actor{ID: "dora@example.com", Role: channel.RoleAgent}
	sam  = channel.Actor{ID: "sam@example.com", Role: channel.RoleSupervisor}
)

// database is one in memory, in which the indexes are enforced, with its address.
func database(t testing.TB) (*firestore.Server, string, *store.Store) {
	t.Helper()
	indexes, err := os.ReadFile("../../terraform/firestore.indexes.json")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := firestore.Open(firestore.Options{Indexes: indexes})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	srv.Register(g)
	go g.Serve(ln)
	t.Cleanup(func() { g.Stop(); srv.Close() })
	addr := ln.Addr().String()
	docs, err := store.Open(t.Context(), "demo", "", option.WithEndpoint(addr), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())), option.WithTelemetryDisabled())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docs.Close() })
	return srv, addr, docs
}

func newDesks(t *testing.T) *desks {
	t.Helper()
	d := &desks{T: t, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), bus: &deskBus{sent: map[string][]event.Message{}}, archive: &deskArchive{objects: map[string][]byte{}}, secrets: &deskSecrets{values: map[string]string{}}, schedule: &deskSchedule{}}
	_, d.database, d.docs = database(t)
	d.desk = channel.Desk{Docs: d.docs, Archive: d.archive, Bus: d.bus, Secrets: d.secrets, Config: channel.NewConfiguration(d.docs), Now: d.clock}
	d.admin = channel.Admin{Docs: d.docs, Secrets: d.secrets, Bus: d.bus, Mail: deskMail{}, Schedule: d.schedule, Now: d.clock}
	d.read = channel.Read{Docs: d.docs, Archive: d.archive, Config: d.desk.Config, Now: d.clock}
	if err := d.admin.Seed(t.Context(), demo()); err != nil {
		t.Fatal(err)
	}
	return d
}

// clock moves on by a second with each look.
func (d *desks) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(time.Second)
	return d.now
}

func (d *desks) pass(t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(t)
}

func demo() channel.Seed {
	account := func(id string) channel.Account {
		at := channel.Server{Host: "mail.example.com", Port: 993, Security: "tls"}
		return channel.Account{ID: id, User: id, Address: id + "@example.com", Service: "imap", Incoming: at, Outgoing: at, Secret: "account-" + id, Folders: []string{"INBOX"}}
	}
	settings := channel.Defaults()
	settings.Email = true
	return channel.Seed{
		Settings: settings,
		Accounts: []channel.Account{account("support"), account("billing")},
		Teams:    []channel.Team{{ID: "first", Name: "First line"}},
		Agents: []channel.Agent{
			{ID: "ana@example.com", Name: "Ana Silva", Role: "agent", Teams: []string{"first"}},
			{ID: "ben@example.com", Name: "Ben Okafor", Role: "agent", Teams: []string{"first"}},
			{ID: "dora@example.com", Name: "Dora Lang", Role: "agent"},
			{ID: "sam@example.com", Name: "Sam Reyes", Role: "supervisor"},
		},
		Queues: []channel.Queue{
			{ID: "support", Name: "Support", Language: "en", On: true, Order: 1, Accounts: []string{"support"}, Teams: []string{"first"}},
			{ID: "billing", Name: "Billing", Language: "en", On: true, Order: 2, Accounts: []string{"billing"}, Agents: []string{"dora@example.com"}},
		},
		Secrets: map[string]string{"account-support": "demo", "account-billing": "demo"},
	}
}

// inbound is a session that a customer's mail began.
func (d *desks) inbound(queue string) string {
	d.Helper()
	raw := fmt.Sprintf("From: Cleo Customer <cleo@customer.example>\r\nTo: %s@example.com\r\nSubject: Broken lamp\r\nMessage-ID: <%d@customer.example>\r\n\r\nIt broke.\r\n", queue, d.clock().UnixNano())
	src := event.Source{Account: queue, Folder: "INBOX", UIDValidity: 1, UID: uint32(d.clock().Unix())}
	object := "raw/" + src.Key() + ".eml"
	if err := d.archive.Put(d.Context(), object, "message/rfc822", strings.NewReader(raw)); err != nil {
		d.Fatal(err)
	}
	receive := channel.Receive{Docs: d.docs, Archive: d.archive, Bus: d.bus, Config: d.desk.Config, Now: d.clock, Limits: email.DefaultLimits()}
	if err := receive.Handle(d.Context(), event.Received{Source: src, Object: object, ReceivedAt: d.clock(), Size: int64(len(raw))}, 1); err != nil {
		d.Fatal(err)
	}
	p, err := d.read.Sessions(d.Context(), sam, channel.Filter{}, channel.PageRequest{Limit: 1})
	if err != nil || len(p.Items) != 1 {
		d.Fatalf("%v, %v", p, err)
	}
	return p.Items[0].ID
}

// doc reads a document.
func doc[T any](d *desks, path string) T {
	d.Helper()
	var v T
	ref := channel.Ref{Path: path, Into: &v}
	if err := d.docs.Get(d.Context(), &ref); err != nil || !ref.Found {
		d.Fatalf("%s: found %t, %v", path, ref.Found, err)
	}
	return v
}

func (d *desks) open(agent string) int { return doc[channel.Agent](d, "agents/"+agent).Open }

func (d *desks) session(id string) channel.Session { return doc[channel.Session](d, "sessions/"+id) }

// ok is a test's way to say that an act must work.
func (d *desks) ok(s *channel.Session, err error) channel.Session {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
	return *s
}

func (d *desks) kinds(id string) []session.Kind {
	d.Helper()
	p, err := d.read.History(d.Context(), sam, id, channel.PageRequest{})
	if err != nil {
		d.Fatal(err)
	}
	var out []session.Kind
	for _, h := range p.Items {
		out = append(out, h.Kind)
	}
	return out
}

func TestLifeOfASession(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	if s := d.session(id); s.State != session.Unopened || !s.Waiting {
		t.Fatalf("%+v", s)
	}
	s := d.ok(d.desk.Assign(ctx, ana, id, ana.ID))
	if s.Agent != ana.ID || s.Waiting || d.open(ana.ID) != 1 {
		t.Errorf("after assign: %+v, open %d", s, d.open(ana.ID))
	}
	d.ok(d.desk.Assign(ctx, ana, id, ana.ID)) // again: nothing happens
	if s := d.ok(d.desk.Open(ctx, ana, id)); s.State != session.Active || d.open(ana.ID) != 1 {
		t.Errorf("after open: %s, open %d", s.State, d.open(ana.ID))
	}
	before := d.session(id)
	if s := d.ok(d.desk.Open(ctx, ana, id)); !s.UpdatedAt.Equal(before.UpdatedAt) {
		t.Error("opening an active session changed it")
	}
	for _, step := range []struct {
		to   session.State
		open int
	}{{session.Paused, 0}, {session.Active, 1}, {session.Resolved, 0}, {session.Active, 1}} {
		if s := d.ok(d.desk.SetState(ctx, ana, id, step.to)); s.State != step.to || d.open(ana.ID) != step.open {
			t.Errorf("to %s: %s, open %d, want %d", step.to, s.State, d.open(ana.ID), step.open)
		}
	}
	var refused *session.TransitionError
	if _, err := d.desk.SetState(ctx, ana, id, session.Closed); !errors.As(err, &refused) || refused.Reason != session.ByHand {
		t.Errorf("closing by hand: %v", err)
	}
	s = d.ok(d.desk.Unassign(ctx, ana, id))
	if s.Agent != "" || !s.Waiting || d.open(ana.ID) != 0 {
		t.Errorf("after unassign: %+v, open %d", s, d.open(ana.ID))
	}
	want := []session.Kind{session.KindReceived, session.KindAssigned, session.KindOpened, session.KindPaused, session.KindActivated, session.KindResolved, session.KindActivated, session.KindUnassigned}
	if got := d.kinds(id); !slices.Equal(got, want) {
		t.Errorf("history %v, want %v", got, want)
	}
	if n := d.bus.count(event.TopicSession); n != len(want) {
		t.Errorf("%d events for %d entries", n, len(want))
	}
}

func TestOnlyItsAgentsWorkInAQueue(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	acts := map[string]func(channel.Actor) error{
		"open":     func(who channel.Actor) error { _, err := d.desk.Open(ctx, who, id); return err },
		"state":    func(who channel.Actor) error { _, err := d.desk.SetState(ctx, who, id, session.Active); return err },
		"assign":   func(who channel.Actor) error { _, err := d.desk.Assign(ctx, who, id, ana.ID); return err },
		"unassign": func(who channel.Actor) error { _, err := d.desk.Unassign(ctx, who, id); return err },
		"transfer": func(who channel.Actor) error { _, err := d.desk.Transfer(ctx, who, id, "support", ""); return err },
		"note":     func(who channel.Actor) error { _, err := d.desk.Note(ctx, who, id, "k", "psst"); return err },
		"reply": func(who channel.Actor) error {
			_, err := d.desk.Reply(ctx, who, id, channel.Words{Key: "k", Text: "hello"})
			return err
		},
		"start": func(who channel.Actor) error {
			_, err := d.desk.Start(ctx, who, "support", channel.Words{Key: "s", Text: "hello", Subject: "x", To: []email.Address{{Addr: "a@b.example"}}})
			return err
		},
		"read": func(who channel.Actor) error { _, err := d.read.Session(ctx, who, id); return err },
		"messages": func(who channel.Actor) error {
			_, err := d.read.Messages(ctx, who, id, channel.PageRequest{})
			return err
		},
		"list": func(who channel.Actor) error {
			_, err := d.read.Sessions(ctx, who, channel.Filter{Queue: "support"}, channel.PageRequest{})
			return err
		},
	}
	for name, act := range acts {
		for _, who := range []channel.Actor{dora, {ID: "nobody@example.com", Role: channel.RoleAgent}, {ID: "a/b", Role: channel.RoleAgent}} {
			if err := act(who); !errors.Is(err, channel.ErrForbidden) {
				t.Errorf("%s by %s: %v", name, who.ID, err)
			}
		}
		if err := act(sam); err != nil {
			t.Errorf("%s by a supervisor: %v", name, err)
		}
	}
	if _, err := d.desk.Open(ctx, sam, "0000000000Z"); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("an unknown session: %v", err)
	}
	var bad *channel.Invalid
	for _, agent := range []string{dora.ID, sam.ID, "nobody@example.com", "", "a/b"} {
		if _, err := d.desk.Assign(ctx, sam, id, agent); !errors.As(err, &bad) || bad.Fields[0].Name != "agent" {
			t.Errorf("assigned to %q: %v", agent, err)
		}
	}
}

func TestTransfer(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	d.ok(d.desk.Assign(ctx, ana, id, ana.ID))
	s := d.ok(d.desk.Transfer(ctx, ana, id, "", ben.ID))
	if s.Agent != ben.ID || d.open(ana.ID) != 0 || d.open(ben.ID) != 1 {
		t.Errorf("to an agent: %+v", s)
	}
	s = d.ok(d.desk.Transfer(ctx, ben, id, "billing", ""))
	if s.ID != id || s.Queue != "billing" || s.Account != "billing" || s.Agent != "" || !s.Waiting || d.open(ben.ID) != 0 {
		t.Errorf("to a queue: %+v", s)
	}
	if _, err := d.desk.Open(ctx, ben, id); !errors.Is(err, channel.ErrForbidden) {
		t.Errorf("the agent of the old queue: %v", err)
	}
	s = d.ok(d.desk.Transfer(ctx, sam, id, "support", ana.ID))
	if s.Queue != "support" || s.Agent != ana.ID || s.Waiting || d.open(ana.ID) != 1 {
		t.Errorf("to both: %+v", s)
	}
	d.ok(d.desk.SetState(ctx, sam, d.ok(d.desk.Open(ctx, ana, id)).ID, session.Paused))
	if s = d.ok(d.desk.Transfer(ctx, sam, id, "billing", "")); s.Waiting {
		t.Error("a paused session waits")
	}
	var bad *channel.Invalid
	if _, err := d.desk.Transfer(ctx, sam, id, "nowhere", ""); !errors.As(err, &bad) {
		t.Errorf("to no queue: %v", err)
	}
	if _, err := d.desk.Transfer(ctx, sam, id, "support", dora.ID); !errors.As(err, &bad) {
		t.Errorf("to an agent who does not serve it: %v", err)
	}
}

func TestReply(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	sent, err := d.desk.Reply(ctx, ana, id, channel.Words{Key: "k1", HTML: "<p>Which lamp?</p>"})
	if err != nil {
		t.Fatal(err)
	}
	if s := sent.Session; s.State != session.Active || s.Agent != ana.ID || s.Waiting || s.AnsweredAt.IsZero() || s.Messages != 2 || d.open(ana.ID) != 1 {
		t.Errorf("the session: %+v", s)
	}
	in := doc[channel.Message](d, "sessions/"+id+"/messages/"+sent.Session.LastInbound)
	m := sent.Message
	if m.Subject != "RE: Broken lamp" || m.InReplyTo != in.MessageID || !slices.Equal(m.References, []string{in.MessageID}) || m.To[0].Addr != "cleo@customer.example" || m.From != (email.Address{Name: "Ana Silva", Addr: "support@example.com"}) {
		t.Errorf("the mail: %+v", m)
	}
	raw := string(d.archive.objects[sent.Outbound.Object])
	for _, want := range []string{"In-Reply-To: <" + in.MessageID + ">", "Subject: RE: Broken lamp", "Which lamp?", "Message-Id: <"} {
		if !strings.Contains(strings.ToLower(raw), strings.ToLower(want)) {
			t.Errorf("the raw mail has no %q:\n%s", want, raw)
		}
	}
	if n := d.bus.count(event.TopicOutbound); n != 1 {
		t.Fatalf("%d mails handed over", n)
	}
	var bad *channel.Invalid
	if _, err := d.desk.Reply(ctx, ana, id, channel.Words{Key: "k2", Text: "x", Subject: "Another"}); !errors.As(err, &bad) || bad.Fields[0].Name != "subject" {
		t.Errorf("an edited subject: %v", err)
	}
	if _, err := d.desk.Reply(ctx, ana, id, channel.Words{To: []email.Address{{Addr: "a@b.example, c@d.example"}}}); !errors.As(err, &bad) || len(bad.Fields) != 3 {
		t.Errorf("no key, no text, two addresses in one: %v", err)
	}
}

// A key stands for what was asked, not for what the channel made of it: that
// may be another mail by the time of the repetition.
func TestKeyStandsForTheRequest(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	w := channel.Words{Key: "k", Text: "Which lamp?", Signature: true}
	first, err := d.desk.Reply(ctx, ana, id, w)
	if err != nil {
		t.Fatal(err)
	}
	begin := channel.Words{Key: "s", To: []email.Address{{Addr: "cleo@customer.example"}}, Subject: "News", Text: "See.", Signature: true}
	begun, err := d.desk.Start(ctx, ana, "support", begin)
	if err != nil {
		t.Fatal(err)
	}
	q := doc[channel.Queue](d, "queues/support")
	q.Signature = channel.Signature{On: true, HTML: "<p>@{agent}</p>"}
	if _, err := d.admin.PutQueue(ctx, q); err != nil {
		t.Fatal(err)
	}
	d.pass(time.Minute)
	in := doc[channel.Message](d, "sessions/"+id+"/messages/"+first.Session.LastInbound)
	in.ReplyTo = []email.Address{{Addr: "desk@customer.example"}} // as if a later mail wanted answers there
	if err := d.docs.Write(ctx, func(tx channel.Tx) { tx.Set("sessions/"+id+"/messages/"+in.ID, in) }); err != nil {
		t.Fatal(err)
	}
	if again, err := d.desk.Reply(ctx, ana, id, w); err != nil || again.Outbound.ID != first.Outbound.ID || again.Message.Text != first.Message.Text {
		t.Errorf("the same reply again: %v", err)
	}
	if again, err := d.desk.Start(ctx, ana, "support", begin); err != nil || again.Outbound.ID != begun.Outbound.ID || again.Session.ID != begun.Session.ID {
		t.Errorf("the same new mail again: %v", err)
	}
	for name, change := range map[string]func(*channel.Words){
		"text":         func(w *channel.Words) { w.Text = "Something else." },
		"cc":           func(w *channel.Words) { w.Cc = []email.Address{{Addr: "boss@customer.example"}} },
		"subject":      func(w *channel.Words) { w.Subject = "RE: Lamps" },
		"no signature": func(w *channel.Words) { w.Signature = false },
	} {
		other := w
		change(&other)
		var clash *channel.Conflict
		if _, err := d.desk.Reply(ctx, ana, id, other); !errors.As(err, &clash) {
			t.Errorf("the same key with another %s: %v", name, err)
		}
		other = begin
		change(&other)
		if _, err := d.desk.Start(ctx, ana, "support", other); !errors.As(err, &clash) {
			t.Errorf("a new mail under the same key with another %s: %v", name, err)
		}
	}
	if n := d.bus.count(event.TopicOutbound); n != 2 || d.session(id).Messages != 2 {
		t.Errorf("%d mails were handed over, %d messages", n, d.session(id).Messages)
	}
}

func TestConcurrentRepliesWithOneKeySendOneMail(t *testing.T) {
	d := newDesks(t)
	id := d.inbound("support")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			sent, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "same", Text: "hello"})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = sent.Outbound.ID
		})
	}
	wg.Wait()
	if len(slices.Compact(ids)) != 1 || d.session(id).Messages != 2 || d.bus.count(event.TopicOutbound) != 1 || d.open(ana.ID) != 1 {
		t.Errorf("%v, %d messages, %d handed over, open %d", ids, d.session(id).Messages, d.bus.count(event.TopicOutbound), d.open(ana.ID))
	}
}

func TestReplyToAClosedSession(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	d.ok(d.desk.Assign(ctx, ana, id, ana.ID))
	d.ok(d.desk.Open(ctx, ana, id))
	d.ok(d.desk.SetState(ctx, ana, id, session.Resolved))
	d.pass(31 * 24 * time.Hour)
	sweep := channel.Sweep{Docs: d.docs, Bus: d.bus, Config: d.desk.Config, Now: d.clock}
	if err := sweep.Handle(ctx); err != nil {
		t.Fatal(err)
	}
	if s := d.session(id); s.State != session.Closed {
		t.Fatalf("%+v", s)
	}
	words := channel.Words{Key: "late", Text: "Is it repaired?"}
	sent, err := d.desk.Reply(ctx, ana, id, words)
	if err != nil {
		t.Fatal(err)
	}
	s := sent.Session
	if s.ID == id || s.Linked != id || s.LinkedBy != "expired" || s.State != session.Active || !s.Outbound || s.Agent != ana.ID || d.open(ana.ID) != 1 || sent.Message.Session != s.ID {
		t.Errorf("the new session: %+v", s)
	}
	if d.session(id).State != session.Closed {
		t.Error("the old session moved")
	}
	again, err := d.desk.Reply(ctx, ana, id, words)
	if err != nil || again.Session.ID != s.ID {
		t.Errorf("again: %v", err)
	}
}

func TestStart(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	words := channel.Words{Key: "k", Subject: "Your lamp", Text: "It is ready.", To: []email.Address{{Name: "Cleo", Addr: "Cleo@customer.example"}}}
	sent, err := d.desk.Start(ctx, ana, "support", words)
	if err != nil {
		t.Fatal(err)
	}
	s := d.session(sent.Session.ID)
	if s.State != session.Active || s.Agent != ana.ID || !s.Outbound || s.Subject != "Your lamp" || !slices.Contains(s.Participants, "cleo@customer.example") || d.open(ana.ID) != 1 {
		t.Errorf("%+v", s)
	}
	var bad *channel.Invalid
	if _, err := d.desk.Start(ctx, ana, "nowhere", channel.Words{Key: "k2"}); !errors.As(err, &bad) || len(bad.Fields) != 4 {
		t.Errorf("nothing right: %v", err)
	}
}

func TestNote(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	before := d.session(id)
	m, err := d.desk.Note(ctx, ana, id, "k", "Knows our boss.")
	if err != nil || m.Direction != channel.Note || m.Agent != ana.ID {
		t.Fatalf("%+v, %v", m, err)
	}
	if again, err := d.desk.Note(ctx, ana, id, "k", "Knows our boss."); err != nil || again.ID != m.ID {
		t.Errorf("again: %v", err)
	}
	after := d.session(id)
	if after.Messages != 2 || after.State != before.State || !after.LastActivity.Equal(before.LastActivity) || !after.Waiting {
		t.Errorf("a note moved the session: %+v", after)
	}
}

func TestBulkStates(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	fresh, active, foreign := d.inbound("support"), d.inbound("support"), d.inbound("billing")
	d.ok(d.desk.Assign(ctx, ana, active, ana.ID))
	d.ok(d.desk.Open(ctx, ana, active))
	ids := []string{fresh, active, foreign, "0000000000Z", "no ID", strings.ToLower(active)}
	got, err := d.desk.SetStates(ctx, ana, ids, session.Paused)
	if err != nil {
		t.Fatal(err)
	}
	want := []channel.Outcome{channel.InvalidTransition, channel.Updated, channel.Missing, channel.Missing, channel.Missing, channel.Updated}
	for i, r := range got {
		if r.ID != ids[i] || r.Result != want[i] {
			t.Errorf("%s: %+v, want %s", ids[i], r, want[i])
		}
	}
	got, err = d.desk.SetStates(ctx, sam, []string{active, foreign}, session.Paused)
	if err != nil || got[0].Result != channel.Unchanged || got[1].Result != channel.InvalidTransition {
		t.Errorf("again: %+v, %v", got, err)
	}
	if err := d.docs.Write(ctx, func(tx channel.Tx) { tx.Patch("sessions/"+fresh, map[string]any{"merged_into": active}) }); err != nil {
		t.Fatal(err)
	}
	got, err = d.desk.SetStates(ctx, sam, []string{fresh}, session.Active)
	if err != nil || got[0].Result != channel.InvalidTransition || !strings.Contains(got[0].Reason, active) {
		t.Errorf("one that was merged: %+v, %v", got, err)
	}
	var bad *channel.Invalid
	if _, err := d.desk.SetStates(ctx, ana, make([]string, 101), "asleep"); !errors.As(err, &bad) || len(bad.Fields) != 2 {
		t.Errorf("101 sessions: %v", err)
	}
}

// TestBulkStatesTwiceAtOnce holds that of two calls for the same sessions one
// moves each, and that a call which died half way is finished by the next.
func TestBulkStatesTwiceAtOnce(t *testing.T) {
	d := newDesks(t)
	var ids []string
	open := doc[channel.Agent](d, "agents/"+ana.ID).Open
	err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		for i := range 100 {
			s := channel.Session{ID: fmt.Sprintf("%011d", i), State: session.Active, Queue: "support", Agent: ana.ID}
			ids = append(ids, s.ID)
			tx.Set("sessions/"+s.ID, s)
		}
		tx.Patch("agents/"+ana.ID, map[string]any{"open": open + len(ids)})
	})
	if err != nil {
		t.Fatal(err)
	}
	_, died := kill(t.Context(), "desk.committed", func(ctx context.Context) error {
		_, err := d.desk.SetStates(ctx, ana, ids, session.Paused)
		return err
	})
	if !died {
		t.Fatal("the call went on")
	}
	var results [2][]channel.StateResult
	var errs [2]error
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { results[i], errs[i] = d.desk.SetStates(t.Context(), ana, ids, session.Paused) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if a, b := results[0][i], results[1][i]; a.State != session.Paused || b.State != session.Paused || a.Result == channel.Updated && b.Result != channel.Unchanged {
			t.Errorf("%+v, and %+v", a, b)
		}
		if got := d.kinds(id); !slices.Equal(got, []session.Kind{session.KindPaused}) {
			t.Errorf("session %s has entries %v", id, got)
		}
	}
	if got := d.open(ana.ID); got != open {
		t.Errorf("she counts %d open sessions, not %d", got, open)
	}
}

func TestAnActIsASuccessWhileTheBusIsDown(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	d.bus.down = errors.New("the bus is down")
	sent, err := d.desk.Reply(ctx, ana, id, channel.Words{Key: "k", Text: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	d.bus.down = nil
	d.pass(2 * time.Minute)
	sweep := channel.Sweep{Docs: d.docs, Bus: d.bus, Config: d.desk.Config, Now: d.clock}
	if err := sweep.Handle(ctx); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range d.bus.sent[event.TopicOutbound] {
		out = append(out, string(m.Data))
	}
	if len(out) != 1 || !strings.Contains(out[0], sent.Outbound.ID) || d.bus.count(event.TopicSession) != 2 {
		t.Errorf("published later: %v, %d events", out, d.bus.count(event.TopicSession))
	}
}

func TestSettle(t *testing.T) {
	for _, r := range []channel.Resolution{channel.MarkAccepted, channel.SendAgain} {
		t.Run(string(r), func(t *testing.T) {
			d := newDesks(t)
			ctx := t.Context()
			sent, err := d.desk.Reply(ctx, ana, d.inbound("support"), channel.Words{Key: "k", Text: "hello"})
			if err != nil {
				t.Fatal(err)
			}
			id := sent.Outbound.ID
			var clash *channel.Conflict
			if _, err := d.desk.Settle(ctx, ana, id, r); !errors.As(err, &clash) {
				t.Errorf("a queued mail: %v", err)
			}
			if err := d.docs.Write(ctx, func(tx channel.Tx) {
				tx.Patch("outbound/"+id, map[string]any{"state": channel.Uncertain, "due": nil, "attempts": 1})
			}); err != nil {
				t.Fatal(err)
			}
			if _, err := d.desk.Settle(ctx, dora, id, r); !errors.Is(err, channel.ErrForbidden) {
				t.Errorf("by an agent of another queue: %v", err)
			}
			if _, err := d.desk.Settle(ctx, ana, id, r); err != nil {
				t.Fatal(err)
			}
			o := doc[channel.Outbound](d, "outbound/"+id)
			want, handed := channel.Accepted, 1
			if r == channel.SendAgain {
				want, handed = channel.Queued, 2
			}
			if o.State != want || o.Due.IsZero() == (want == channel.Queued) || d.bus.count(event.TopicOutbound) != handed {
				t.Errorf("%+v, handed over %d times", o, d.bus.count(event.TopicOutbound))
			}
		})
	}
}

// A reply without recipients goes to whoever wrote, or to where he wants it, but never back to us.
func TestReplyTo(t *testing.T) {
	for _, c := range []struct {
		name, field string
		want        []string
	}{
		{"none", "", []string{"cleo@customer.example"}},
		{"another", "Reply-To: Office <office@customer.example>\r\n", []string{"office@customer.example"}},
		{"ours", "Reply-To: Support <Support@example.com>\r\n", []string{"cleo@customer.example"}},
		{"ours among others", "Reply-To: support+form@example.com, office@customer.example\r\n", []string{"office@customer.example"}},
		{"twice", "Reply-To: office@customer.example, Office@customer.example\r\n", []string{"office@customer.example"}},
		{"no address", "Reply-To: noreply\r\n", []string{"cleo@customer.example"}},
		{"a gateway's", "Reply-To: <c=de/s=cleo@gateway.example>\r\n", []string{"c=de/s=cleo@gateway.example"}}, // X.400, RFC 2156
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesks(t)
			if err := d.receive(d.archive).Handle(t.Context(), d.arrive("r", c.field), 1); err != nil {
				t.Fatal(err)
			}
			m := doc[channel.Mail](d, "mails/"+email.Fingerprint("r@customer.example"))
			sent, err := d.desk.Reply(t.Context(), ana, m.Session, channel.Words{Key: "k", Text: "Which lamp?"})
			if err != nil || !slices.Equal(sent.Outbound.To, c.want) {
				t.Errorf("%+v, %v", sent, err)
			}
		})
	}
}

// A reply to a closed session whose queue was deleted opens it where its mail comes in now.
func TestReplyIntoADeletedQueue(t *testing.T) {
	for name, reopens := range map[string]bool{"it reopens": true, "another session goes on": false} {
		t.Run(name, func(t *testing.T) {
			d := newDesks(t)
			id := d.inbound("billing")
			d.ok(d.desk.Open(d.Context(), sam, id))
			d.ok(d.desk.SetState(d.Context(), sam, id, session.Resolved))
			d.set("sessions/"+id, map[string]any{"state": session.Closed, "waiting": false})
			if err := d.admin.DeleteQueue(d.Context(), "billing", "support"); err != nil {
				t.Fatal(err)
			}
			d.put("support", func(q *channel.Queue) { q.Accounts = append(q.Accounts, "billing") })
			if !reopens {
				s := doc[channel.Settings](d, "settings/channel")
				s.Session.ClosedReopen.On = false
				d.set("settings/channel", map[string]any{"session": s.Session})
			}
			d.desk.Config = d.fresh()
			got, err := d.desk.Reply(d.Context(), sam, id, channel.Words{Key: "k", Text: "Hello again"})
			if err != nil {
				t.Fatal(err)
			}
			s := d.session(got.Message.Session)
			if s.State == session.Closed || s.Queue != "support" || (s.ID == id) != reopens {
				t.Errorf("session %s of %s is %s in queue %s", s.ID, id, s.State, s.Queue)
			}
		})
	}
}
