package storage

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"

	raw "google.golang.org/api/storage/v1"
)

// maxPage is the cloud's largest page of a listing.
const maxPage = 1000

// list answers one page in the order of names. The page token is the last name
// given, so that a listing neither repeats nor skips what stays in place while
// others write. Every page looks at all names: a scan of a hundred thousand
// takes a few milliseconds, and writes stay free of an ordered index.
func (s *Server) list(w http.ResponseWriter, r *http.Request, bucketName string) error {
	s.stats.count(r, opList)
	q := r.URL.Query()
	after, err := base64.URLEncoding.DecodeString(q.Get("pageToken"))
	if err != nil {
		return badRequest("Invalid page token")
	}
	size, err := pageSize(q.Get("maxResults"))
	if err != nil {
		return err
	}
	p := page{prefix: q.Get("prefix"), delimiter: q.Get("delimiter"), after: string(after), size: size}

	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucketName)
	if err != nil {
		return err
	}
	answer := raw.Objects{Kind: "storage#objects"}
	entries, more := p.entries(b)
	for _, name := range entries {
		if o := b.objects[name]; o != nil && !p.isFolder(name) {
			answer.Items = append(answer.Items, o.raw(bucketName, baseURL(r)))
		} else {
			answer.Prefixes = append(answer.Prefixes, name)
		}
	}
	if more {
		answer.NextPageToken = base64.URLEncoding.EncodeToString([]byte(entries[len(entries)-1]))
	}
	writeJSON(w, http.StatusOK, &answer)
	return nil
}

func pageSize(text string) (int, error) {
	if text == "" {
		return maxPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, badRequest("maxResults: %q", text)
	}
	if n == 0 || n > maxPage {
		n = maxPage
	}
	return n, nil
}

type page struct {
	prefix, delimiter, after string
	size                     int
}

// entry folds a name to its "folder" when the delimiter occurs after the prefix.
func (p page) entry(name string) string {
	if p.delimiter == "" {
		return name
	}
	if i := strings.Index(name[len(p.prefix):], p.delimiter); i >= 0 {
		return name[:len(p.prefix)+i+len(p.delimiter)]
	}
	return name
}

func (p page) isFolder(entry string) bool {
	return p.delimiter != "" && strings.Contains(entry[len(p.prefix):], p.delimiter)
}

func (p page) entries(b *bucket) (entries []string, more bool) {
	for name := range b.objects {
		if !strings.HasPrefix(name, p.prefix) {
			continue
		}
		if e := p.entry(name); p.after == "" || e > p.after {
			entries = append(entries, e)
		}
	}
	slices.Sort(entries)
	entries = slices.Compact(entries)
	if len(entries) > p.size {
		return entries[:p.size], true
	}
	return entries, false
}
