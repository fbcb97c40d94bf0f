package s3_test

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

	"github.com/minio/minio-go/v7"

	"emailchannel.dev/emailchannel/emulator/s3"
)

// dirVariable makes the test binary a server, so that it can be killed.
const dirVariable = "EMULATOR_S3_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		serveUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func serveUntilKilled(dir string) {
	s, err := s3.Open(s3.Options{Dir: dir, Buckets: []string{bucketName}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
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
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("server said %q, %v", addr, err)
	}
	acknowledged := writeUntilKilled(t, strings.TrimSpace(addr), cmd.Process)
	cmd.Wait()

	c := client(t, open(t, s3.Options{Dir: dir}).Handler(), "", "")
	for _, name := range acknowledged {
		if got := read(t, c, name, minio.GetObjectOptions{}); got != content(name) {
			t.Fatalf("%s was acknowledged, now %d bytes", name, len(got))
		}
	}
	for _, name := range names(t, c, minio.ListObjectsOptions{Recursive: true}) {
		if read(t, c, name, minio.GetObjectOptions{}) != content(name) {
			t.Errorf("%s is torn", name)
		}
	}
}

func content(name string) string { return strings.Repeat(name+"\n", 4000) }

// writeUntilKilled writes from several goroutines; the 200th acknowledgement
// pulls the plug while the others are under way.
func writeUntilKilled(t *testing.T, addr string, p *os.Process) (acknowledged []string) {
	c := connect(t, addr, "", "")
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("mail/%d/%d", g, i)
				if err := put(t.Context(), c, name, content(name)); err != nil {
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
