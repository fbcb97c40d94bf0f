package channel

import (
	"cmp"
	"context"
	"html"
	"io"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/reply"
)

// sign puts a queue's signature below an agent's words (SG-1), in both forms
// of the mail: the text gets the customary line of two dashes (RFC 3676 4.3).
// The pictures go along; they stay the queue's, and are none of the message's
// attachments, which end with it.
func (n *outgoing) sign(queue string, ag *Agent) {
	q := n.cat.ByQueue[queue]
	if !n.words.Signature || !q.Signature.On || strings.TrimSpace(q.Signature.HTML) == "" {
		return
	}
	d := &n.draft
	v := reply.SignatureValues{Company: n.cat.Company, Language: q.Language, Alias: d.From.Addr}
	if ag != nil {
		v.Agent, v.Alias = ag.Name, cmp.Or(ag.Alias, d.From.Addr)
	}
	below := reply.RenderSignature(q.Signature.HTML, v)
	if d.HTML == "" {
		d.HTML = "<div>" + strings.ReplaceAll(html.EscapeString(d.Text), "\n", "<br>\n") + "</div>"
	}
	d.Text += "\n\n-- \n" + email.TextFromHTML(below)
	d.HTML += "\n<div class=\"signature\">" + below + "</div>"
	n.pictures = q.Signature.pictures()
}

// pictures are those that the signature shows.
func (s Signature) pictures() []Attachment {
	shown := email.ContentIDs(s.HTML)
	var out []Attachment
	for _, f := range s.Inline {
		if slices.Contains(shown, f.ContentID) {
			out = append(out, Attachment{Name: f.Name, Type: f.Type, ContentID: f.ContentID, Inline: true, Size: f.Size, Object: f.Object})
		}
	}
	return out
}

// fits names what keeps a signature's pictures from going along with those
// that the agent shows, which have inline bytes.
func (n *outgoing) fits(bad *Invalid, inline int64) {
	var size int64
	for _, p := range n.pictures {
		size += p.Size
		if i := slices.IndexFunc(n.words.Inline, func(own Inline) bool { return own.ContentID == p.ContentID }); i >= 0 {
			bad.add("inline", "content_id %q is that of a picture in the queue's signature: give inline[%d] another", p.ContentID, i)
		}
	}
	if size > 0 && inline+size > maxFileBytes {
		bad.add("signature", "its pictures have %s, those of the mail %s, and a mail shows at most %s: send it without the signature or with fewer pictures, or have an admin make the signature's smaller", bytesText(size), bytesText(inline), bytesText(maxFileBytes))
	}
}

// attach puts what goes along into the draft.
func (n *outgoing) attach(ctx context.Context, a Archive) {
	n.draft.Inline, n.draft.Attachments = parts(slices.Concat(n.enclosed, n.pictures), func(f Attachment) (io.ReadCloser, error) { return a.Open(ctx, f.Object) })
}
