package suite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// process runs the functions in a process of their own and starts it again
// whenever it ends.
type process struct {
	s       *Suite
	mu      sync.Mutex
	proxy   *httputil.ReverseProxy
	up      chan struct{} // closed while proxy leads somewhere
	cmd     *exec.Cmd
	stopped bool
	ended   chan struct{} // closed when the process has ended and none follows
}

func (s *Suite) startProcess() error {
	p := &process{s: s, up: make(chan struct{}), ended: make(chan struct{})}
	if err := p.start(); err != nil {
		return err
	}
	s.functions = p
	s.closing(p.stop)
	return nil
}

func (p *process) start() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, "functions", "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), FunctionsProcess+"=1")
	for k, v := range p.s.env() {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // nothing is written: the process ends when this one does
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the functions: %w", err)
	}
	p.mu.Lock()
	if p.cmd = cmd; p.stopped {
		_ = cmd.Process.Kill()
	}
	p.mu.Unlock()
	lines := bufio.NewReader(out)
	addr, err := lines.ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		return fmt.Errorf("start the functions: no address: %w", errors.Join(err, cmd.Wait()))
	}
	go io.Copy(io.Discard, lines)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: strings.TrimSpace(addr)})
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	p.mu.Lock()
	p.proxy = proxy
	close(p.up)
	p.mu.Unlock()
	go p.watch(cmd)
	return nil
}

// watch starts the process again when it has ended.
func (p *process) watch(cmd *exec.Cmd) {
	err := cmd.Wait()
	p.mu.Lock()
	stopped := p.stopped
	p.proxy, p.up = nil, make(chan struct{})
	p.mu.Unlock()
	if !stopped {
		p.s.restarts.Add(1)
		p.s.log.Info("the functions process ended and is started again", "error", err)
		if err = p.start(); err == nil {
			return
		}
		p.s.log.Error("the functions process cannot be started", "error", err)
	}
	close(p.ended)
}

// stop ends the process and waits for that.
func (p *process) stop() error {
	p.mu.Lock()
	p.stopped = true
	_ = p.cmd.Process.Kill() // an error means that it has ended
	p.mu.Unlock()
	<-p.ended
	return nil
}

// startFor is how long a request waits for the process to start, as requests
// of the cloud wait for an instance.
const startFor = 10 * time.Second

// running returns the way to the process once it is up, nil if that takes too long.
func (p *process) running(ctx context.Context) *httputil.ReverseProxy {
	p.mu.Lock()
	up := p.up
	p.mu.Unlock()
	select {
	case <-up:
	case <-ctx.Done():
	case <-time.After(startFor):
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proxy
}

func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	proxy := p.running(r.Context())
	if proxy == nil {
		http.Error(w, "the functions process is starting", http.StatusServiceUnavailable)
		return
	}
	r.Header.Set(nowHeader, p.s.Clock.Now().Format(time.RFC3339Nano))
	if p.s.Clock.Frozen() {
		r.Header.Set(frozenHeader, "true")
	}
	r.Header.Set(controlHeader, "http://"+p.s.Addrs.HTTP)
	for _, step := range p.s.Faults.Kills() {
		r.Header.Add(killHeader, step)
	}
	proxy.ServeHTTP(w, r)
}
