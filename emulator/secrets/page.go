package secrets

import "slices"

// page returns, in order, at most size (0: 100) of the names that follow token, and the token of the next page.
func page(names []string, compare func(a, b string) int, size int32, token string) (shown []string, next string) {
	if size <= 0 {
		size = 100
	}
	slices.SortFunc(names, compare)
	for _, name := range names {
		if token != "" && compare(name, token) <= 0 {
			continue
		}
		if len(shown) == int(size) {
			return shown, shown[len(shown)-1]
		}
		shown = append(shown, name)
	}
	return shown, ""
}
