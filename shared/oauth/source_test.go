package oauth_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/oauth"
)

// provider is a token endpoint. Each refresh token is good once when it rotates.
type provider struct {
	*httptest.Server
	rotates bool
	life    any // expires_in, nil for none
	answer  func(w http.ResponseWriter, form url.Values) bool

	mu    sync.Mutex
	good  string // the refresh token
	forms []url.Values
}

func newProvider(t *testing.T) *provider {
	p := &provider{good: "r0", life: 3600}
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.ParseForm()
	p.forms = append(p.forms, r.PostForm)
	if p.answer != nil && p.answer(w, r.PostForm) {
		return
	}
	if r.PostForm.Get("refresh_token") != p.good {
		refuse(w, 400, `{"error":"invalid_grant","error_description":"Token has been\nexpired or revoked: `+r.PostForm.Get("refresh_token")+`"}`)
		return
	}
	n := len(p.forms)
	answer := map[string]any{"access_token": fmt.Sprintf("a%d", n), "token_type": "Bearer"}
	if p.life != nil {
		answer["expires_in"] = p.life
	}
	if p.rotates {
		p.good = fmt.Sprintf("r%d", n)
		answer["refresh_token"] = p.good
	}
	json.NewEncoder(w).Encode(answer)
}

func refuse(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

func (p *provider) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.forms)
}

func (p *provider) credentials() oauth.Credentials {
	return oauth.Credentials{TokenURL: p.URL + "/token", ClientID: "c", ClientSecret: "s3cret", RefreshToken: "r0", Scope: "mail offline_access"}
}

// vault is a Vault in memory.
type vault struct {
	mu    sync.Mutex
	kept  map[string]oauth.Credentials
	fails error // of Save
	saves int
}

func (v *vault) Load(_ context.Context, id string) (oauth.Credentials, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c, ok := v.kept[id]
	if !ok {
		return c, errors.New("no credentials")
	}
	return c, nil
}

func (v *vault) Save(_ context.Context, id string, c oauth.Credentials) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fails != nil {
		return v.fails
	}
	v.saves++
	v.kept[id] = c
	return nil
}

func (v *vault) set(id string, c oauth.Credentials) { v.Save(context.Background(), id, c) }

// world is a source with all that it uses.
type world struct {
	*oauth.Source
	*provider
	*vault
	mu  sync.Mutex
	now time.Time
}

func start(t *testing.T) *world {
	w := &world{provider: newProvider(t), now: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)}
	w.vault = &vault{kept: map[string]oauth.Credentials{"x": w.credentials()}}
	w.Source = w.source()
	return w
}

// source is one more instance.
func (w *world) source() *oauth.Source {
	roots := x509.NewCertPool()
	roots.AddCert(w.Certificate())
	return oauth.New(w.vault, oauth.Options{RootCAs: roots, Timeout: 5 * time.Second, Now: func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.now
	}})
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) want(t *testing.T, token string) {
	t.Helper()
	got, err := w.Token(t.Context(), "x")
	if err != nil || got != token {
		t.Fatalf("got %q, want %q, %v", got, token, err)
	}
}

// refused is the error of a Token that must fail.
func (w *world) refused(t *testing.T) error {
	t.Helper()
	got, err := w.Token(t.Context(), "x")
	if err == nil || got != "" {
		t.Fatalf("got %q, %v", got, err)
	}
	for _, secret := range []string{"s3cret", "r0"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q is in %v", secret, err)
		}
	}
	return err
}

func TestTheRequestIsOfRFC6749(t *testing.T) {
	w := start(t)
	w.want(t, "a1")
	want := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r0"}, "client_id": {"c"}, "client_secret": {"s3cret"}, "scope": {"mail offline_access"}}
	if got := w.forms[0]; !maps.EqualFunc(got, want, func(a, b []string) bool { return strings.Join(a, " ") == strings.Join(b, " ") }) {
		t.Errorf("got %v", got)
	}
	public := w.credentials()
	public.ClientSecret, public.Scope = "", ""
	w.set("x", public)
	w.want(t, "a2")
	if got := w.forms[1]; got.Has("client_secret") || got.Has("scope") {
		t.Errorf("a client without secret and scope sent %v", got)
	}
}

