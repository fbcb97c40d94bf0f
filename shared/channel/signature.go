package channel

import (
	"cmp"
	"html"
	"strings"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/reply"
)

// sign puts the queue's signature below an agent's words (SG-1), in both forms
// of the mail: the text gets the customary line of two dashes (RFC 3676 4.3).
func sign(d *email.Draft, cat *Catalog, queue string, ag *Agent) {
	q := cat.ByQueue[queue]
	if !q.Signature.On || strings.TrimSpace(q.Signature.HTML) == "" {
		return
	}
	v := reply.SignatureValues{Company: cat.Company, Language: q.Language, Alias: d.From.Addr}
	if ag != nil {
		v.Agent, v.Alias = ag.Name, cmp.Or(ag.Alias, d.From.Addr)
	}
	below := reply.RenderSignature(q.Signature.HTML, v)
	if d.HTML == "" {
		d.HTML = "<div>" + strings.ReplaceAll(html.EscapeString(d.Text), "\n", "<br>\n") + "</div>"
	}
	d.Text += "\n\n-- \n" + email.TextFromHTML(below)
	d.HTML += "\n<div class=\"signature\">" + below + "</div>"
}
