package channel_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/route"
)

func (d *desks) export() *channel.Export {
	d.Helper()
	e, err := d.admin.Export(d.Context())
	if err != nil {
		d.Fatal(err)
	}
	return e
}

func (d *desks) importing(file string, o channel.ImportOptions) (*channel.Imported, error) {
	admin := d.admin.As(adam)
	s, err := channel.ParseSetup([]byte(file))
	var misfits *channel.Invalid
	if errors.As(err, &misfits) {
		admin = admin.Besides(misfits)
	}
	return admin.Import(d.Context(), s, o)
}

// did are the changes of an import in one line each.
func did(im *channel.Imported) []string {
	var out []string
	for _, e := range im.Changes {
		out = append(out, said(e))
	}
	slices.Sort(out)
	return out
}

func TestAnExportIsAFileForPeople(t *testing.T) {
	d := newDesks(t)
	if _, err := d.admin.PutQueue(t.Context(), channel.Queue{ID: "new", Name: "Neu: ja", Language: "de", Hours: hours.Hours{Zone: "Europe/Berlin", Week: []hours.Interval{{Day: 1, From: 9*60 + 30, To: 17 * 60}}, Holidays: []hours.Holiday{{Name: "Xmas", Date: hours.Date{Year: 2026, Month: 12, Day: 25}}}}, Response: channel.AutoResponse{HTML: "<p>\n  Hello\n</p>\n"}}); err != nil {
		t.Fatal(err)
	}
	file := string(d.export().File)
	for _, want := range []string{
		"accounts:\n  billing:\n    address: billing@example.com\n", "\n    language: de\n", "\n    name: \"Neu: ja\"\n", "    response:\n      html: |\n        <p>\n          Hello\n        </p>\n",
		"        - date: \"2026-12-25\"\n", "          from: \"09:30\"\n", "\n    window: \"", "agents:\n  ana@example.com:\n    alias: \"\"\n    name: Ana Silva\n    role: agent\n    teams:\n      - first\n",
	} {
		if !strings.Contains(file, want) {
			t.Errorf("the file has no %q", want)
		}
	}
	for _, not := range []string{"updated_at", "version", "secret: account", "    status:", "last_assigned", "daily:", "\n    open:"} {
		if strings.Contains(file, not) {
			t.Errorf("the file has %q", not)
		}
	}
	if t.Failed() {
		t.Log(file)
	}
}

// TestAnImportOfAnExportChangesNothing, whatever the channel counted meanwhile.
func TestAnImportOfAnExportChangesNothing(t *testing.T) {
	d := newDesks(t)
	d.ok(d.desk.Assign(t.Context(), ana, d.inbound("support"), ana.ID))
	if _, err := d.admin.SetPresence(t.Context(), ana, ana.ID, true); err != nil {
		t.Fatal(err)
	}
	e, version, agent, account := d.export(), d.version(), doc[channel.Agent](d, "agents/ana@example.com"), doc[channel.Account](d, "accounts/support")
	from := d.clock()
	for _, o := range []channel.ImportOptions{{}, {Prune: true}, {DryRun: true}} {
		im, err := d.importing(string(e.File), o)
		if err != nil || len(im.Changes) != 0 || im.DryRun != o.DryRun {
			t.Fatalf("%+v: %+v, %v", o, im, err)
		}
	}
	if d.version() != version || len(d.log(channel.AuditFilter{From: from})) != 0 {
		t.Errorf("version %d after %d, the log %v", d.version(), version, d.log(channel.AuditFilter{From: from}))
	}
	if now := doc[channel.Agent](d, "agents/ana@example.com"); now.Open != 1 || !now.LoggedIn || !now.UpdatedAt.Equal(agent.UpdatedAt) {
		t.Errorf("the agent is %+v, was %+v", now, agent)
	}
	if now := doc[channel.Account](d, "accounts/support"); now.Secret != account.Secret || !now.UpdatedAt.Equal(account.UpdatedAt) {
		t.Errorf("the account is %+v", now)
	}
	if again := d.export(); !bytes.Equal(again.File, e.File) || again.Tag != e.Tag {
		t.Errorf("exported again:\n%s", again.File)
	}
}

