package sim

import (
	"time"

	"emailchannel.dev/emailchannel/shared/route"
)

// person is an agent with what he has to do.
type person struct {
	Agent
	calendar *calendar
	open     int
	last     time.Time // last assignment
	today    map[*line]count
	backlog  []task // assigned and not begun, the first first
	busy     bool   // at work, or waiting for his hours to begin

	assigned, most int
	worked         time.Duration
}

type count struct {
	day string
	n   int
}

type task struct {
	*work
	of *line
}

// rank is what package route needs of him.
func (p *person) rank(l *line, now time.Time) route.Agent {
	in, _ := p.calendar.at(now)
	a := route.Agent{ID: p.ID, LoggedIn: in, Open: p.open, LastAssigned: p.last}
	if _, day := l.calendar.at(now); p.today[l].day == day {
		a.Today = p.today[l].n
	}
	return a
}

// take assigns him work: never two at the same time, as in production.
func (p *person) take(r *run, l *line, w *work) {
	at := r.now
	if !at.After(r.assigned) {
		at = r.assigned.Add(time.Microsecond)
	}
	_, day := l.calendar.at(r.now)
	p.today[l] = count{day, p.rank(l, r.now).Today + 1}
	p.last, r.assigned = at, at
	p.open++
	p.assigned++
	p.most = max(p.most, p.open)
	l.byPerson[p]++
	p.backlog = append(p.backlog, task{w, l})
	if !p.busy {
		p.goOn(r)
	}
}

// goOn begins what was assigned first, as soon as he works.
func (p *person) goOn(r *run) {
	if p.busy = len(p.backlog) > 0; !p.busy {
		return
	}
	if at, ok := p.opens(r.now); ok {
		r.at(at, func() { p.begin(r) })
	}
}

// opens is when he works next: now, if he does.
func (p *person) opens(now time.Time) (time.Time, bool) {
	if in, _ := p.calendar.at(now); in {
		return now, true
	}
	return p.Hours.NextOpen(now)
}

func (p *person) begin(r *run) {
	t := p.backlog[0]
	p.backlog = p.backlog[1:]
	t.of.starts = append(t.of.starts, r.now.Sub(t.arrived))
	r.at(r.now.Add(t.takes), func() {
		p.open--
		p.worked += t.takes
		p.goOn(r)
	})
}
