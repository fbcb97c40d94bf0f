package mailserver

import (
	"bytes"
	"crypto/subtle"

	"github.com/emersion/go-sasl"
)

func mechanisms() []string { return []string{"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"} }

// saslServer returns nil for a mechanism that is not in mechanisms.
func saslServer(mech string, check func(user, secret string) error) sasl.Server {
	switch mech {
	case "PLAIN":
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) })
	case "LOGIN":
		return &loginServer{check: check}
	case "XOAUTH2":
		return &xoauth2Server{check: check}
	case "OAUTHBEARER":
		return &bearerServer{check: check}
	}
	return nil
}

// authentic tells whether secret is the demo password or token. Every user exists.
func authentic(user, secret string) bool {
	return user != "" && subtle.ConstantTimeCompare([]byte(secret), []byte(Password)) == 1
}

// loginServer is the obsolete LOGIN mechanism (draft-murchison-sasl-login), which mail clients still try.
type loginServer struct {
	check func(user, secret string) error
	user  *string
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case l.user == nil:
		user := string(response)
		l.user = &user
		return []byte("Password:"), false, nil
	default:
		return nil, true, l.check(*l.user, string(response))
	}
}

// xoauth2Server follows https://developers.google.com/workspace/gmail/imap/xoauth2-protocol: a refusal is first a
// challenge with JSON, and the failure after the client's empty answer.
type xoauth2Server struct {
	check  func(user, secret string) error
	failed error
}

func (x *xoauth2Server) Next(response []byte) ([]byte, bool, error) {
	if x.failed != nil {
		return nil, true, x.failed
	}
	if response == nil {
		return []byte{}, false, nil
	}
	user, token := "", ""
	for field := range bytes.SplitSeq(response, []byte{1}) {
		if v, ok := bytes.CutPrefix(field, []byte("user=")); ok {
			user = string(v)
		}
		if v, ok := bytes.CutPrefix(field, []byte("auth=Bearer ")); ok {
			token = string(v)
		}
	}
	if x.failed = x.check(user, token); x.failed != nil {
		return []byte(`{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`), false, nil
	}
	return nil, true, nil
}

// bearerServer is OAUTHBEARER (RFC 7628). go-sasl's own hides the error of the check from the protocol's answer.
type bearerServer struct {
	check  func(user, secret string) error
	failed error
	inner  sasl.Server
}

func (b *bearerServer) Next(response []byte) ([]byte, bool, error) {
	if b.inner == nil {
		b.inner = sasl.NewOAuthBearerServer(func(o sasl.OAuthBearerOptions) *sasl.OAuthBearerError {
			if b.failed = b.check(o.Username, o.Token); b.failed != nil {
				return &sasl.OAuthBearerError{Status: "invalid_token", Schemes: "bearer"}
			}
			return nil
		})
	}
	challenge, done, err := b.inner.Next(response)
	if err != nil && b.failed != nil {
		err = b.failed
	}
	return challenge, done, err
}