// TestImport changes one of each thing, adds one, and does it again.
func TestImport(t *testing.T) {
	d := newDesks(t)
	file := strings.NewReplacer(`company: ""`, `company: ACME`, "name: Support\n", "name: Help\n").Replace(string(d.export().File)) + `
  second: {name: Second line}
`
	file = strings.Replace(file, "accounts:\n", "accounts:\n  extra: {user: x, address: Extra@Example.com, incoming: &x {}, outgoing: {host: smtp.example.com, port: 465, security: tls}, outbound_only: true}\n", 1)
	if _, err := d.importing(file, channel.ImportOptions{}); !slices.Equal(fields(err), []string{"accounts.extra.incoming"}) {
		t.Fatalf("an anchor: %v", err)
	}
	file = strings.Replace(file, "incoming: &x {}, ", "", 1)
	file = strings.Replace(file, "agents:\n  ana", "agents:\n  Zoe@Example.com: {name: Zoe, role: agent, teams: [second]}\n  ana", 1)
	file = strings.Replace(file, "    teams:\n      - first\nsettings", "    teams:\n      - first\n      - second\nsettings", 1)
	want := []string{
		`account extra created by adam@example.com:`, `agent zoe@example.com created by adam@example.com:`,
		`queue support changed by adam@example.com: name "Support">"Help" teams ["first"]>["first","second"]`,
		`settings  changed by adam@example.com: company "">"ACME"`, `team second created by adam@example.com:`,
	}
	from, version := d.clock(), d.version()
	dry, err := d.importing(file, channel.ImportOptions{DryRun: true})
	if err != nil || d.version() != version || len(d.log(channel.AuditFilter{From: from})) > 0 {
		t.Fatalf("a dry run: %v, version %d after %d", err, d.version(), version)
	}
	im, err := d.importing(file, channel.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := did(im); !slices.Equal(got, want) || len(dry.Changes) != len(want) || !dry.DryRun {
		t.Errorf("%s\nwant\n%s\nthe dry run %+v", strings.Join(got, "\n"), strings.Join(want, "\n"), dry)
	}
	if d.version() != version+1 || len(d.log(channel.AuditFilter{From: from})) != len(want) {
		t.Errorf("version %d after %d", d.version(), version)
	}
	if zoe := doc[channel.Agent](d, "agents/zoe@example.com"); !slices.Equal(zoe.Queues, []string{"support"}) {
		t.Errorf("Zoe serves %v", zoe.Queues)
	}
	extra := doc[channel.Account](d, "accounts/extra")
	if extra.Status.Valid || extra.Status.Error == "" || extra.Secret == "" || extra.Address != "extra@example.com" || extra.Service != "imap" {
		t.Errorf("the new account: %+v", extra)
	}
	f := form()
	f.Address, f.OutboundOnly, f.Password = "extra@example.com", true, ""
	if _, err := d.admin.PutAccount(t.Context(), "extra", f); !slices.Equal(fields(err), []string{"password"}) {
		t.Errorf("without a password: %v", err)
	}
	f.Password = "demo"
	if got, err := d.admin.PutAccount(t.Context(), "extra", f); err != nil || !got.Status.Valid || got.Secret != extra.Secret {
		t.Errorf("given a password: %+v, %v", got, err)
	}
	if im, err := d.importing(string(d.export().File), channel.ImportOptions{}); err != nil || len(im.Changes) > 0 {
		t.Errorf("once more: %v, %v", im, err)
	}
}

// TestTheWholeFileIsChecked: every bad field of every thing is named at once,
// and nothing is written (CH-4, AC-4, AC-5, QU-2, QU-5).
func TestTheWholeFileIsChecked(t *testing.T) {
	d := newDesks(t)
	from, before := d.clock(), d.export()
	const file = `
settings: {email: true, console_url: 1, subject_token: true, subject_edit: true, session: {paused_close: {on: true, days: 2000}}, caps: {per_address: 1, per_session: 1, window: 1h}, crm: {kind: none, flush_seconds: 10}, company: X}
storage: {period: 31d}
accounts:
  support: {user: support, address: support@example.com, outbound_only: true, incoming: {host: a, port: 1, security: tls}, outgoing: {host: a, port: 1, security: tls}}
  twin: {user: a, address: billing@example.com, incoming: {host: a, port: 1, security: tls}, outgoing: {host: "", port: 0, security: none}}
queues:
  support: {name: Support, language: en, accounts: [support, billing, nobody], agents: [sam@example.com, ghost@example.com], teams: [first, ghosts], parent: new, response: {account: nobody, html: "<img src=\"cid:a\">", inline: [{name: a.png, type: image/png, content_id: a, object: uploads/none, size: 1}]}}
  new: {name: "", language: xx, parent: support, assign: {daily_limit: -1}, hours: {zone: Mars/X, week: [{day: 1, from: "9", to: "08:00"}]}}
agents:
  not an address: {name: X, role: boss, teams: [ghosts]}
teams:
  BAD: {name: ""}
`
	_, err := d.importing(file, channel.ImportOptions{})
	want := []string{
		"accounts.support.outbound_only", "accounts.support.outgoing.host", "accounts.twin.address", "accounts.twin.outgoing.host", "accounts.twin.outgoing.port",
		"agents.not an address.id", "agents.not an address.role", "agents.not an address.teams[0]",
		"queues.new.assign.daily_limit", "queues.new.hours.week[0].from", "queues.new.hours.zone", "queues.new.language", "queues.new.name", "queues.new.parent",
		"queues.support.accounts[0]", "queues.support.accounts[1]", "queues.support.accounts[2]", "queues.support.agents[0]", "queues.support.agents[1]",
		"queues.support.parent", "queues.support.response.account", "queues.support.response.inline[0].object", "queues.support.teams[1]",
		"settings.console_url", "settings.session.active_pause", "settings.session.closed_reopen", "settings.session.paused_close", "settings.session.resolved_close", "settings.subject_edit", "settings.subject_token",
		"storage.period", "teams.BAD.id", "teams.BAD.name",
	}
	if got := fields(err); !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s\n%v", strings.Join(got, "\n"), strings.Join(want, "\n"), err)
	}
	if err == nil || !strings.Contains(err.Error(), "queues.support.accounts[0]: account support is outbound only") {
		t.Errorf("AC-4: %v", err)
	}
	if after := d.export(); after.Tag != before.Tag || len(d.log(channel.AuditFilter{From: from})) > 0 {
		t.Error("something was written")
	}
}

