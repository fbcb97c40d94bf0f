package zendesk

import (
	"html/template"
	"net/http"
	"slices"
	"strconv"
)

// pageSize is how many tickets the list shows, newest first.
const pageSize = 100

const pageStyle = `<style>body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#1f2937}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3em .6em;border-bottom:1px solid #e5e7eb}
article{border:1px solid #e5e7eb;border-radius:6px;padding:.6em 1em;margin:1em 0}article.internal{background:#fffbeb}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit}small{color:#6b7280}</style>`

var pages = template.Must(template.New("pages").Parse(`
{{define "index"}}<!doctype html><html lang="en"><meta charset="utf-8"><title>Zendesk (emulator)</title>` + pageStyle + `
<h1>Tickets</h1><p>{{.Total}} tickets; the newest {{len .Tickets}} are shown.</p>
<table><tr><th>ID<th>Subject<th>Status<th>Requester<th>External ID<th>Updated</tr>
{{range .Tickets}}<tr><td>{{.ID}}<td><a href="/agent/tickets/{{.ID}}">{{.Subject}}</a><td>{{.Status}}<td>{{.Requester}}<td>{{.ExternalID}}<td>{{.Updated}}</tr>
{{end}}</table>{{end}}
{{define "ticket"}}<!doctype html><html lang="en"><meta charset="utf-8"><title>Ticket {{.Ticket.ID}}</title>` + pageStyle + `
<p><a href="/">All tickets</a></p><h1>#{{.Ticket.ID}} {{.Ticket.Subject}}</h1>
<p>{{.Ticket.Status}} · {{.Ticket.Requester}} · session {{.Ticket.ExternalID}} · tags {{range .Ticket.Tags}}{{.}} {{end}}</p>
{{range .Comments}}<article{{if not .Public}} class="internal"{{end}}><small>{{.Author}} · {{.When}} · {{if .Public}}public{{else}}internal{{end}}</small>
<pre>{{.Text}}</pre>{{range .Attachments}}<p><a href="{{.ContentURL}}">{{.FileName}}</a> ({{.Size}} bytes)</p>{{end}}</article>
{{end}}{{end}}`))

type ticketRow struct {
	ID                                              int64
	Subject, Status, Requester, ExternalID, Updated string
	Tags                                            []string
}

type commentRow struct {
	Author, When, Text string
	Public             bool
	Attachments        []attachment
}

func (s *Server) row(t *ticket) ticketRow {
	r := ticketRow{
		ID: t.ID, Subject: t.Subject, Status: t.Status, Tags: t.Tags,
		Requester: s.userName(t.RequesterID), Updated: t.UpdatedAt.Format("2006-01-02 15:04:05"),
	}
	if t.ExternalID != nil {
		r.ExternalID = *t.ExternalID
	}
	return r
}

func (s *Server) userName(id int64) string {
	u := s.state.users[id]
	if u == nil {
		return strconv.FormatInt(id, 10)
	}
	return u.Name + " <" + u.Email + ">"
}

func (s *Server) indexPage(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	ids := s.state.ticketIDs()
	total := len(ids)
	slices.Reverse(ids)
	rows := []ticketRow{}
	for _, id := range ids[:min(pageSize, total)] {
		rows = append(rows, s.row(s.state.tickets[id]))
	}
	s.mu.Unlock()
	s.render(w, "index", map[string]any{"Total": total, "Tickets": rows})
}

func (s *Server) ticketPage(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.state.tickets[id]
	if t == nil {
		http.NotFound(w, r)
		return
	}
	comments, err := s.commentsOf(id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var rows []commentRow
	for _, c := range comments {
		rows = append(rows, commentRow{
			Author: s.userName(c.AuthorID), When: c.CreatedAt.Format("2006-01-02 15:04:05"),
			Text: c.plain(), Public: c.Public, Attachments: c.Attachments,
		})
	}
	s.render(w, "ticket", map[string]any{"Ticket": s.row(t), "Comments": rows})
}

func (s *Server) render(w http.ResponseWriter, name string, data any) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	if err := pages.ExecuteTemplate(w, name, data); err != nil {
		s.opts.Log.Warn("zendesk fake: page", "page", name, "error", err)
	}
}
