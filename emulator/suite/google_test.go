package suite_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/demo"
	"emailchannel.dev/emailchannel/emulator/google"
	"emailchannel.dev/emailchannel/emulator/suite"
)

// TestGoogle walks the demo's mails through a suite on Google's emulators, and
// holds that its own endpoints say what they do not know there.
func TestGoogle(t *testing.T) {
	if testing.Short() {
		t.Skip("Google's emulators are not started with -short")
	}
	s, err := suite.Start(t.Context(), suite.Options{Google: true})
	if errors.Is(err, google.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	var told bytes.Buffer
	if err := demo.Run(t.Context(), &told, s.Addrs, ""); err != nil {
		t.Fatalf("%v after\n%s", err, told.String())
	}
	s.Clock.Advance(24 * time.Hour)
	base := "http://" + s.Addrs.HTTP + "/_emulator/"
	for _, tt := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "idle?timeout=30s", "", http.StatusOK, "cannot be asked"},
		{"GET", "stats", "", http.StatusOK, `"firestore": "not counted`},
		{"POST", "faults", `{"deliver":"*","duplicate":1}`, http.StatusConflict, "without --google"},
		{"POST", "faults", `{"fail":"pubsub"}`, http.StatusConflict, "without --google"},
		{"POST", "faults", `{"fail":"zendesk","times":1}`, http.StatusNoContent, ""},
	} {
		status, body := ask(t, tt.method, base+tt.path, tt.body)
		if status != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%s %s: %d %s, want %d and %q", tt.method, tt.path, status, body, tt.status, tt.says)
		}
	}
}

func TestGoogleKeepsNothing(t *testing.T) {
	s, err := suite.Start(t.Context(), suite.Options{Google: true, Data: t.TempDir()})
	if err == nil {
		t.Error("a suite whose database forgets started with a data directory", s.Close())
	} else if !strings.Contains(err.Error(), "--data") {
		t.Errorf("Start: %v", err)
	}
}

func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
