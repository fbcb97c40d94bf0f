package channel

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Page is one page of a list; Next is empty after the last.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// PageRequest asks for a page: its size, and the cursor of the page before.
type PageRequest struct {
	Limit  int // 1 to MaxPage; 0: DefaultPage
	Cursor string
}

// Sizes of a page.
const (
	DefaultPage = 50
	MaxPage     = 200
)

// position is where a page ends: the values of the list's order.
type position struct {
	At time.Time `json:"t"`
	ID string    `json:"i"`
}

// cursor is the position as a caller gets it. The query is part of it, so that
// a cursor of another list is refused instead of skipping something.
type cursor struct {
	position
	Of string `json:"q"`
}

// page reads one page of a query that is ordered by a time and an ID.
func page[T any](ctx context.Context, r Reader, q Query, p PageRequest, at func(T) position) (*Page[T], error) {
	of := q.digest()
	limit := p.Limit
	if limit == 0 {
		limit = DefaultPage
	}
	var bad Invalid
	if limit < 1 || limit > MaxPage {
		bad.add("limit", "%d, must be 1 to %d", limit, MaxPage)
	}
	if p.Cursor != "" {
		c, ok := parseCursor(p.Cursor)
		if !ok || c.Of != of {
			bad.add("cursor", "is not of this list")
		}
		q.After = []any{c.At, c.ID}
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	q.Limit = limit + 1
	items, err := find[T](ctx, r, q)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", q.Collection, err)
	}
	out := &Page[T]{Items: items}
	if len(items) > limit {
		out.Items = items[:limit]
		out.Next, err = q.cursor(at(items[limit-1]))
	}
	return out, err
}

// digest tells one list from another.
func (q Query) digest() string { return digest(fmt.Sprint(q.Collection, q.Where, q.Order)) }

// cursor is what a caller gets for the position p of the query's list.
func (q Query) cursor(p position) (string, error) {
	b, err := json.Marshal(cursor{p, q.digest()})
	return base64.RawURLEncoding.EncodeToString(b), err
}

func parseCursor(s string) (c cursor, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return c, err == nil && json.Unmarshal(b, &c) == nil && c.At.Year() >= 1 && c.At.Year() <= 9999
}
