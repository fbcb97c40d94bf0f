package channel

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/report"
)

// ReportQuery says which lines of a report are added up, and to what.
type ReportQuery struct {
	From, To     string // days, both included; both empty: the present
	Queue, Agent string // "": all
	By           []string
}

// reportBy are the fields by which lines are told apart.
var reportBy = []string{"day", "queue", "agent"}

// Reported is a report: its lines in their order, and until when sessions are
// counted in it. It is zero when they never were.
type Reported struct {
	Until time.Time
	Lines []ReportLine
}

const (
	maxReportDays  = 366
	maxReportLines = 10_000
)

// Report adds up the lines that [Count] keeps, for supervisors; it looks at no
// session.
func (r *Read) Report(ctx context.Context, q ReportQuery) (*Reported, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	until, err := get[countedUntil](ctx, r.Docs, reportUntilPath)
	if err != nil || until == nil {
		return &Reported{}, err
	}
	sum := report.Sum{}
	err = walk(ctx, r.Docs, q.query(), func(l ReportLine) error {
		sum.Add(q.line(l.key()), l.Counts, 1)
		if len(sum) > maxReportLines {
			return &Invalid{[]Field{{"by", fmt.Sprintf("more than %d lines: ask for fewer days, or by less", maxReportLines)}}}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	out := &Reported{Until: until.At, Lines: lines(sum)}
	slices.SortFunc(out.Lines, func(a, b ReportLine) int {
		return cmp.Or(strings.Compare(a.Day, b.Day), strings.Compare(a.Queue, b.Queue), strings.Compare(a.Agent, b.Agent))
	})
	return out, nil
}

func (q ReportQuery) check() error {
	var bad Invalid
	from, err := hours.ParseDate(q.From)
	if err != nil && q.dated() {
		bad.add("from", "must be a date like 2026-11-21")
	}
	if _, err := hours.ParseDate(q.To); err != nil && q.dated() {
		bad.add("to", "must be a date like 2026-11-21")
	}
	switch {
	case !q.dated() || len(bad.Fields) > 0:
	case q.To < q.From:
		bad.add("to", "is before from")
	case from.AddDays(maxReportDays-1).String() < q.To:
		bad.add("to", "a report has %d days at the most", maxReportDays)
	}
	for _, by := range q.By {
		if !slices.Contains(reportBy, by) || by == "day" && !q.dated() {
			bad.add("by", "%q is none of its fields", by)
		}
	}
	return bad.err()
}

// dated tells whether the report is about days, not about the present.
func (q ReportQuery) dated() bool { return q.From != "" || q.To != "" }

func (q ReportQuery) query() Query {
	out := Query{Collection: "reports", Where: []Where{{"day", "==", ""}}}
	if q.dated() {
		out.Where = []Where{{"day", ">=", q.From}, {"day", "<=", q.To}}
		out.Order = []Order{{Field: "day"}}
	}
	if q.Queue != "" {
		out.Where = append(out.Where, Where{"queue", "==", q.Queue})
	}
	if q.Agent != "" {
		out.Where = append(out.Where, Where{"agent", "==", q.Agent})
	}
	return out
}

// line is the line of the report to which one of the finest is added.
func (q ReportQuery) line(k report.Key) (out report.Key) {
	if slices.Contains(q.By, "day") {
		out.Day = k.Day
	}
	if slices.Contains(q.By, "queue") {
		out.Queue = k.Queue
	}
	if slices.Contains(q.By, "agent") {
		out.Agent = k.Agent
	}
	return out
}
