package suite_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// How it is run. OP-4 is TestKillAtEveryStep and TestWhateverHappens, in package kill.
func specOperation(t *testing.T) {
	w := site(t, withCRM(nil))
	w.row("OP-2", everythingRuns)
	w.row("OP-3", whoMayCall)
	w.row("OP-5", bounds)
}

// everythingRuns: all parts answer, and one mail with its reply goes by every
// function, in this process and without an account anywhere.
func everythingRuns(w *world) {
	addrs := reflect.ValueOf(w.Addrs)
	for i := range addrs.NumField() {
		addr := addrs.Field(i).String()
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil || !strings.HasPrefix(addr, "127.0.0.1:") {
			w.t.Errorf("%s at %s: %v", addrs.Type().Field(i).Name, addr, err)
			continue
		}
		c.Close()
	}
	s, _ := w.begin("op2@customer.example", support)
	w.reply(s.ID, "Hello.")
	w.advance(6 * time.Minute)
	w.check(len(w.box("op2@customer.example")) == 2 && len(w.ticketsOf(s.ID)) == 1, "%d mails, %d tickets", len(w.box("op2@customer.example")), len(w.ticketsOf(s.ID)))
	var stats struct{ Firestore map[string]any }
	if err := json.Unmarshal(w.control("GET", "/_emulator/stats", ""), &stats); err != nil {
		w.t.Fatal(err)
	}
	for _, f := range []string{"api", "poll", "ingest", "route", "autoreply", "send", "record", "flush", "sweep"} {
		w.check(stats.Firestore[f] != nil, "function %s did nothing: %v", f, stats.Firestore)
	}
}

// whoMayCall: no caller without a role, and none beyond it.
func whoMayCall(w *world) {
	for _, path := range []string{"/v1/settings", "/v1/accounts", "/v1/queues", "/v1/agents", "/v1/sessions", "/v1/outbound", "/v1/quarantine", "/v1/dead-letters", "/v1/crm/operations"} {
		w.refused(http.StatusUnauthorized, "", "GET", path, nil)
		w.refused(http.StatusUnauthorized, "forged", "GET", path, nil)
	}
	for _, tc := range []struct {
		role, method, path string
		status             int
	}{
		{"agent", "GET", "/v1/settings", http.StatusForbidden},
		{"supervisor", "GET", "/v1/settings", http.StatusOK},
		{"supervisor", "DELETE", "/v1/accounts/support", http.StatusForbidden},
		{"service", "GET", "/v1/sessions", http.StatusOK},
		{"service", "GET", "/v1/accounts", http.StatusForbidden},
		{"agent", "GET", "/v1/sessions", http.StatusOK},
		{"agent", "GET", "/v1/crm/operations", http.StatusForbidden},
	} {
		w.refused(tc.status, tc.role, tc.method, tc.path, nil)
	}
}

// bounds: hostile mail is stored whole, what is over a bound is named, and the
// mailbox goes on.
func bounds(w *world) {
	head := func(name string) string {
		return fmt.Sprintf("From: %[1]s@op5.example\r\nTo: %[2]s\r\nSubject: %[1]s\r\nMessage-ID: <%[1]s@op5.example>\r\nMIME-Version: 1.0\r\n", name, support)
	}
	var deep, parts, links bytes.Buffer
	for i := range 200 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	deep.WriteString("Content-Type: text/plain\r\n\r\nAt the bottom.\r\n")
	parts.WriteString("Content-Type: multipart/mixed; boundary=b\r\n\r\n")
	for i := range 3000 {
		fmt.Fprintf(&parts, "--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=%d.txt\r\n\r\n%d\r\n", i, i)
	}
	parts.WriteString("--b--\r\n")
	links.WriteString("Content-Type: text/html\r\n\r\n")
	for i := range 5000 {
		fmt.Fprintf(&links, "<a href=\"http://op5.example/%d\">An offer</a>\r\n", i)
	}
	hostile := map[string]string{
		"depth":  head("depth") + deep.String(),
		"parts":  head("parts") + parts.String(),
		"links":  head("links") + links.String(),
		"text":   head("text") + "Content-Type: text/plain\r\n\r\n" + strings.Repeat("All work and no play makes Jack a dull boy.\r\n", 50_000),
		"header": head("header") + strings.Repeat("X-Padding: "+strings.Repeat("x", 900)+"\r\n", 500) + "\r\nHello.\r\n",
	}
	for name, raw := range hostile {
		w.smtp(name+"@op5.example", []string{support}, []byte(raw))
	}
	w.idle()
	for name, raw := range hostile {
		s := w.one(name + "@op5.example")
		m := w.first(s.ID)
		i := slices.IndexFunc(m.Degraded, func(d string) bool { return strings.HasPrefix(d, "limit:") })
		w.check(i >= 0, "%s: nothing is said to be over a bound: %v", name, m.Degraded)
		w.check(bytes.HasSuffix(w.content(m.Raw), []byte(raw)), "%s: the archive has another mail", name)
		w.check(len(m.Attachments) <= 1000 && len(m.Text) <= 1<<20, "%s: %d attachments, %d bytes of text", name, len(m.Attachments), len(m.Text))
	}
	w.begin("after@op5.example", support)
	w.check(w.rejected() == 0, "%d mails in quarantine", w.rejected())
}
