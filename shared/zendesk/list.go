package zendesk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
)

// collect reads all pages of a list by cursor. The cursor is taken, not the link: a link may lead elsewhere.
func collect[T any](ctx context.Context, c *Client, r request, property string) ([]T, error) {
	r.method, r.query = http.MethodGet, maps.Clone(r.query)
	if r.query == nil {
		r.query = url.Values{}
	}
	r.query.Set("page[size]", "50")
	var all []T
	for {
		var answer map[string]json.RawMessage
		r.out = &answer
		if err := c.do(ctx, r); err != nil {
			return nil, err
		}
		items, next, err := readPage[T](answer, property)
		if err != nil {
			return nil, fmt.Errorf("zendesk %s: %w", r.name, err)
		}
		all = append(all, items...)
		if next == "" || next == r.query.Get("page[after]") { // a cursor that stands still would never end
			return all, nil
		}
		r.query.Set("page[after]", next)
	}
}

// readPage returns the items and the cursor of the next page, "" on the last.
func readPage[T any](answer map[string]json.RawMessage, property string) (items []T, next string, err error) {
	var meta struct {
		HasMore     bool   `json:"has_more"`
		AfterCursor string `json:"after_cursor"`
	}
	if raw := answer["meta"]; raw != nil {
		err = json.Unmarshal(raw, &meta)
	}
	if raw := answer[property]; raw != nil {
		err = errors.Join(err, json.Unmarshal(raw, &items))
	}
	if meta.HasMore {
		next = meta.AfterCursor
	}
	return items, next, err
}