func TestTokensAreKeptUntilShortlyBeforeTheirEnd(t *testing.T) {
	for name, test := range map[string]struct {
		life       any
		good, gone time.Duration
	}{
		"an hour":       {3600, 57 * time.Minute, 2 * time.Minute},
		"as a string":   {"3600", 57 * time.Minute, 2 * time.Minute},
		"short":         {60, 44 * time.Second, 2 * time.Second},
		"unknown":       {nil, 3 * time.Minute, 2 * time.Minute},
		"absurdly long": {1e15, 23 * time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			w.life = test.life
			w.want(t, "a1")
			w.pass(test.good)
			w.want(t, "a1")
			w.pass(test.gone)
			w.want(t, "a2")
		})
	}
}

func TestForgetAndNewCredentials(t *testing.T) {
	w := start(t)
	w.want(t, "a1")
	w.Forget("x", "a0") // not the one that is kept
	w.want(t, "a1")
	w.Forget("x", "a1")
	w.want(t, "a2")
	other := w.credentials()
	other.ClientID = "other"
	w.set("x", other)
	w.want(t, "a3")
}

func TestARotatedTokenIsSavedFirst(t *testing.T) {
	w := start(t)
	w.rotates = true
	w.want(t, "a1")
	if got := w.kept["x"]; got.RefreshToken != "r1" || got.ClientSecret != "s3cret" {
		t.Errorf("saved %#v with %q", got, got.RefreshToken)
	}
	w.want(t, "a1")
	w.pass(time.Hour)
	w.want(t, "a2")
	if w.kept["x"].RefreshToken != "r2" || w.saves != 2 {
		t.Errorf("saved %d times", w.saves)
	}
}

func TestNoTokenWhileTheRotatedOneIsNotSaved(t *testing.T) {
	w := start(t)
	w.rotates = true
	w.fails = errors.New("vault is away")
	for range 2 {
		if err := w.refused(t); !errors.Is(err, w.fails) || fault.IsPermanent(err) {
			t.Errorf("got %v", err)
		}
	}
	if n := w.asked(); n != 1 {
		t.Errorf("endpoint was asked %d times: r0 is used up, and the answer to it is still unsaved", n)
	}
	w.fails = nil
	w.want(t, "a1")
	if w.kept["x"].RefreshToken != "r1" {
		t.Error("not saved")
	}
}

func TestWhatAPersonSavedMeanwhileWins(t *testing.T) {
	w := start(t)
	w.rotates = true
	w.fails = errors.New("vault is away")
	w.refused(t)
	w.fails = nil
	fresh := w.credentials()
	fresh.RefreshToken, w.good = "consented", "consented"
	w.set("x", fresh)
	w.want(t, "a2")
	if w.kept["x"].RefreshToken != "r2" {
		t.Error("the unsaved token was put over the new one")
	}
}

func TestAnotherInstanceHasRotated(t *testing.T) {
	w := start(t)
	w.rotates = true
	other := w.source()
	// The other one exchanges r0 between our Load and our request.
	w.answer = func(http.ResponseWriter, url.Values) bool {
		w.answer = nil
		w.provider.mu.Unlock()
		defer w.provider.mu.Lock()
		if _, err := other.Token(t.Context(), "x"); err != nil {
			t.Error(err)
		}
		return false
	}
	w.want(t, "a3")
	if w.kept["x"].RefreshToken != "r3" {
		t.Errorf("saved %q", w.kept["x"].RefreshToken)
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		status    int
		body      string
		permanent bool
		text      string
	}{
		"revoked":         {400, `{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token\r\nhas expired, s3cret."}`, true, "token endpoint: 400 invalid_grant AADSTS700082: The refresh token has expired, …."},
		"wrong client":    {401, `{"error":"invalid_client"}`, true, "token endpoint: 401 invalid_client"},
		"consent":         {400, `{"error":"interaction_required"}`, true, "token endpoint: 400 interaction_required"},
		"busy":            {503, `{"error":"temporarily_unavailable"}`, false, "503 temporarily_unavailable"},
		"busy with 400":   {400, `{"error":"temporarily_unavailable"}`, false, "400"},
		"too many":        {429, `{"error":"rate_limit"}`, false, "429 rate_limit"},
		"broken":          {500, `oops`, false, "500"},
		"a proxy's page":  {403, `<html>forbidden</html>`, false, "403"},
		"moved":           {307, ``, false, "307"},
		"not JSON":        {200, `access_token=a`, false, "JSON"},
		"no token":        {200, `{"token_type":"Bearer"}`, false, "no bearer token"},
		"another type":    {200, `{"access_token":"a","token_type":"mac"}`, false, "no bearer token"},
		"endless":         {200, `{"access_token":"` + strings.Repeat("a", 1<<20) + `"}`, false, "more than"},
		"long complaints": {400, `{"error":"invalid_grant","error_description":"` + strings.Repeat("é ", 5000) + `"}`, true, "invalid_grant é é"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			w.answer = func(rw http.ResponseWriter, _ url.Values) bool {
				rw.Header().Set("Location", w.URL+"/elsewhere")
				refuse(rw, test.status, test.body)
				return true
			}
			err := w.refused(t)
			if fault.IsPermanent(err) != test.permanent || !strings.Contains(err.Error(), test.text) || len(err.Error()) > 2000 {
				t.Errorf("permanent is %v: %v", fault.IsPermanent(err), err)
			}
			var answer *oauth.Error
			if errors.As(err, &answer) != (test.status != 200) || answer != nil && answer.Status != test.status {
				t.Errorf("answer is %+v", answer)
			}
			w.answer = nil
			w.pass(time.Second)
			if n := w.asked(); n != 1 {
				t.Errorf("asked %d times", n)
			}
			w.want(t, "a2")
		})
	}
}

