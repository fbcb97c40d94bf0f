package api

import (
	"io"
	"testing"
)

func TestTable(t *testing.T) {
	rows := []statesView{{Queue: "support", Agent: "=HYPERLINK(\"http://evil.example\")@example.com"}, {Queue: "a,b", Agent: "ana@example.com"}}
	rows[1].Active = -3
	d := table("states.csv", []string{"agent", "queue"}, rows)
	got, err := io.ReadAll(d.body)
	if err != nil {
		t.Fatal(err)
	}
	const want = "queue,agent,unopened,active,paused,resolved,closed,reopened\r\n" +
		"support,\"'=HYPERLINK(\"\"http://evil.example\"\")@example.com\",0,0,0,0,0,0\r\n" +
		"\"a,b\",ana@example.com,0,-3,0,0,0,0\r\n"
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
