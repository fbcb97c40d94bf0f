// Package suite is the local cloud: every dependency of the functions in one
// process, on its own clock, with the functions on top. Functions get exactly
// the HTTP requests that production sends; only the addresses differ.
//
// Everything binds 127.0.0.1. With a data directory nothing that was
// acknowledged is lost, also when the process is killed.
package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"emailchannel.dev/emailchannel/emulator/atomicfile"
	"emailchannel.dev/emailchannel/emulator/clock"
	"emailchannel.dev/emailchannel/emulator/faults"
	"emailchannel.dev/emailchannel/emulator/firestore"
	"emailchannel.dev/emailchannel/emulator/mailserver"
	"emailchannel.dev/emailchannel/emulator/pubsub"
	"emailchannel.dev/emailchannel/emulator/s3"
	"emailchannel.dev/emailchannel/emulator/scheduler"
	"emailchannel.dev/emailchannel/emulator/secrets"
	"emailchannel.dev/emailchannel/emulator/storage"
	"emailchannel.dev/emailchannel/emulator/zendesk"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
)

// Options of a suite.
type Options struct {
	Data     string         // directory of everything; empty: a temporary one, removed at the end
	PortBase int            // port of the HTTP part, the others follow; 0: free ports
	Config   *channel.Seed  // initial configuration; nil: the demo's
	Setup    *channel.Setup // the same as a file; each of its accounts has the demo's password
	Isolate  bool           // functions in a process of their own, as in the cloud, restarted when it ends
	Specs    string         // directory with the CRMs' OpenAPI files; empty: no check
	Indexes  []byte         // firestore.indexes.json; nil: composite indexes are not enforced
	Google   bool           // Google's Firestore and Pub/Sub emulators in place of ours, where installed; nothing is kept
	Log      *slog.Logger   // nil: slog.Default
}

// Addrs are host:port by part.
type Addrs struct {
	HTTP      string `json:"http"`
	Firestore string `json:"firestore"`
	PubSub    string `json:"pubsub"`
	Storage   string `json:"storage"`
	Scheduler string `json:"scheduler"`
	Secrets   string `json:"secrets"`
	Zendesk   string `json:"zendesk"`
	S3        string `json:"s3"`
	SMTP      string `json:"smtp"`
	IMAP      string `json:"imap"`
}

// Names that the functions are configured with.
const (
	Project  = "demo"
	Location = "local"
	Bucket   = "mail" // of Cloud Storage, and one of S3
)

// Credentials of the suite's S3.
const (
	S3AccessKey = "demo-key"
	S3SecretKey = "demo-secret"
)

// Suite is a running local cloud.
type Suite struct {
	Addrs  Addrs
	Clock  *clock.Clock
	Faults *faults.Switch
	Mail   *mailserver.Server

	opt       Options
	dir       string
	temporary bool
	firestore *firestore.Server // nil with Options.Google
	pubsub    *pubsub.Broker    // nil with Options.Google
	google    *googleBroker     // nil without it
	broker    broker            // one of the two
	storage   *storage.Server
	scheduler *scheduler.Server
	secrets   *secrets.Server
	zendesk   *zendesk.Server
	s3        *s3.Server
	functions http.Handler // where requests for functions go
	bell      *bell
	clients   *config.Clients
	listeners map[string]net.Listener
	running   atomic.Int64 // requests of functions
	restarts  atomic.Int64 // of the functions process
	steps     steps
	servers   sync.WaitGroup
	stops     []func() error // what Close calls, from the last on
	log       *slog.Logger
}

