package zendesk_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	fakezendesk "emailchannel.dev/emailchannel/emulator/zendesk"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/zendesk"
)

// A mail of any length becomes a comment that Zendesk takes, and a comment that it does not take is refused alone.
func TestALongCommentStopsNoOther(t *testing.T) {
	a := newAccount(t, 0)
	r := zendesk.NewRecords(a.Client)
	var changes []channel.Change
	for i, text := range []string{strings.Repeat("x", 100<<10), "short", "too long"} {
		s := "S" + strconv.Itoa(i)
		ticket := create(t, r, crm.Facts{SessionID: s, Subject: strings.Repeat("s", 100<<10)}, true)
		post := crm.Post{Link: "https://console.example/sessions/" + s + "#m", Text: text}
		changes = append(changes, channel.Change{Ticket: ticket, Post: &post, Body: post.Body(true)})
	}
	changes[2].Body = strings.Repeat("x", zendesk.MaxComment+1)
	errs := r.Apply(t.Context(), changes)
	if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], crm.ErrRefused) {
		t.Errorf("errors: %v", errs)
	}
	for i, ch := range changes {
		id, _ := strconv.ParseInt(ch.Ticket, 10, 64)
		comments := must[[]zendesk.Comment](t)(a.Comments(t.Context(), id))
		if there := len(comments) == 2 && strings.HasSuffix(comments[1].Body, ch.Post.Link); there != (i < 2) {
			t.Errorf("ticket %d has the comment: %v", i, there)
		}
	}
}

// create opens the ticket of a session, or finds it.
func create(t *testing.T, r *zendesk.Records, f crm.Facts, made bool) string {
	t.Helper()
	id, got, err := r.Create(t.Context(), f.SessionID, f, false)
	if err != nil || got != made {
		t.Fatalf("made %v, %v", got, err)
	}
	return id
}

// What became of a session is told once, also when the answer to it was lost.
func TestADescriptionIsToldOnce(t *testing.T) {
	a := newAccount(t, 0)
	r := zendesk.NewRecords(a.Client)
	facts := func(agent string) *crm.Facts { return &crm.Facts{SessionID: "S1", Subject: "Order", Agent: agent} }
	id := create(t, r, *facts(""), true)
	if again := create(t, r, *facts("Ana"), false); again != id {
		t.Fatalf("ticket %s, and %s under the same key", id, again)
	}
	for _, step := range []struct {
		agent    string
		lookup   bool
		comments int
	}{
		{"", true, 1}, {"Ana", false, 2}, {"Ana", true, 2}, {"Ben", true, 3}, {"Ana", true, 4}, {"Ana", true, 4},
	} {
		if err := r.Apply(t.Context(), []channel.Change{{Ticket: id, Facts: facts(step.agent), Lookup: step.lookup}})[0]; err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.ParseInt(id, 10, 64)
		if list := must[[]zendesk.Comment](t)(a.Comments(t.Context(), n)); len(list) != step.comments {
			t.Fatalf("%+v: %d comments", step, len(list))
		}
	}
}

// What Zendesk took and has not carried out yet is waited for, as a look at the ticket does not show it.
func TestAnUnfinishedJobIsNotRepeated(t *testing.T) {
	a := newAccount(t, 0)
	r := zendesk.NewRecords(a.Client)
	id := create(t, r, crm.Facts{SessionID: "S1", Subject: "Order"}, true)
	post := crm.Post{Link: "https://console.example/sessions/S1#m", Text: "Hello"}
	ch := channel.Change{Ticket: id, Post: &post, Body: post.Body(true)}
	a.failOnce("ShowJobStatus", &fakezendesk.Fault{Status: 503})
	err := r.Apply(t.Context(), []channel.Change{ch})[0]
	var unfinished *crm.Unfinished
	if !errors.As(err, &unfinished) {
		t.Fatalf("error %v", err)
	}
	ch.Lookup, ch.Job = true, unfinished.Job
	if err := r.Apply(t.Context(), []channel.Change{ch})[0]; err != nil {
		t.Fatal(err)
	}
	a.advance(time.Minute)
	n, _ := strconv.ParseInt(id, 10, 64)
	if list := must[[]zendesk.Comment](t)(a.Comments(t.Context(), n)); len(list) != 2 {
		t.Errorf("%d comments, not 2", len(list))
	}
}

// A comment whose answer was lost is not posted again after the console moved.
func TestACommentIsKnownAfterTheConsoleMoved(t *testing.T) {
	a := newAccount(t, 0)
	r := zendesk.NewRecords(a.Client)
	id := create(t, r, crm.Facts{SessionID: "S1", Subject: "Order"}, true)
	for _, console := range []string{"https://old.example", "https://new.example"} {
		post := crm.Post{ID: "m", Link: console + "/sessions/S1#m", Text: "Hello"}
		if err := r.Apply(t.Context(), []channel.Change{{Ticket: id, Post: &post, Body: post.Body(true), Lookup: true}})[0]; err != nil {
			t.Fatal(err)
		}
	}
	n, _ := strconv.ParseInt(id, 10, 64)
	if list := must[[]zendesk.Comment](t)(a.Comments(t.Context(), n)); len(list) != 2 {
		t.Errorf("%d comments, not 2", len(list))
	}
}
