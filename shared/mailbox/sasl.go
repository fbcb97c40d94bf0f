package mailbox

import (
	"errors"
	"fmt"
	"slices"

	"github.com/emersion/go-sasl"
)

// saslClient picks the mechanism for the login among those that the server offers.
func saslClient(l Login, s Server, offered func(mech string) bool) (*mechanism, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	choices, err := mechanisms(l, s)
	if err != nil {
		return nil, err
	}
	for _, m := range choices {
		if offered(m.name) {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%w %s", errNotOffered, choices[0].name)
}

// mechanisms are those that can be used for the login, the best first.
func mechanisms(l Login, s Server) ([]*mechanism, error) {
	switch l.Mechanism {
	case MechanismXOAuth2:
		return []*mechanism{{name: "XOAUTH2", answers: [][]byte{
			[]byte("user=" + l.User + "\x01auth=Bearer " + l.Token + "\x01\x01"), {}}, token: true}}, nil
	case MechanismOAuthBearer:
		_, first, err := sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{
			Username: l.User, Token: l.Token, Host: s.Host, Port: s.Port}).Start()
		if err != nil {
			return nil, err
		}
		return []*mechanism{{name: sasl.OAuthBearer, answers: [][]byte{first, {1}}, token: true}}, nil
	}
	return []*mechanism{
		{name: sasl.Plain, answers: [][]byte{[]byte("\x00" + l.User + "\x00" + l.Password)}},
		{name: sasl.Login, answers: [][]byte{nil, []byte(l.User), []byte(l.Password)}},
	}, nil
}

var errNotOffered = errors.New("server does not offer AUTH")

// mechanism is a SASL client whose answers are known beforehand. The token mechanisms get a challenge only when the
// server refuses: it is the reason, as JSON, and must be answered before the server says so (RFC 7628 §3.2.3 with ^A,
// XOAUTH2 with nothing).
type mechanism struct {
	name    string
	answers [][]byte // the first is the initial response, nil for none
	token   bool
	reason  string
	asked   int
}

func (m *mechanism) Start() (string, []byte, error) { return m.name, m.answers[0], nil }

func (m *mechanism) Next(challenge []byte) ([]byte, error) {
	if m.token && len(challenge) > 0 {
		m.reason = string(challenge)
	}
	if m.asked++; m.asked >= len(m.answers) {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	return slices.Clone(m.answers[m.asked]), nil
}

// explain adds the reason that came in a challenge to the server's answer.
func (m *mechanism) explain(err error) error {
	if err == nil || m.reason == "" {
		return err
	}
	return fmt.Errorf("%w %s", err, m.reason)
}
