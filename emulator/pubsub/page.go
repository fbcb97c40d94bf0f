package pubsub

import (
	"iter"
	"slices"
	"strings"
)

// page returns the names with the prefix that follow token, at most size of them (0: 100), sorted, and the
// token of the next page.
func page(all iter.Seq[string], prefix string, size int32, token string) (names []string, next string) {
	if size <= 0 {
		size = 100
	}
	for _, name := range slices.Sorted(all) {
		if !strings.HasPrefix(name, prefix) || name <= token {
			continue
		}
		if len(names) == int(size) {
			return names, names[len(names)-1]
		}
		names = append(names, name)
	}
	return names, ""
}
