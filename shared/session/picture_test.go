package session

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// picture draws the table as a mermaid state diagram, one arrow per pair of states.
func picture() string {
	type arrow struct{ from, to State }
	var order []arrow
	labels := map[arrow][]string{}
	for _, m := range table {
		a := arrow{m.from, m.to}
		if labels[a] == nil {
			order = append(order, a)
		}
		labels[a] = append(labels[a], string(m.event))
	}
	var b strings.Builder
	b.WriteString("//\tstateDiagram-v2\n")
	for _, a := range order {
		from := string(a.from)
		if a.from == None {
			from = "[*]"
		}
		fmt.Fprintf(&b, "//\t  %s --> %s : %s\n", from, a.to, strings.Join(labels[a], ", "))
	}
	return b.String()
}

func TestPackageCommentShowsTheTable(t *testing.T) {
	src, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(src), "//\n"+picture()+"//\n") {
		t.Errorf("the picture in doc.go is not the table; it should be:\n%s", picture())
	}
}
