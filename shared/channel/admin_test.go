package channel_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/reply"
	"emailchannel.dev/emailchannel/shared/session"
)

// fields are the names of what an error calls invalid.
func fields(err error) []string {
	var bad *channel.Invalid
	if !errors.As(err, &bad) {
		return nil
	}
	var out []string
	for _, f := range bad.Fields {
		out = append(out, f.Name)
	}
	slices.Sort(out)
	return out
}

// Delete makes deskSecrets a vault.
func (s *deskSecrets) Delete(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, name)
	return nil
}

func (d *desks) version() int64 { return doc[channel.Settings](d, "settings/channel").Version }

func TestSettingsNameEveryBadField(t *testing.T) {
	d := newDesks(t)
	s := channel.Defaults()
	s.SubjectToken, s.SubjectEdit = true, true
	s.Session.PausedClose.Days, s.Session.ClosedReopen.Days = 0, 1001
	s.CRM = channel.CRMSettings{Kind: "zendesk", BaseURL: "zendesk", Secret: "account-a b", Seconds: 61}
	s.Record.CommentsWhen = "never"
	s.Caps = reply.Caps{PerSession: -1}
	s.Company = "two\nlines"
	s.ConsoleURL = "javascript:alert(1)"
	_, err := d.admin.PutSettings(t.Context(), s, "")
	want := []string{"caps.per_address", "caps.per_session", "caps.window", "company", "console_url", "crm.base_url", "crm.flush_seconds", "crm.secret", "crm.secret", "crm.user", "record.comments_when", "session.closed_reopen", "session.paused_close", "subject_edit", "subject_token"}
	if got := fields(err); !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if d.version() != 1 {
		t.Error("refused settings were stored")
	}
}

