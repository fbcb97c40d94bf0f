package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/emulator/suite"
)

const place = `
settings:
  email: true
  queues: true
  company: Elsewhere
  session: {paused_close: {on: true, days: 60}, resolved_close: {on: true, days: 30}, active_pause: {on: true, days: 30}, closed_reopen: {on: true, days: 30}}
  caps: {per_address: 10, per_session: 5, window: 24h}
  record: {incoming: true, outgoing: true, bodies: true, comments_when: end}
  crm: {kind: none, flush_seconds: 10}
accounts:
  desk: {user: desk@example.com, address: desk@example.com, incoming: {host: 127.0.0.1, port: 143, security: none}, outgoing: {host: 127.0.0.1, port: 25, security: none}}
queues:
  desk: {name: Desk, language: en, on: true, accounts: [desk], agents: [ana@example.com]}
agents:
  ana@example.com: {name: Ana, role: agent}
`

// TestAConfigurationFileIsAnExport: the suite starts with a file, and exports
// one that says the same and that it starts with again.
func TestAConfigurationFileIsAnExport(t *testing.T) {
	file := write(t, "first.yaml", place)
	var exported string
	for range 2 {
		setup, err := readSetup(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := suite.Start(t.Context(), suite.Options{Setup: setup, Data: t.TempDir(), Indexes: readFirst("../terraform/firestore.indexes.json")})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Addrs.HTTP+"/v1/settings:export", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer admin-token")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if exported = string(b); err != nil || !strings.Contains(exported, "company: Elsewhere\n") || !strings.Contains(exported, "queues:\n  desk:\n") {
			t.Errorf("%d %v %s", resp.StatusCode, err, exported)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		file = write(t, "again.yaml", exported)
	}
	if err := os.WriteFile(file, []byte("queues: {desk: {nmae: Desk}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSetup(file); err == nil || !strings.Contains(err.Error(), "queues.desk.nmae") {
		t.Errorf("a bad file: %v", err)
	}
}
