package suite

import (
	"html/template"
	"net/http"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
)

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>emailchannel</title>
<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}th{font-weight:600}code{background:#f4f4f4;padding:0 .3em}</style></head><body>
<h1>emailchannel, locally</h1>
<p>It is <b>{{.Now.Format "Mon, 02 Jan 2006 15:04:05 MST"}}</b>{{if .Frozen}} (stopped){{end}}.
Send mail to {{range $i, $a := .Inboxes}}{{if $i}}, {{end}}<code>{{$a}}</code>{{end}} at <code>{{.Addrs.SMTP}}</code>; read any mailbox at <code>{{.Addrs.IMAP}}</code> with the password <code>demo</code>.
S3 is at <code>http://{{.Addrs.S3}}</code>, bucket <code>{{.Bucket}}</code>, access key <code>{{.AccessKey}}</code>, secret key <code>{{.SecretKey}}</code>, paths in path style.</p>
<p><a href="http://{{.Addrs.Zendesk}}/">Zendesk</a> · <a href="/v1/openapi.yaml">API</a> · <a href="/_emulator/stats">billed operations</a> · <a href="/_emulator/faults">faults</a></p>
<h2>Latest sessions</h2>
<table><tr><th>Session</th><th>State</th><th>Queue</th><th>Agent</th><th>From</th><th>Subject</th><th>Mails</th><th>Last activity</th></tr>
{{range .Sessions}}<tr><td><code>{{.ID}}</code></td><td>{{.State}}</td><td>{{.Queue}}</td><td>{{or .Agent "waits"}}</td><td>{{.Consumer.Addr}}</td><td>{{.Subject}}</td><td>{{.Messages}}</td><td>{{.LastActivity.Format "02 Jan 15:04:05"}}</td></tr>
{{else}}<tr><td colspan="8">None yet: run <code>scripts/demo</code>, or send a mail.</td></tr>{{end}}
</table></body></html>`))

// page shows people what the suite has.
func (s *Suite) page(w http.ResponseWriter, r *http.Request) {
	v := struct {
		Now      time.Time
		Frozen   bool
		Addrs    Addrs
		Inboxes  []string
		Sessions []channel.Session

		Bucket, AccessKey, SecretKey string
	}{Now: s.Clock.Now(), Frozen: s.Clock.Frozen(), Addrs: s.Addrs, Bucket: Bucket, AccessKey: S3AccessKey, SecretKey: S3SecretKey}
	for addr := range s.Inboxes() {
		v.Inboxes = append(v.Inboxes, addr)
	}
	err := s.Docs().Find(r.Context(), channel.Query{Collection: "sessions", Order: []channel.Order{{Field: "last_activity", Desc: true}}, Limit: 50}, func(_ string, decode func(any) error) error {
		var x channel.Session
		err := decode(&x)
		v.Sessions = append(v.Sessions, x)
		return err
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_ = page.Execute(w, v)
}
