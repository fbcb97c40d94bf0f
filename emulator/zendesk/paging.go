package zendesk

import (
	"encoding/base64"
	"net/url"
	"strconv"
)

// maxMany is the largest page, and the most tickets of one call.
const maxMany = 100

// paginate cuts the page that the query asks for, by cursor (page[size], page[after]) or by offset (page, per_page),
// and returns the answer's body with the properties of that kind of paging.
func paginate[T any](c *call, all []T) ([]T, map[string]any, error) {
	q := c.r.URL.Query()
	if q.Has("page[size]") || q.Has("page[after]") {
		return byCursor(c, q, all)
	}
	size := clampSize(q.Get("per_page"))
	number, _ := strconv.Atoi(q.Get("page"))
	number = max(1, number)
	from := len(all)
	if number-1 <= len(all)/size { // a later page is empty, however far
		from = min(from, (number-1)*size)
	}
	to := min(len(all), from+size)
	body := map[string]any{"count": len(all), "next_page": nil, "previous_page": nil}
	if to < len(all) {
		body["next_page"] = pageURL(c, "page", strconv.Itoa(number+1))
	}
	if number > 1 {
		body["previous_page"] = pageURL(c, "page", strconv.Itoa(number-1))
	}
	return all[from:to], body, nil
}

func byCursor[T any](c *call, q url.Values, all []T) ([]T, map[string]any, error) {
	from := 0
	if after := q.Get("page[after]"); after != "" {
		raw, err := base64.RawURLEncoding.DecodeString(after)
		n, err2 := strconv.Atoi(string(raw))
		if err != nil || err2 != nil || n < 0 {
			return nil, nil, badRequest("InvalidPaginationParameter", "page[after] is not valid")
		}
		from = min(n, len(all))
	}
	to := min(len(all), from+clampSize(q.Get("page[size]")))
	meta := map[string]any{"has_more": to < len(all), "after_cursor": nil, "before_cursor": nil}
	links := map[string]any{"next": nil, "prev": nil}
	if to < len(all) {
		cursor := base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(to)))
		meta["after_cursor"] = cursor
		links["next"] = pageURL(c, "page[after]", cursor)
	}
	return all[from:to], map[string]any{"meta": meta, "links": links}, nil
}

func clampSize(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxMany {
		return maxMany
	}
	return n
}

func pageURL(c *call, name, value string) string {
	q := c.r.URL.Query()
	q.Set(name, value)
	return c.base + c.r.URL.Path + "?" + q.Encode()
}
