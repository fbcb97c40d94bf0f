package kill_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/faults"
	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/emulator/suite/suitetest"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

const (
	killsPerStep = 3
	abreast      = 5 // worlds at a time: half of each one's time is waiting, for batches, leases and retries
)

// TestKillAtEveryStep shows OP-4, and CR-6 and AG-3 under crashes: it ends the
// functions process at each named step, three times within 200 mails, with
// whatever else was running at that moment.
func TestKillAtEveryStep(t *testing.T) {
	mails := 200
	if testing.Short() {
		mails = 40
	}
	steps := sourceSteps(t)
	t.Run("seen", func(t *testing.T) { everyStepSeen(t, steps) })
	var mu sync.Mutex
	rows := map[string]string{}
	t.Run("killed", func(t *testing.T) {
		places := make(chan struct{}, abreast)
		var wg sync.WaitGroup
		for i, step := range steps {
			places <- struct{}{}
			wg.Go(func() {
				defer func() { <-places }()
				t.Run(step, func(t *testing.T) {
					begin := time.Now()
					w := start(t, true)
					r := w.workload(step, generate(t, mails, uint64(i+1)))
					mu.Lock()
					defer mu.Unlock()
					rows[step] = fmt.Sprintf("%-18s %5d %9d %6d %8d %10d %8.1f", step, r.kills, r.restarts, mails, r.sessions, r.uncertain, time.Since(begin).Seconds())
				})
			})
		}
		wg.Wait()
	})
	t.Logf("%-18s %5s %9s %6s %8s %10s %8s", "step", "kills", "restarts", "mails", "sessions", "uncertain", "seconds")
	for _, step := range steps {
		t.Log(rows[step])
	}
}

var (
	stepCall     = regexp.MustCompile(`fault\.Step\(ctx, ([^)]*)\)`)
	stepName     = regexp.MustCompile(`^"([^"]+)"$`)
	announceCall = regexp.MustCompile(`[^c] announce\(ctx, [^"]*, "([^"]+)", `)
)

