package reply

import (
	"strings"
	"time"
	_ "time/tzdata" // a function's image may have no zone database

	"emailchannel.dev/emailchannel/shared/hours"
)

// Values are what the tags of an automatic reply stand for. A blank one gets its language's fallback.
type Values struct {
	Consumer    string // the end user's first name, of FirstName
	Agent       string // the agent's first name
	Queue       string
	Company     string
	TicketID    string
	Now         time.Time
	Zone        string // IANA name of the queue's zone; UTC when unknown
	NextWorking hours.Date
	Language    string // the queue's, such as "fr" or "fr-CA"
}

// Render fills the tags of an automatic reply's HTML. What is no tag stays as it is.
func Render(template string, v Values) string { return render(template, v.value) }

func (v Values) value(name string) (string, bool) {
	l := languageOf(v.Language)
	switch name {
	case "consumer":
		return l.or(v.Consumer, l.consumer), true
	case "agent":
		return l.or(v.Agent, l.agent), true
	case "queue":
		return l.or(v.Queue, l.queue), true
	case "company":
		return l.or(v.Company, l.company), true
	case "ticket_id":
		return l.or(v.TicketID, l.ticketID), true
	case "date":
		return l.date(hours.DateOf(v.local())), true
	case "time":
		return v.local().Format(l.clock), true
	case "next_working_date":
		if !v.NextWorking.Valid() {
			return l.nextWorking, true
		}
		return l.date(v.NextWorking), true
	}
	return "", false
}

func (v Values) local() time.Time {
	loc, err := time.LoadLocation(v.Zone)
	if err != nil {
		loc = time.UTC
	}
	return v.Now.In(loc)
}

// SignatureValues are what a signature's tags stand for.
type SignatureValues struct {
	Agent    string // the agent's name, as customers see it
	Company  string
	Alias    string // the agent's address; nothing stands in for it
	Language string
}

// RenderSignature fills the tags of a signature's HTML, with the same escaping as Render.
func RenderSignature(template string, v SignatureValues) string {
	l := languageOf(v.Language)
	return render(template, func(name string) (string, bool) {
		switch name {
		case "agent":
			return l.or(v.Agent, l.agent), true
		case "company":
			return l.or(v.Company, l.company), true
		case "alias":
			return v.Alias, true
		}
		return "", false
	})
}

func (language) or(value, fallback string) string {
	if strings.TrimSpace(value) == "" {
		return fallback
	}
	return value
}