func TestWhatHasNoPlaceInTheFile(t *testing.T) {
	for name, tt := range map[string]struct{ file, want string }{
		"a section":       {"queue: {}", "queue"},
		"a field":         {"queues: {a: {naem: A}}", "queues.a.naem"},
		"the channel's":   {"agents: {a@example.com: {open: 3}}", "agents.a@example.com.open"},
		"a version":       {"settings: {version: 3}", "settings.version"},
		"a password":      {"accounts: {a: {password: x}}", "accounts.a.password"},
		"a secret's name": {"accounts: {a: {secret: account-b}}", "accounts.a.secret"},
		"a list":          {"queues: [{id: a}]", "queues"},
		"a word":          {"teams: {a: Team}", "teams.a"},
		"a type":          {"queues: {a: {on: 1, order: x, accounts: b}}", "queues.a.accounts queues.a.on queues.a.order"},
		"a duration":      {"settings: {caps: {window: forever}}", "settings.caps.window"},
		"no map":          {"- a", "file"},
		"no YAML":         {"a: [", "file"},
		"twice":           {"agents: {a@example.com: {}, A@Example.com: {}}", "agents.a@example.com"},
	} {
		_, err := channel.ParseSetup([]byte(tt.file))
		if got := strings.Join(fields(err), " "); got != tt.want {
			t.Errorf("%s: %q, want %q: %v", name, got, tt.want, err)
		}
	}
	if s, err := channel.ParseSetup(nil); err != nil || s.Settings != nil || s.Queues != nil {
		t.Errorf("nothing: %+v, %v", s, err)
	}
}

