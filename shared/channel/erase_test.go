package channel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
)

var root = channel.Actor{ID: "root@example.com", Role: channel.RoleAdmin}

const cleoAddress = "cleo@customer.example"

func (d *desks) eraser() *channel.Erase {
	return &channel.Erase{Docs: d.docs, Objects: d.archive, Now: d.clock}
}

func (d *desks) erase(address string) *channel.ErasureReceipt {
	d.Helper()
	r, err := d.eraser().Handle(d.Context(), root, address)
	if err != nil {
		d.Fatal(err)
	}
	return r
}

// everything is all that is stored, a line for each document and object.
func (d *desks) everything() string {
	d.Helper()
	var b strings.Builder
	for _, of := range []struct {
		q   channel.Query
		new func() any
	}{
		{channel.Query{Collection: "sessions"}, func() any { return new(channel.Session) }},
		{channel.Query{Collection: "messages", Group: true}, func() any { return new(channel.Message) }},
		{channel.Query{Collection: "history", Group: true}, func() any { return new(channel.History) }},
		{channel.Query{Collection: "mails"}, func() any { return new(channel.Mail) }},
		{channel.Query{Collection: "outbound"}, func() any { return new(channel.Outbound) }},
		{channel.Query{Collection: "quarantine"}, func() any { return new(channel.Quarantined) }},
		{channel.Query{Collection: "records"}, func() any { return new(channel.CRMRecord) }},
		{channel.Query{Collection: "crmops"}, func() any { return new(channel.Operation) }},
		{channel.Query{Collection: "erasures"}, func() any { return new(channel.Erasure) }},
		{channel.Query{Collection: "items", Group: true}, func() any { return new(channel.ErasedItem) }},
	} {
		err := d.docs.Find(d.Context(), of.q, func(id string, decode func(any) error) error {
			v := of.new()
			if err := decode(v); err != nil {
				return err
			}
			line, err := json.Marshal(v)
			b.WriteString(of.q.Collection + "/" + id + " " + string(line) + "\n")
			return err
		})
		if err != nil {
			d.Fatal(err)
		}
	}
	for _, name := range d.archive.names("") {
		d.archive.mu.Lock()
		fmt.Fprintf(&b, "object %s %q\n", name, d.archive.objects[name])
		d.archive.mu.Unlock()
	}
	return b.String()
}

// linesWith are those lines that have one of the words, in any case.
func linesWith(s string, words ...string) (out []string) {
	for _, line := range strings.Split(s, "\n") {
		for _, w := range words {
			if strings.Contains(strings.ToLower(line), strings.ToLower(w)) {
				out = append(out, line)
				break
			}
		}
	}
	return out
}

// cleosCase is a conversation with everything: mails, an answer, a note, an
// edited history, a ticket.
func (d *desks) cleosCase() string {
	d.Helper()
	id := d.receives(cleo)
	again := cleo
	again.uid = 2
	d.receives(again) // the same mail a second time
	sent, err := d.desk.Reply(d.Context(), ana, id, channel.Words{Key: "r", Text: "Dear Cleo, we send another lamp"})
	if err != nil {
		d.Fatal(err)
	}
	d.accepted(sent.Outbound.ID)
	if _, err := d.desk.Note(d.Context(), sam, id, "n", "Cleo called about the lamp"); err != nil {
		d.Fatal(err)
	}
	err = d.docs.Write(d.Context(), func(tx channel.Tx) {
		tx.Set("records/"+id, channel.CRMRecord{Session: id, CRM: "zendesk", Ticket: "77"})
		tx.Set("crmops/op1", channel.Operation{ID: "op1", Record: id, State: channel.OpPending})
		tx.Patch("outbound/"+sent.Outbound.ID, map[string]any{"answer": "550 " + cleoAddress + " unknown", "results": map[string]channel.Result{cleoAddress: {State: channel.Rejected, Answer: "no such user"}}, "due": d.clock(), "bounced": cleoAddress})
		tx.Patch("sessions/"+id+"/messages/"+cleo.fingerprint(), map[string]any{"authentication": email.Authentication{From: "cleo.example"}})
		tx.Set("sessions/"+id+"/history/h1", channel.History{ID: "h1", Session: id, Kind: "subject_edited", At: d.clock(), From: "Broken lamp", To: "Lamp of Cleo", Note: "by hand"})
	})
	if err != nil {
		d.Fatal(err)
	}
	return id
}

