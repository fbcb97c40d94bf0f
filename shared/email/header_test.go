package email

import (
	"slices"
	"strings"
	"testing"
)

// A mail that was saved with a byte order mark keeps its sender, also behind the
// fields that servers put before it.
func TestByteOrderMarkInTheHeader(t *testing.T) {
	const mail = "\ufeffFrom: Ann <ann@example.net>\r\nTo: support@example.com\r\nSubject: x\r\nMessage-ID: <1@example.net>\r\n\r\nHello\r\n"
	for _, trace := range []string{"", "Return-Path: <ann@example.net>\r\nReceived: from a\r\n\tby b; Mon, 2 Mar 2026 08:00:00 +0000\r\n"} {
		m, err := Parse(strings.NewReader(trace+mail), "", DefaultLimits(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.From) != 1 || m.From[0].Addr != "ann@example.net" || m.MessageID != "1@example.net" || slices.Contains(m.Degraded, "byte-order-mark-in-header") != (trace != "") {
			t.Errorf("after %q: from %v, %q, degraded %v", trace, m.From, m.MessageID, m.Degraded)
		}
	}
}

// TestLongHeaderLine: a line longer than the buffer is read to its end, or named where it is over the bound.
func TestLongHeaderLine(t *testing.T) {
	to := strings.Repeat("someone@example.com, ", 899) + "last@example.com"
	m, err := Parse(strings.NewReader("From: a@example.com\r\nTo: "+to+"\r\n\r\nbody\r\n"), "", DefaultLimits(), nil)
	if err != nil || len(m.Degraded) != 0 || len(m.To) != 900 || m.To[899].Addr != "last@example.com" {
		t.Errorf("%d recipients, %q, %v", len(m.To), m.Degraded, err)
	}
	m, err = Parse(strings.NewReader("From: a@example.com\r\nX-Long: "+strings.Repeat("x", 300<<10)+"\r\n\r\nbody\r\n"), "", DefaultLimits(), nil)
	if err != nil || !slices.Contains(m.Degraded, "limit:header") || m.Text != "body\n" {
		t.Errorf("%q, %q, %v", m.Degraded, m.Text, err)
	}
}
