package channel

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
)

// Push takes mail that a provider delivers over HTTP (AC-9). From the archive
// on it goes the way of polled mail.
type Push struct {
	Docs    Docs
	Archive Archive
	Bus     Bus
	Secrets Secrets
	Config  *Configuration
	Now     Clock
}

// Proof is what a request proves its origin with: the HMAC-SHA-256 of the
// time, a dot and the mail, under the account's push key.
type Proof struct {
	Time      string // seconds since 1970, as sent
	Signature string // "v1=" and the HMAC in hex
}

const (
	proofValid = 5 * time.Minute // how far the time may be off
	minPushKey = 16              // bytes
	// MaxPush is the largest mail in bytes that may be pushed: what a
	// function's request can hold.
	MaxPush = 32 << 20
)

// Errors of [Push.Handle], besides [ErrNotFound].
var (
	ErrUnproven = errors.New("the request is not signed with the account's push key, or too old")
	ErrTooLarge = errors.New("the mail is too large")
	ErrOff      = errors.New("the channel is off")
)

// Handle archives the mail and publishes its pointer. The same request again
// is the same mail; so is, for Receive, the same mail in another request. With
// the channel OFF it refuses, and the provider keeps the mail (CH-1).
func (p *Push) Handle(ctx context.Context, account string, proof Proof, mail io.Reader) error {
	cat, err := p.Config.Load(ctx)
	if err != nil {
		return err
	}
	if !cat.Email {
		return ErrOff
	}
	a, ok := cat.Accounts[account]
	if _, used := cat.QueueOf(account); !ok || !used || a.OutboundOnly {
		return notFound("account", account)
	}
	body, err := p.checked(ctx, a, proof, mail)
	if err != nil {
		return err
	}
	e := event.Received{Source: event.Source{Account: a.ID, Push: digest(proof.Time, proof.Signature)}, ReceivedAt: p.Now().UTC()}
	e.Object = rawObject(e.Source)
	if err := p.Archive.Put(ctx, e.Object, "message/rfc822", body); err != nil {
		return fmt.Errorf("archive %s: %w", e.Object, err)
	}
	if err := body.finish(); err != nil { // an object that was there is not read
		return err
	}
	e.Size = body.n
	fault.Step(ctx, "push.archived")
	if err := p.Bus.Publish(ctx, event.TopicReceived, event.Encode(e)); err != nil {
		return fmt.Errorf("publish %s: %w", e.Object, err)
	}
	fault.Step(ctx, "push.published")
	return nil
}

// checked is the mail as a reader that fails at its end when the signature is
// not that of what was read, so that nothing of it is stored.
func (p *Push) checked(ctx context.Context, a Account, proof Proof, mail io.Reader) (*signed, error) {
	secret, err := p.Secrets.Get(ctx, a.Secret)
	if err != nil {
		return nil, fmt.Errorf("push key of account %s: %w", a.ID, err)
	}
	key := ParseCredentials(secret).PushKey
	seconds, err := strconv.ParseInt(proof.Time, 10, 64)
	want, hexErr := hex.DecodeString(strings.TrimPrefix(proof.Signature, "v1="))
	if age := p.Now().Sub(time.Unix(seconds, 0)).Abs(); key == "" || err != nil || hexErr != nil || len(want) != sha256.Size || age > proofValid {
		return nil, ErrUnproven
	}
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s.", proof.Time)
	return &signed{r: mail, mac: mac, want: want}, nil
}

// signed reads a mail of at most MaxPush bytes and compares its HMAC at the end.
type signed struct {
	r    io.Reader
	mac  hash.Hash
	want []byte
	n    int64
	end  error
}

func (s *signed) Read(b []byte) (int, error) {
	if s.end != nil {
		return 0, s.end
	}
	n, err := s.r.Read(b)
	s.mac.Write(b[:n])
	s.n += int64(n)
	switch {
	case s.n > MaxPush:
		err = ErrTooLarge
	case err == io.EOF && subtle.ConstantTimeCompare(s.mac.Sum(nil), s.want) == 0:
		err = ErrUnproven
	}
	if s.end = err; err != nil && err != io.EOF {
		return 0, err
	}
	return n, err
}

// finish reads what is left.
func (s *signed) finish() error {
	_, err := io.Copy(io.Discard, s)
	return err
}