var traces = []string{"cleo", "lamp", "1@customer.example", "object parts/support-INBOX-1-1", "object parts/support-INBOX-1-2"}

func TestErase(t *testing.T) {
	d := newDesks(t)
	id := d.cleosCase()
	other := d.receives(mail{id: "9@other.example", from: "Otto <otto@other.example>", to: "support@example.com", subject: "Invoice", text: "Please", uid: 7})
	if len(linesWith(d.everything(), traces...)) < 10 {
		t.Fatal("there is not enough to erase")
	}
	receipt := d.erase(" Cleo@Customer.Example ")
	if left := linesWith(d.everything(), traces...); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	if receipt.State != channel.ErasureDone || receipt.By != root.ID || len(receipt.Hash) != 64 || receipt.Done.IsZero() {
		t.Errorf("receipt: %+v", receipt.Erasure)
	}
	what := map[string]int{}
	var objects []string
	for _, item := range receipt.Items {
		what[item.What]++
		objects = append(objects, item.Objects...)
		if item.What == "session" && (item.Session != id || item.CRM != "zendesk" || item.Ticket != "77") {
			t.Errorf("the session's line: %+v", item)
		}
	}
	if what["session"] != 1 || what["message"] != 3 || len(what) != 2 {
		t.Errorf("lines of the receipt: %v", what)
	}
	slices.Sort(objects)
	if len(objects) != 5 || !slices.Contains(objects, "raw/support-INBOX-1-1.eml") || !slices.Contains(objects, "raw/support-INBOX-1-2.eml") || !strings.HasPrefix(objects[0], "out/") {
		t.Errorf("objects of the receipt: %q", objects)
	}
	s := d.session(id)
	if s.ErasedAt.IsZero() || s.Erasure != "" || s.Messages != 3 || s.Queue != "support" {
		t.Errorf("the session's facts: %+v", s)
	}
	if m := d.known(cleo.fingerprint()); m.State != channel.Erased || m.Session != id || m.Sent.IsZero() || len(m.Sources) != 2 {
		t.Errorf("the tombstone: %+v", m)
	}
	if s := d.session(other); s.Subject != "Invoice" || s.Consumer.Addr != "otto@other.example" {
		t.Errorf("another end user's session: %+v", s)
	}
}

func TestEraseTwiceIsOneReceipt(t *testing.T) {
	d := newDesks(t)
	d.cleosCase()
	first := d.erase(cleoAddress)
	second := d.erase(cleoAddress)
	if second.Done != first.Done || second.Asked != first.Asked || len(second.Items) != len(first.Items) {
		t.Errorf("a second call changed the receipt: %+v, was %+v", second, first)
	}
	late := cleo
	late.id, late.uid = "late@customer.example", 12
	d.receives(late)
	third := d.erase(cleoAddress)
	if third.State != channel.ErasureDone || len(third.Items) != len(first.Items)+2 || !third.Done.After(first.Done) || third.Asked != first.Asked {
		t.Errorf("with a later mail: %d lines, had %d", len(third.Items), len(first.Items))
	}
	if nobody := d.erase("nobody@customer.example"); nobody.State != channel.ErasureDone || len(nobody.Items) != 0 {
		t.Errorf("of whom nothing was stored: %+v", nobody)
	}
}

func TestEraseResumesAfterACrash(t *testing.T) {
	want := func() (lines []string) {
		d := newDesks(t)
		d.cleosCase()
		return summary(d.erase(cleoAddress))
	}()
	for _, step := range []string{"erase.begun", "erase.listed", "erase.objects", "erase.messages"} {
		t.Run(step, func(t *testing.T) {
			d := newDesks(t)
			d.cleosCase()
			_, died := kill(t.Context(), step, func(ctx context.Context) error {
				_, err := d.eraser().Handle(ctx, root, cleoAddress)
				return err
			})
			if !died {
				t.Fatalf("%s was not reached", step)
			}
			if got := summary(d.erase(cleoAddress)); !slices.Equal(got, want) {
				t.Errorf("receipt after a crash:\n%q\nwithout one:\n%q", got, want)
			}
			if left := linesWith(d.everything(), traces...); len(left) > 0 {
				t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
			}
		})
	}
}

