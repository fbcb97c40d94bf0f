package google

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// asParent has TestMain be a process that starts another and waits to be killed.
const asParent = "GOOGLE_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(asParent) == "" {
		os.Exit(m.Run())
	}
	p := &Process{cmd: exec.Command("sleep", "60"), done: make(chan struct{})}
	endWithParent(p.cmd)
	if err := p.run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(p.cmd.Process.Pid)
	<-p.done
}

func TestEndsWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child of its parent's end")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), asParent+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, bad := strconv.Atoi(strings.TrimSpace(line))
	if err := errors.Join(err, bad, parent.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	for range 500 {
		if ended(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
	t.Errorf("process %d lives on after its parent was killed", pid)
}

// ended tells whether a process is gone, or a zombie that nobody waits for.
func ended(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	bin := script(t, "exit 0")
	for _, tt := range []struct{ name, path, want string }{
		{"no java", t.TempDir(), "install a Java runtime"},
		{"no component", bin, "gcloud components install pubsub-emulator"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			t.Setenv("CLOUDSDK_ROOT_DIR", t.TempDir())
			_, err := Start(t.Context(), PubSub(), "")
			if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Start: %v, want ErrMissing and %q", err, tt.want)
			}
		})
	}
}

func TestWhyItDidNotStart(t *testing.T) {
	t.Setenv("CLOUDSDK_ROOT_DIR", sdk(t))
	t.Run("it ended", func(t *testing.T) {
		t.Setenv("PATH", script(t, "echo no such class; exit 3"))
		_, err := Start(t.Context(), PubSub(), "")
		if err == nil || !strings.Contains(err.Error(), "no such class") || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("Start: %v", err)
		}
	})
	t.Run("it is silent", func(t *testing.T) {
		t.Setenv("PATH", script(t, "exec /bin/sleep 60"))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := Start(ctx, PubSub(), ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Start: %v, want a deadline", err)
		}
	})
}

// TestBothAnswer starts what is installed, and holds that Stop ends it.
func TestBothAnswer(t *testing.T) {
	if testing.Short() {
		t.Skip("Google's emulators are not started with -short")
	}
	for _, e := range []Emulator{Firestore(), PubSub()} {
		t.Run(e.component, func(t *testing.T) {
			p, err := Start(t.Context(), e, "")
			if errors.Is(err, ErrMissing) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			p.Stop()
			if !ended(p.cmd.Process.Pid) {
				t.Error("it runs on after Stop")
			}
			p.Stop() // once more is no harm
		})
	}
}

// script puts a "java" that runs a line of shell into a directory for PATH.
func script(t *testing.T, line string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "java"), []byte("#!/bin/sh\n"+line+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sdk makes a directory that looks like a Cloud SDK with the Pub/Sub emulator.
func sdk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	jar := filepath.Join(dir, "platform/pubsub-emulator/lib/pubsub.jar")
	if err := os.MkdirAll(filepath.Dir(jar), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(jar, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
