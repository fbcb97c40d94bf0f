package email

import (
	"net/mail"
	"regexp"
	"strings"
	"time"
)

var dateComment = regexp.MustCompile(`\([^()]*\)`)

// dateLayouts are tried after RFC 5322's grammar; all were seen in mail.
var dateLayouts = []string{
	"Mon, 2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 MST", "2 Jan 2006 15:04:05 MST",
	"Mon, 2 Jan 2006 15:04:05", "2 Jan 2006 15:04:05", "Mon, 2 Jan 2006 15:04 -0700", "2 Jan 2006 15:04 -0700",
	"Mon, 2 Jan 06 15:04:05 -0700", "2 Jan 06 15:04:05 -0700", "Mon Jan 2 15:04:05 2006", "Mon Jan 2 15:04:05 -0700 2006",
	"Mon Jan 2 15:04:05 MST 2006", "Mon, Jan 2 2006 15:04:05 -0700", "Monday, 2 January 2006 15:04:05 -0700",
	"2 January 2006 15:04:05 -0700", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05",
	"2006-01-02T15:04:05", "02/01/2006 15:04:05", "Mon, 2-Jan-2006 15:04:05 -0700", "2-Jan-2006 15:04:05 -0700",
}

// parseDate reads a Date field, the zero time if it cannot. A date without a zone is read as UTC.
func parseDate(s string) time.Time {
	s = strings.TrimSpace(s)
	if len(s) > 100 {
		s = s[:100]
	}
	if s == "" {
		return time.Time{}
	}
	if t, err := time.Parse(dateLayouts[0], s); err == nil { // what nearly every mail has
		return plausible(t)
	}
	if t, err := mail.ParseDate(s); err == nil {
		return plausible(t)
	}
	s = dateComment.ReplaceAllString(s, "")
	s = strings.Join(strings.Fields(strings.NewReplacer(".", ":", " UT", " +0000", "GMT+", "+", "GMT-", "-").Replace(s)), " ")
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return plausible(t)
		}
	}
	return time.Time{}
}

// plausible drops years that no store can hold.
func plausible(t time.Time) time.Time {
	if y := t.Year(); y < 1970 || y > 9998 {
		return time.Time{}
	}
	return t
}
