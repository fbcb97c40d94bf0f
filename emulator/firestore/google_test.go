package firestore

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/connectivity"
)

// The jar has no manifest; the class is the one its own launcher script names.
const googleMain = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"

const googleJar = "/usr/lib/google-cloud-sdk/platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"

// googleEmulator is started once for all tests and ended by TestMain.
type googleEmulator struct {
	once   sync.Once
	addr   string
	reason string // why there is none
	cmd    *exec.Cmd
}

var googles googleEmulator

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeForever(dir)
		return
	}
	code := m.Run()
	if googles.cmd != nil {
		googles.cmd.Process.Kill()
		googles.cmd.Wait()
	}
	os.Exit(code)
}

// google returns the address of Google's emulator, or skips the test.
func google(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("Google's emulator is not started with -short")
	}
	googles.once.Do(googles.start)
	if googles.reason != "" {
		t.Skip(googles.reason)
	}
	conn := dial(t, googles.addr)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for conn.Connect(); conn.GetState() != connectivity.Ready; {
		state := conn.GetState()
		if conn.Connect(); !conn.WaitForStateChange(ctx, state) {
			t.Skip("Google's emulator did not start within 30 s")
		}
	}
	return googles.addr
}

func (g *googleEmulator) start() {
	java, err := exec.LookPath("java")
	if err != nil {
		g.reason = "Google's emulator needs java, which is not installed"
		return
	}
	if _, err := os.Stat(googleJar); err != nil {
		g.reason = "Google's emulator is not installed at " + googleJar
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.reason = err.Error()
		return
	}
	g.addr = l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command(java, "-Duser.language=en", "-Xmx512m", "-cp", googleJar, googleMain, "--host", "127.0.0.1", "--port", fmt.Sprint(port))
	if err := cmd.Start(); err != nil {
		g.reason = "start Google's emulator: " + err.Error()
		return
	}
	g.cmd = cmd
}