// TestPrune deletes what a section does not name, and nothing that is in use.
func TestPrune(t *testing.T) {
	d := newDesks(t)
	d.inbound("billing")
	d.ok(d.desk.Assign(t.Context(), sam, d.inbound("support"), ben.ID))
	prune := channel.ImportOptions{Prune: true}
	for _, tt := range []struct{ file, want string }{
		{"queues: {support: {name: S, language: en, accounts: [support]}}", "queues.billing"},
		{"accounts: {}", "accounts.billing accounts.support"},
		{"teams: {}", "teams.first teams.first teams.first"}, // a queue and two agents have it
		{"agents: {ana@example.com: {name: Ana, role: agent}}", "agents.ben@example.com agents.dora@example.com"},
	} {
		if _, err := d.importing(tt.file, prune); strings.Join(fields(err), " ") != tt.want {
			t.Errorf("%s: %q, want %q: %v", tt.file, fields(err), tt.want, err)
		}
		if _, err := d.importing(strings.Replace(tt.file, "queues: {support: {name: S, ", "queues: {support: {name: S, teams: [first], ", 1), channel.ImportOptions{}); err != nil {
			t.Errorf("%s without prune: %v", tt.file, err)
		}
	}
	im, err := d.importing("agents: {ana@example.com: {name: Ana, role: agent}, ben@example.com: {name: Ben, role: agent}, dora@example.com: {name: Dora, role: agent}}\nteams: {}\nqueues: {support: {name: S, language: en}, billing: {name: B, language: en}}\naccounts: {billing: {user: b, address: billing@example.com, incoming: {host: mail.example.com, port: 1, security: tls}, outgoing: {host: mail.example.com, port: 1, security: tls}}}", prune)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"account support deleted by adam@example.com:", "agent sam@example.com deleted by adam@example.com:", "team first deleted by adam@example.com:"} {
		if !slices.Contains(did(im), want) {
			t.Errorf("no %q in %v", want, did(im))
		}
	}
	if got := doc[channel.Agent](d, "agents/ben@example.com"); got.Open != 1 || len(got.Queues) != 0 {
		t.Errorf("Ben: %+v", got)
	}
	if doc[channel.Discard](d, "discards/account-support").Secret == "" {
		t.Error("the password of the deleted account stays for ever")
	}
	if _, err := d.admin.As(channel.Actor{ID: ana.ID, Role: channel.RoleAdmin}).Import(t.Context(), &channel.Setup{Agents: map[string]channel.AgentForm{}}, prune); !slices.Contains(fields(err), "agents.ana@example.com") {
		t.Errorf("an admin deletes herself: %v", err)
	}
}

func TestAnImportDependsOnItsExport(t *testing.T) {
	d := newDesks(t)
	e := d.export()
	if _, err := d.admin.As(channel.Actor{ID: "eve@example.com"}).PutTeam(t.Context(), channel.Team{ID: "first", Name: "First of all"}); err != nil {
		t.Fatal(err)
	}
	s, err := channel.ParseSetup(e.File)
	if err != nil {
		t.Fatal(err)
	}
	admin := d.admin.As(adam).If(channel.Precondition{Match: []string{e.Tag}})
	_, err = admin.Import(t.Context(), s, channel.ImportOptions{})
	var old *channel.Outdated
	if !errors.As(err, &old) || len(old.Since) != 1 || old.Since[0].Actor != "eve@example.com" || old.Since[0].Thing != "team first" || !slices.Equal(old.Since[0].Fields, []string{"name"}) {
		t.Fatalf("%v", err)
	}
	now := d.export()
	if im, err := d.admin.If(channel.Precondition{Match: []string{now.Tag}}).Import(t.Context(), s, channel.ImportOptions{}); err != nil || len(im.Changes) != 1 {
		t.Errorf("of the version that is there: %v, %v", im, err)
	}
}

// TestTooMuchAtOnce: more than one commit can hold is refused before anything is written.
func TestTooMuchAtOnce(t *testing.T) {
	d := newDesks(t)
	s := &channel.Setup{Teams: map[string]channel.Team{}}
	for i := range 2001 {
		id := fmt.Sprint("t", i)
		s.Teams[id] = channel.Team{ID: id, Name: "T"}
	}
	if _, err := d.admin.Import(t.Context(), s, channel.ImportOptions{}); !slices.Equal(fields(err), []string{"file"}) {
		t.Fatalf("2001 things: %v", err)
	}
	delete(s.Teams, "t0")
	if im, err := d.admin.Import(t.Context(), s, channel.ImportOptions{}); err != nil || len(im.Changes) != 2000 {
		t.Errorf("2000 things: %v", err)
	}
}

