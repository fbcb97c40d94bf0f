package channel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
)

// relay is a mail server that follows a script: an answer per attempt.
type relay struct {
	answers []func(to []string) (channel.Receipt, error)
	to      [][]string // of each attempt
}

func (r *relay) Send(_ context.Context, _ channel.Account, _, _ string, to []string, _ int64, msg io.Reader) (channel.Receipt, error) {
	r.to = append(r.to, to)
	answer := r.answers[0]
	r.answers = r.answers[1:]
	if _, err := io.Copy(io.Discard, msg); err != nil {
		return channel.Receipt{}, err
	}
	return answer(to)
}

func took([]string) (channel.Receipt, error) { return channel.Receipt{Answer: "2.0.0 queued"}, nil }

func refuse(temporary bool, who ...string) func([]string) (channel.Receipt, error) {
	return func(to []string) (channel.Receipt, error) {
		r := channel.Receipt{Answer: "2.0.0 queued", Refused: map[string]channel.Refusal{}}
		for _, addr := range who {
			r.Refused[addr] = channel.Refusal{Status: "4.2.2", Answer: "full", Temporary: temporary}
			if !temporary {
				r.Refused[addr] = channel.Refusal{Status: "5.1.1", Answer: "unknown"}
			}
		}
		if len(r.Refused) < len(to) {
			return r, nil
		}
		if temporary {
			return r, errors.New("RCPT: 452 4.2.2 full")
		}
		return r, fmt.Errorf("RCPT: 550 5.1.1 unknown: %w", channel.ErrRejected)
	}
}

func fails(err error) func([]string) (channel.Receipt, error) {
	return func([]string) (channel.Receipt, error) { return channel.Receipt{}, err }
}

// AG-3: what each answer of the server makes of a mail to two people.
func TestSendOutcomes(t *testing.T) {
	const a, b = "a@customer.example", "b@customer.example"
	down := errors.New("CONNECT: connection refused")
	full := errors.New("DATA: 452 4.3.1 no space")
	unknown := fmt.Errorf("DATA: 554 5.7.1 spam: %w", channel.ErrRejected)
	nobody := fmt.Errorf("no answer: %w", channel.ErrUncertain)
	for _, c := range []struct {
		name    string
		answers []func([]string) (channel.Receipt, error)
		wait    time.Duration // before the last attempt
		tries   int           // by then
		state   channel.OutState
		to      [][]string // of each attempt
		results map[string]channel.OutState
	}{
		{name: "accepted", answers: list(took), state: channel.Accepted, to: [][]string{{a, b}}, results: both(channel.Accepted)},
		{name: "server down, then accepted", answers: list(fails(down), took), state: channel.Accepted, to: [][]string{{a, b}, {a, b}}, results: both(channel.Accepted)},
		{name: "4xx to the content, then accepted", answers: list(fails(full), took), state: channel.Accepted, to: [][]string{{a, b}, {a, b}}, results: both(channel.Accepted)},
		{name: "4xx for five days", answers: list(fails(full), fails(full)), wait: 121 * time.Hour, tries: 7, state: channel.Rejected, to: [][]string{{a, b}, {a, b}}, results: both(channel.Rejected)},
		{name: "4xx after five days without a try", answers: list(fails(full), fails(full), took), wait: 121 * time.Hour, state: channel.Accepted, to: [][]string{{a, b}, {a, b}, {a, b}}, results: both(channel.Accepted)},
		{name: "5xx at once", answers: list(fails(unknown)), state: channel.Rejected, to: [][]string{{a, b}}, results: both(channel.Rejected)},
		{name: "one unknown", answers: list(refuse(false, b)), state: channel.Accepted, to: [][]string{{a, b}}, results: map[string]channel.OutState{a: channel.Accepted, b: channel.Rejected}},
		{name: "both unknown", answers: list(refuse(false, a, b)), state: channel.Rejected, to: [][]string{{a, b}}, results: both(channel.Rejected)},
		{name: "one full, then taken", answers: list(refuse(true, b), took), state: channel.Accepted, to: [][]string{{a, b}, {b}}, results: both(channel.Accepted)},
		{name: "one full for five days", answers: list(refuse(true, b), refuse(true, b)), wait: 121 * time.Hour, tries: 7, state: channel.Accepted, to: [][]string{{a, b}, {b}}, results: map[string]channel.OutState{a: channel.Accepted, b: channel.Rejected}},
		{name: "no answer after the content", answers: list(fails(nobody)), state: channel.Uncertain, to: [][]string{{a, b}}},
		{name: "one full, no answer at the second try", answers: list(refuse(true, b), fails(nobody)), state: channel.Uncertain, to: [][]string{{a, b}, {b}}, results: map[string]channel.OutState{a: channel.Accepted}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesks(t)
			server := &relay{answers: c.answers}
			send := channel.Send{Docs: d.docs, Archive: d.archive, Secrets: d.secrets, Mail: server, Folder: &sentBox{}, Config: d.desk.Config, Now: d.clock}
			got, err := d.desk.Reply(t.Context(), ana, d.inbound("support"), channel.Words{Key: "k", Text: "Hello.", To: addresses(a, b)})
			if err != nil {
				t.Fatal(err)
			}
			id := got.Outbound.ID
			for i := range c.answers {
				if i > 0 {
					o := doc[channel.Outbound](d, "outbound/"+id)
					if wait := o.Due.Sub(o.UpdatedAt); o.State != channel.Queued || wait != time.Minute<<(i-1) {
						t.Fatalf("after attempt %d: %s, next in %s", i, o.State, wait)
					}
					if d.pass(c.wait); c.tries > 0 {
						d.set("outbound/"+id, map[string]any{"attempts": c.tries})
					}
				}
				if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
					t.Fatal(err)
				}
			}
			if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil { // once more changes nothing
				t.Fatal(err)
			}
			o := doc[channel.Outbound](d, "outbound/"+id)
			if o.State != c.state || !slices.EqualFunc(server.to, c.to, slices.Equal) || len(o.Results) != len(c.results) {
				t.Fatalf("%s after %v, results %v", o.State, server.to, o.Results)
			}
			told := ""
			for to, state := range c.results {
				if o.Results[to].State != state {
					t.Errorf("%s: %+v, want %s", to, o.Results[to], state)
				}
				if state == channel.Rejected {
					told += to
				}
			}
			failed := slices.Contains(d.kinds(got.Session.ID), "send_failed")
			if failed != (told != "" || c.state == channel.Uncertain) {
				t.Errorf("told the agent: %t", failed)
			}
			if failed && told != "" {
				h := doc[channel.History](d, "sessions/"+o.Session+"/history/send-"+id)
				for _, to := range []string{a, b} {
					if strings.Contains(h.Note, to) != (c.results[to] == channel.Rejected) {
						t.Errorf("note %q", h.Note)
					}
				}
			}
		})
	}
}

func list(all ...func([]string) (channel.Receipt, error)) []func([]string) (channel.Receipt, error) {
	return all
}

func both(s channel.OutState) map[string]channel.OutState {
	return map[string]channel.OutState{"a@customer.example": s, "b@customer.example": s}
}

func addresses(all ...string) []email.Address {
	var out []email.Address
	for _, a := range all {
		out = append(out, email.Address{Addr: a})
	}
	return out
}
