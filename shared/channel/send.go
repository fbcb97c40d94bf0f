package channel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/session"
)

// OutState is where a mail of ours stands on its way out (AG-3).
type OutState string

const (
	Queued    OutState = "queued"    // not yet given to the server; tried until it is
	Sending   OutState = "sending"   // its content is being given to the server
	Accepted  OutState = "accepted"  // the server took it
	Rejected  OutState = "rejected"  // the server refused it for good, or too long
	Uncertain OutState = "uncertain" // the server may have it; people or a report decide
)

// Outbound is a mail on its way out: outbound/{ID}.
type Outbound struct {
	ID        string            `json:"id"`
	State     OutState          `json:"state"`
	Session   string            `json:"session"`
	Message   string            `json:"message"`
	Account   string            `json:"account"`
	Agent     string            `json:"agent,omitempty"`
	Asked     string            `json:"asked,omitempty"` // digest of what the agent's call asked for: the same key with another one is refused
	Auto      bool              `json:"auto"`
	From      string            `json:"from"`
	To        []string          `json:"to"`                // envelope recipients
	ToHash    string            `json:"to_hash,omitempty"` // of an auto-response's recipient, for the cap
	Object    string            `json:"object"`
	Size      int64             `json:"size"`
	Attempts  int               `json:"attempts"`
	Due       time.Time         `json:"due"`             // queued: next try; sending: when it counts as uncertain; accepted, uncertain: next look into the Sent folder
	Looks     int               `json:"looks,omitempty"` // into the Sent folder
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
	Answer    string            `json:"answer,omitempty"`  // the server's last words
	Results   map[string]Result `json:"results,omitempty"` // by recipient, of those that are done
	Bounced   string            `json:"bounced,omitempty"`
	BouncedAt time.Time         `json:"bounced_at,omitzero"`
}

// Sender gives a mail to an account's server. It reads msg only after the
// server has asked for the content; an error of that read ends the attempt
// before the mail is complete. The receipt tells who was refused, also with an
// error.
type Sender interface {
	Send(ctx context.Context, a Account, secret, from string, to []string, size int64, msg io.Reader) (Receipt, error)
}

// Errors of a Sender; any other is worth another try.
var (
	ErrRejected  = errors.New("the server refused the mail for good")
	ErrUncertain = errors.New("the server may or may not have taken the mail")
)

// Send delivers outbound mail, each at most once automatically after its
// content was begun.
type Send struct {
	Docs    Docs
	Archive Archive
	Secrets Secrets
	Mail    Sender
	Folder  SentFolder
	Config  *Configuration
	Now     Clock
}

const (
	sendLease = 10 * time.Minute   // longer than any attempt
	sendFor   = 5 * 24 * time.Hour // 4xx answers are retried that long (RFC 5321 4.5.4.1)
	sendTries = 8                  // and that often, as the channel may have been OFF for the time: some two hours
	sendFirst = time.Minute        // back-off of the first retry, doubled each time
	sendMost  = 2 * time.Hour      // and at most this
)

// try is one attempt to deliver a mail that was read as queued. Until it has
// claimed the mail, another attempt may be at it, and whatever this one learns
// counts only if the mail is still as it was read.
type try struct {
	*Outbound
	version time.Time
	claimed bool
}

func (t *try) patch(tx Tx, fields map[string]any) {
	if t.claimed {
		tx.Patch(outboundPath(t.ID), fields)
		return
	}
	tx.PatchAt(outboundPath(t.ID), t.version, fields)
}

// Handle makes one attempt if the mail is still queued, or one look into the
// folder of sent mail if that is due.
func (s *Send) Handle(ctx context.Context, e event.Outbound) error {
	o := &try{Outbound: &Outbound{}}
	ref := &Ref{Path: outboundPath(e.ID), Into: o.Outbound}
	if err := s.Docs.Get(ctx, ref); err != nil || !ref.Found || o.State == Sending || o.State == Rejected || o.Due.IsZero() {
		return err
	}
	o.version = ref.Version
	cat, err := s.Config.Load(ctx)
	if err != nil {
		return err
	}
	if !cat.Email { // CH-1: it is due at once for the sweep that ON asks for
		return s.Docs.Write(ctx, func(tx Tx) { o.patch(tx, map[string]any{"due": s.Now().UTC()}) })
	}
	a, ok := cat.Accounts[o.Account]
	switch {
	case o.State != Queued:
		return s.look(ctx, a, o)
	case !ok:
		return s.finish(ctx, a, o, Rejected, "account "+o.Account+" does not exist")
	}
	return s.deliver(ctx, a, o)
}

