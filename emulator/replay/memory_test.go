package replay

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
)

// heapFile names the file into which a functions process writes its heap.
const heapFile = "REPLAY_TEST_HEAP"

// TestMain is also the functions process of an isolated suite, which starts
// the program that it is part of once more.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 1}))) // retries are logged, and meant
	if os.Getenv(suite.FunctionsProcess) == "" {
		os.Exit(m.Run())
	}
	if name := os.Getenv(heapFile); name != "" {
		go watchHeap(name)
	}
	if err := suite.RunFunctions(context.Background(), "127.0.0.1:0", os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// watchHeap appends a line with the heap in use every few milliseconds. When
// somebody makes the file NAME.gc it collects garbage first and removes it.
func watchHeap(name string) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	for {
		if os.Remove(name+".gc") == nil {
			runtime.GC()
			fmt.Fprintln(f, "collected")
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintln(f, m.HeapAlloc, m.HeapInuse)
		time.Sleep(4 * time.Millisecond)
	}
}

// heap reads what watchHeap wrote: the heap right after the collection, and
// the highest since.
func heap(t *testing.T, name string) (baseline, peakAlloc, peakInuse int64, samples int) {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(raw), "collected\n")
	if !ok {
		t.Fatal("no collection")
	}
	for line := range strings.Lines(after) {
		alloc, inuse, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue // cut off while it was written
		}
		a, err := strconv.ParseInt(alloc, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.ParseInt(inuse, 10, 64)
		if samples == 0 {
			baseline = a
		}
		peakAlloc, peakInuse = max(peakAlloc, a), max(peakInuse, n)
		samples++
	}
	return baseline, peakAlloc, peakInuse, samples
}

// collect has the functions process collect its garbage.
func collectGarbage(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name+".gc", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if _, err := os.Stat(name + ".gc"); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the functions process collects no garbage")
}

// large is a mail with an attachment of 25 MB, 35 MB as it is sent.
func large(id string) []byte {
	const size = 25 << 20
	var b bytes.Buffer
	b.Grow(size/3*4 + size/50)
	fmt.Fprintf(&b, "From: Grace <grace@example.net>\r\nTo: support@example.com\r\nSubject: Video\r\nMessage-ID: <%s@example.net>\r\nDate: Mon, 02 Mar 2026 08:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=limit\r\n\r\n--limit\r\nContent-Type: text/plain\r\n\r\nSee the video.\r\n--limit\r\nContent-Type: video/mp4\r\nContent-Disposition: attachment; filename=video.mp4\r\nContent-Transfer-Encoding: base64\r\n\r\n", id)
	line, raw := make([]byte, 76), make([]byte, 57)
	for i := 0; i < size; i += len(raw) {
		raw = raw[:min(57, size-i)]
		for j := range raw {
			raw[j] = byte((i + j) * 2654435761 >> 8)
		}
		n := base64.StdEncoding.EncodedLen(len(raw))
		base64.StdEncoding.Encode(line[:n], raw)
		b.Write(line[:n])
		b.WriteString("\r\n")
	}
	b.WriteString("--limit--\r\n")
	return b.Bytes()
}

// maxHeap is what a mail with 25 MB of files may add to the heap, in bytes.
const maxHeap = 64 << 20

// A mail of 35 MB is polled and processed without ever being in memory whole.
// The functions run in a process of their own, so that the heap is theirs.
func TestMemory(t *testing.T) {
	name := filepath.Join(t.TempDir(), "heap")
	t.Setenv(heapFile, name)
	s := startWith(t, suite.Options{Data: t.TempDir(), Isolate: true})
	feed(t, s, IMAP, people("warm", 2))
	for _, via := range []Via{Ingest, IMAP} {
		t.Run(string(via), func(t *testing.T) {
			raw := large("large-" + string(via))
			if err := os.Truncate(name, 0); err != nil {
				t.Fatal(err)
			}
			collectGarbage(t, name)
			r, results := feed(t, s, via, []Mail{{File: "large.eml", Raw: raw}})
			accounted(t, r, results)
			if r.Sessions != 1 || r.AutoReplies != 1 {
				t.Fatalf("%+v", r)
			}
			a := results[0].Attachments
			if len(a) != 1 || a[0].Bytes != 25<<20 || a[0].Name != "video.mp4" {
				t.Errorf("attachments: %+v", a)
			}
			stored(t, s, results[0])
			bounded(t, name, fmt.Sprintf("mail of %.1f MB", float64(len(raw))/1e6))
		})
	}
}

