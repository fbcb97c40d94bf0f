package wire

import "testing"

func TestNames(t *testing.T) {
	for in, want := range map[string]string{"ID": "id", "UserID": "user_id", "HTMLBody": "html_body", "At": "at", "LastUIDSeen": "last_uid_seen", "name": "name"} {
		if got := snake(in); got != want {
			t.Errorf("snake(%q) is %q, want %q", in, got, want)
		}
	}
}
