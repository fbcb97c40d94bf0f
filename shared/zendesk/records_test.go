package zendesk_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

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
		ticket := must[string](t)(r.Create(t.Context(), s, crm.Facts{SessionID: s, Subject: strings.Repeat("s", 100<<10)}, false))
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
