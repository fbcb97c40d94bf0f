package mailserver

import (
	"errors"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
)

func newIMAP(s *Server) *imapserver.Server {
	return imapserver.New(&imapserver.Options{
		NewSession: func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			session := &imapSession{server: s, store: s.store, conn: c}
			if err := session.refused("connect"); err != nil {
				return nil, nil, &imap.Error{Type: imap.StatusResponseTypeBye, Text: err.Error()}
			}
			return session, nil, nil
		},
		Caps: imap.CapSet{
			imap.CapIMAP4rev1: {}, imap.CapUIDPlus: {}, imap.CapMove: {}, imap.CapNamespace: {},
			imap.CapSpecialUse: {}, imap.CapStatusSize: {}, imap.CapLiteralPlus: {},
		},
		Logger:       s.opt.Log,
		TLSConfig:    s.TLSConfig(),
		InsecureAuth: true,
	})
}

// imapSession is one connection. The library calls one method at a time.
type imapSession struct {
	server *Server
	store  *store
	conn   *imapserver.Conn
	user   string

	// The selected folder, nil when there is none.
	folder   *folder
	view     *imapserver.SessionTracker
	readOnly bool
}

var (
	_ imapserver.SessionSASL      = (*imapSession)(nil)
	_ imapserver.SessionMove      = (*imapSession)(nil)
	_ imapserver.SessionNamespace = (*imapSession)(nil)
)

// refused asks Options.Fault and returns the answer to give. ErrDrop has closed the connection when it returns.
func (s *imapSession) refused(op string) error {
	err := s.server.fault("imap", op)
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrDrop) {
		s.conn.NetConn().Close()
	}
	return imapAnswer(err)
}

func (s *imapSession) Close() error {
	if s.view != nil {
		s.view.Close()
	}
	return nil
}

// Login also serves every SASL mechanism.
func (s *imapSession) Login(user, secret string) error {
	if err := s.refused("login"); err != nil {
		return err
	}
	if !authentic(user, secret) {
		return imapserver.ErrAuthFailed
	}
	s.user = address(user)
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	_, err := s.store.folder(s.user, inbox)
	return err
}

func (s *imapSession) AuthenticateMechanisms() []string { return mechanisms() }

func (s *imapSession) Authenticate(mech string) (sasl.Server, error) {
	if server := saslServer(mech, s.Login); server != nil {
		return server, nil
	}
	return nil, no("", "SASL mechanism not supported")
}

func (s *imapSession) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: delim}}}, nil
}

func (s *imapSession) Select(name string, o *imap.SelectOptions) (*imap.SelectData, error) {
	if err := s.refused("select"); err != nil {
		return nil, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	f, err := s.store.folder(s.user, name)
	if err != nil {
		return nil, no(imap.ResponseCodeNonExistent, "No such mailbox")
	}
	s.folder, s.view, s.readOnly = f, f.tracker.NewSession(), o.ReadOnly
	flags := []imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft}
	d := &imap.SelectData{Flags: flags, NumMessages: uint32(len(f.messages)), UIDNext: f.next, UIDValidity: f.validity}
	if !o.ReadOnly {
		d.PermanentFlags = append(flags[:len(flags):len(flags)], imap.FlagWildcard)
	}
	for i, m := range f.messages {
		if !m.has(imap.FlagSeen) {
			d.FirstUnseenSeqNum = uint32(i + 1)
			break
		}
	}
	return d, nil
}

func (s *imapSession) Unselect() error {
	s.view.Close()
	s.folder, s.view = nil, nil
	return nil
}

func (s *imapSession) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.view == nil {
		return nil
	}
	return s.view.Poll(w, allowExpunge)
}

func (s *imapSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if s.view == nil {
		<-stop
		return nil
	}
	// The tracker tells only what comes from now on.
	if err := s.view.Poll(w, true); err != nil {
		return err
	}
	return s.view.Idle(w, stop)
}

func no(code imap.ResponseCode, text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}
