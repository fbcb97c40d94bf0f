package pubsub

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"emailchannel.dev/emailchannel/emulator/clock"
)

const childDir = "PUBSUB_TEST_CHILD_DIR"

// TestMain turns the test binary into a publisher that runs until it is killed, for TestKilled.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := publishForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func publishForever(dir string) error {
	b, err := Open(Options{Dir: dir, Clock: clock.New()})
	if err != nil {
		return err
	}
	if err := b.EnsureTopic(&pubsubpb.Topic{Name: topicA}); err != nil {
		return err
	}
	if err := b.EnsureSubscription(&pubsubpb.Subscription{Name: subA, Topic: topicA}); err != nil {
		return err
	}
	payload := strings.Repeat("x", 4000) // enough for several snapshots on the way
	for i := 0; ; i++ {
		data := fmt.Sprintf("%06d %s", i, payload)
		if err := b.Publish(context.Background(), topicA, []byte(data), nil); err != nil {
			return err
		}
		fmt.Println(data[:6])
	}
}

func TestKilled(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acked []string
	for s := bufio.NewScanner(out); s.Scan(); {
		acked = append(acked, s.Text())
		if len(acked) == 5000 {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if len(acked) < 5000 {
		t.Fatalf("the child ended after %d messages", len(acked))
	}
	b := open(t, Options{Dir: dir})
	stored := map[string]bool{}
	for _, m := range b.live {
		stored[string(m.pb.Data[:6])] = true
	}
	for _, data := range acked {
		if !stored[data] {
			t.Errorf("acknowledged message %s is lost", data)
		}
	}
	if extra := len(stored) - len(acked); extra > 1 {
		t.Errorf("%d messages that nobody published", extra)
	}
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	clk := frozen()
	e := newEndpoint(t, nil)
	opt := Options{Dir: dir, Clock: clk, Paused: true}
	b, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	setup(t, b,
		&pubsubpb.Subscription{PushConfig: e.push(), EnableMessageOrdering: true},
		&pubsubpb.Subscription{Name: subDLQ, Filter: "attributes:never"},
		&pubsubpb.Subscription{Name: project + "/subscriptions/pulled"})
	for i := range 50 {
		publishN(t, b, "k", fmt.Sprint(i))
	}
	b.mu.Lock()
	pulled := b.subs[project+"/subscriptions/pulled"]
	f := &flow{deadline: pulled.ackDeadline()}
	for _, m := range pulled.take(20, f) {
		pulled.ack([]string{m.AckId})
	}
	pulled.take(5, f)
	lastSeq := b.lastSeq
	b.mu.Unlock()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = open(t, opt)
	if st := b.Stats().Subscriptions; st[subA].Pending != 50 || st[subDLQ].Pending != 0 || st[project+"/subscriptions/pulled"].Pending != 30 {
		t.Errorf("restored %+v", st)
	}
	if b.lastSeq < lastSeq {
		t.Error("message IDs start anew")
	}
	b.Pause(false)
	waitIdle(t, b)
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprint(i))
	}
	if got := e.data(); !slices.Equal(got, want) {
		t.Errorf("pushed %v after the restart, want order", got)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, opt)
	if st := b.Stats().Subscriptions[subA]; st.Pending != 0 {
		t.Errorf("%d messages came back", st.Pending)
	}
}

func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	b := open(t, Options{Dir: dir})
	setup(t, b,
		&pubsubpb.Subscription{PushConfig: &pubsubpb.PushConfig{PushEndpoint: srv.URL}},
		&pubsubpb.Subscription{Name: subDLQ, Filter: `attributes:keep`})
	if err := b.Publish(within(t), topicA, []byte("kept"), map[string]string{"keep": ""}); err != nil {
		t.Fatal(err)
	}
	for range 16 {
		publishN(t, b, "", strings.Repeat("x", 1<<20))
		waitIdle(t, b)
	}
	info, err := os.Stat(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 3*minCompaction/2 {
		t.Errorf("journal has %d bytes after 16 MB of drained messages", info.Size())
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, Options{Dir: dir})
	if st := b.Stats().Subscriptions; st[subDLQ].Pending != 1 || st[subA].Pending != 0 {
		t.Errorf("restored %+v", st)
	}
}

func TestDamagedJournal(t *testing.T) {
	dir := t.TempDir()
	b := open(t, Options{Dir: dir})
	setup(t, b, &pubsubpb.Subscription{})
	publishN(t, b, "", "one", "two")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, journalName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(whole[:len(whole)-3]) // what a kill leaves
	b = open(t, Options{Dir: dir})
	if st := b.Stats().Subscriptions[subA]; st.Pending != 1 {
		t.Errorf("%d messages from a torn journal, want 1", st.Pending)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	broken := slices.Clone(whole)
	broken[len(broken)/2] ^= 1
	write(broken)
	if _, err := Open(Options{Dir: dir, Clock: frozen()}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("Open of a damaged journal: %v", err)
	}
}
