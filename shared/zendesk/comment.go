package zendesk

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Comment of a ticket. Written: either Body or HTMLBody, Public, AuthorID, Uploads. The rest is read only.
type Comment struct {
	ID          int64          `json:"id,omitempty"`
	Body        string         `json:"body,omitempty"`
	HTMLBody    string         `json:"html_body,omitempty"` // wins over Body
	Public      bool           `json:"public"`              // false, an internal note, unless set
	AuthorID    int64          `json:"author_id,omitempty"` // 0: the user of the token
	Uploads     []string       `json:"uploads,omitempty"`   // tokens of Upload
	Attachments []Attachment   `json:"attachments,omitempty"`
	Metadata    map[string]any `json:"metadata,omitempty"` // "custom" is what the update's Metadata said
	CreatedAt   time.Time      `json:"created_at,omitzero"`
}

// Attachment is a file of a comment.
type Attachment struct {
	ID          int64  `json:"id"`
	FileName    string `json:"file_name"`
	ContentType string `json:"content_type"`
	ContentURL  string `json:"content_url"`
	Size        int64  `json:"size"` // bytes
}

// Comments lists all comments of a ticket, oldest first.
func (c *Client) Comments(ctx context.Context, ticketID int64) ([]Comment, error) {
	r := request{name: fmt.Sprintf("Comments %d", ticketID), method: http.MethodGet, path: ticketPath(ticketID) + "/comments"}
	return collect[Comment](ctx, c, r, "comments")
}

// writable is a copy without what only Zendesk may say.
func (c *Comment) writable() *Comment {
	if c == nil {
		return nil
	}
	return &Comment{Body: c.Body, HTMLBody: c.HTMLBody, Public: c.Public, AuthorID: c.AuthorID, Uploads: c.Uploads}
}

func checkComment(c *Comment) error {
	if c != nil && (len(c.Body) > MaxComment || len(c.HTMLBody) > MaxComment) {
		return ErrCommentTooLarge
	}
	return nil
}
