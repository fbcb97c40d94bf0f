package mailbox_test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/mailbox"
)

// echo is an IMAP server that repeats what it refuses: the command, or what was sent after its challenge.
func echo(t *testing.T, capabilities, challenge string) mailbox.Server {
	return serve(t, func(conn net.Conn) {
		fmt.Fprintf(conn, "* OK [CAPABILITY IMAP4rev1 %s] ready\r\n", capabilities)
		in := bufio.NewScanner(conn)
		for in.Scan() {
			tag, command, _ := strings.Cut(in.Text(), " ")
			switch {
			case strings.HasPrefix(command, "CAPABILITY"):
				fmt.Fprintf(conn, "* CAPABILITY IMAP4rev1 %s\r\n%s OK\r\n", capabilities, tag)
				continue
			case strings.HasPrefix(command, "AUTHENTICATE") && !strings.Contains(capabilities, "SASL-IR"):
				fmt.Fprint(conn, "+ \r\n")
				in.Scan()
				command = in.Text()
			}
			if challenge != "" {
				fmt.Fprintf(conn, "+ %s\r\n", base64.StdEncoding.EncodeToString([]byte(challenge)))
				in.Scan()
			}
			fmt.Fprintf(conn, "%s BAD cannot parse: %s\r\n", tag, command)
		}
	})
}

// echoSMTP answers with a code, or only with what it was sent, which is no SMTP.
func echoSMTP(t *testing.T, mechanism, code string) mailbox.Server {
	return smtpScript(t, func(command string) string {
		switch verb, rest, _ := strings.Cut(command, " "); {
		case verb == "EHLO":
			return "250-me\r\n250 AUTH " + mechanism
		case verb == "AUTH" && strings.HasPrefix(rest, "LOGIN"):
			return "334 VXNlcm5hbWU6"
		case command == base64.StdEncoding.EncodeToString([]byte(user)):
			return "334 UGFzc3dvcmQ6"
		}
		return code + "unknown: " + command
	})
}

// Some servers repeat the command in the answer that refuses it. What an account's error shows has no secret in any form (AC-2).
func TestAnswersThatRepeatSecrets(t *testing.T) {
	const secret = `pa\ss"w0rd`
	password := mailbox.Login{User: user, Password: secret}
	xoauth2 := mailbox.Login{User: user, Token: "t0ken/long+er=", Mechanism: mailbox.MechanismXOAuth2}
	bearer := mailbox.Login{User: user, Token: "t0ken/long+er=", Mechanism: mailbox.MechanismOAuthBearer}
	d := &mailbox.Dialer{AllowInsecure: true}
	for name, c := range map[string]struct {
		server mailbox.Server
		login  mailbox.Login
		want   string
	}{
		"LOGIN":               {server: echo(t, "UIDPLUS", ""), login: password, want: `LOGIN: BAD cannot parse: LOGIN`},
		"PLAIN":               {server: echo(t, "AUTH=PLAIN", ""), login: password, want: "AUTHENTICATE: BAD cannot parse: …"},
		"PLAIN at once":       {server: echo(t, "AUTH=PLAIN SASL-IR", ""), login: password, want: "BAD cannot parse: AUTHENTICATE PLAIN …"},
		"XOAUTH2":             {server: echo(t, "AUTH=XOAUTH2 SASL-IR", ""), login: xoauth2, want: "BAD cannot parse: AUTHENTICATE XOAUTH2 …"},
		"OAUTHBEARER":         {server: echo(t, "AUTH=OAUTHBEARER SASL-IR", ""), login: bearer, want: "BAD cannot parse: AUTHENTICATE OAUTHBEARER …"},
		"reason":              {server: echo(t, "AUTH=XOAUTH2 SASL-IR", `{"token":"`+xoauth2.Token+`"}`), login: xoauth2, want: `{"token":"…"}`},
		"SMTP PLAIN":          {server: echoSMTP(t, "PLAIN", "535 "), login: password, want: "AUTH: 535 unknown: AUTH PLAIN …"},
		"SMTP LOGIN":          {server: echoSMTP(t, "LOGIN", "535 "), login: password, want: "AUTH: 535 unknown: …"},
		"SMTP XOAUTH2":        {server: echoSMTP(t, "XOAUTH2", "535 "), login: xoauth2, want: "AUTH: 535 unknown: AUTH XOAUTH2 …"},
		"SMTP without a code": {server: echoSMTP(t, "PLAIN", ""), login: password, want: "AUTH PLAIN …"},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			if strings.HasPrefix(name, "SMTP") {
				err = d.VerifySMTP(t.Context(), c.server, c.login)
			} else {
				err = d.VerifyIMAP(t.Context(), c.server, c.login, nil)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, not %q", err, c.want)
			}
			said := err.Error()
			var imap *mailbox.Refusal
			var smtp *mailbox.ServerError
			if errors.As(err, &imap) {
				said += imap.Answer
			} else if errors.As(err, &smtp) {
				said += smtp.Message
			} else if name != "SMTP without a code" {
				t.Errorf("%T", err)
			}
			for _, part := range []string{secret, `w0rd`, "t0ken", base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + secret))[:16], base64.StdEncoding.EncodeToString([]byte(secret))[:8]} {
				if strings.Contains(said, part) {
					t.Errorf("%q has %q", said, part)
				}
			}
		})
	}
}
