package firestore

import "time"

// history remembers what commits replaced, newest last, so that read-only transactions and reads with a
// read_time see the past: current documents overlaid with what was there before the later commits. It is
// bounded in bytes and age; an older read is refused, as in the cloud after an hour.
type history struct {
	changes []replaced
	bytes   int
	horizon int64 // reads before this time cannot be answered
}

type replaced struct {
	time   int64
	name   string
	before *document // nil: did not exist
}

const (
	historyBytes = 16 << 20
	historyAge   = int64(time.Hour / time.Microsecond)
)

func (r *replaced) size() int {
	n := 96 + len(r.name)
	if r.before != nil {
		n += len(r.before.fields)
	}
	return n
}

func (h *history) add(r replaced) {
	h.changes = append(h.changes, r)
	h.bytes += r.size()
	drop := 0
	for h.bytes > historyBytes || h.changes[drop].time < r.time-historyAge {
		h.bytes -= h.changes[drop].size()
		h.horizon = h.changes[drop].time
		h.changes[drop] = replaced{}
		drop++
	}
	h.changes = h.changes[drop:] // append moves the rest when the array is used up
}

// overlay returns the documents that differ at time t from now: their version then, nil if there was none.
func (h *history) overlay(t int64) map[string]*document {
	var out map[string]*document
	for i := len(h.changes) - 1; i >= 0 && h.changes[i].time > t; i-- {
		if out == nil {
			out = map[string]*document{}
		}
		out[h.changes[i].name] = h.changes[i].before
	}
	return out
}
