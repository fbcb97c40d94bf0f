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