// sourceSteps are the steps that the source names.
func sourceSteps(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir("../../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || !strings.Contains(path, "/shared/") && !strings.Contains(path, "/functions/") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range stepCall.FindAllSubmatch(src, -1) {
			switch arg := string(m[1]); {
			case stepName.MatchString(arg):
				out = append(out, stepName.FindStringSubmatch(arg)[1])
			case arg != `use+".committed"` && arg != `use+".published"`:
				t.Errorf("%s: a step that this test cannot read: %s", path, arg)
			}
		}
		for _, m := range announceCall.FindAllSubmatch(src, -1) {
			out = append(out, string(m[1])+".committed", string(m[1])+".published")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// everyStepSeen holds that the workload comes by every step there is.
func everyStepSeen(t *testing.T, steps []string) {
	w := start(t, false)
	w.workload("sweep.", generate(t, 40, 1000))
	resp, err := http.Get("http://" + w.Addrs.HTTP + "/_emulator/steps")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var seen []string
	if err := json.NewDecoder(resp.Body).Decode(&seen); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, steps) {
		t.Errorf("the workload came by\n%s\nand the source has\n%s", names(seen), names(steps))
	}
}

// result is a row of the table.
type result struct {
	kills, uncertain, sessions int
	restarts                   int64
}

// workload has mail come in, agents work and time pass while the process is
// ended at the step, and verifies what came of it.
func (w *world) workload(step string, mails []letter) result {
	w.t.Helper()
	kill := !strings.HasSuffix(step, ".")
	if kill {
		if err := w.Faults.Add(faults.Rule{Kill: step, Times: killsPerStep}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.provider(mails[0])
	burst := len(mails)
	if strings.HasPrefix(step, "flush.") { // which lets few answers go: the rest comes by when it is overdue, or by Sweep
		burst = len(mails)/5 + 1
	}
	for part := range slices.Chunk(mails[1:], burst) {
		w.deliver(part...)
		w.settle()
	}
	w.desk(12)
	w.admin()
	w.settle()
	w.remail(mails[0])
	w.call("POST", "/v1/erasures", "", map[string]any{"address": mails[len(mails)-1].from})
	if strings.HasPrefix(step, "sweep.") || strings.HasPrefix(step, "purge.") {
		w.call("PUT", "/v1/storage", "", map[string]any{"period": "30d", "destination": map[string]any{}})
		w.Clock.Advance(31 * 24 * time.Hour) // active sessions pause, and mail is over its storage period
		w.settle()
		w.purged()
	}
	r := result{kills: killsPerStep, restarts: w.Stats().Restarts}
	for _, rule := range w.Faults.Rules() {
		r.kills -= rule.Times
	}
	if kill && r.kills < killsPerStep {
		w.t.Errorf("%d of %d kills struck", r.kills, killsPerStep)
	}
	s, uncertain := w.verify(mails)
	r.uncertain, r.sessions = uncertain, len(s.sessions)
	w.replied(s)
	if uncertain > 0 && !kill {
		w.t.Errorf("%d mails are uncertain without a crash", uncertain)
	}
	return r
}

// provider pushes a mail until it is taken, as providers do.
func (w *world) provider(l letter) {
	w.t.Helper()
	const key = "a push key of enough bytes"
	id := w.Inboxes()[l.to]
	w.call("PUT", "/v1/accounts/"+id, "", map[string]any{
		"service": "imap", "user": l.to, "address": l.to, "password": "demo", "incoming": server(w.Addrs.IMAP), "outgoing": server(w.Addrs.SMTP), "push_key": key,
	})
	at := w.Clock.Now().Unix()
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%d.%s", at, l.raw)
	var last string
	for range 200 {
		req, err := http.NewRequestWithContext(w.t.Context(), "POST", "http://"+w.Addrs.HTTP+"/hook/mail/"+id, bytes.NewReader(l.raw))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Emailchannel-Time", fmt.Sprint(at))
		req.Header.Set("Emailchannel-Signature", "v1="+hex.EncodeToString(mac.Sum(nil)))
		resp, err := http.DefaultClient.Do(req)
		last = fmt.Sprint(err)
		if err == nil {
			resp.Body.Close()
			if last = resp.Status; resp.StatusCode == http.StatusAccepted {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Errorf("the pushed mail is not taken: %s", last)
}

// remail replays a mail that older code is said to have read another way.
func (w *world) remail(l letter) {
	w.t.Helper()
	path := "sessions/" + w.known(l.id).Session + "/messages/" + l.id
	if err := w.Docs().Write(w.t.Context(), func(tx channel.Tx) { tx.Patch(path, map[string]any{"text": "of older code"}) }); err != nil {
		w.t.Fatal(err)
	}
	w.call("POST", "/v1/mails/replay", "", map[string]any{"mail": l.id})
	var m channel.Message
	if err := w.Docs().Get(w.t.Context(), &channel.Ref{Path: path, Into: &m}); err != nil || m.Text == "of older code" || m.Text == "" {
		w.t.Errorf("replayed: %q, %v", m.Text, err)
	}
}

func (w *world) known(fingerprint string) channel.Mail {
	w.t.Helper()
	m, err := w.MailDoc(w.t.Context(), fingerprint)
	if err != nil || m == nil {
		w.t.Fatalf("mail %s: %+v, %v", fingerprint, m, err)
	}
	return *m
}

// purged holds that neither the database nor the archive has content left,
// after some sweeps: one that was ended leaves its rest to the next.
func (w *world) purged() {
	w.t.Helper()
	for range 5 {
		left := 0
		suitetest.All(w.t, w.Suite, channel.Query{Collection: "messages", Group: true}, func(_ string, m channel.Message) {
			if m.PurgedAt.IsZero() {
				left++
			}
		})
		if left == 0 {
			break
		}
		w.Clock.Advance(6 * time.Minute)
		w.settle()
	}
	suitetest.All(w.t, w.Suite, channel.Query{Collection: "messages", Group: true}, func(id string, m channel.Message) {
		if m.PurgedAt.IsZero() || m.Text != "" || m.Raw != "" {
			w.t.Errorf("message %s is not purged: %+v", id, m)
		}
	})
	for _, prefix := range []string{"raw/", "parts/", "out/"} {
		if left := w.objects(prefix); len(left) > 0 {
			w.t.Errorf("%d objects left: %s", len(left), left[0])
		}
	}
}

// objects are the names of the archive's that begin with prefix.
func (w *world) objects(prefix string) []string {
	w.t.Helper()
	resp, err := http.Get("http://" + w.Addrs.Storage + "/storage/v1/b/" + suite.Bucket + "/o?maxResults=5000&prefix=" + prefix)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var page struct{ Items []struct{ Name string } }
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("list %s: %s, %v", prefix, resp.Status, err)
	}
	var out []string
	for _, o := range page.Items {
		out = append(out, o.Name)
	}
	return out
}

// desk has agents answer n sessions.
func (w *world) desk(n int) {
	w.t.Helper()
	for _, id := range w.some(n) {
		w.call("POST", "/v1/sessions/"+id+"/reply", "reply-"+id, map[string]any{"text": "We are on it."})
	}
}

// replied holds that each answer was written once, whatever its request went through.
func (w *world) replied(s state) {
	w.t.Helper()
	per := map[string]int{}
	for _, o := range s.outbound {
		if !o.Auto {
			per[o.Session]++
		}
	}
	for id, n := range per {
		if n != 1 {
			w.t.Errorf("session %s was answered %d times", id, n)
		}
	}
	if len(per) != 12 {
		w.t.Errorf("%d sessions were answered, not 12", len(per))
	}
}

// server is one of the suite's as an account names it.
func server(addr string) channel.Server {
	var s channel.Server
	s.Host, s.Security = "127.0.0.1", "none"
	fmt.Sscanf(addr, "127.0.0.1:%d", &s.Port)
	return s
}

// admin saves an account, and removes a queue with sessions in it.
func (w *world) admin() {
	w.t.Helper()
	const user = "robot@example.com"
	w.call("PUT", "/v1/accounts/no-answer", "", map[string]any{"user": user, "address": user, "outbound_only": true, "outgoing": server(w.Addrs.SMTP), "password": "demo"})
	w.call("PUT", "/v1/queues/short-lived", "", map[string]any{"name": "Short-lived", "language": "en", "on": true, "order": 9, "accounts": []string{}, "hours": map[string]any{"zone": "UTC"}})
	for _, id := range w.some(6) {
		w.call("POST", "/v1/sessions/"+id+"/transfer", "", map[string]any{"queue": "short-lived"})
	}
	w.call("DELETE", "/v1/queues/short-lived?move_to=support", "", nil)
}

// some are the first n sessions that are unopened or active, by ID.
func (w *world) some(n int) []string {
	w.t.Helper()
	var out []string
	suitetest.All(w.t, w.Suite, channel.Query{Collection: "sessions"}, func(id string, s channel.Session) {
		if session.Counted(s.State) {
			out = append(out, id)
		}
	})
	slices.Sort(out)
	if len(out) < n {
		w.t.Fatalf("there are only %d sessions", len(out))
	}
	return out[:n]
}
