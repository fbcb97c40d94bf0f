package suite_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
)

// Settings as a whole: who changed what, two at the same time, one file.
func specSettings(t *testing.T) {
	w := site(t, nil)
	w.row("AG-4 audit log", auditLog)
	w.row("AG-4 two admins", twoAdmins)
	w.row("AG-2 two replies", twoReplies)
	w.row("AG-4 CH-4 AC-4 QU-2 QU-5 one file", oneFile)
}

// auditLog: a change is there with who, before and after; a password is not,
// nor what the channel counts; saving what is there already is no change.
func auditLog(w *world) {
	w.queue("support", func(m map[string]any) { m["name"] = "Help desk" })
	newest := func() channel.Audit { return list[channel.Audit](w, "/v1/audit?kind=queue&thing=support")[0] }
	e := newest()
	w.check(e.Actor == "admin@example.com" && e.Act == channel.AuditChanged && !e.At.IsZero() && len(e.Changes) == 1, "the entry: %+v", e)
	w.check(e.Changes[0] == channel.FieldChange{Field: "name", Before: `"Support"`, After: `"Help desk"`}, "the change: %+v", e.Changes)
	w.queue("support", func(map[string]any) {})
	w.begin("ag4@customer.example", support)
	w.check(newest().ID == e.ID, "nothing changed, and the log has %+v", newest())

	w.change("/v1/accounts/support", func(m map[string]any) { m["password"] = "demo" })
	account := list[channel.Audit](w, "/v1/audit?kind=account&thing=support&actor=admin@example.com")[0]
	w.check(slices.Contains(account.Changes, channel.FieldChange{Field: "password", Secret: true}), "a password: %+v", account)
	w.refused(http.StatusForbidden, "agent", "GET", "/v1/audit", nil)
}

// twoAdmins: who saves an old form hears who changed what, and changes nothing.
func twoAdmins(w *world) {
	_, h := w.with("admin", "GET", "/v1/queues/billing", nil)
	first := look[map[string]any](w, "/v1/queues/billing")
	second := look[map[string]any](w, "/v1/queues/billing")
	first["name"], second["on"] = "Invoices", false
	a, _ := w.with("admin", "PUT", "/v1/queues/billing", first, "If-Match", h.Get("ETag"))
	b, _ := w.with("admin", "PUT", "/v1/queues/billing", second, "If-Match", h.Get("ETag"))
	w.check(a.status == 200 && b.status == 412, "the first %d, the second %d %s", a.status, b.status, b.body)
	w.check(bytes.Contains(b.body, []byte(`"changes":[{"at":"`)) && bytes.Contains(b.body, []byte(`"actor":"admin@example.com"`)) && bytes.Contains(b.body, []byte(`"fields":["name"]`)), "the second hears %s", b.body)
	now := look[channel.Queue](w, "/v1/queues/billing")
	w.check(now.Name == "Invoices" && now.On, "the queue is %+v", now)
}

// twoReplies: of two agents who read the same session one answers, and the
// customer gets one mail.
func twoReplies(w *world) {
	s, _ := w.begin("ag2@customer.example", support)
	_, h := w.with("supervisor", "GET", "/v1/sessions/"+s.ID, nil)
	statuses := []int{}
	for _, key := range []string{"first", "second"} {
		a, _ := w.with("supervisor", "POST", "/v1/sessions/"+s.ID+"/reply", map[string]any{"text": "The " + key + " answer."}, "If-Match", h.Get("ETag"), "Idempotency-Key", key)
		statuses = append(statuses, a.status)
		w.check(a.status != 412 || bytes.Contains(a.body, []byte("answered by sam@example.com")), "the second hears %s", a.body)
	}
	w.idle()
	w.check(slices.Equal(statuses, []int{202, 412}), "the replies: %v", statuses)
	w.check(len(w.answers("ag2@customer.example")) == 1, "the customer got %d answers", len(w.answers("ag2@customer.example")))
}

// oneFile: the configuration goes out and comes in again without a change, is
// refused as a whole with every bad field, and else takes effect at once.
func oneFile(w *world) {
	a, h := w.with("supervisor", "GET", "/v1/settings:export", nil)
	file := string(a.body)
	w.check(a.status == 200 && !strings.Contains(file, "demo\n") && !strings.Contains(file, "secret: account"), "export: %d", a.status)
	put := func(query, file string, header ...string) answer {
		w.t.Helper()
		a, _ := w.with("admin", "PUT", "/v1/settings:import"+query, file, header...)
		return a
	}
	changes := func(a answer) int {
		w.t.Helper()
		if a.status != 200 {
			w.t.Fatalf("import: %d %s", a.status, a.body)
		}
		return len(decoded[struct{ Changes []channel.Audit }](w, a).Changes)
	}
	w.check(changes(put("?prune=true", file, "If-Match", h.Get("ETag"))) == 0, "the file as it was changes something")

	bad := strings.NewReplacer("subject_token: false", "subject_token: true", "subject_edit: false", "subject_edit: true", "- hilfe\n    agents", "- no-answer\n      - nobody\n    agents", "parent: \"\"", "parent: x").Replace(file)
	refused := put("", bad)
	for _, field := range []string{`"settings.subject_token"`, `"settings.subject_edit"`, `"queues.hilfe.accounts[0]"`, `"queues.hilfe.accounts[1]"`} {
		w.check(refused.status == 422 && bytes.Contains(refused.body, []byte(field)), "%d, and %s is not among %s", refused.status, field, refused.body)
	}
	w.check(bytes.Contains(refused.body, []byte("account no-answer is outbound only")), "AC-4: %s", refused.body)
	same, _ := w.with("supervisor", "GET", "/v1/settings:export", nil)
	w.check(string(same.body) == file, "a refused file changed something")

	good := strings.Replace(file, "name: Hilfe\n", "name: Beratung\n", 1) // the queue; a team of that name follows
	w.check(changes(put("?dry_run=true", good)) == 1 && changes(put("", good)) == 1 && changes(put("", good)) == 0, "the file with a change")
	s, _ := w.begin("ag4file@customer.example", support) // an open session
	w.check(s.Queue == "support", "the mail went to queue %s", s.Queue)
	pruned := put("?prune=true", "queues:\n  hilfe: {name: Hilfe, language: de, on: true, accounts: [hilfe]}\n")
	w.check(pruned.status == 422 && bytes.Contains(pruned.body, []byte(`"queues.support"`)) && bytes.Contains(pruned.body, []byte("sessions: DELETE /v1/queues/support?move_to")), "QU-5: %d %s", pruned.status, pruned.body)
}
