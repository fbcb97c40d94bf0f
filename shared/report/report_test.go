package report

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"emailchannel.dev/emailchannel/shared/session"
)

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func TestOf(t *testing.T) {
	began := time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		f    Facts
		want Sum
	}{
		"a new one": {Facts{State: session.Unopened, Queue: "q", CreatedAt: began}, Sum{
			{"", "q", ""}:           {States: States{Unopened: 1}},
			{"2026-03-02", "q", ""}: {Activity: Activity{Arrived: 1}},
		}},
		"answered the next day, by another": {Facts{State: session.Active, Queue: "q", Agent: "ana", CreatedAt: began, AnsweredAt: began.Add(3 * time.Hour), AnsweredBy: "sam"}, Sum{
			{"", "q", "ana"}:           {States: States{Active: 1}},
			{"2026-03-02", "q", ""}:    {Activity: Activity{Arrived: 1}},
			{"2026-03-03", "q", "sam"}: {Activity: Activity{Responses: 1, ResponseSeconds: 3 * 3600, Within4h: 1, Within8h: 1, Within24h: 1}},
		}},
		"answered at the very hour, and resolved": {Facts{State: session.Closed, Queue: "q", Agent: "ana", CreatedAt: began, AnsweredAt: began.Add(time.Hour), AnsweredBy: "ana", ResolvedAt: began.Add(time.Hour), Handling: 90 * time.Second}, Sum{
			{"", "q", "ana"}:           {States: States{Closed: 1}},
			{"2026-03-02", "q", ""}:    {Activity: Activity{Arrived: 1}},
			{"2026-03-02", "q", "ana"}: {Activity: Activity{Responses: 1, ResponseSeconds: 3600, Within1h: 1, Within4h: 1, Within8h: 1, Within24h: 1, Resolutions: 1, HandlingSeconds: 90}},
		}, // 23:00 is the same day
		},
		"begun by an agent": {Facts{State: session.Active, Queue: "q", Agent: "ana", Started: true, CreatedAt: began}, Sum{
			{"", "q", "ana"}:           {States: States{Active: 1}},
			{"2026-03-02", "q", "ana"}: {Activity: Activity{Started: 1}},
		}},
		"a clock that was behind": {Facts{State: session.Active, Queue: "q", CreatedAt: began, AnsweredAt: began.Add(-time.Second)}, Sum{
			{"", "q", ""}:           {States: States{Active: 1}},
			{"2026-03-02", "q", ""}: {Activity: Activity{Arrived: 1, Responses: 1, Within1h: 1, Within4h: 1, Within8h: 1, Within24h: 1}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Of(c.f, day)); diff != "" {
				t.Errorf("(-want/+got)\n%s", diff)
			}
		})
	}
}

// However often a session changes, the differences add up to what it adds at the end.
func TestDifferencesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Custom(func(t *rapid.T) time.Time {
			h := rapid.IntRange(0, 100).Draw(t, "hour")
			if h == 0 {
				return time.Time{}
			}
			return time.Date(2026, 3, 1, h, 0, 0, 0, time.UTC)
		})
		who := rapid.SampledFrom([]string{"", "ana", "ben"})
		total, before := Sum{}, Sum{}
		for range rapid.IntRange(1, 10).Draw(t, "changes") {
			now := Of(Facts{
				State: rapid.SampledFrom(session.States()).Draw(t, "state"), Queue: rapid.SampledFrom([]string{"q", "r"}).Draw(t, "queue"), Agent: who.Draw(t, "agent"),
				Started: rapid.Bool().Draw(t, "started"), CreatedAt: at.Draw(t, "created"), AnsweredAt: at.Draw(t, "answered"), AnsweredBy: who.Draw(t, "by"), ResolvedAt: at.Draw(t, "resolved"), Handling: 1500 * time.Millisecond,
			}, day)
			for k, c := range now.Less(before) {
				total.Add(k, c, 1)
			}
			before = now
		}
		if diff := cmp.Diff(before, total.Less(Sum{})); diff != "" {
			t.Fatalf("(-want/+got)\n%s", diff)
		}
	})
}
