package channel

import (
	"testing"
	"time"
)

// A mail is begun when it has time enough, and the first of a poll also late.
func TestSpanIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		since time.Duration
		taken int
		idle  bool
		over  bool
	}{
		"begun":                    {since: 0},
		"more":                     {since: 40 * time.Second, taken: 7},
		"enough":                   {since: 50 * time.Second, taken: 7, over: true},
		"more where it idles":      {since: 50 * time.Second, taken: 7, idle: true},
		"enough where it idles":    {since: 56 * time.Second, taken: 7, idle: true, over: true},
		"the first, late":          {since: 70 * time.Second},
		"the first, with no time":  {since: 100 * time.Second, over: true},
		"none after a long repair": {since: 105 * time.Second, idle: true, over: true},
	} {
		s := &span{bounds: pollBounds, start: time.Now().Add(-c.since), taken: c.taken}
		if s.over(c.idle) != c.over {
			t.Errorf("%s: over is %t", name, !c.over)
		}
	}
}
