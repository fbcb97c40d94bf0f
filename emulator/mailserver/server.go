// Package mailserver is the mail provider of the local cloud: SMTP and IMAP over the same mailboxes.
//
//   - Every address exists on first use. The user name is the address and the password (or OAuth token) is
//     "demo"; any other is refused, with 535 on SMTP and NO on IMAP.
//   - SMTP is MX and submission in one: it takes mail for any recipient, with or without AUTH, and puts it into the
//     recipient's INBOX with Return-Path and Received in front, as an MTA does. The bytes after them are never
//     changed, however broken the mail is.
//   - IMAP (IMAP4rev1 with UIDPLUS, MOVE, IDLE, SPECIAL-USE) keeps several folders per address. BODY[] is the stored
//     bytes, streamed from the disk; metadata is in memory, bodies never are.
//   - STARTTLS is offered on both with a certificate made at first start; CertPEM is what clients must trust.
//   - A mail is on disk before it is acknowledged and survives the end of the process with its UID, UIDVALIDITY and
//     flags. It is not flushed to the platter: this is an emulator, and a kill -9 does not lose the page cache.
//   - Options.Fault is asked before each step, so that a test can refuse, slow down or cut off any of them.
//
// It never relays, filters, bounces or rewrites, and it keeps no copy of what an address sent.
package mailserver

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-smtp"
)

// Password is the only password and the only OAuth token that the server takes.
const Password = "demo"

// MaxMessageBytes is the size limit that SMTP announces.
const MaxMessageBytes = 50 << 20

// Options configures a Server. The zero value is a server whose mail ends with it.
type Options struct {
	// Dir keeps the mail, the folders and the certificate. Empty means a temporary directory, removed by Close.
	Dir string
	// Now is the clock for INTERNALDATE and Received; nil means time.Now.
	Now func() time.Time
	// Fault may be nil. See the type.
	Fault Fault
	// Delivered, if not nil, is called after mail for rcpt is stored, on the goroutine that stored it.
	Delivered func(rcpt string)
	// Log takes what the protocol libraries report; nil discards it.
	Log *log.Logger
}

// Server serves SMTP and IMAP on the listeners given to it. It is safe for concurrent use.
type Server struct {
	opt   Options
	store *store
	cert  tls.Certificate
	pem   []byte
	smtp  *smtp.Server
	imap  *imapserver.Server
	temp  string // removed by Close, "" when the caller named the directory

	mu        sync.Mutex
	closed    bool
	listeners []net.Listener
}

// ErrClosed is returned by Serve methods after Close.
var ErrClosed = errors.New("mailserver: closed")

// Open restores the mailboxes of o.Dir. The caller must Close the server.
func Open(o Options) (*Server, error) {
	s := &Server{opt: o}
	if s.opt.Now == nil {
		s.opt.Now = time.Now
	}
	if s.opt.Log == nil {
		s.opt.Log = log.New(io.Discard, "", 0)
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "mailserver-")
		if err != nil {
			return nil, err
		}
		s.opt.Dir, s.temp = dir, dir
	}
	if err := s.open(); err != nil {
		s.removeTemp()
		return nil, err
	}
	return s, nil
}

func (s *Server) open() error {
	var err error
	if s.store, err = openStore(s.opt.Dir, s.opt.Now); err != nil {
		return err
	}
	if s.cert, s.pem, err = certificate(s.opt.Dir); err != nil {
		s.store.close()
		return err
	}
	s.smtp = newSMTP(s)
	s.imap = newIMAP(s)
	return nil
}

// ServeSMTP answers SMTP on ln until Close. A listener from tls.NewListener with TLSConfig makes it implicit TLS.
func (s *Server) ServeSMTP(ln net.Listener) error {
	if !s.register(ln) {
		return ErrClosed
	}
	return s.smtp.Serve(ln)
}

// ServeIMAP answers IMAP on ln until Close.
func (s *Server) ServeIMAP(ln net.Listener) error {
	if !s.register(ln) {
		return ErrClosed
	}
	return s.imap.Serve(ln)
}

// register keeps the listener so that Close finds it even when the library's Serve has not seen it yet.
func (s *Server) register(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		ln.Close()
		return false
	}
	s.listeners = append(s.listeners, ln)
	return true
}

// Close ends all connections and writes nothing more. A second Close does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for _, ln := range s.listeners {
		ln.Close()
	}
	s.mu.Unlock()
	// The libraries complain about listeners that are closed already; what matters is that their connections end.
	s.smtp.Close()
	s.imap.Close()
	err := s.store.close()
	s.removeTemp()
	return err
}

func (s *Server) removeTemp() {
	if s.temp != "" {
		os.RemoveAll(s.temp)
	}
}

// CertPEM is the server's self-signed certificate, for a client's pool of roots. It names localhost, mail.localhost,
// 127.0.0.1 and ::1, and stays the same as long as Options.Dir does.
func (s *Server) CertPEM() []byte { return s.pem }

// TLSConfig serves the certificate of CertPEM.
func (s *Server) TLSConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12}
}

// Deliver puts one mail into the INBOX of each recipient without the network. With a non-empty from it gets the
// headers that SMTP adds; with an empty one it is stored byte for byte.
func (s *Server) Deliver(from string, rcpts []string, raw io.Reader) error {
	e := envelope{from: from, rcpts: rcpts, protocol: "local", helo: "localhost"}
	if from == "" {
		e.bare = true
	}
	_, err := s.deliver(e, raw)
	return err
}