// Start brings everything up and returns when it is ready.
func Start(ctx context.Context, opt Options) (*Suite, error) {
	s := &Suite{opt: opt, Clock: clock.New(), Faults: &faults.Switch{}, dir: opt.Data, log: opt.Log, listeners: map[string]net.Listener{}}
	if s.log == nil {
		s.log = slog.Default()
	}
	err := s.start(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Suite) start(ctx context.Context) error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "emailchannel-")
		if err != nil {
			return err
		}
		s.dir, s.temporary = dir, true
	}
	for _, step := range []func() error{s.loadClock, s.listen,
		func() error { return s.startGoogle(ctx) },
		s.open,
		func() error { return s.connect(ctx) },
		s.startFunctions, s.serve, s.topics,
		func() error { return s.seed(ctx) },
		func() error { return s.orphaned(ctx) },
		func() error { return s.jobs(ctx) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	s.broker.Pause(false)
	s.fetch()
	return nil
}

// part is one that listens.
type part struct {
	name   string
	offset int // of its port from the base
	low    int // the same where offset leads below the ports that everybody may use
	addr   func(*Addrs) *string
}

func (p part) port(base int) int {
	if port := base + p.offset; port >= 1024 || p.low == 0 {
		return port
	}
	return base + p.low
}

// ports are the parts in the order of their ports, from the base on; mail has
// ports of its own, which move along.
var ports = []part{
	{"http", 0, 0, func(a *Addrs) *string { return &a.HTTP }},
	{"firestore", 1, 0, func(a *Addrs) *string { return &a.Firestore }},
	{"pubsub", 2, 0, func(a *Addrs) *string { return &a.PubSub }},
	{"storage", 3, 0, func(a *Addrs) *string { return &a.Storage }},
	{"scheduler", 4, 0, func(a *Addrs) *string { return &a.Scheduler }},
	{"zendesk", 5, 0, func(a *Addrs) *string { return &a.Zendesk }},
	{"s3", 7, 0, func(a *Addrs) *string { return &a.S3 }},
	{"smtp", 2525 - DefaultPort, 8, func(a *Addrs) *string { return &a.SMTP }},
	{"imap", 1143 - DefaultPort, 9, func(a *Addrs) *string { return &a.IMAP }},
}

// DefaultPort is the HTTP part's.
const DefaultPort = 8080

func (s *Suite) listen() error {
	for _, p := range ports {
		port := 0
		if s.opt.PortBase != 0 {
			port = p.port(s.opt.PortBase)
		}
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return fmt.Errorf("%s: %w (--port-base moves all ports, 0 takes free ones)", p.name, err)
		}
		s.listeners[p.name] = ln
		s.closing(func() error { ln.Close(); return nil }) // its server may have closed it
		*p.addr(&s.Addrs) = ln.Addr().String()
	}
	s.Addrs.Secrets = s.Addrs.Scheduler
	return nil
}

// open opens every part on its folder of the data directory.
func (s *Suite) open() error {
	var err error
	sub := func(name string) string { return filepath.Join(s.dir, name) }
	if err := s.openCloud(sub); err != nil {
		return err
	}
	if s.storage, err = storage.Open(storage.Options{Dir: sub("storage"), Buckets: []string{Bucket}, Now: s.Clock.Now}); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	s.closing(s.storage.Close)
	if s.s3, err = s3.Open(s3.Options{Dir: sub("s3"), Buckets: []string{Bucket}, AccessKey: S3AccessKey, SecretKey: S3SecretKey, Now: s.Clock.Now}); err != nil {
		return err
	}
	s.closing(s.s3.Close)
	if s.secrets, err = secrets.Open(secrets.Options{Dir: sub("secrets"), Now: s.Clock.Now}); err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	s.closing(s.secrets.Close)
	if s.Mail, err = mailserver.Open(mailserver.Options{Dir: sub("mail"), Now: s.Clock.Now, Fault: s.mailFault, Delivered: func(rcpt string) { s.bell.ring(rcpt) }}); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	s.closing(s.Mail.Close)
	spec := ""
	if s.opt.Specs != "" {
		spec = filepath.Join(s.opt.Specs, "zendesk-support-oas.yaml")
	}
	if s.zendesk, err = zendesk.Open(zendesk.Options{Dir: sub("zendesk"), Now: s.Clock.Now, Spec: spec, Fault: func(op string) error { return s.Faults.Fail("zendesk", op) }, Log: s.log}); err != nil {
		return fmt.Errorf("zendesk: %w", err)
	}
	s.closing(s.zendesk.Close)
	if s.scheduler, err = scheduler.Open(scheduler.Options{Dir: sub("scheduler"), Clock: s.Clock, Publish: s.broker.Publish}); err != nil {
		return fmt.Errorf("scheduler: %w", err)
	}
	s.closing(s.scheduler.Close)
	s.Clock.Settle(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = s.broker.Quiet(ctx) // what is not quiet by then runs on in the new time
	})
	s.bell = newBell(s)
	return nil
}

// broker is what the suite itself asks of Pub/Sub, its own or Google's.
type broker interface {
	ensurer
	Publish(ctx context.Context, topic string, data []byte, attrs map[string]string) error
	Pause(on bool)                   // pushes
	Idle() bool                      // nothing is queued, running or waiting for a retry
	Quiet(ctx context.Context) error // returns when no push runs or could run now
}

