package channel_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/hours"
)

var adam = channel.Actor{ID: "adam@example.com", Role: channel.RoleAdmin}

// log are the entries since a time, the oldest first.
func (d *desks) log(since channel.AuditFilter) []channel.Audit {
	d.Helper()
	var out []channel.Audit
	for p := (channel.PageRequest{}); ; {
		page, err := d.admin.Audit(d.Context(), since, p)
		if err != nil {
			d.Fatal(err)
		}
		out = append(out, page.Items...)
		if p.Cursor = page.Next; p.Cursor == "" {
			slices.Reverse(out)
			return out
		}
	}
}

// said is an entry in one line.
func said(e channel.Audit) string {
	words := fmt.Sprintf("%s %s %s by %s:", e.Kind, e.Thing, e.Act, e.Actor)
	for _, c := range e.Changes {
		if c.Secret {
			words += " " + c.Field + " anew"
		} else if e.Act == channel.AuditChanged {
			words += fmt.Sprintf(" %s %s>%s", c.Field, c.Before, c.After)
		}
	}
	return words
}

// TestTheAuditLog does one of everything that admins do, twice: the first time
// the log says what changed, the second time nothing does, and nothing is written.
func TestTheAuditLog(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	admin := d.admin.As(adam)
	storage := &channel.AdminStorage{Admin: admin}
	steps := []struct {
		name  string
		do    func() error
		want  []string
		again []string // of the second time
	}{
		{name: "settings", do: func() error {
			s, err := admin.Settings(ctx)
			if err == nil {
				s.Company, s.SubjectToken, s.Session.PausedClose.Days = "Ex <Co>", true, 7
				_, err = admin.PutSettings(ctx, *s, "")
			}
			return err
		}, want: []string{`settings  changed by adam@example.com: company "">"Ex <Co>" session.paused_close.days 60>7 subject_token false>true`}},
		{name: "the CRM's token", do: func() error {
			s, err := admin.Settings(ctx)
			if err == nil {
				s.CRM = channel.CRMSettings{Kind: "zendesk", BaseURL: "https://x.zendesk.com", User: "a@b.example", Seconds: 10, Secret: "crm-token"}
				_, err = admin.PutSettings(ctx, *s, "sesame-1")
			}
			return err
		},
			want:  []string{`settings  changed by adam@example.com: crm.base_url "">"https://x.zendesk.com" crm.kind "none">"zendesk" crm.secret "">"crm-token" crm.user "">"a@b.example" crm_token anew`},
			again: []string{`settings  changed by adam@example.com: crm_token anew`}},
		{name: "storage", do: func() error {
			_, err := storage.PutStorage(ctx, channel.Storage{Period: channel.Days30}, "")
			return err
		}, want: []string{`storage  changed by adam@example.com: period "">"30d"`}},
		{name: "account", do: func() error {
			f := form()
			f.Password, f.PushKey = "", ""
			if _, err := admin.Account(ctx, "help"); err != nil {
				f.Password, f.PushKey = "sesame-2", "sesame-3-which-is-long-enough-for-a-key"
			}
			_, err := admin.PutAccount(ctx, "help", f)
			return err
		}, want: []string{`account help created by adam@example.com: password anew push_key anew`}},
		{name: "team", do: func() error {
			_, err := admin.PutTeam(ctx, channel.Team{ID: "second", Name: "Second"})
			return err
		}, want: []string{`team second created by adam@example.com:`}},
		{name: "agent", do: func() error {
			_, err := admin.PutAgent(ctx, "Ben@Example.com", channel.AgentForm{Name: "Ben Okafor", Role: channel.RoleAgent, Teams: []string{"first", "second"}})
			return err
		}, want: []string{`agent ben@example.com changed by adam@example.com: teams ["first"]>["first","second"]`}},
		{name: "queue", do: func() error {
			_, err := admin.PutQueue(ctx, channel.Queue{ID: "new", Name: "New", Language: "fr", Accounts: []string{"help"}, Teams: []string{"second"}, Hours: hours.Hours{Zone: "Europe/Paris"}})
			return err
		}, want: []string{`queue new created by adam@example.com:`}},
		{name: "holidays", do: func() error {
			_, err := admin.ImportHolidays(ctx, "new", "", strings.NewReader("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\nSUMMARY:Christmas\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"))
			return err
		}, want: []string{`queue new changed by adam@example.com: hours.holidays []>[{"date":"2026-12-25","name":"Christmas","recurring":false}]`}},
		{name: "presence", do: func() error { _, err := admin.SetPresence(ctx, ben, ben.ID, true); return err }},
		{name: "a check of an account", do: func() error { _, err := admin.VerifyAccount(ctx, "help"); return err }},
		{name: "a team goes", do: func() error { return gone(admin.DeleteTeam(ctx, "second")) },
			want: []string{`queue new changed by adam@example.com: teams ["second"]>[]`, `agent ben@example.com changed by adam@example.com: teams ["first","second"]>["first"]`, `team second deleted by adam@example.com:`}},
		{name: "a queue goes", do: func() error { return gone(admin.DeleteQueue(ctx, "new", "")) }, want: []string{`queue new deleted by adam@example.com:`}},
		{name: "an account goes", do: func() error { return gone(admin.DeleteAccount(ctx, "help")) }, want: []string{`account help deleted by adam@example.com:`}},
		{name: "an agent goes", do: func() error { return gone(admin.DeleteAgent(ctx, dora.ID)) },
			want: []string{`queue billing changed by adam@example.com: agents ["dora@example.com"]>[]`, `agent dora@example.com changed by adam@example.com: role "agent">""`, `agent dora@example.com deleted by adam@example.com:`}},
	}
	for _, step := range steps {
		for i, want := range [][]string{step.want, step.again} {
			from, version := d.clock(), d.version()
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			var got []string
			for _, e := range d.log(channel.AuditFilter{From: from}) {
				if e.At.IsZero() || e.Role != channel.RoleAdmin || (e.Act == channel.AuditCreated) != (e.Before == "") {
					t.Errorf("%s: %+v", step.name, e)
				}
				got = append(got, said(e))
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s, time %d:\n%s\nwant\n%s", step.name, i+1, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if grew := d.version() > version; grew != (len(want) > 0) {
				t.Errorf("%s, time %d: version %d after %d", step.name, i+1, d.version(), version)
			}
		}
	}
	everything, err := json.Marshal(d.log(channel.AuditFilter{}))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(everything), "sesame") || strings.Contains(string(everything), "subject-token-key") {
		t.Errorf("a secret is in the log: %s", everything)
	}
}

