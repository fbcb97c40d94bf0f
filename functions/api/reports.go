package api

import (
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/report"
)

// statesView is a line about the present.
type statesView struct {
	Queue string `json:"queue,omitempty"`
	Agent string `json:"agent,omitempty"`
	report.States
}

// activityView is a line about days. The averages are whole seconds.
type activityView struct {
	Day   string `json:"day,omitempty"`
	Queue string `json:"queue,omitempty"`
	Agent string `json:"agent,omitempty"`
	report.Activity
	AverageResponse int `json:"average_response_seconds"`
	AverageHandling int `json:"average_handling_seconds"`
}

// reportView is a report; Until is when sessions were last counted.
type reportView[T any] struct {
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	Until time.Time
	Items []T
}

func (s *server) reportStates(c *call) (any, error) {
	q, err := c.query("by", "queue", "agent")
	if err != nil {
		return nil, err
	}
	rq := reportQuery(q, "queue")
	r, err := s.Read.Report(c.ctx(), rq)
	if err != nil {
		return nil, err
	}
	v := reportView[statesView]{Until: r.Until}
	for _, l := range r.Lines {
		v.Items = append(v.Items, statesView{l.Queue, l.Agent, l.States})
	}
	if c.wantsCSV() {
		return table("states.csv", rq.By, v.Items), nil
	}
	return v, nil
}

// reportDays is how many days a report has that names none.
const reportDays = 30

func (s *server) reportActivity(c *call) (any, error) {
	q, err := c.query("from", "to", "by", "queue", "agent")
	if err != nil {
		return nil, err
	}
	rq := reportQuery(q, "queue")
	today := s.Read.Now().UTC()
	if rq.To = q["to"]; rq.To == "" {
		rq.To = today.Format(time.DateOnly)
	}
	if rq.From = q["from"]; rq.From == "" {
		rq.From = today.AddDate(0, 0, 1-reportDays).Format(time.DateOnly)
	}
	r, err := s.Read.Report(c.ctx(), rq)
	if err != nil {
		return nil, err
	}
	v := reportView[activityView]{From: rq.From, To: rq.To, Until: r.Until}
	for _, l := range r.Lines {
		v.Items = append(v.Items, activityView{l.Day, l.Queue, l.Agent, l.Activity, average(l.ResponseSeconds, l.Responses), average(l.HandlingSeconds, l.Resolutions)})
	}
	if c.wantsCSV() {
		return table("activity-"+rq.From+"-"+rq.To+".csv", rq.By, v.Items), nil
	}
	return v, nil
}

func average(sum, n int) int {
	if n == 0 {
		return 0
	}
	return (sum + n/2) / n
}

func reportQuery(q map[string]string, by string) channel.ReportQuery {
	if v, ok := q["by"]; ok {
		by = v
	}
	return channel.ReportQuery{Queue: q["queue"], Agent: email.Normalize(q["agent"]), By: strings.FieldsFunc(by, func(r rune) bool { return r == ',' })}
}

// wantsCSV tells whether the caller asks for CSV rather than JSON.
func (c *call) wantsCSV() bool {
	c.w.Header().Add("Vary", "Accept")
	for part := range strings.SplitSeq(strings.Join(c.r.Header.Values("Accept"), ","), ",") {
		mediaType, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		if mediaType == "text/csv" {
			return true
		} else if mediaType == "application/json" {
			return false
		}
	}
	return false
}
