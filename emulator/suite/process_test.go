package suite_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/suite"
)

// TestFunctionsEndWithTheirSuite: also when the suite is killed, which closes
// the other end of the process's standard input.
func TestFunctionsEndWithTheirSuite(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), suite.FunctionsProcess+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	if addr, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(addr, "127.0.0.1:") {
		t.Errorf("address %q, %v", addr, err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the functions process had to be killed: %v", err)
	}
}

// TestCloseLeavesNoProcess: Close returns when the functions process is gone.
func TestCloseLeavesNoProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processes are looked up in /proc")
	}
	dir := t.TempDir()
	s, err := suite.Start(t.Context(), suite.Options{Isolate: true, Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	of := "SCHEDULER_EMULATOR_HOST=" + s.Addrs.Scheduler
	if n := running(t, of); n != 1 {
		t.Errorf("%d functions processes, want 1", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := running(t, of); n != 0 {
		t.Errorf("%d functions processes are left", n)
	}
}

// TestRefusedStartLeavesTheDirectory: a suite that may not use a directory
// writes nothing to it.
func TestRefusedStartLeavesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "clock.json")
	if err := os.WriteFile(file, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := suite.Start(t.Context(), suite.Options{Data: dir})
	if err == nil {
		t.Fatal("started with a damaged clock", s.Close())
	}
	if got, err := os.ReadFile(file); string(got) != "damaged" {
		t.Errorf("clock.json is %q now, %v", got, err)
	}
}

// running counts the processes with a variable in their environment.
func running(t *testing.T, variable string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		env, _ := os.ReadFile(f) // it has ended, or is somebody else's
		if strings.Contains(string(env), variable+"\x00") {
			n++
		}
	}
	return n
}
