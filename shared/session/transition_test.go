package session

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const day = 24 * time.Hour

var start = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// matrix is SE-3 to SE-6 written down a second time, by hand: a row per event, a column per state. A dot is
// a refusal. Timers and windows are asked a second after respectively before their days are over.
const matrix = `
event                 none      unopened  active    paused    resolved  closed    reopened
inbound               unopened  unopened  active    active    reopened  reopened  reopened
start_outbound        active    .         .         .         .         .         .
outbound              .         active    active    paused    resolved  reopened  active
open                  .         active    .         .         .         .         active
pause                 .         .         paused    .         .         .         .
resolve               .         .         resolved  .         .         .         .
activate              .         .         .         active    active    .         .
timer_pause           .         .         paused    .         .         .         .
timer_close_paused    .         .         .         closed    .         .         .
timer_close_resolved  .         .         .         .         closed    .         .
merge                 .         closed    closed    closed    closed    closed    closed
`

func TestNextMatrix(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(matrix), "\n")
	states := strings.Fields(rows[0])[1:]
	if len(states) != len(States())+1 || len(rows) != len(Events())+1 {
		t.Fatalf("the matrix has %d states and %d events", len(states), len(rows)-1)
	}
	for _, row := range rows[1:] {
		cells := strings.Fields(row)
		event := Event(cells[0])
		for i, want := range cells[1:] {
			from := State(states[i])
			if from == "none" {
				from = None
			}
			t.Run(states[i]+"/"+cells[0], func(t *testing.T) {
				f := Facts{State: from, EnteredAt: start, LastActivity: start}
				now := start.Add(1000 * day)
				if from == Closed {
					now = start.Add(30*day - time.Second)
				}
				got, err := Next(f, event, Default(), now)
				if want != "." {
					if err != nil || got != State(want) {
						t.Fatalf("got %q, %v; want %q", got, err, want)
					}
					return
				}
				var refused *TransitionError
				if !errors.As(err, &refused) || refused.Reason != NotListed || refused.From != from || refused.Event != event {
					t.Fatalf("got %q, %v; want a refusal by name", got, err)
				}
				if got != from {
					t.Errorf("a refused move changed the state to %q", got)
				}
			})
		}
	}
}

func TestNextAtTheBoundaries(t *testing.T) {
	long := start.Add(-900 * day) // the time that must not count
	all := Default()
	off := Settings{}
	tests := []struct {
		name     string
		facts    Facts
		event    Event
		settings Settings
		at       time.Duration
		want     State
		reason   Reason
	}{
		{"active just before", Facts{Active, long, start}, TimerPause, all, 30*day - time.Second, Active, NotDue},
		{"active at", Facts{Active, long, start}, TimerPause, all, 30 * day, Paused, ""},
		{"active after", Facts{Active, long, start}, TimerPause, all, 30*day + time.Second, Paused, ""},
		{"active off", Facts{Active, long, start}, TimerPause, off, 900 * day, Active, TimerOff},
		{"paused just before", Facts{Paused, start, long}, TimerClosePaused, all, 60*day - time.Second, Paused, NotDue},
		{"paused at", Facts{Paused, start, long}, TimerClosePaused, all, 60 * day, Closed, ""},
		{"paused after", Facts{Paused, start, long}, TimerClosePaused, all, 60*day + time.Second, Closed, ""},
		{"paused off", Facts{Paused, start, long}, TimerClosePaused, off, 900 * day, Paused, TimerOff},
		{"resolved just before", Facts{Resolved, start, long}, TimerCloseResolved, all, 30*day - time.Second, Resolved, NotDue},
		{"resolved at", Facts{Resolved, start, long}, TimerCloseResolved, all, 30 * day, Closed, ""},
		{"resolved after", Facts{Resolved, start, long}, TimerCloseResolved, all, 30*day + time.Second, Closed, ""},
		{"resolved off", Facts{Resolved, start, long}, TimerCloseResolved, off, 900 * day, Resolved, TimerOff},
		{"closed just before, inbound", Facts{Closed, start, start}, Inbound, all, 30*day - time.Second, Reopened, ""},
		{"closed at, inbound", Facts{Closed, start, start}, Inbound, all, 30 * day, Closed, ReopenOver},
		{"closed after, inbound", Facts{Closed, start, start}, Inbound, all, 30*day + time.Second, Closed, ReopenOver},
		{"closed just before, outbound", Facts{Closed, start, start}, Outbound, all, 30*day - time.Second, Reopened, ""},
		{"closed at, outbound", Facts{Closed, start, start}, Outbound, all, 30 * day, Closed, ReopenOver},
		{"closed a moment ago, no activity for long", Facts{Closed, start, long}, Inbound, all, 0, Closed, ReopenOver},
		{"closed off", Facts{Closed, start, start}, Inbound, off, time.Second, Closed, ReopenOff},
		{"closed, activity unknown", Facts{Closed, start, time.Time{}}, Inbound, all, 0, Closed, ReopenOver},
		{"paused, entry unknown", Facts{Paused, time.Time{}, start}, TimerClosePaused, all, 0, Paused, NotDue},
		{"a shorter threshold holds at once", Facts{Paused, start, long}, TimerClosePaused,
			Settings{PausedClose: Threshold{On: true, Days: 1}}, day, Closed, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Next(tt.facts, tt.event, tt.settings, start.Add(tt.at))
			var refused *TransitionError
			var reason Reason
			if errors.As(err, &refused) {
				reason = refused.Reason
			}
			if got != tt.want || reason != tt.reason {
				t.Errorf("got %q, %v; want %q, %q", got, err, tt.want, tt.reason)
			}
			isNew := tt.reason == ReopenOver || tt.reason == ReopenOff
			if errors.Is(err, ErrNewSession) != isNew {
				t.Errorf("ErrNewSession in %v: want %v", err, isNew)
			}
		})
	}
}

func TestNextRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, tt := range []struct {
		state  State
		event  Event
		reason Reason
		text   string
	}{
		{"asleep", Inbound, BadState, "session: inbound on asleep refused: unknown_state"},
		{Active, "explode", BadEvent, "session: explode on active refused: unknown_event"},
		{None, Pause, NotListed, "session: pause on none refused: not_listed"},
	} {
		_, err := Next(Facts{State: tt.state}, tt.event, Default(), start)
		var refused *TransitionError
		if !errors.As(err, &refused) || refused.Reason != tt.reason || err.Error() != tt.text {
			t.Errorf("%s on %s: got %v", tt.event, tt.state, err)
		}
	}
}

func TestApplyKeepsTheFacts(t *testing.T) {
	later, latest := start.Add(40*day), start.Add(41*day)
	active := Facts{Active, start, start}
	tests := []struct {
		name  string
		facts Facts
		event Event
		now   time.Time
		want  Facts
	}{
		{"birth", Facts{}, Inbound, start, Facts{Unopened, start, start}},
		{"activity without a move", active, Inbound, later, Facts{Active, start, later}},
		{"timer moves the entry, not the activity", active, TimerPause, later, Facts{Paused, later, start}},
		{"taking it up again counts", Facts{Paused, later, start}, Activate, latest, Facts{Active, latest, latest}},
		{"merge is no activity", active, Merge, later, Facts{Closed, later, start}},
		{"late news does not shorten", Facts{Active, start, latest}, Inbound, later, Facts{Active, start, latest}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Apply(tt.facts, tt.event, Default(), tt.now)
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
	if got, err := Apply(active, Open, Default(), later); err == nil || got != active {
		t.Errorf("a refusal changed the facts: %+v, %v", got, err)
	}
}

func TestManual(t *testing.T) {
	wanted := map[[2]State]Event{
		{Unopened, Active}: Open, {Reopened, Active}: Open,
		{Active, Paused}: Pause, {Active, Resolved}: Resolve,
		{Paused, Active}: Activate, {Resolved, Active}: Activate,
	}
	for _, from := range States() {
		for _, to := range States() {
			got, err := Manual(from, to)
			var refused *TransitionError
			switch want, allowed := wanted[[2]State{from, to}]; {
			case from == to:
				if !errors.Is(err, ErrUnchanged) {
					t.Errorf("%s → %s: got %q, %v; want unchanged", from, to, got, err)
				}
			case allowed:
				if got != want || err != nil {
					t.Errorf("%s → %s: got %q, %v; want %q", from, to, got, err, want)
				}
			default:
				reason := NotListed
				if to == Unopened || to == Reopened || to == Closed {
					reason = ByHand
				}
				if !errors.As(err, &refused) || refused.Reason != reason || refused.From != from || refused.To != to {
					t.Errorf("%s → %s: got %q, %v; want %s", from, to, got, err, reason)
				}
			}
		}
	}
	if _, err := Manual(Active, "done"); err == nil || err.Error() != "session: active → done refused: unknown_state" {
		t.Errorf("got %v", err)
	}
}

func TestCounted(t *testing.T) {
	for _, s := range States() {
		if want := slices.Contains([]State{Unopened, Reopened, Active}, s); Counted(s) != want {
			t.Errorf("Counted(%s) is not %v", s, want)
		}
	}
}

func TestDueAndCutoffs(t *testing.T) {
	tests := []struct {
		state State
		event Event
		days  int
	}{{Active, TimerPause, 30}, {Paused, TimerClosePaused, 60}, {Resolved, TimerCloseResolved, 30},
		{Unopened, "", 0}, {Closed, "", 0}, {Reopened, "", 0}, {None, "", 0}}
	for _, tt := range tests {
		f := Facts{State: tt.state, EnteredAt: start, LastActivity: start}
		at, e, ok := Due(f, Default())
		if e != tt.event || ok != (tt.days > 0) || ok && !at.Equal(start.Add(time.Duration(tt.days)*day)) {
			t.Errorf("%s: got %v, %q, %v", tt.state, at, e, ok)
		}
		if _, _, ok := Due(f, Settings{}); ok {
			t.Errorf("%s: a timer that is off falls due", tt.state)
		}
	}
	if _, _, ok := Due(Facts{State: Active}, Default()); ok {
		t.Error("a session without times falls due")
	}
	if got := len(Cutoffs(Default(), start)); got != 3 {
		t.Errorf("%d cutoffs, want 3", got)
	}
	if got := Cutoffs(Settings{ClosedReopen: Threshold{true, 1}}, start); len(got) != 0 {
		t.Errorf("cutoffs of timers that are off: %v", got)
	}
}

// TestLives walks random lives and checks what must hold in each: Due, Cutoffs and Next agree to the second,
// only the listed events leave closed, and time in a life never runs backwards.
func TestLives(t *testing.T) {
	days := rapid.IntRange(MinDays, MaxDays)
	rapid.Check(t, func(t *rapid.T) {
		threshold := rapid.Custom(func(t *rapid.T) Threshold {
			return Threshold{rapid.Bool().Draw(t, "on"), days.Draw(t, "days")}
		})
		s := Settings{threshold.Draw(t, "pausedClose"), threshold.Draw(t, "resolvedClose"),
			threshold.Draw(t, "activePause"), threshold.Draw(t, "closedReopen")}
		f, now := Facts{}, start
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(40*day)).Draw(t, "wait")))
			e := rapid.SampledFrom(Events()).Draw(t, "event")
			before := f
			var err error
			f, err = Apply(f, e, s, now)
			if err != nil {
				if f != before {
					t.Fatalf("%v changed the facts", err)
				}
				continue
			}
			if err := f.State.Validate(); err != nil {
				t.Fatal(err)
			}
			if before.State == Closed && f.State != Closed && (f.State != Reopened || !s.ClosedReopen.On) {
				t.Fatalf("closed became %s by %s", f.State, e)
			}
			if f.EnteredAt.Before(before.EnteredAt) || f.LastActivity.Before(before.LastActivity) {
				t.Fatalf("time ran backwards: %+v after %+v", f, before)
			}
			checkDue(t, f, s)
		}
	})
}

func checkDue(t *rapid.T, f Facts, s Settings) {
	at, e, ok := Due(f, s)
	if !ok {
		return
	}
	if _, err := Next(f, e, s, at); err != nil {
		t.Fatalf("due and refused: %v", err)
	}
	if _, err := Next(f, e, s, at.Add(-time.Nanosecond)); err == nil {
		t.Fatalf("%s was accepted before it is due", e)
	}
	for _, c := range Cutoffs(s, at) {
		if c.State == f.State && (c.Event != e || !c.Since.Equal(Since(f))) {
			t.Fatalf("cutoff %+v, due %s since %s", c, e, Since(f))
		}
	}
}
