package zendesk

import (
	"html"
	"slices"
	"strconv"
	"strings"

	xhtml "golang.org/x/net/html"
)

// maxComment is Zendesk's limit of a comment's text in bytes.
const maxComment = 64<<10 - 1

type commentInput struct {
	Body     string   `json:"body"`
	HTMLBody string   `json:"html_body"`
	Public   *bool    `json:"public"`
	AuthorID int64    `json:"author_id"`
	Uploads  []string `json:"uploads"`
}

// newComment checks the input's comment and takes its uploads.
func (s *Server) newComment(c *call, b *batch, ticketID int64, in *ticketInput) (*comment, error) {
	ci := in.Comment
	if strings.TrimSpace(ci.Body) == "" && strings.TrimSpace(ci.HTMLBody) == "" {
		return nil, invalid("comment", "Comment: cannot be blank", "BlankValue")
	}
	if n := max(len(ci.Body), len(ci.HTMLBody)); n > maxComment {
		return nil, invalid("comment", "Comment: is too long, "+strconv.Itoa(n)+" bytes (maximum is 65535)", "ValueTooLong")
	}
	author := c.user.ID
	if ci.AuthorID != 0 {
		if author = ci.AuthorID; s.state.users[author] == nil {
			return nil, invalid("author", "Author: is not valid", "InvalidValue")
		}
	}
	s.state.lastComment++
	cm := &comment{
		ID: s.state.lastComment, TicketID: ticketID, AuthorID: author, HTMLBody: ci.HTMLBody,
		Public: ci.Public == nil || *ci.Public, Custom: in.Metadata, Via: via{Channel: "api"}, CreatedAt: c.now,
	}
	if ci.HTMLBody == "" { // html_body wins, as in Zendesk
		cm.Body = ci.Body
	}
	for _, token := range ci.Uploads {
		files, err := s.takeUpload(b, token, c.now)
		if err != nil {
			return nil, err
		}
		cm.Attachments = append(cm.Attachments, files...)
	}
	return cm, nil
}

// plain is the comment as text.
func (c *comment) plain() string {
	if c.HTMLBody == "" {
		return c.Body
	}
	return textOf(c.HTMLBody)
}

// html is the comment as HTML.
func (c *comment) html() string {
	if c.HTMLBody != "" {
		return `<div class="zd-comment" dir="auto">` + c.HTMLBody + `</div>`
	}
	return `<div class="zd-comment" dir="auto"><p dir="auto">` + strings.ReplaceAll(html.EscapeString(c.Body), "\n", "<br>") + `</p></div>`
}

// textOf is the text between the tags, a line per block or <br>.
func textOf(s string) string {
	var out strings.Builder
	z := xhtml.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case xhtml.ErrorToken:
			return strings.TrimSpace(out.String())
		case xhtml.TextToken:
			out.Write(z.Text())
		case xhtml.EndTagToken, xhtml.SelfClosingTagToken, xhtml.StartTagToken:
			name, _ := z.TagName()
			if slices.Contains([]string{"br", "p", "div", "li", "tr"}, string(name)) {
				out.WriteByte('\n')
			}
		}
	}
}

func (s *Server) commentsOf(ticketID int64) ([]comment, error) {
	refs := s.state.comments[ticketID]
	all := make([]comment, len(refs))
	for i, r := range refs {
		if err := s.log.read(r, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func listComments(s *Server, c *call) (answer, error) {
	t, err := s.ticketOf(c)
	if err != nil {
		return answer{}, err
	}
	all, err := s.commentsOf(t.ID)
	if err != nil {
		return answer{}, err
	}
	if c.query("sort") == "-created_at" || c.query("sort_order") == "desc" {
		slices.Reverse(all)
	}
	page, body, err := paginate(c, all)
	if err != nil {
		return answer{}, err
	}
	views := make([]commentView, 0, len(page))
	for i := range page {
		views = append(views, page[i].view(c.base))
	}
	body["comments"] = views
	return ok(body)
}