// The CRM's token is stored under a name that an admin gives. It takes the
// place of no other secret, also while there is no CRM.
func TestTheCRMTokenIsNoOtherSecret(t *testing.T) {
	d := newDesks(t)
	for _, kind := range []string{"zendesk", "none"} {
		for _, name := range []string{"account-support", "storage-mail", "subject-token-key", "a/b"} {
			s := channel.Defaults()
			s.CRM.Kind, s.CRM.BaseURL, s.CRM.User, s.CRM.Secret = kind, "https://x.zendesk.com", "a@b.example", name
			if _, err := d.admin.PutSettings(t.Context(), s, "token"); !slices.Equal(fields(err), []string{"crm.secret"}) {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
		}
	}
	if got := d.secrets.values["account-support"]; got != "demo" {
		t.Errorf("the account's password is %q", got)
	}
}

func TestSettingsAreBounded(t *testing.T) {
	d := newDesks(t)
	long := strings.Repeat("x", 70<<10)
	s := channel.Defaults()
	s.ConsoleURL, s.CRM.Kind, s.CRM.BaseURL, s.CRM.User = "https://"+long, "zendesk", "https://"+long, long
	if _, err := d.admin.PutSettings(t.Context(), s, long); !slices.Equal(fields(err), []string{"console_url", "crm.base_url", "crm.user", "crm_token"}) {
		t.Errorf("%v", fields(err))
	}
	st := channel.Storage{Destination: channel.Destination{Kind: channel.KindS3, Bucket: "mail", Endpoint: "https://s3.example.com/path"}}
	storage := channel.AdminStorage{Admin: &d.admin}
	if _, err := storage.PutStorage(t.Context(), st, `{"access_key":"a","secret_key":"`+long+`"}`); !slices.Equal(fields(err), []string{"credentials", "destination.endpoint"}) {
		t.Errorf("%v", fields(err))
	}
}

// What stands in an address is shown, exported and in the audit log.
func TestAddressesHaveNoPasswords(t *testing.T) {
	d := newDesks(t)
	for _, address := range []string{"https://adam:secret@x.zendesk.com", "https://token@x.zendesk.com", "https://x.zendesk.com?token=secret", "https://x.zendesk.com#x"} {
		s := channel.Defaults()
		s.CRM.Kind, s.CRM.BaseURL, s.CRM.User = "zendesk", address, "a@b.example"
		if _, err := d.admin.PutSettings(t.Context(), s, ""); !slices.Equal(fields(err), []string{"crm.base_url"}) {
			t.Errorf("%s: %v", address, err)
		}
	}
	f := form()
	f.Auth, f.RefreshToken = channel.AuthXOAuth2, "r"
	f.OAuth = channel.OAuth{TokenURL: "https://adam:secret@login.example.com/token", ClientID: "c"}
	if _, err := d.admin.PutAccount(t.Context(), "help", f); !slices.Equal(fields(err), []string{"oauth.token_url"}) {
		t.Errorf("%v", err)
	}
}

// Tokens and mail do not go over the net in clear text; the emulator's servers are an exception.
func TestAddressesAreEncrypted(t *testing.T) {
	d := newDesks(t)
	s := channel.Defaults()
	s.CRM.Kind, s.CRM.BaseURL, s.CRM.User = "zendesk", "HTTP://x.zendesk.com", "a@b.example"
	if _, err := d.admin.PutSettings(t.Context(), s, ""); !slices.Equal(fields(err), []string{"crm.base_url"}) {
		t.Errorf("saved: %v", err)
	}
	if _, err := d.admin.Import(t.Context(), &channel.Setup{Settings: &s}, channel.ImportOptions{DryRun: true}); !slices.Equal(fields(err), []string{"settings.crm.base_url"}) {
		t.Errorf("imported: %v", err)
	}
	f := form()
	f.Auth, f.RefreshToken = channel.AuthXOAuth2, "r"
	f.OAuth = channel.OAuth{TokenURL: "http://login.example.com/token", ClientID: "c"}
	if _, err := d.admin.PutAccount(t.Context(), "help", f); !slices.Equal(fields(err), []string{"oauth.token_url"}) {
		t.Errorf("an account: %v", err)
	}
	if _, err := d.admin.Import(t.Context(), &channel.Setup{Accounts: map[string]channel.AccountForm{"help": f}}, channel.ImportOptions{DryRun: true}); !slices.Contains(fields(err), "accounts.help.oauth.token_url") {
		t.Errorf("an imported account: %v", err)
	}
	d.admin.Insecure = true
	if _, err := d.admin.PutSettings(t.Context(), s, ""); err != nil {
		t.Errorf("in the emulator: %v", err)
	}
}

func TestTheScheduleFollowsTheChannel(t *testing.T) {
	d := newDesks(t)
	s, err := d.admin.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Email = false
	if _, err := d.admin.PutSettings(t.Context(), *s, ""); err != nil || !d.schedule.paused || d.bus.count(event.TopicPoll) != 0 {
		t.Errorf("off: %v, paused %t", err, d.schedule.paused)
	}
	s.Email = true
	if _, err := d.admin.PutSettings(t.Context(), *s, ""); err != nil || d.schedule.paused || d.bus.count(event.TopicPoll) != 1 || d.bus.count(event.TopicQueue) != 1 || d.bus.count(event.TopicSweep) != 1 {
		t.Errorf("on: %v, paused %t", err, d.schedule.paused)
	}
	if d.version() != 3 {
		t.Errorf("version %d", d.version())
	}
}

func TestTheCRMsTokenIsASecret(t *testing.T) {
	d := newDesks(t)
	s := channel.Defaults()
	s.CRM = channel.CRMSettings{Kind: "zendesk", BaseURL: "https://x.zendesk.com", User: "a@b.example", Seconds: 10}
	got, err := d.admin.PutSettings(t.Context(), s, "sesame")
	if err != nil || d.secrets.values[got.CRM.Secret] != "sesame" {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestTheSubjectKeyIsMadeOnceAndStays(t *testing.T) {
	d := newDesks(t)
	put := func(f func(*channel.Settings)) *channel.Settings {
		t.Helper()
		s, err := d.admin.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f(s)
		if s, err = d.admin.PutSettings(t.Context(), *s, ""); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := put(func(s *channel.Settings) { s.SubjectKey = "account-support" }); s.SubjectKey != "" {
		t.Errorf("a caller chose the secret %q", s.SubjectKey)
	}
	on := put(func(s *channel.Settings) { s.SubjectToken = true })
	key := d.secrets.values[on.SubjectKey]
	if on.SubjectKey == "" || len(key) != 44 {
		t.Fatalf("%q, a key of %d characters", on.SubjectKey, len(key))
	}
	put(func(s *channel.Settings) { s.SubjectToken, s.SubjectKey = false, "" })
	again := put(func(s *channel.Settings) { s.SubjectToken = true })
	if again.SubjectKey != on.SubjectKey || d.secrets.values[on.SubjectKey] != key {
		t.Errorf("another key: %q", again.SubjectKey)
	}
}

func form() channel.AccountForm {
	at := channel.Server{Host: "mail.example.com", Port: 993, Security: "tls"}
	return channel.AccountForm{User: "u", Address: "Help@Example.com", Incoming: at, Outgoing: at, Credentials: channel.Credentials{Password: "demo"}}
}

func TestAccount(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	got, err := d.admin.PutAccount(ctx, "help", form())
	if err != nil || !got.Status.Valid || got.Status.LastSuccess.IsZero() || got.Address != "help@example.com" || got.Folders[0] != "INBOX" {
		t.Fatalf("%+v, %v", got, err)
	}
	added := got.CreatedAt
	if !strings.HasPrefix(got.Secret, "account-help-") || d.secrets.values[got.Secret] != "demo" || d.version() != 2 {
		t.Errorf("secret %q in %s, version %d", d.secrets.values[got.Secret], got.Secret, d.version())
	}
	success := got.Status.LastSuccess
	f := form()
	f.Password = "wrong"
	if got, err = d.admin.PutAccount(ctx, "help", f); err != nil || got.Status.Valid || !strings.Contains(got.Status.Error, "NO [AUTHENTICATIONFAILED] no such user u") || !got.Status.LastSuccess.Equal(success) {
		t.Errorf("a wrong password: %+v, %v", got.Status, err)
	}
	if err := d.secrets.Put(ctx, got.Secret, "demo"); err != nil {
		t.Fatal(err)
	}
	if got, err = d.admin.VerifyAccount(ctx, "help"); err != nil || !got.Status.Valid || got.Status.Error != "" || !doc[channel.Account](d, "accounts/help").Status.Valid {
		t.Errorf("verified: %+v, %v", got, err)
	}
	f.Password = "" // keeps the one that is stored
	if got, err = d.admin.PutAccount(ctx, "help", f); err != nil || !got.Status.Valid || added.IsZero() || !got.CreatedAt.Equal(added) {
		t.Errorf("without a password: %+v, %v", got, err)
	}
	if err := d.admin.DeleteAccount(ctx, "help"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.admin.Account(ctx, "help"); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	if len(d.secrets.values) != 2 || d.secrets.values["account-support"] == "" {
		t.Errorf("secrets %v", d.secrets.values)
	}
}

// Who may save an account could otherwise read its password: on a server of his
// own (as in https://github.com/keycloak/keycloak/issues/39486).
func TestStoredCredentialsGoToNoOtherServer(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	password := form()
	password.Outgoing.Host = "smtp.example.com"
	oauth := password
	oauth.Address, oauth.Auth, oauth.OAuth = "token@example.com", channel.AuthXOAuth2, channel.OAuth{TokenURL: "https://login.example.com/token", ClientID: "c"}
	oauth.Credentials = channel.Credentials{RefreshToken: "r", ClientSecret: "s"}
	for id, f := range map[string]channel.AccountForm{"help": password, "token": oauth} {
		if _, err := d.admin.PutAccount(ctx, id, f); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		id   string
		f    channel.AccountForm
		edit func(*channel.AccountForm)
		want []string
	}{
		"incoming":             {"help", password, func(f *channel.AccountForm) { f.Incoming.Host = "evil.example" }, []string{"password"}},
		"outgoing":             {"help", password, func(f *channel.AccountForm) { f.Outgoing.Host = "evil.example" }, []string{"password"}},
		"token endpoint":       {"token", oauth, func(f *channel.AccountForm) { f.OAuth.TokenURL = "https://evil.example/token" }, []string{"client_secret", "refresh_token"}},
		"half of what it gets": {"token", oauth, func(f *channel.AccountForm) { f.OAuth.TokenURL, f.RefreshToken = "https://evil.example/token", "r2" }, []string{"client_secret"}},
		"a token's server":     {"token", oauth, func(f *channel.AccountForm) { f.Incoming.Host = "evil.example" }, []string{"refresh_token"}},
		"the same":             {"help", password, func(f *channel.AccountForm) { f.Idle = true }, nil},
	} {
		f := c.f
		f.Credentials = channel.Credentials{}
		c.edit(&f)
		if _, err := d.admin.PutAccount(ctx, c.id, f); !slices.Equal(fields(err), c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want == nil {
			continue
		}
		f.Credentials = channel.Credentials{}
		file := channel.Setup{Accounts: map[string]channel.AccountForm{c.id: f}}
		if _, err := d.admin.Import(ctx, &file, channel.ImportOptions{}); len(fields(err)) == 0 || !strings.HasPrefix(fields(err)[0], "accounts."+c.id+".") {
			t.Errorf("%s by an import: %v", name, err)
		}
	}
	f := password
	f.Outgoing.Host, f.Incoming.Port, f.Password = f.Incoming.Host, 143, "" // which has the password already
	if _, err := d.admin.PutAccount(ctx, "help", f); err != nil {
		t.Errorf("another port: %v", err)
	}
	f.Incoming.Host, f.Password = "new.example.com", "demo"
	if _, err := d.admin.PutAccount(ctx, "help", f); err != nil {
		t.Errorf("with the password: %v", err)
	}
}

func TestBadAccounts(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	for name, c := range map[string]struct {
		id   string
		f    func(*channel.AccountForm)
		want []string
	}{
		"ID":                   {"a/b", func(*channel.AccountForm) {}, []string{"id"}},
		"all":                  {"x", func(f *channel.AccountForm) { *f = channel.AccountForm{Service: "pop3"} }, []string{"address", "incoming.host", "incoming.port", "incoming.security", "outgoing.host", "outgoing.port", "outgoing.security", "password", "service", "user"}},
		"address and password": {"x", func(f *channel.AccountForm) { f.Address, f.Password = "support@example.com", "" }, []string{"address", "password"}},
		"AC-4 and a host": {"support", func(f *channel.AccountForm) {
			f.Address, f.OutboundOnly, f.Outgoing.Host = "support@example.com", true, "a b"
		}, []string{"outbound_only", "outgoing.host"}},
		"address":        {"x", func(f *channel.AccountForm) { f.Address = "support@example.com" }, []string{"address"}},
		"many folders":   {"x", func(f *channel.AccountForm) { f.Folders = slices.Repeat([]string{"A"}, 51) }, []string{"folders"}},
		"many servers":   {"x", func(f *channel.AccountForm) { f.AuthServers = slices.Repeat([]string{"a.example"}, 51) }, []string{"auth_servers"}},
		"a folder twice": {"x", func(f *channel.AccountForm) { f.Folders = []string{"INBOX", "Support", "inbox", "Support"} }, []string{"folders[2]", "folders[3]"}},
		"endless": {"x", func(f *channel.AccountForm) {
			long := strings.Repeat("x", 70<<10)
			f.Incoming.Host, f.Outgoing.Host, f.OAuth, f.DKIM = long, long, channel.OAuth{TokenURL: long, ClientID: long, Scope: long}, channel.DKIM{Domain: "example.com", Selector: long}
			f.Credentials = channel.Credentials{Password: long, RefreshToken: long, ClientSecret: long, DKIMKey: long, PushKey: long}
		}, []string{"client_secret", "dkim.selector", "dkim_key", "dkim_key", "incoming.host", "oauth.client_id", "oauth.scope", "oauth.token_url", "outgoing.host", "password", "push_key", "refresh_token"}},
		"a password with the end of its line": {"x", func(f *channel.AccountForm) { f.Password = "demo\n" }, []string{"password"}},
		"injection":                           {"x", func(f *channel.AccountForm) { f.Folders = []string{"A\r\nB"} }, []string{"folders[0]"}},
		"no password":                         {"x", func(f *channel.AccountForm) { f.Password = "" }, []string{"password"}},
		"AC-4":                                {"support", func(f *channel.AccountForm) { f.Address, f.OutboundOnly = "support@example.com", true }, []string{"outbound_only"}},
	} {
		f := form()
		c.f(&f)
		if _, err := d.admin.PutAccount(ctx, c.id, f); !slices.Equal(fields(err), c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	var clash *channel.Conflict
	if err := d.admin.DeleteAccount(ctx, "support"); !errors.As(err, &clash) || !strings.Contains(clash.Message, "Support") {
		t.Errorf("in use: %v", err)
	}
}

func TestQueuesComeInTheirOrder(t *testing.T) {
	d := newDesks(t)
	for id, order := range map[string]int{"last": math.MaxInt, "first": math.MinInt} {
		if _, err := d.admin.PutQueue(t.Context(), channel.Queue{ID: id, Name: id, Language: "en", Order: order}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := d.admin.Queues(t.Context())
	var got []string
	for _, q := range list {
		got = append(got, q.ID)
	}
	if want := []string{"first", "support", "billing", "last"}; !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestBadQueues(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	f := form()
	f.OutboundOnly = true
	if _, err := d.admin.PutAccount(ctx, "robot", f); err != nil {
		t.Fatal(err)
	}
	good := channel.Queue{ID: "new", Name: "New", Language: "fr", Response: channel.AutoResponse{Account: "robot"}}
	if _, err := d.admin.PutQueue(ctx, good); err != nil {
		t.Fatal(err)
	}
	file := channel.File{Name: "a.png", Type: "image/png", ContentID: "a", Object: "settings/a.png", Size: 6 << 20}
	for name, c := range map[string]struct {
		f    func(*channel.Queue)
		want []string
	}{
		"plain": {func(q *channel.Queue) {
			*q = channel.Queue{ID: "new", Language: "es", Hours: hours.Hours{Zone: "Mars"}, Response: channel.AutoResponse{HTML: "@{nobody}"}, Signature: channel.Signature{HTML: "@{queue}"}}
			q.Assign.DailyLimit = -1
		}, []string{"assign.daily_limit", "hours.zone", "language", "name", "response.html", "signature.html"}},
		"empty response": {func(q *channel.Queue) { q.Response.On = true }, []string{"response.html"}},
		"files": {func(q *channel.Queue) {
			exe, nameless, twin := file, file, file
			exe.ContentID, exe.Type = "b", "application/x-msdownload"
			nameless.ContentID = ""
			q.Response.Inline = []channel.File{file, twin, exe, nameless, {Name: "a.pdf", Type: "application/pdf", ContentID: "c", Object: "o", Size: 6 << 20}}
			q.Response.Files = []channel.File{{Name: "a.exe", Object: "o"}, {Name: "a.pdf", Object: "../o"}}
			q.Response.HTML = `<img src="cid:a"><img src="cid:d">`
		}, []string{"response.files[0].name", "response.files[1].object", "response.html", "response.inline", "response.inline[1].content_id", "response.inline[2].type", "response.inline[3].content_id", "response.inline[4].type"}},
		"too many files": {func(q *channel.Queue) {
			q.Response.Files = slices.Repeat([]channel.File{{Name: "a.pdf", Object: "o", Size: 1}}, 11)
		}, []string{"response.files"}},
		"files that nobody looked into": {func(q *channel.Queue) {
			q.Response.Inline = []channel.File{file}
			q.Response.Files = []channel.File{{Name: "a.pdf", Object: "files/none"}}
		}, []string{"response.files[0].object", "response.inline[0].object"}},
		"strangers": {func(q *channel.Queue) {
			q.Accounts, q.Agents, q.Teams, q.Parent, q.Response.Account = []string{"robot", "support", "none"}, []string{sam.ID, "x/y"}, []string{"none"}, "none", "none"
		}, []string{"accounts[0]", "accounts[1]", "accounts[2]", "agents[0]", "agents[1]", "parent", "response.account", "teams[0]"}},
		"by itself and among others": {func(q *channel.Queue) {
			q.Name, q.Language, q.Accounts, q.Teams, q.Response.Files = "", "", []string{"robot"}, []string{"first", "first"}, []channel.File{{Name: "a.pdf", Type: "application/pdf", Object: "uploads/none", Size: 1}}
		}, []string{"accounts[0]", "language", "name", "response.files[0].object", "teams[1]"}},
		"no ID":            {func(q *channel.Queue) { q.ID, q.Name = "a/b", "" }, []string{"id", "name"}},
		"inside of itself": {func(q *channel.Queue) { q.Parent = "new" }, []string{"parent"}},
	} {
		q := good
		c.f(&q)
		if _, err := d.admin.PutQueue(ctx, q); !slices.Equal(fields(err), c.want) {
			t.Errorf("%s: %v, want %v", name, fields(err), c.want)
		}
	}
}

// TestCircles: queues that would be inside of each other, however far apart.
func TestCircles(t *testing.T) {
	d := newDesks(t)
	put := func(id, parent string) error {
		_, err := d.admin.PutQueue(t.Context(), channel.Queue{ID: id, Name: id, Language: "en", Parent: parent})
		return err
	}
	for _, q := range [][2]string{{"a", ""}, {"b", "a"}, {"c", "b"}, {"d", "c"}} {
		if err := put(q[0], q[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range [][2]string{{"a", "a"}, {"a", "b"}, {"a", "d"}, {"b", "d"}, {"d", "nowhere"}} {
		if err := put(q[0], q[1]); !slices.Equal(fields(err), []string{"parent"}) {
			t.Errorf("%s inside of %s: %v", q[0], q[1], err)
		}
	}
	if err := put("c", "a"); err != nil {
		t.Errorf("another place: %v", err)
	}
}

func TestBadAgentsAndTeams(t *testing.T) {
	d := newDesks(t)
	for name, c := range map[string]struct {
		id   string
		f    channel.AgentForm
		want []string
	}{
		"all":     {"nobody", channel.AgentForm{Name: " ", Alias: "x", Role: "boss", Teams: []string{"first", "none"}}, []string{"alias", "id", "name", "role", "teams[1]"}},
		"no path": {"a/b", channel.AgentForm{Name: "A", Role: "agent"}, []string{"id"}},
		"a line":  {"a@example.com", channel.AgentForm{Name: "A\nB", Role: "agent", Teams: []string{"none"}}, []string{"name", "teams[0]"}},
	} {
		if _, err := d.admin.PutAgent(t.Context(), c.id, c.f); !slices.Equal(fields(err), c.want) {
			t.Errorf("%s: %v, want %v", name, fields(err), c.want)
		}
	}
	if _, err := d.admin.PutTeam(t.Context(), channel.Team{ID: "A/b", Name: " "}); !slices.Equal(fields(err), []string{"id", "name"}) {
		t.Errorf("a team: %v", err)
	}
}

// TestAgentsServeWhatTheQueuesSay changes queues, teams and agents, and after
// each change holds what agents carry against what the queues say.
func TestAgentsServeWhatTheQueuesSay(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	set := func(id string) func(func(*channel.Queue)) error {
		return func(f func(*channel.Queue)) error {
			q := doc[channel.Queue](d, "queues/"+id)
			f(&q)
			_, err := d.admin.PutQueue(ctx, q)
			return err
		}
	}
	agent := func(id string, teams ...string) error {
		_, err := d.admin.PutAgent(ctx, id, channel.AgentForm{Name: "X", Role: "agent", Teams: teams})
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"seed", func() error { return nil }},
		{"a team leaves a queue, an agent joins", func() error {
			return set("support")(func(q *channel.Queue) { q.Teams, q.Agents = nil, []string{ben.ID, dora.ID} })
		}},
		{"a team", func() error { _, err := d.admin.PutTeam(ctx, channel.Team{ID: "second", Name: "Second"}); return err }},
		{"the team gets an agent", func() error { return agent(ana.ID, "second") }},
		{"the team joins a queue", func() error { return set("billing")(func(q *channel.Queue) { q.Teams = []string{"second", "first"} }) }},
		{"a new agent in the team", func() error { return agent("eve@example.com", "second", "first") }},
		{"an agent changes the team", func() error { return agent(ana.ID, "first") }},
		{"a queue more", func() error {
			_, err := d.admin.PutQueue(ctx, channel.Queue{ID: "vip", Name: "VIP", Language: "en", Teams: []string{"second"}, Agents: []string{ana.ID}})
			return err
		}},
		{"the team goes", func() error { return d.admin.DeleteTeam(ctx, "second") }},
		{"an agent goes", func() error { return d.admin.DeleteAgent(ctx, dora.ID) }},
		{"a queue goes", func() error { return d.admin.DeleteQueue(ctx, "billing", "") }},
	} {
		before := d.version()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if step.name != "seed" && d.version() <= before {
			t.Errorf("%s: the version did not grow", step.name)
		}
		queues, err := d.admin.Queues(ctx)
		if err != nil {
			t.Fatal(err)
		}
		agents, err := d.admin.Agents(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, ag := range agents {
			var want []string
			for _, q := range queues {
				inTeam := slices.ContainsFunc(ag.Teams, func(t string) bool { return slices.Contains(q.Teams, t) })
				if inTeam || slices.Contains(q.Agents, ag.ID) {
					want = append(want, q.ID)
				}
			}
			slices.Sort(want)
			if !slices.Equal(ag.Queues, want) {
				t.Errorf("%s: %s serves %v, want %v", step.name, ag.ID, ag.Queues, want)
			}
		}
	}
}

func TestAnAgentKeepsHisCounters(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	d.ok(d.desk.Assign(ctx, sam, d.inbound("support"), ana.ID))
	before := doc[channel.Agent](d, "agents/"+ana.ID)
	if _, err := d.admin.PutAgent(ctx, "ANA@example.com", channel.AgentForm{Name: "Ana S.", Role: "agent", Teams: []string{"first"}}); err != nil {
		t.Fatal(err)
	}
	if err := d.admin.Seed(ctx, demo()); err != nil {
		t.Fatal(err)
	}
	after := doc[channel.Agent](d, "agents/"+ana.ID)
	if after.Open != 1 || !after.LastAssigned.Equal(before.LastAssigned) || after.Name != "Ana Silva" || !slices.Equal(after.Queues, []string{"support"}) {
		t.Errorf("%+v", after)
	}
	if got := fields(func() error {
		_, err := d.admin.PutAgent(ctx, "no address", channel.AgentForm{Role: "boss", Alias: "x"})
		return err
	}()); !slices.Equal(got, []string{"alias", "id", "name", "role"}) {
		t.Errorf("a bad agent: %v", got)
	}
}

func TestADeletedAgentLeavesNothingBehind(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	open, paused := d.inbound("support"), d.inbound("support")
	for _, id := range []string{open, paused} {
		d.ok(d.desk.Assign(ctx, sam, id, ana.ID))
		d.ok(d.desk.Open(ctx, ana, id))
	}
	d.ok(d.desk.SetState(ctx, ana, paused, session.Paused))
	if err := d.admin.DeleteAgent(ctx, ana.ID); err != nil {
		t.Fatal(err)
	}
	if s := d.session(open); s.Agent != "" || !s.Waiting {
		t.Errorf("the open session: %+v", s)
	}
	if s := d.session(paused); s.Agent != "" || s.Waiting {
		t.Errorf("the paused session: %+v", s)
	}
	if _, err := d.admin.Agent(ctx, ana.ID); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("still there: %v", err)
	}
}

func TestDeletingAQueueAsksForItsHeir(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	waiting, his, closed := d.inbound("support"), d.inbound("support"), d.inbound("support")
	d.ok(d.desk.Assign(ctx, sam, his, ana.ID))
	if err := d.docs.Write(ctx, func(tx channel.Tx) {
		tx.Patch("sessions/"+closed, map[string]any{"state": session.Closed, "waiting": false})
		tx.Set("queues/child", channel.Queue{ID: "child", Name: "Child", Language: "en", Parent: "support"})
	}); err != nil {
		t.Fatal(err)
	}
	var clash *channel.Conflict
	if err := d.admin.DeleteQueue(ctx, "support", ""); !errors.As(err, &clash) || !strings.Contains(clash.Message, "2 open sessions") {
		t.Fatalf("without an heir: %v", err)
	}
	for _, heir := range []string{"support", "nowhere"} {
		if err := d.admin.DeleteQueue(ctx, "support", heir); len(fields(err)) != 1 {
			t.Errorf("to %s: %v", heir, err)
		}
	}
	if err := d.admin.DeleteQueue(ctx, "child", "nowhere"); len(fields(err)) != 1 {
		t.Errorf("without sessions to nowhere: %v", err)
	}
	if err := d.admin.DeleteQueue(ctx, "support", "billing"); err != nil {
		t.Fatal(err)
	}
	if s := d.session(waiting); s.Queue != "billing" || !s.Waiting || s.Account != "billing" {
		t.Errorf("the one that waited: %+v", s)
	}
	if s := d.session(his); s.Queue != "billing" || !s.Waiting || s.Agent != "" || d.open(ana.ID) != 0 {
		t.Errorf("the one of an agent who does not serve the heir: %+v", s)
	}
	if s := d.session(closed); s.Queue != "support" {
		t.Errorf("the closed one: %+v", s)
	}
	if q := doc[channel.Queue](d, "queues/child"); q.Parent != "" {
		t.Errorf("the nested queue: %+v", q)
	}
}

func TestPresence(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	if ag, err := d.admin.SetPresence(ctx, ana, ana.ID, true); err != nil || !ag.LoggedIn || d.bus.count(event.TopicQueue) != 1 {
		t.Errorf("%+v, %v", ag, err)
	}
	if ag, err := d.admin.SetPresence(ctx, sam, ana.ID, false); err != nil || ag.LoggedIn || d.bus.count(event.TopicQueue) != 1 {
		t.Errorf("%+v, %v", ag, err)
	}
	if _, err := d.admin.SetPresence(ctx, ben, ana.ID, true); !errors.Is(err, channel.ErrForbidden) {
		t.Errorf("by another agent: %v", err)
	}
}

func TestQuarantine(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	src := event.Source{Account: "support", Folder: "INBOX", UIDValidity: 1, UID: 7}
	e := event.Received{Source: src, Object: "raw/x.eml"}
	id := channel.QuarantinePath(src)[len("quarantine/"):]
	entry := channel.Quarantined{ID: id, Event: e, Reason: "broken", Tries: 10, At: d.clock()}
	put := func(q channel.Quarantined) {
		if err := d.docs.Write(ctx, func(tx channel.Tx) { tx.Set("quarantine/"+id, q) }); err != nil {
			t.Fatal(err)
		}
	}
	put(entry)
	if p, err := d.admin.Quarantine(ctx, channel.PageRequest{}); err != nil || len(p.Items) != 1 || p.Items[0].Reason != "broken" {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := d.admin.RetryQuarantined(ctx, id); err != nil {
		t.Fatal(err)
	}
	if d.bus.count(event.TopicReceived) != 1 {
		t.Error("not published")
	}
	if err := d.admin.RetryQuarantined(ctx, id); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
	put(entry)
	d.bus.down = errors.New("the bus is down")
	if err := d.admin.RetryQuarantined(ctx, id); err == nil {
		t.Error("no error while the bus is down")
	}
	if p, err := d.admin.Quarantine(ctx, channel.PageRequest{}); err != nil || len(p.Items) != 1 {
		t.Errorf("the entry is lost: %+v, %v", p, err)
	}
}

func TestDeadLetters(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	sweep := channel.Sweep{Docs: d.docs, Bus: d.bus, Config: d.desk.Config, Now: d.clock}
	m := event.Encode(event.Session{ID: "e", Session: "s", Queue: "support", Kind: "received"})
	for i := range 2 {
		dead := event.Message{Data: m.Data, Attributes: map[string]string{"kind": "received", "CloudPubSubDeadLetterSourceSubscription": "session-changed.route"}}
		if err := sweep.Bury(ctx, fmt.Sprint(i), dead); err != nil {
			t.Fatal(err)
		}
	}
	p, err := d.admin.DeadLetters(ctx, channel.PageRequest{Limit: 1})
	if err != nil || len(p.Items) != 1 || p.Next == "" {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := d.admin.ReplayDeadLetter(ctx, p.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	if got := d.bus.sent[event.TopicSession]; len(got) != 1 || got[0].Key != "support" || got[0].Attributes["kind"] != "received" || len(got[0].Attributes) != 1 || string(got[0].Data) != string(m.Data) {
		t.Errorf("%+v", got)
	}
	p, err = d.admin.DeadLetters(ctx, channel.PageRequest{})
	if err != nil || len(p.Items) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := d.admin.DeleteDeadLetter(ctx, p.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := d.admin.DeleteDeadLetter(ctx, p.Items[0].ID); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
}

func TestParkedOperations(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	op := channel.Operation{ID: "op1", Record: "s", Seq: 1, Kind: crm.Create, State: channel.OpParked, At: d.clock(), Attempts: 3, Reason: "refused"}
	if err := d.docs.Write(ctx, func(tx channel.Tx) {
		tx.Set("crmops/op1", op)
		tx.Set("records/s", channel.CRMRecord{Session: "s", BlockedUntil: d.clock().Add(time.Hour)})
	}); err != nil {
		t.Fatal(err)
	}
	if p, err := d.admin.Operations(ctx, channel.OpParked, channel.PageRequest{}); err != nil || len(p.Items) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := d.admin.ReplayOperation(ctx, "op1"); err != nil {
		t.Fatal(err)
	}
	got := doc[channel.Operation](d, "crmops/op1")
	if got.State != channel.OpPending || got.Due.IsZero() || got.Attempts != 3 || got.Reason != "" || d.bus.count(event.TopicFlush) != 1 || !doc[channel.CRMRecord](d, "records/s").BlockedUntil.IsZero() {
		t.Errorf("%+v", got)
	}
	var clash *channel.Conflict
	if _, err := d.admin.ReplayOperation(ctx, "op1"); !errors.As(err, &clash) {
		t.Errorf("again: %v", err)
	}
	if _, err := d.admin.Operations(ctx, "done", channel.PageRequest{}); len(fields(err)) != 1 {
		t.Errorf("an unknown state: %v", err)
	}
}

// counting lets something happen when documents are counted.
type counting struct {
	channel.Docs
	then func()
}

func (c counting) Count(ctx context.Context, q channel.Query, most int) (int, error) {
	n, err := c.Docs.Count(ctx, q, most)
	c.then()
	return n, err
}

// An agent who was saved again while he is deleted, and given a session, stays: nobody could touch that session.
func TestDeletingAnAgentWhoComesBack(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	admin := d.admin
	admin.Docs = counting{d.docs, func() {
		if _, err := d.admin.PutAgent(ctx, ana.ID, channel.AgentForm{Name: "Ana", Role: "agent", Teams: []string{"first"}}); err != nil {
			t.Error(err)
		}
		d.ok(d.desk.Assign(ctx, sam, id, ana.ID))
	}}
	var clash *channel.Conflict
	if err := admin.DeleteAgent(ctx, ana.ID); !errors.As(err, &clash) {
		t.Errorf("deleted: %v", err)
	}
	d.ok(d.desk.Open(ctx, sam, id))
	d.ok(d.desk.SetState(ctx, sam, id, session.Resolved))
	if err := d.admin.DeleteAgent(ctx, ana.ID); err != nil {
		t.Error(err)
	}
}

// Of two who switch the channel at the same time it is the stored word that the
// jobs follow, and not the one whose call took longer.
func TestTheScheduleFollowsTheLastWord(t *testing.T) {
	d := newDesks(t)
	on := doc[channel.Settings](d, "settings/channel")
	off := on
	on.Email, off.Email = true, false
	d.schedule.before = func() {
		if _, err := d.admin.PutSettings(t.Context(), on, ""); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.admin.PutSettings(t.Context(), off, ""); err != nil {
		t.Fatal(err)
	}
	if now := doc[channel.Settings](d, "settings/channel"); !now.Email || d.schedule.paused || d.schedule.before != nil {
		t.Errorf("email %t, jobs paused %t", now.Email, d.schedule.paused)
	}
}

// A queue can be made again and deleted again: its sessions tell of each time.
func TestAQueueGoesTwice(t *testing.T) {
	d := newDesks(t)
	billing := doc[channel.Queue](d, "queues/billing")
	id := d.inbound("billing")
	for i := 1; i <= 2; i++ {
		if err := d.admin.DeleteQueue(d.Context(), "billing", "support"); err != nil {
			t.Fatal(err)
		}
		d.desk.Config = d.fresh()
		told := 0
		for _, k := range d.kinds(id) {
			if k == session.KindTransferred {
				told++
			}
		}
		if want := 2*i - 1; told != want {
			t.Errorf("deleted %d times: %d transfers in the history, want %d", i, told, want)
		}
		if i == 2 {
			return
		}
		if _, err := d.admin.PutQueue(d.Context(), billing); err != nil {
			t.Fatal(err)
		}
		d.desk.Config = d.fresh()
		if _, err := d.desk.Transfer(d.Context(), sam, id, "billing", ""); err != nil {
			t.Fatal(err)
		}
		d.pass(time.Second)
	}
}