// openCloud opens Firestore and Pub/Sub.
func (s *Suite) openCloud(sub func(string) string) error {
	if s.opt.Google {
		return s.openGoogle()
	}
	var err error
	if s.firestore, err = firestore.Open(firestore.Options{Dir: sub("firestore"), Indexes: s.opt.Indexes, Now: s.Clock.Now}); err != nil {
		return fmt.Errorf("firestore: %w", err)
	}
	s.closing(s.firestore.Close)
	if s.pubsub, err = pubsub.Open(pubsub.Options{Dir: sub("pubsub"), Clock: s.Clock, Faults: s.deliveryFault, Paused: true}); err != nil {
		return fmt.Errorf("pubsub: %w", err)
	}
	s.broker = s.pubsub
	s.closing(s.pubsub.Close)
	return nil
}

func (s *Suite) mailFault(service, op string) error {
	err := s.Faults.Fail(service, op)
	if errors.Is(err, faults.ErrDrop) {
		return mailserver.ErrDrop
	}
	return err
}

func (s *Suite) deliveryFault(sub string) pubsub.Fault {
	r, ok := s.Faults.Delivery(sub[lastSlash(sub)+1:])
	if !ok {
		return pubsub.Fault{}
	}
	return pubsub.Fault{Duplicate: r.Duplicate, Delay: time.Duration(r.Delay), Reorder: r.Reorder, DropAck: r.DropAck}
}

// serve starts the servers of all parts but the functions.
func (s *Suite) serve() error {
	if !s.opt.Google {
		s.grpc("firestore", s.firestore.Register, grpc.StatsHandler(s.firestore.Connections()))
		s.grpc("pubsub", s.pubsub.Register)
	}
	s.grpc("scheduler", func(r grpc.ServiceRegistrar) { s.scheduler.Register(r); s.secrets.Register(r) })
	s.http("storage", s.faulty("storage", s.storage.Handler()))
	s.http("s3", s.faulty("s3", s.s3.Handler()))
	s.http("zendesk", s.zendesk)
	s.http("http", s.mux())
	s.run(func() error { return s.Mail.ServeSMTP(s.listeners["smtp"]) })
	s.run(func() error { return s.Mail.ServeIMAP(s.listeners["imap"]) })
	return nil
}

func (s *Suite) run(f func() error) { s.servers.Go(func() { _ = f() }) }

func (s *Suite) grpc(part string, register func(grpc.ServiceRegistrar), opts ...grpc.ServerOption) {
	srv := grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(20<<20), grpc.UnaryInterceptor(s.unaryFault(part)), grpc.StreamInterceptor(s.streamFault(part)))...)
	register(srv)
	s.closing(func() error { srv.Stop(); return nil })
	s.run(func() error { return srv.Serve(s.listeners[part]) })
}

func (s *Suite) http(part string, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	s.closing(func() error { srv.Close(); return nil })
	s.run(func() error { return srv.Serve(s.listeners[part]) })
}

// Close ends everything in the reverse order of its start.
func (s *Suite) Close() error {
	if s.bell != nil {
		s.bell.stop()
	}
	if s.broker != nil {
		s.broker.Pause(true)
	}
	var errs []error
	for _, stop := range slices.Backward(s.stops) {
		errs = append(errs, stop())
	}
	s.servers.Wait()
	if s.temporary {
		errs = append(errs, os.RemoveAll(s.dir))
	} else if s.bell != nil { // the directory was opened, and is not another suite's
		errs = append(errs, s.saveClock(s.Clock.Offset()))
	}
	return errors.Join(errs...)
}

// closing has Close call f, before what was there earlier is closed.
func (s *Suite) closing(f func() error) { s.stops = append(s.stops, f) }

func (s *Suite) clockFile() string { return filepath.Join(s.dir, "clock.json") }

// loadClock puts the clock where it stood: mail must not arrive in the past.
func (s *Suite) loadClock() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	b, err := os.ReadFile(s.clockFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var v struct{ Offset time.Duration }
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.clockFile(), err)
	}
	s.Clock.SetOffset(v.Offset)
	return nil
}

// saveClock writes down the clock as it is, or is to be.
func (s *Suite) saveClock(offset time.Duration) error {
	b, err := json.Marshal(struct{ Offset time.Duration }{offset})
	if err != nil {
		return err
	}
	return atomicfile.Write(s.clockFile(), b, 0o600)
}

// DefaultAddrs are those of a suite on its default ports.
func DefaultAddrs() Addrs {
	var a Addrs
	for _, p := range ports {
		*p.addr(&a) = fmt.Sprintf("127.0.0.1:%d", p.port(DefaultPort))
	}
	a.Secrets = a.Scheduler
	return a
}