// summary is a receipt without what differs between two runs: sessions' IDs
// are random, and with them the names of our own mails.
func summary(r *channel.ErasureReceipt) (out []string) {
	for _, item := range r.Items {
		kinds := ""
		for _, o := range item.Objects {
			kind, _, _ := strings.Cut(o, "/")
			kinds += " " + kind
		}
		out = append(out, item.What+kinds+" "+item.Ticket)
	}
	slices.Sort(out)
	return out
}

func TestEraseIsRefusedByAHold(t *testing.T) {
	d := newDesks(t)
	id := d.cleosCase()
	second := cleo
	second.id, second.uid = "2@customer.example", 3
	held := d.receives(second)
	if held == id {
		t.Fatal("both mails are in one session")
	}
	d.ok(d.desk.Hold(t.Context(), sam, held, "lawsuit 7"))
	before := d.everything()
	_, err := d.eraser().Handle(t.Context(), root, cleoAddress)
	var refused *channel.Conflict
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), held) || strings.Contains(err.Error(), id) {
		t.Errorf("erase of a held session: %v", err)
	}
	if d.everything() != before {
		t.Error("something was erased in spite of the hold")
	}
	d.ok(d.desk.Release(t.Context(), sam, held, "settled"))
	d.erase(cleoAddress)
	if left := linesWith(d.everything(), append(traces, "settled", "lawsuit")...); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// A hold that comes while an erasure is under way is too late, and told so.
func TestHoldDuringAnErasure(t *testing.T) {
	d := newDesks(t)
	id := d.cleosCase()
	kill(t.Context(), "erase.objects", func(ctx context.Context) error {
		_, err := d.eraser().Handle(ctx, root, cleoAddress)
		return err
	})
	var refused *channel.Conflict
	if _, err := d.desk.Hold(t.Context(), sam, id, "lawsuit"); !errors.As(err, &refused) {
		t.Errorf("hold: %v", err)
	}
}

// In somebody else's conversation only what is the address's own goes.
func TestEraseAParticipant(t *testing.T) {
	d := newDesks(t)
	otto := mail{id: "1@other.example", from: "Otto <otto@other.example>", to: "support@example.com", cc: "Cleo <" + cleoAddress + ">", subject: "Invoice", text: "Please", uid: 1}
	id := d.receives(otto)
	hers := mail{id: "2@customer.example", from: "Cleo <" + cleoAddress + ">", to: "support@example.com", subject: "Re: Invoice", text: "I paid it", uid: 2, inReplyTo: otto.id}
	if s := d.receives(hers); s != id {
		t.Fatal("her mail went to another session")
	}
	r := d.erase(cleoAddress)
	s := d.session(id)
	if s.Subject != "Invoice" || s.Consumer.Addr != "otto@other.example" || slices.Contains(s.Participants, cleoAddress) || !slices.Contains(s.Participants, "otto@other.example") {
		t.Errorf("the session: %+v", s)
	}
	if m := d.message(id, hers.fingerprint()); m.Text != "" || m.From.Addr != "" || m.Subject != "" {
		t.Errorf("her mail: %+v", m)
	}
	if m := d.message(id, otto.fingerprint()); m.Text != "Please" || m.From.Addr != "otto@other.example" || len(m.Cc) != 0 || len(m.Attachments) != 1 {
		t.Errorf("his mail: %+v", m)
	}
	left := linesWith(d.everything(), "cleo")
	if len(left) != 1 || !strings.HasPrefix(left[0], "object "+otto.object()) {
		t.Errorf("left behind: %q", left)
	}
	var kept []string
	for _, item := range r.Items {
		kept = append(kept, item.Kept...)
	}
	if !slices.Equal(kept, []string{otto.object()}) {
		t.Errorf("the receipt says as kept: %q", kept)
	}
}