// bounded fails the test when what was done since the collection added more
// than maxHeap to the heap.
func bounded(t *testing.T, name, what string) {
	t.Helper()
	baseline, alloc, inuse, samples := heap(t, name)
	t.Logf("%s: heap %.1f MiB before, peak %.1f MiB allocated and %.1f MiB in use, %d samples", what, mib(baseline), mib(alloc), mib(inuse), samples)
	if samples < 20 {
		t.Errorf("%d samples tell nothing", samples)
	}
	if extra := alloc - baseline; extra > maxHeap {
		t.Errorf("%s added %.1f MiB to the heap, want at most 64", what, mib(extra))
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// A file of 25 MB is uploaded, goes out with an answer and arrives whole,
// without ever being in memory whole.
func TestMemorySending(t *testing.T) {
	name := filepath.Join(t.TempDir(), "heap")
	t.Setenv(heapFile, name)
	s := startWith(t, suite.Options{Data: t.TempDir(), Isolate: true})
	_, results := feed(t, s, IMAP, []Mail{{File: "question.eml", Raw: []byte("From: Grace <grace@example.net>\r\nTo: support@example.com\r\nSubject: Video\r\nMessage-ID: <question@example.net>\r\n\r\nCan I have it?\r\n")}})
	film := make([]byte, 25<<20)
	copy(film, "\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41")
	for i := 24; i < len(film); i++ {
		film[i] = byte(i * 2654435761 >> 8)
	}
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
	collectGarbage(t, name)
	var file struct{ ID string }
	post(t, s, "/v1/files?name=video.mp4", "video/mp4", film, &file)
	answer, err := json.Marshal(map[string]any{"text": "Here it is.", "files": []string{file.ID}})
	if err != nil {
		t.Fatal(err)
	}
	post(t, s, "/v1/sessions/"+results[0].SessionID+"/reply", "application/json", answer, nil)
	if err := s.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	bounded(t, name, "a file of 25 MB sent")
	box := s.Mail.Mailbox("grace@example.net")
	r, err := box[len(box)-1].Open() // after the auto-response
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	whole := false
	_, err = email.Parse(r, "", email.DefaultLimits(), func(p email.Part, body io.Reader) error {
		got, err := io.ReadAll(body)
		whole = whole || bytes.Equal(got, film)
		return err
	})
	if err != nil || !whole {
		t.Errorf("%d mails, the last with the whole file: %t, %v", len(box), whole, err)
	}
}

// post makes a request of the API as an admin.
func post(t *testing.T, s *suite.Suite, path, mediaType string, body []byte, answer any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addrs.HTTP+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer admin-token")
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("Idempotency-Key", path)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("POST %s: %s %s, %v", path, resp.Status, text, err)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			t.Fatalf("POST %s: %s: %v", path, text, err)
		}
	}
}

// stored fails the test unless the message names the whole attachment.
func stored(t *testing.T, s *suite.Suite, x Result) {
	t.Helper()
	m := read[channel.Message](t, s, "sessions/"+x.SessionID+"/messages/"+x.Fingerprint)
	if len(m.Attachments) != 1 || m.Attachments[0].Size != 25<<20 || m.Attachments[0].Object == "" || len(m.Degraded) > 0 {
		t.Errorf("stored attachments %+v, degraded %v", m.Attachments, m.Degraded)
	}
}