// TestWhatIsExportedComesBack: any configuration that an import takes is
// exported so that another place imports the same, byte by byte.
func TestWhatIsExportedComesBack(t *testing.T) {
	d, e := newDesks(t), newDesks(t)
	word := rapid.OneOf(rapid.StringMatching(`[A-Za-zäß][A-Za-zäß :#'"%&*!|>{}\[\],.@-]{0,20}`), rapid.SampledFrom([]string{"null", "true", "09:30", "1e3", "- x", "a: b", "x #y"}))
	html := rapid.OneOf(rapid.StringMatching(`[<>/a-z \n\t&;"=äß-]{0,60}`), rapid.Just("<p>\n x\n</p>\n"))
	check := func(t *rapid.T) {
		s := &channel.Setup{Teams: map[string]channel.Team{}, Queues: map[string]channel.Queue{}}
		for i := range rapid.IntRange(0, 3).Draw(t, "teams") {
			id := fmt.Sprintf("team-%d", i)
			s.Teams[id] = channel.Team{ID: id, Name: word.Draw(t, "name")}
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "queues") {
			id := fmt.Sprintf("queue-%d", i)
			s.Queues[id] = channel.Queue{
				ID: id, Name: word.Draw(t, "name"), Language: rapid.SampledFrom([]string{"en", "id", "fr", "de"}).Draw(t, "language"), On: rapid.Bool().Draw(t, "on"), Order: rapid.IntRange(-9, 99).Draw(t, "order"),
				Teams: slices.Sorted(maps.Keys(s.Teams)), Assign: route.Policy{On: rapid.Bool().Draw(t, "assign"), DailyLimit: rapid.IntRange(0, 99).Draw(t, "limit")},
				Hours:    hours.Hours{Zone: "Asia/Jakarta", Week: []hours.Interval{{Day: time.Weekday(rapid.IntRange(0, 6).Draw(t, "day")), From: 60, To: hours.TimeOfDay(rapid.IntRange(61, 1440).Draw(t, "to"))}}},
				Response: channel.AutoResponse{HTML: html.Draw(t, "html")},
			}
		}
		for _, at := range []*desks{d, e} {
			if _, err := at.admin.Import(at.Context(), s, channel.ImportOptions{Prune: true}); err != nil {
				t.Fatal(err)
			}
			first := at.export()
			again, err := channel.ParseSetup(first.File)
			if err != nil {
				t.Fatalf("%v in\n%s", err, first.File)
			}
			im, err := at.admin.Import(at.Context(), again, channel.ImportOptions{Prune: true})
			if err != nil || len(im.Changes) > 0 {
				t.Fatalf("%v, %v", im, err)
			}
			if second := at.export(); !bytes.Equal(second.File, first.File) {
				t.Fatalf("%s\nbecame\n%s", first.File, second.File)
			}
			s = again
		}
		if one, two := d.export(), e.export(); !bytes.Equal(one.File, two.File) {
			t.Fatalf("%s\nelsewhere is\n%s", one.File, two.File)
		}
	}
	// what the demo has besides would be in the way of pruning
	for _, at := range []*desks{d, e} {
		if _, err := at.importing("agents: {}\nteams: {}\nqueues: {}\naccounts: {}\n", channel.ImportOptions{Prune: true}); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, check)
}

// FuzzParseSetup: no file is too strange for an answer, and one that is read
// says nothing of secrets.
func FuzzParseSetup(f *testing.F) {
	for _, s := range []string{"", "queues: {a: {name: A, hours: {zone: UTC, week: [{day: 1, from: 09:00, to: 10:00}]}}}", "accounts: {a: {password: x, dkim: {domain: d}}}", "settings: {caps: {window: 3h}}", "a: &a [*a]", "agents:\n  a@b.example: {teams: [x]}\n", "storage: ~"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(file) > 16<<10 {
			return
		}
		s, err := channel.ParseSetup(file)
		if err != nil {
			if fields(err) == nil {
				t.Fatalf("%q: an error without a field: %v", file, err)
			}
			return
		}
		for id, a := range s.Accounts {
			if a.Credentials != (channel.Credentials{}) {
				t.Fatalf("%q: account %s has credentials", file, id)
			}
		}
	})
}

// An agent who is on his way out is in no export, which could not be imported.
func TestExportWhileAnAgentIsDeleted(t *testing.T) {
	d := newDesks(t)
	admin := d.admin
	admin.Docs = counting{d.docs, func() {
		e := d.export()
		if strings.Contains(string(e.File), ana.ID) {
			t.Errorf("he is in\n%s", e.File)
		}
		if got, err := d.importing(string(e.File), channel.ImportOptions{}); err != nil || len(got.Changes) > 0 {
			t.Errorf("import of the export: %+v, %v", got, err)
		}
	}}
	if err := admin.DeleteAgent(t.Context(), ana.ID); err != nil {
		t.Fatal(err)
	}
}
