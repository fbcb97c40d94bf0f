package channel

import (
	"testing"

	"emailchannel.dev/emailchannel/shared/event"
)

// An object's name leads back to its delivery, however the names run into each other.
func TestSourceOf(t *testing.T) {
	cat := &Catalog{Accounts: map[string]Account{"support": {}, "support-eu": {}}}
	for _, src := range []event.Source{
		{Account: "support", Folder: "INBOX", UIDValidity: 7, UID: 9},
		{Account: "support-eu", Folder: "INBOX", UIDValidity: 4294967295, UID: 4294967295},
		{Account: "support", Folder: "Lists-2026", UIDValidity: 1, UID: 2},
		{Account: "support", Push: "abc"}, {Account: "support-eu", Push: "abc"},
	} {
		got, ok := sourceOf(rawObject(src), cat)
		if !ok || rawObject(got) != rawObject(src) {
			t.Errorf("%+v became %+v, %t", src, got, ok)
		}
	}
	for _, object := range []string{"raw/", "raw/support.eml", "raw/nobody-INBOX-1-2.eml", "raw/support-INBOX-x-2.eml", "raw/support-INBOX-01-2.eml"} {
		if got, ok := sourceOf(object, cat); ok {
			t.Errorf("%s became %+v", object, got)
		}
	}
}
