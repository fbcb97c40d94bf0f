package zendesk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// childDir makes the test binary a server on this folder, see TestMain.
const childDir = "ZENDESK_FAKE_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := serveChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveChild prints its address and serves until it is killed.
func serveChild(dir string) error {
	srv, err := Open(Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, srv)
}

// Writers send tickets and comments until the process is killed in the middle; what was answered must be there
// afterwards, and a key's repetition must make no second ticket.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + strings.TrimSpace(addr)

	const writers, enough = 4, 400
	var acknowledged sync.Map // idempotency key → body
	var count atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("w%d-%d", w, n)
				body := fmt.Sprintf(`{"ticket":{"external_id":%q,"comment":{"body":%q}}}`, key, strings.Repeat("text ", n%2000))
				if n%2000 == 0 {
					body = fmt.Sprintf(`{"ticket":{"external_id":%q,"comment":{"body":"x"}}}`, key)
				}
				if err := post(base, key, body); err != nil {
					return // killed
				}
				acknowledged.Store(key, body)
				if count.Add(1) == enough {
					if err := child.Process.Kill(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	_ = child.Wait() // it was killed: the error says so

	f := start(t, Options{Dir: dir})
	before := f.srv.Stats().Tickets
	if n := int(count.Load()); before < n {
		t.Errorf("%d tickets, %d were acknowledged", before, n)
	}
	acknowledged.Range(func(key, body any) bool {
		r := f.must(200, "GET", "/api/v2/tickets?external_id="+key.(string), "")
		if r.at("count") != 1.0 || !strings.Contains(body.(string), r.at("tickets.0.description").(string)) {
			t.Errorf("%s: %s", key, r.body)
		}
		return true
	})
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	if r := f.must(200, "GET", fmt.Sprintf("/api/v2/tickets/%d", before+1), ""); r.at("ticket.subject") != "Broken" {
		t.Errorf("the next ticket got another number: %s", r.body)
	}
}

func post(base, key, body string) error {
	req, err := http.NewRequest("POST", base+"/api/v2/tickets", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.SetBasicAuth("agent@acme.example/token", DefaultToken)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

func TestLogWithoutItsEnd(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Options{Dir: dir})
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	queued := f.must(200, "PUT", "/api/v2/tickets/update_many?ids=1", `{"ticket":{"comment":{"body":"later"}}}`)
	path := filepath.Join(dir, "zendesk.log")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, tail string
		wantErr    bool
	}{
		{"nothing", "", false},
		{"half a line", `T 2 0` + "\t" + `{"id":2,"sub`, false},
		{"a batch without its end", `T 2 0` + "\t" + `{"id":2,"subject":"x","status":"new"}` + "\n", false},
		{"something else", "no record\nE\n", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			copied := t.TempDir()
			if err := os.WriteFile(filepath.Join(copied, "zendesk.log"), append(whole[:len(whole):len(whole)], tt.tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.wantErr {
				if srv, err := Open(Options{Dir: copied}); err == nil {
					srv.Close()
					t.Error("opened")
				}
				return
			}
			g := start(t, Options{Dir: copied, Now: f.clock.Now})
			if st := g.srv.Stats(); st.Tickets != 1 || st.PendingJobs != 1 {
				t.Errorf("%+v, want one ticket and the waiting job", st)
			}
			g.must(200, "GET", "/api/v2/job_statuses/"+queued.at("job_status.id").(string), "")
			if r := g.must(200, "GET", "/api/v2/tickets/1/comments", ""); r.at("comments.1.body") != "later" {
				t.Errorf("the job did not run: %s", r.body)
			}
		})
	}
}

func BenchmarkCreateTicket(b *testing.B) {
	f := start(b, Options{Spec: specPath(b), PerMinute: 1 << 30})
	body := fmt.Sprintf(`{"ticket":{"subject":"Order","external_id":"S","requester":{"name":"A","email":"a@example.org"},"tags":["mail"],"comment":{"body":%q}}}`, strings.Repeat("text ", 400))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := post(f.http.URL, "", body); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tickets/s")
}