func (s *Send) deliver(ctx context.Context, a Account, o *try) error {
	receipt, err := s.attempt(ctx, a, o)
	fault.Step(ctx, "send.answered")
	if errors.Is(err, ErrChanged) { // another attempt has it, or Sweep noted that it asked for this one: look again
		return err
	}
	answer := receipt.Answer
	if err != nil {
		answer = err.Error()
	}
	if errors.Is(err, ErrUncertain) {
		return s.finish(ctx, a, o, Uncertain, answer)
	}
	late := s.Now().Sub(o.CreatedAt) > sendFor && o.Attempts+1 >= sendTries
	left := o.settle(receipt, err, late || errors.Is(err, ErrRejected))
	switch {
	case left > 0:
		return s.later(ctx, o, answer)
	case o.taken():
		return s.finish(ctx, a, o, Accepted, answer)
	}
	return s.finish(ctx, a, o, Rejected, answer)
}

func (s *Send) attempt(ctx context.Context, a Account, o *try) (Receipt, error) {
	secret, err := s.Secrets.Get(ctx, a.Secret)
	if err != nil {
		return Receipt{}, fmt.Errorf("secret of account %s: %w", a.ID, err)
	}
	body, err := s.Archive.Open(ctx, o.Object)
	if err != nil {
		return Receipt{}, fmt.Errorf("open %s: %w", o.Object, err)
	}
	defer body.Close()
	fault.Step(ctx, "send.connecting")
	return s.Mail.Send(ctx, a, secret, o.envelope(a), o.left(), o.Size, &claiming{Reader: body, claim: func() error { return s.claim(ctx, o) }})
}

// envelope is the address to which a server reports what became of the mail.
func (o *Outbound) envelope(a Account) string {
	if a.VERP {
		return cmp.Or(email.VERP(o.ID, a.Address), o.From)
	}
	return o.From
}

// claiming claims the mail at the moment the server wants its content.
type claiming struct {
	io.Reader
	claim func() error
	done  bool
}

func (c *claiming) Read(b []byte) (int, error) {
	if !c.done {
		if err := c.claim(); err != nil {
			return 0, err
		}
		c.done = true
	}
	return c.Reader.Read(b)
}

// claim moves the mail from queued to sending, if nothing has changed since it
// was read as queued. Whoever does not get it sends nothing.
func (s *Send) claim(ctx context.Context, o *try) error {
	now := s.Now().UTC()
	err := s.Docs.Write(ctx, func(tx Tx) {
		o.patch(tx, map[string]any{"state": Sending, "attempts": Inc(1), "due": now.Add(sendLease), "updated_at": now})
	})
	o.claimed = err == nil
	fault.Step(ctx, "send.claimed")
	return err
}

// later puts the mail back with a back-off, for the recipients that are left.
func (s *Send) later(ctx context.Context, o *try, answer string) error {
	wait := min(sendFirst<<min(o.Attempts, 10), sendMost)
	now := s.Now().UTC()
	return s.Docs.Write(ctx, func(tx Tx) {
		o.patch(tx, map[string]any{"state": Queued, "attempts": o.Attempts + 1, "due": now.Add(wait), "updated_at": now, "answer": answer, "results": o.Results})
	})
}

// finish stores the outcome; what failed of an agent's mail is told to him by
// the session's history. A look into the folder of sent mail may follow.
func (s *Send) finish(ctx context.Context, a Account, o *try, state OutState, answer string) error {
	now := s.Now().UTC()
	fields := map[string]any{"state": state, "due": nil, "updated_at": now, "answer": answer, "results": o.Results}
	copied := state == Accepted && a.Sent.Copy
	if copied || state == Uncertain && !a.OutboundOnly && a.ID != "" {
		fields["due"] = now.Add(lookAfter[0])
	}
	failed := o.failed()
	var h History
	if state != Accepted || failed != "" {
		h = History{ID: "send-" + o.ID, Session: o.Session, Kind: session.KindSendFailed, At: now, Actor: ActorChannel, Agent: o.Agent, Message: o.Message, To: string(state), Note: cmp.Or(failed, answer)}
	}
	err := s.conclude(ctx, o, state, func(tx Tx) {
		o.patch(tx, fields)
		if h.ID != "" {
			tx.Set(historyPath(h.Session, h.ID), h)
		}
		if state == Accepted {
			alias(tx, o.Outbound, renamed(a.Outgoing, answer), now)
		}
	})
	if err != nil || !copied {
		return err
	}
	o.State, o.claimed = Accepted, true
	if err := s.look(ctx, a, o); err != nil {
		slog.WarnContext(ctx, "the copy will be filed later", "outbound", o.ID, "error", err)
	}
	return nil
}

// conclude writes the outcome of an attempt. One that nobody knows is not
// written where a report has told meanwhile that the server had the mail.
func (s *Send) conclude(ctx context.Context, o *try, state OutState, write func(Tx)) error {
	if state != Uncertain || !o.claimed {
		return s.Docs.Write(ctx, write)
	}
	return s.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, err := get[Outbound](ctx, tx, outboundPath(o.ID))
		if err == nil && have != nil && have.State == Sending {
			write(tx)
		}
		return err
	})
}
