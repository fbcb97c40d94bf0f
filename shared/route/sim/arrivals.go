package sim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Arrival is one session that enters a queue.
type Arrival struct {
	Time     time.Time `json:"time"`
	Queue    string    `json:"queue"`
	Handling float64   `json:"handling_seconds,omitempty"` // 0: drawn
}

// Bounds of what is read: the arrivals are kept in memory.
const (
	maxArrivals = 2_000_000
	maxLine     = 64 << 10
)

// ParseArrivals reads a JSON object per line, in any order; empty lines are
// passed over. The error names the line and the field.
func ParseArrivals(r io.Reader) ([]Arrival, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var out []Arrival
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		if len(out) == maxArrivals {
			return nil, fmt.Errorf("line %d: more than %d arrivals", n, maxArrivals)
		}
		a, err := parseArrival(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out = append(out, a)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if len(out) == 0 {
		return nil, errors.New("there are no arrivals")
	}
	return out, nil
}

func parseArrival(line []byte) (a Arrival, err error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(line, &m); err != nil {
		return a, fmt.Errorf("not a JSON object: %w", err)
	}
	for _, field := range slices.Sorted(maps.Keys(m)) {
		var into any
		switch field {
		case "time":
			into = &a.Time
		case "queue":
			into = &a.Queue
		case "handling_seconds":
			into = &a.Handling
		default:
			return a, fmt.Errorf("%s: is not known here", field)
		}
		if err := json.Unmarshal(m[field], into); err != nil {
			return a, fmt.Errorf("%s: %w", field, err)
		}
	}
	switch {
	case a.Time.IsZero():
		return a, errors.New("time: missing")
	case a.Queue == "":
		return a, errors.New("queue: missing")
	case !(a.Handling >= 0 && a.Handling <= maxHandling):
		return a, fmt.Errorf("handling_seconds: %g, must be 0 to %d", a.Handling, maxHandling)
	}
	return a, nil
}