// Of a mail to several, what became of it for the others stays.
func TestEraseARecipient(t *testing.T) {
	d := newDesks(t)
	id := d.receives(mail{id: "1@other.example", from: "Otto <otto@other.example>", to: "support@example.com", subject: "Invoice", text: "Please", uid: 1})
	sent, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "r", Text: "Here it is", Cc: []email.Address{{Name: "Cleo", Addr: cleoAddress}}})
	if err != nil {
		t.Fatal(err)
	}
	err = d.docs.Write(t.Context(), func(tx channel.Tx) {
		results := map[string]channel.Result{cleoAddress: {State: channel.Rejected}, "otto@other.example": {State: channel.Accepted}}
		tx.Patch("outbound/"+sent.Outbound.ID, map[string]any{"state": string(channel.Accepted), "results": results})
	})
	if err != nil {
		t.Fatal(err)
	}
	d.erase(cleoAddress)
	if o := doc[channel.Outbound](d, "outbound/"+sent.Outbound.ID); len(o.To) != 1 || len(o.Results) != 1 || o.Results["otto@other.example"].State != channel.Accepted {
		t.Errorf("%+v", o)
	}
}

func TestEraseMailOnItsWay(t *testing.T) {
	d := newDesks(t)
	id := d.receives(cleo)
	sent, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "r", Text: "we send another"})
	if err != nil {
		t.Fatal(err)
	}
	state := func(s channel.OutState) {
		if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
			tx.Patch("outbound/"+sent.Outbound.ID, map[string]any{"state": string(s)})
		}); err != nil {
			t.Fatal(err)
		}
	}
	state(channel.Sending)
	var busy *channel.Conflict
	if _, err := d.eraser().Handle(t.Context(), root, cleoAddress); !errors.As(err, &busy) {
		t.Errorf("while a mail is with the server: %v", err)
	}
	state(channel.Queued)
	d.erase(cleoAddress)
	if o := doc[channel.Outbound](d, "outbound/"+sent.Outbound.ID); o.State != channel.Rejected || len(o.To) != 0 || o.Object != "" {
		t.Errorf("the queued mail: %+v", o)
	}
}

func TestEraseInQuarantine(t *testing.T) {
	for _, step := range []string{"", "erase.listed", "erase.objects"} {
		t.Run("killed at "+step, func(t *testing.T) {
			d := newDesks(t)
			put := func(uid uint32, from string) event.Source {
				src := event.Source{Account: "support", Folder: "INBOX", UIDValidity: 1, UID: uid}
				object := "raw/" + src.Key() + ".eml"
				if err := d.archive.Put(t.Context(), object, "", strings.NewReader("From: "+from+"\r\n\r\nbody of "+from)); err != nil {
					t.Fatal(err)
				}
				path := channel.QuarantinePath(src)
				q := channel.Quarantined{ID: strings.TrimPrefix(path, "quarantine/"), Event: event.Received{Source: src, Object: object}, Reason: "bad", At: d.clock()}
				if err := d.docs.Write(t.Context(), func(tx channel.Tx) { tx.Set(path, q) }); err != nil {
					t.Fatal(err)
				}
				return src
			}
			hers, his := put(1, "CLEO@Customer.example"), put(2, "otto@other.example")
			if step != "" {
				if _, died := kill(t.Context(), step, func(ctx context.Context) error {
					_, err := d.eraser().Handle(ctx, root, cleoAddress)
					return err
				}); !died {
					t.Fatal("not reached")
				}
			}
			r := d.erase(cleoAddress)
			if len(r.Items) != 1 || r.Items[0].What != "quarantined" || !slices.Equal(r.Items[0].Objects, []string{"raw/" + hers.Key() + ".eml"}) {
				t.Errorf("receipt: %+v", r.Items)
			}
			if !d.missing(channel.QuarantinePath(hers)) || d.missing(channel.QuarantinePath(his)) {
				t.Error("the wrong mail left the quarantine")
			}
			if left := linesWith(d.everything(), "cleo"); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestEraseIsRefused(t *testing.T) {
	d := newDesks(t)
	if _, err := d.eraser().Handle(t.Context(), sam, cleoAddress); !errors.Is(err, channel.ErrForbidden) {
		t.Errorf("a supervisor's: %v", err)
	}
	for _, address := range []string{"", "cleo", "support@example.com", "ana@example.com"} {
		var bad *channel.Invalid
		if _, err := d.eraser().Handle(t.Context(), root, address); !errors.As(err, &bad) || bad.Fields[0].Name != "address" {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := d.eraser().Receipt(t.Context(), "none"); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("a receipt that is not there: %v", err)
	}
}
