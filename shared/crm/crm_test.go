package crm

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestDecide is the table of CR-1 and CR-2: every trigger, for a session
// without a record, with one under way and with a ticket.
func TestDecide(t *testing.T) {
	atEnd := Default()
	afterReply := atEnd
	afterReply.CommentsWhen = AfterReply
	onlyIn, onlyOut := Settings{Incoming: true, CommentsWhen: AtEnd}, Settings{Outgoing: true, CommentsWhen: AfterReply}
	none, underWay, ticket := Record{}, Record{Exists: true}, Record{Exists: true, Created: true}
	for name, c := range map[string]struct {
		t    Trigger
		s    Settings
		r    Record
		want []Kind
	}{
		"first mail":                                  {Inbound, atEnd, none, []Kind{Create}},
		"first mail, comments after replies":          {Inbound, afterReply, none, []Kind{Create}},
		"first mail, no records for incoming":         {Inbound, onlyOut, none, nil},
		"second mail while the ticket is made":        {Inbound, atEnd, underWay, nil},
		"second mail":                                 {Inbound, afterReply, ticket, nil},
		"an agent starts a session":                   {Outbound, atEnd, none, []Kind{Create}},
		"an agent starts one, comments after replies": {Outbound, afterReply, none, []Kind{Create, Comment}},
		"an agent starts one, no records for these":   {Outbound, onlyIn, none, nil},
		"a reply in a session without a record":       {Outbound, onlyOut, none, []Kind{Create, Comment}},
		"a reply":                                     {Outbound, atEnd, ticket, nil},
		"a reply, comments after replies":             {Outbound, afterReply, ticket, []Kind{Comment}},
		"a reply while the ticket is made":            {Outbound, afterReply, underWay, []Kind{Comment}},
		"another agent without a record":              {Changed, atEnd, none, nil},
		"another agent while the ticket is made":      {Changed, atEnd, underWay, nil},
		"another agent":                               {Changed, atEnd, ticket, []Kind{Update}},
		"the end":                                     {Ended, atEnd, ticket, []Kind{Comment}},
		"the end while the ticket is made":            {Ended, atEnd, underWay, []Kind{Comment}},
		"the end, comments after replies":             {Ended, afterReply, ticket, nil},
		"the end without a record":                    {Ended, atEnd, none, nil},
		"something else":                              {"voice", atEnd, ticket, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Decide(c.t, c.s, c.r); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestSettingsValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error("default:", err)
	}
	if err := (Settings{CommentsWhen: AfterReply}).Validate(); err != nil {
		t.Error("after replies:", err)
	}
	for _, bad := range []When{"", "END", "never"} {
		if err := (Settings{CommentsWhen: bad}).Validate(); err == nil || !strings.Contains(err.Error(), "record.comments_when") {
			t.Errorf("%q: error %v does not name the field", bad, err)
		}
	}
}

// CR-5 says what a record tells of its session.
func TestDescription(t *testing.T) {
	f := Facts{
		SessionID: "S1", Subject: "Order", EndUser: "grace@x", EndUserName: "Grace", Address: "support@y", Agent: "Ana", Queue: "Support",
		At: time.Date(2026, 3, 2, 9, 0, 0, 0, time.FixedZone("CET", 3600)),
	}
	want := "Sent by: grace@x\nReceived by: support@y\nSession ID: S1\nAssigned agent: Ana\nQueue: Support\nSubject: Order\nReceived at: 2026-03-02T08:00:00Z\n"
	if got := f.Description(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	f.Agent = ""
	if got := f.Description(); !strings.Contains(got, "Assigned agent: not assigned\n") {
		t.Errorf("without an agent:\n%s", got)
	}
	f.Started = true
	if got := f.Description(); !strings.HasPrefix(got, "Sent by: support@y\nReceived by: grace@x\n") || !strings.HasSuffix(got, "Sent at: 2026-03-02T08:00:00Z\n") {
		t.Errorf("of a session that an agent began:\n%s", got)
	}
}

func TestBody(t *testing.T) {
	p := Post{ID: "m1", Link: "https://console/s/S1#m1", At: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), From: "grace@x", To: "support@y", Agent: "Ana", EndUser: "grace@x", Subject: "Order", Text: "secret text"}
	if got, want := p.Body(true), "From: grace@x\nTo: support@y\nDate: 2026-03-02T08:00:00Z\nSubject: Order\n\nsecret text\n\nhttps://console/s/S1#m1"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := p.Body(false), "2026-03-02T08:00:00Z\nAgent: Ana\nEnd user: grace@x\nhttps://console/s/S1#m1"; got != want {
		t.Errorf("without bodies: got\n%s\nwant\n%s", got, want)
	}
}

// However long the text, the comment fits, stays valid UTF-8 and keeps the
// link by which it is recognised.
func TestBodyFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]string{"a", "é", "語", "😀", "\n"}).Draw(t, "unit")
		n := rapid.IntRange(MaxComment/len(unit)-200, MaxComment/len(unit)+50).Draw(t, "n")
		p := Post{Link: "https://console/s/S1#m1", From: "grace@x", Subject: "Order", Text: strings.Repeat(unit, n)}
		got := p.Body(true)
		if len(got) > MaxComment || !utf8.ValidString(got) || !strings.HasSuffix(got, "\n\n"+p.Link) {
			t.Fatalf("%d bytes, valid %v, ends in %q", len(got), utf8.ValidString(got), got[len(got)-40:])
		}
		if cut := strings.Contains(got, "[shortened]"); cut == strings.Contains(got, p.Text) {
			t.Fatalf("shortened %v, but the whole text is there: %v", cut, !cut)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	var err error = &RetryAfter{Err: io.ErrUnexpectedEOF, After: time.Minute}
	if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != io.ErrUnexpectedEOF.Error() {
		t.Errorf("%v hides its cause", err)
	}
}

// A subject as long as a comment leaves no room for the text: the comment
// still fits and keeps its link.
func TestBodyLongSubject(t *testing.T) {
	p := Post{Link: "https://console/s/S1#m1", Subject: strings.Repeat("ü", MaxComment), Text: "text"}
	if got := p.Body(true); len(got) > MaxComment || !utf8.ValidString(got) || !strings.HasSuffix(got, p.Link) {
		t.Errorf("%d bytes, valid %v, want at most %d with the link", len(got), utf8.ValidString(got), MaxComment)
	}
}

// A comment is known again by the message alone, whatever the console's address was, and never without one.
func TestACommentIsRecognised(t *testing.T) {
	p := Post{ID: "m1", Link: "https://old.example/sessions/S1#m1", Text: "Hello"}
	for _, bodies := range []bool{true, false} {
		comment := p.Body(bodies)
		for name, c := range map[string]struct {
			post Post
			in   bool
		}{
			"the same":             {p, true},
			"of another console":   {Post{ID: "m1", Link: "https://new.example/sessions/S1#m1"}, true},
			"of another message":   {Post{ID: "m2", Link: "https://old.example/sessions/S1#m2"}, false},
			"of a message unnamed": {Post{Link: "https://old.example/sessions/S1#"}, false},
		} {
			if got := c.post.In(comment); got != c.in {
				t.Errorf("%s, bodies %t: %t", name, bodies, got)
			}
		}
	}
}
