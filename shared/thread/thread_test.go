package thread

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAncestors(t *testing.T) {
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprint(i) // 0 is the root, 39 the nearest
	}
	for name, c := range map[string]struct {
		self            string
		inReplyTo, refs []string
		want            []string
	}{
		"none":                                {self: "me"},
		"In-Reply-To comes before References": {"me", []string{"p"}, []string{"root", "q"}, []string{"p", "q", "root"}},
		"References from their end":           {"me", nil, []string{"root", "mid", "near"}, []string{"near", "mid", "root"}},
		"each once":                           {"me", []string{"p"}, []string{"root", "p", "p"}, []string{"p", "root"}},
		"never itself":                        {"me", []string{"me"}, []string{"root", "me"}, []string{"root"}},
		"no empty one":                        {"", []string{""}, []string{"", "root"}, []string{"root"}},
		"several in In-Reply-To":              {"me", []string{"a", "b"}, nil, []string{"a", "b"}},
		"the nearest and the root of many":    {"me", nil, many, []string{"39", "38", "37", "36", "35", "34", "33", "32", "31", "30", "29", "0"}},
		"as many as allowed":                  {"me", nil, many[:MaxAncestors], []string{"11", "10", "9", "8", "7", "6", "5", "4", "3", "2", "1", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Ancestors(c.self, c.inReplyTo, c.refs)); diff != "" {
				t.Errorf("(-want/+got)\n%s", diff)
			}
		})
	}
}

// Whatever a mail names, there are few, distinct ancestors, and the arguments stay as they are.
func TestAncestorsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SampledFrom([]string{"", "me", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o"})
		replies, refs := rapid.SliceOfN(id, 0, 5).Draw(t, "in-reply-to"), rapid.SliceOfN(id, 0, 60).Draw(t, "references")
		before := slices.Concat(replies, refs)
		got := Ancestors("me", replies, refs)
		if !slices.Equal(before, slices.Concat(replies, refs)) {
			t.Fatal("the arguments were changed")
		}
		if len(got) > MaxAncestors {
			t.Fatalf("%d ancestors", len(got))
		}
		for i, x := range got {
			if x == "" || x == "me" || slices.Contains(got[:i], x) || !slices.Contains(before, x) {
				t.Fatalf("ancestor %q of %v", x, got)
			}
		}
	})
}

func TestTakes(t *testing.T) {
	s := Session{Participants: []string{"ann@x", ""}}
	for name, c := range map[string]struct {
		m    Mail
		want bool
	}{
		"a participant":                    {Mail{Sender: "ann@x"}, true},
		"a stranger":                       {Mail{Sender: "eve@x"}, false},
		"nobody, though nobody takes part": {Mail{}, false},
		"the channel itself":               {Mail{Sender: "us@x", Trusted: true}, true},
		"a report without a sender":        {Mail{Trusted: true}, true},
		"part of a participant's address":  {Mail{Sender: "nn@x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Takes(c.m, s); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	ann := Mail{Sender: "ann@x"}
	with := func(by, id string, own bool, who ...string) Candidate {
		return Candidate{By: by, Own: own, Session: Session{ID: id, Participants: who}}
	}
	for name, c := range map[string]struct {
		m    Mail
		cs   []Candidate
		want Decision
	}{
		"nothing known": {m: ann, want: Decision{Rule: RuleNew}},
		"an ancestor":   {ann, []Candidate{with("p", "S", false, "ann@x")}, Decision{Rule: RuleAncestor, Join: "S", By: "p"}},
		"the nearest of two": {ann, []Candidate{with("p", "S", false, "ann@x"), with("q", "T", false, "ann@x")},
			Decision{Rule: RuleAncestor, Join: "S", By: "p"}},
		"announced by a reply": {ann, []Candidate{with("me", "R", true, "ann@x")}, Decision{Rule: RuleAnnounced, Join: "R", By: "me"}},
		"the middle arrives last": {ann, []Candidate{with("p", "S", false, "ann@x"), with("me", "R", true, "ann@x")},
			Decision{Rule: RuleAncestor, Join: "S", Merge: []string{"R"}, By: "p"}},
		"the middle of what is one already": {ann, []Candidate{with("p", "S", false, "ann@x"), with("me", "S", true, "ann@x")},
			Decision{Rule: RuleAncestor, Join: "S", By: "p"}},
		"a merge is named once": {ann, []Candidate{with("p", "S", false, "ann@x"), with("me", "R", true, "ann@x"), with("me", "R", true, "ann@x")},
			Decision{Rule: RuleAncestor, Join: "S", Merge: []string{"R"}, By: "p"}},
		"a stranger": {ann, []Candidate{with("p", "S", false, "bob@x")}, Decision{Rule: RuleNotParticipant, Linked: "S", By: "p"}},
		"a stranger to the nearest, known further up": {ann, []Candidate{with("p", "S", false, "bob@x"), with("q", "T", false, "ann@x")},
			Decision{Rule: RuleAncestor, Join: "T", By: "q"}},
		"a stranger is linked to the nearest": {ann, []Candidate{with("p", "S", false, "bob@x"), with("q", "T", false, "cid@x")},
			Decision{Rule: RuleNotParticipant, Linked: "S", By: "p"}},
		"a stranger's announcement merges nothing": {ann, []Candidate{with("p", "S", false, "ann@x"), with("me", "R", true, "eve@x")},
			Decision{Rule: RuleAncestor, Join: "S", By: "p"}},
		"a report joins without taking part": {Mail{Trusted: true}, []Candidate{with("p", "S", false, "bob@x")},
			Decision{Rule: RuleAncestor, Join: "S", By: "p"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Decide(c.m, c.cs)); diff != "" {
				t.Errorf("(-want/+got)\n%s", diff)
			}
		})
	}
}

// No decision lets a mail into a session, or merges one, that its sender takes no part in.
func TestDecideKeepsStrangersOut(t *testing.T) {
	who := rapid.SampledFrom([]string{"", "ann@x", "bob@x", "eve@x"})
	rapid.Check(t, func(t *rapid.T) {
		m := Mail{Sender: who.Draw(t, "sender")}
		var cs []Candidate
		allowed := map[string]bool{}
		for i := range rapid.IntRange(0, 6).Draw(t, "candidates") {
			c := Candidate{By: fmt.Sprint(i), Own: rapid.Bool().Draw(t, "own"), Session: Session{ID: rapid.SampledFrom([]string{"S", "T", "U"}).Draw(t, "session")}}
			c.Session.Participants = map[string][]string{"S": {"ann@x"}, "T": {"ann@x", "bob@x"}, "U": {"eve@x"}}[c.Session.ID]
			allowed[c.Session.ID] = m.Sender != "" && slices.Contains(c.Session.Participants, m.Sender)
			cs = append(cs, c)
		}
		d := Decide(m, cs)
		for _, id := range append(d.Merge, d.Join) {
			if id != "" && !allowed[id] {
				t.Fatalf("%q gets into session %s: %+v", m.Sender, id, d)
			}
		}
		if d.Join != "" && (d.Linked != "" || slices.Contains(d.Merge, d.Join)) {
			t.Fatalf("both joined and linked or merged: %+v", d)
		}
		if d.Join == "" && (len(d.Merge) > 0 || (d.Linked == "") != (len(cs) == 0)) {
			t.Fatalf("of %d candidates: %+v", len(cs), d)
		}
	})
}