// gone is the error of a deletion that may find its work done.
func gone(err error) error {
	if err != nil && strings.Contains(err.Error(), channel.ErrNotFound.Error()) {
		return nil
	}
	return err
}

func TestAnUnchangedThingKeepsItsTime(t *testing.T) {
	d := newDesks(t)
	before := doc[channel.Queue](d, "queues/support")
	got, err := d.admin.PutQueue(t.Context(), before)
	if err != nil || !got.UpdatedAt.Equal(before.UpdatedAt) || !doc[channel.Queue](d, "queues/support").UpdatedAt.Equal(before.UpdatedAt) {
		t.Errorf("saved as it was: %v after %v, %v", got.UpdatedAt, before.UpdatedAt, err)
	}
	set := doc[channel.Settings](d, "settings/channel")
	again, err := d.admin.PutSettings(t.Context(), set, "")
	if err != nil || again.Version != set.Version || !again.UpdatedAt.Equal(set.UpdatedAt) {
		t.Errorf("settings as they were: %+v, %v", again, err)
	}
}

// TestWhoIsTooLateStoresNoSecret: what is refused leaves passwords and tokens alone.
func TestWhoIsTooLateStoresNoSecret(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	old := d.admin.As(adam).If(channel.Precondition{Match: []string{"old"}})
	var late *channel.Outdated
	before := fmt.Sprint(d.secrets.values)
	s := channel.Defaults()
	s.CRM = channel.CRMSettings{Kind: "zendesk", BaseURL: "https://x.zendesk.com", User: "a@b.example", Seconds: 10}
	if _, err := old.PutSettings(ctx, s, "token"); !errors.As(err, &late) {
		t.Errorf("settings: %v", err)
	}
	if _, err := (&channel.AdminStorage{Admin: old}).PutStorage(ctx, inS3("mail", "a"), s3Credentials); !errors.As(err, &late) {
		t.Errorf("storage: %v", err)
	}
	f := form()
	f.Address, f.Password = "support@example.com", "another"
	if _, err := old.PutAccount(ctx, "support", f); !errors.As(err, &late) {
		t.Errorf("account: %v", err)
	}
	if after := fmt.Sprint(d.secrets.values); after != before {
		t.Errorf("secrets: %s, were %s", after, before)
	}
}

// TestEntriesAreBounded: a long text is cut between two characters, with a mark.
func TestEntriesAreBounded(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	q := doc[channel.Queue](d, "queues/support")
	q.Signature.HTML = "<p>" + strings.Repeat("ä", 30_000) + "</p>"
	if _, err := d.admin.As(adam).PutQueue(ctx, q); err != nil {
		t.Fatal(err)
	}
	log := d.log(channel.AuditFilter{Kind: channel.ThingQueue, Thing: "support", Actor: adam.ID})
	if len(log) != 1 || len(log[0].Changes) != 1 {
		t.Fatalf("%d entries: %.300v", len(log), log)
	}
	c := log[0].Changes[0]
	if c.Field != "signature.html" || len(c.After) > 5000 || !strings.HasSuffix(c.After, "ä… (60009 bytes)") {
		t.Errorf("%s, %d bytes: %.50s", c.Field, len(c.After), c.After[len(c.After)-40:])
	}
}
