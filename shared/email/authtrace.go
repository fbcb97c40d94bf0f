package email

// TraceField is one Received or Authentication-Results field, unfolded.
type TraceField struct {
	Name  string // "received" or "authentication-results"
	Value string
}

// A server adds a few fields per hop, and only the hops that are ours count.
const (
	maxTrace      = 40
	maxTraceValue = 8 << 10
)

// traceFields takes what Mail.Trace holds. A field that is too long is left out with everything below it, for half a
// field may say the opposite of a whole one.
func traceFields(h header) []TraceField {
	var trace []TraceField
	end := 0
	for _, f := range h {
		if f.key != "received" && f.key != "authentication-results" {
			continue
		}
		if len(trace) == maxTrace || len(f.value) > maxTraceValue {
			break
		}
		if trace = append(trace, TraceField{f.key, f.value}); f.key == "authentication-results" {
			end = len(trace)
		}
	}
	if end == 0 {
		return nil
	}
	return trace[:end:end]
}
