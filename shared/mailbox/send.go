package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"

	"emailchannel.dev/emailchannel/shared/fault"
	"github.com/emersion/go-smtp"
)

// Receipt is what the server said to a mail that it took.
type Receipt struct {
	// Response is its final answer, which usually holds its queue ID: "2.0.0 OK: queued as ABC".
	Response string
	// Refused has the recipients that it did not take, when it took others. Send also fills it when it took none.
	Refused map[string]*ServerError
}

// Send transfers one mail. msg must be a whole mail; bare LF becomes CRLF. It is not read before the server asks for it and
// is never read twice.
//
// Errors: a *ServerError is the server's answer, and is permanent in the sense of package fault when it is a 5xx about
// this mail. ErrUncertain means that the server may have the mail. After any other error it has not. When every recipient
// was refused the error is the first temporary refusal, or else the first one.
func (s *Sender) Send(ctx context.Context, server Server, login Login, e Envelope, msg io.Reader) (Receipt, error) {
	if err := e.Validate(); err != nil {
		return Receipt{}, err
	}
	key := poolKey{server, login}
	for {
		c, err := s.get(ctx, key)
		if err != nil {
			return Receipt{}, err
		}
		t := &transfer{conn: c, envelope: e}
		receipt, err := t.run(ctx, msg)
		if err == nil {
			s.put(key, c)
			return receipt, nil
		}
		t.end(err)
		if c.reused && !t.begun && ctx.Err() == nil && c.stale(err) {
			s.drop(key) // its siblings have been idle as long
			continue
		}
		return receipt, fmt.Errorf("%s: %w", server, because(ctx, err))
	}
}

// transfer is one mail on one connection.
type transfer struct {
	conn     *smtpConn
	envelope Envelope
	begun    bool // content has been sent
	answered bool // and so has the answer to it
}

func (t *transfer) run(ctx context.Context, msg io.Reader) (Receipt, error) {
	stop := context.AfterFunc(ctx, func() { t.conn.raw.Close() })
	receipt, err := t.steps(msg)
	if !stop() && err == nil {
		t.conn.spent = true // the mail is accepted, but the connection is closed or about to be
	}
	return receipt, err
}

// end gives up the connection after a failed mail. A server that refused is told goodbye, as some count those who hang up;
// but in the middle of the content go-smtp would end that first, and half a mail would be sent.
func (t *transfer) end(err error) {
	var answer *ServerError
	if errors.As(err, &answer) && answer.Code != 421 && (!t.begun || t.answered) {
		t.conn.quit()
		return
	}
	t.conn.raw.Close()
}

func (t *transfer) steps(msg io.Reader) (Receipt, error) {
	var receipt Receipt
	options, err := t.options()
	if err != nil {
		return receipt, err
	}
	client := t.conn.client
	if err := client.Mail(t.envelope.From, options); err != nil {
		return receipt, mailError("MAIL", err)
	}
	if receipt.Refused, err = t.recipients(); err != nil {
		return receipt, err
	}
	content, err := client.Data()
	if err != nil {
		return receipt, mailError("DATA", err)
	}
	t.begun, t.conn.raw.content = true, true
	if _, err := io.Copy(content, msg); err != nil {
		return receipt, fmt.Errorf("content: %w", err)
	}
	receipt.Response, err = t.finish(content)
	return receipt, err
}

// options are the ESMTP parameters. go-smtp adds BODY=8BITMIME wherever it is offered; content of eight bits goes to a
// server without it as it is, which is all that anybody does.
func (t *transfer) options() (*smtp.MailOptions, error) {
	o := &smtp.MailOptions{Size: t.envelope.Size}
	if limit, ok := t.conn.client.MaxMessageSize(); ok {
		if err := t.envelope.tooBig(int64(limit)); err != nil {
			return nil, err
		}
	}
	if o.UTF8 = t.envelope.international(); o.UTF8 {
		if ok, _ := t.conn.client.Extension("SMTPUTF8"); !ok {
			return nil, fault.Permanent(&ServerError{Code: 553, Enhanced: "5.6.7", Command: "MAIL",
				Message: "server does not take addresses outside of ASCII"})
		}
	}
	return o, nil
}

// recipients names them to the server. It fails when none was taken.
func (t *transfer) recipients() (map[string]*ServerError, error) {
	var refused map[string]*ServerError
	var worst error
	for i, to := range t.envelope.To {
		err := t.conn.client.Rcpt(to, nil)
		if err == nil {
			continue
		}
		var answer *ServerError
		if err = serverError("RCPT", err); !errors.As(err, &answer) {
			return nil, err
		}
		answer.first = answer.Code == 552 && len(refused) == i
		err = permanently(err, answer)
		if refused == nil {
			refused = map[string]*ServerError{}
		}
		refused[to] = answer
		if worst == nil || answer.Temporary() && fault.IsPermanent(worst) {
			worst = err
		}
		if answer.Code == 421 {
			return refused, err // the server is closing the connection
		}
	}
	if len(refused) == len(t.envelope.To) {
		return refused, worst
	}
	return refused, nil
}

// finish sends the end of the content and waits for the answer.
func (t *transfer) finish(content *smtp.DataCommand) (string, error) {
	response, err := content.CloseWithResponse()
	if err == nil {
		return response.StatusText, nil
	}
	err = mailError("DATA", err)
	var answer *ServerError
	switch {
	case errors.As(err, &answer) && answer.Code/100 == 2:
		return answer.Message, nil // go-smtp knows only 250
	case errors.As(err, &answer):
		t.answered = true
		return "", err
	case t.conn.raw.failed:
		return "", err
	}
	return "", fmt.Errorf("%w: %w", ErrUncertain, err)
}
