package channel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Receipt is what a server said of a mail and of each of its recipients.
type Receipt struct {
	Answer  string             // to the mail as a whole, when it took it
	Refused map[string]Refusal // recipients that it did not take
}

// Refusal is a server's no to one recipient.
type Refusal struct {
	Status    string // enhanced status code such as "5.1.1" (RFC 3463); empty when there was none
	Answer    string // its words
	Temporary bool   // 4xx: worth another try
}

// Result is what became of a mail for one recipient.
type Result struct {
	State  OutState `json:"state"` // accepted or rejected
	Status string   `json:"status,omitempty"`
	Answer string   `json:"answer,omitempty"`
}

// left are the recipients that no server has decided about.
func (o *Outbound) left() []string {
	var left []string
	for _, to := range o.To {
		if _, done := o.Results[to]; !done {
			left = append(left, to)
		}
	}
	return left
}

// settle notes what an attempt, which failed as a whole with err or did not,
// means for the recipients that were left, and returns how many still are.
// With last there is no other attempt.
func (o *Outbound) settle(r Receipt, err error, last bool) int {
	results := maps.Clone(o.Results)
	if results == nil {
		results = map[string]Result{}
	}
	n := 0
	for _, to := range o.left() {
		no, refused := r.Refused[to]
		switch {
		case refused && (last || !no.Temporary):
			results[to] = Result{Rejected, no.Status, no.Answer}
		case !refused && err == nil:
			results[to] = Result{State: Accepted}
		case !refused && last:
			results[to] = Result{State: Rejected, Answer: err.Error()}
		default:
			n++
		}
	}
	if len(results) > 0 {
		o.Results = results
	}
	return n
}

// taken tells whether the server took the mail for anybody.
func (o *Outbound) taken() bool {
	for _, r := range o.Results {
		if r.State == Accepted {
			return true
		}
	}
	return false
}

// failed names the recipients that were refused; empty when there are none.
func (o *Outbound) failed() string {
	var all []string
	for _, to := range slices.Sorted(maps.Keys(o.Results)) {
		if r := o.Results[to]; r.State == Rejected {
			all = append(all, fmt.Sprintf("%s: %s", to, r.Answer))
		}
	}
	return strings.Join(all, "; ")
}
