package storage_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	gcs "cloud.google.com/go/storage"
	"google.golang.org/api/option"

	"emailchannel.dev/emailchannel/emulator/storage"
)

// dirVariable makes the test binary a server, so that it can be killed.
const dirVariable = "EMULATOR_STORAGE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		serveUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func serveUntilKilled(dir string) {
	s, err := storage.Open(storage.Options{Dir: dir, Buckets: []string{bucketName}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("http://" + l.Addr().String())
	fmt.Println(http.Serve(l, s.Handler()))
	os.Exit(1)
}

// TestKillLosesNoAcknowledgedWrite kills a writing server with SIGKILL and
// expects every acknowledged object back, and none of the others torn.
func TestKillLosesNoAcknowledgedWrite(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dirVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(url, "http://") {
		t.Fatalf("server said %q, %v", url, err)
	}
	client, err := gcs.NewClient(t.Context(), option.WithEndpoint(strings.TrimSpace(url)+"/storage/v1/"), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	acknowledged := writeUntilKilled(client.Bucket(bucketName), cmd.Process)
	cmd.Wait()

	b, _ := serve(t, open(t, dir).Handler())
	for _, name := range acknowledged {
		if got := read(t, b.Object(name)); got != content(name) {
			t.Fatalf("%s was acknowledged, now %d bytes", name, len(got))
		}
	}
	for _, name := range names(t, b, nil) {
		if read(t, b.Object(name)) != content(name) {
			t.Errorf("%s is torn", name)
		}
	}
}

func content(name string) string { return strings.Repeat(name+"\n", 4000) }

// writeUntilKilled writes from several goroutines; the 200th acknowledgement
// pulls the plug while the others are under way.
func writeUntilKilled(b *gcs.BucketHandle, p *os.Process) (acknowledged []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("mail/%d/%d", g, i)
				o := b.Object(name).Retryer(gcs.WithPolicy(gcs.RetryNever))
				if err := write(o, content(name), 0); err != nil {
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, name)
				if len(acknowledged) == 200 {
					p.Kill()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return acknowledged
}
