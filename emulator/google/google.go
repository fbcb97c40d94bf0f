// Package google runs Google's own emulators of Firestore and Pub/Sub, where
// the Cloud SDK's components and a Java runtime are installed: the suite in
// their place with --google, and tests that hold ours against them.
//
// Both keep what they hold in memory and answer on 127.0.0.1 only. A process
// ends with Stop, and on Linux also with the process that started it, however
// that ends.
package google

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

// Emulator is one of Google's.
type Emulator struct {
	name      string
	component string   // of the Cloud SDK
	jar       string   // below the SDK's directory
	java      []string // arguments before the jar
	main      string   // class, where the jar names none; the component's own launcher names it
}

// Firestore is the emulator of Firestore in native mode.
func Firestore() Emulator {
	return Emulator{
		name: "Firestore", component: "cloud-firestore-emulator", jar: "platform/cloud-firestore-emulator/*.jar",
		java: []string{"-Duser.language=en", "-Xmx512m"}, main: "com.google.cloud.datastore.emulator.firestore.CloudFirestore",
	}
}

// PubSub is the emulator of Cloud Pub/Sub.
func PubSub() Emulator {
	return Emulator{name: "Pub/Sub", component: "pubsub-emulator", jar: "platform/pubsub-emulator/lib/*.jar", java: []string{"-Xmx256m"}}
}

// ErrMissing is wrapped by the error that names what is not installed, and how
// to install it.
var ErrMissing = errors.New("not installed")

// command is the command line without the address.
func (e Emulator) command() ([]string, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("java, which the %s emulator of Google needs, is %w: install a Java runtime, version 11 or later (Debian: apt install default-jre-headless)", e.name, ErrMissing)
	}
	roots := sdkRoots()
	for _, root := range roots {
		jars, err := filepath.Glob(filepath.Join(root, e.jar))
		if err != nil || len(jars) == 0 {
			continue
		}
		args := append([]string{java}, e.java...)
		newest := slices.Max(jars)
		if e.main != "" {
			return append(args, "-cp", newest, e.main), nil
		}
		return append(args, "-jar", newest), nil
	}
	return nil, fmt.Errorf("the %s emulator of Google is %w: gcloud components install %s, or set CLOUDSDK_ROOT_DIR; looked below %v", e.name, ErrMissing, e.component, roots)
}

// sdkRoots are the directories where a Cloud SDK may be.
func sdkRoots() []string {
	if dir := os.Getenv("CLOUDSDK_ROOT_DIR"); dir != "" {
		return []string{dir}
	}
	roots := []string{"/usr/lib/google-cloud-sdk"}
	if home, err := os.UserHomeDir(); err == nil {
		roots = append(roots, filepath.Join(home, "google-cloud-sdk"))
	}
	if gcloud, err := exec.LookPath("gcloud"); err == nil {
		if real, err := filepath.EvalSymlinks(gcloud); err == nil {
			roots = append(roots, filepath.Dir(filepath.Dir(real)))
		}
	}
	return slices.Compact(roots)
}

// Process is an emulator that runs.
type Process struct {
	Addr string // host:port

	e    Emulator
	cmd  *exec.Cmd
	out  tail
	done chan struct{} // closed when the process has ended
	err  error         // of Wait, once done
}

// startWithin is how long an emulator may take until it answers.
const startWithin = time.Minute

// startTries is how many free ports are tried: between the look at one and the
// emulator's start somebody else may take it.
const startTries = 3

// Start runs an emulator at addr, host:port; an empty one is a free port of
// 127.0.0.1. It returns once the emulator answers. The error wraps ErrMissing
// where something is not installed.
func Start(ctx context.Context, e Emulator, addr string) (*Process, error) {
	args, err := e.command()
	if err != nil {
		return nil, err
	}
	if addr != "" {
		return start(ctx, e, args, addr)
	}
	for range startTries {
		if addr, err = freeAddr(); err != nil {
			return nil, err
		}
		var p *Process
		if p, err = start(ctx, e, args, addr); err == nil || ctx.Err() != nil {
			return p, err
		}
	}
	return nil, err
}

func start(ctx context.Context, e Emulator, args []string, addr string) (*Process, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	p := &Process{Addr: addr, e: e, done: make(chan struct{})}
	p.cmd = exec.Command(args[0], append(slices.Clone(args[1:]), "--host="+host, "--port="+port)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	endWithParent(p.cmd)
	if err := p.run(); err != nil {
		return nil, fmt.Errorf("start the %s emulator of Google: %w", e.name, err)
	}
	if err := p.ready(ctx); err != nil {
		p.Stop()
		return nil, fmt.Errorf("the %s emulator of Google at %s: %w", e.name, addr, err)
	}
	return p, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// run starts the process from a thread that lives as long as the process: the
// kernel's signal to the child comes at the end of the thread that made it.
func (p *Process) run() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		close(p.done)
	}()
	return <-started
}

// ready waits until the emulator answers.
func (p *Process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	often := grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}}
	conn, err := grpc.NewClient(p.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(often))
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		conn.Connect()
		state := conn.GetState()
		if state == connectivity.Ready {
			return nil
		}
		if !conn.WaitForStateChange(ctx, state) {
			return p.why(ctx)
		}
	}
}

// why tells what kept the emulator from answering.
func (p *Process) why(ctx context.Context) error {
	select {
	case <-p.done:
		return fmt.Errorf("it ended (%v): %s", p.err, p.out.String())
	default:
		return fmt.Errorf("it does not answer: %w: %s", ctx.Err(), p.out.String())
	}
}

// Stop ends the process and waits for its end.
func (p *Process) Stop() {
	_ = p.cmd.Process.Kill() // an error means that it ended before
	<-p.done
}

// tail keeps the end of what a process prints.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - tailBytes; n > 0 {
		t.b = slices.Delete(t.b, 0, n)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