func TestOneExchangeAtATime(t *testing.T) {
	w := start(t)
	w.rotates = true
	w.set("y", oauth.Credentials{TokenURL: w.URL, ClientID: "c", RefreshToken: "wrong"})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got, err := w.Token(t.Context(), "x"); err != nil || got == "" {
				t.Errorf("x: %q, %v", got, err)
			}
		})
		all.Go(func() {
			if _, err := w.Token(t.Context(), "y"); !fault.IsPermanent(err) {
				t.Errorf("y: %v", err)
			}
		})
	}
	all.Wait()
	exchanges := 0
	for _, form := range w.forms {
		if form.Get("refresh_token") == "r0" {
			exchanges++
		}
	}
	if exchanges != 1 {
		t.Errorf("x was exchanged %d times", exchanges)
	}
}

func TestAWaitEndsWithItsContextAndAnExchangeDoesNot(t *testing.T) {
	w := start(t)
	w.rotates = true
	asked, proceed := make(chan bool), make(chan bool)
	w.answer = func(http.ResponseWriter, url.Values) bool {
		asked <- true
		<-proceed
		return false
	}
	first, endFirst := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if got, err := w.Token(first, "x"); err != nil || got != "a1" {
			t.Errorf("%q, %v: the endpoint had changed the refresh token already", got, err)
		}
	})
	<-asked
	endFirst()
	if _, err := w.Token(first, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("the one that waits: %v", err)
	}
	close(proceed)
	all.Wait()
	if w.kept["x"].RefreshToken != "r1" {
		t.Error("not saved")
	}
}

func TestSilentEndpoint(t *testing.T) {
	hang := make(chan bool)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	v := &vault{kept: map[string]oauth.Credentials{"x": {TokenURL: server.URL, ClientID: "c", RefreshToken: "r0"}}}
	s := oauth.New(v, oauth.Options{AllowInsecure: true, Timeout: 20 * time.Millisecond})
	if _, err := s.Token(t.Context(), "x"); !errors.Is(err, context.DeadlineExceeded) || fault.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
}

func TestCredentialsThatAreNone(t *testing.T) {
	good := oauth.Credentials{TokenURL: "https://example.com/token", ClientID: "c", RefreshToken: "r"}
	if err := good.Validate(false); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*oauth.Credentials){
		"clear text": func(c *oauth.Credentials) { c.TokenURL = "http://example.com/token" },
		"no host":    func(c *oauth.Credentials) { c.TokenURL = "https:///token" },
		"a password": func(c *oauth.Credentials) { c.TokenURL = "https://u:p@example.com/token" },
		"a file":     func(c *oauth.Credentials) { c.TokenURL = "file://example.com/token" },
		"no address": func(c *oauth.Credentials) { c.TokenURL = "%" },
		"no client":  func(c *oauth.Credentials) { c.ClientID = "" },
		"no token":   func(c *oauth.Credentials) { c.RefreshToken = "" },
	} {
		c := good
		change(&c)
		v := &vault{kept: map[string]oauth.Credentials{"x": c}}
		if _, err := oauth.New(v, oauth.Options{}).Token(t.Context(), "x"); !fault.IsPermanent(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	c := oauth.Credentials{TokenURL: "https://example.com/token", ClientID: "c", ClientSecret: "s3cret-1", RefreshToken: "s3cret-2"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "credentials", c)
	shown := fmt.Sprintf("%v %+v %#v %s %v", c, c, c, c, struct{ C oauth.Credentials }{c}) + log.String()
	if strings.Contains(shown, "s3cret") || !strings.Contains(shown, "example.com") {
		t.Errorf("shown: %s", shown)
	}
}
