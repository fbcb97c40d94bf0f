package reply

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is in characters; what is longer is a sentence.
const maxName = 40

// FirstName returns the first name of a mail's sender, from the display name or, where that says nothing,
// from an address like jane.doe@. It is "" when there is no plausible one, so that a fallback greets better:
// initials, roles, digits, and whatever could be an address or an advertisement. Names in Chinese, Japanese
// and Korean writing are returned whole.
func FirstName(displayName, addr string) string {
	if name := fromDisplay(displayName); name != "" {
		return name
	}
	return fromAddress(addr)
}

func fromDisplay(s string) string {
	s = strings.Trim(clean(s), `"' `)
	if strings.ContainsAny(s, "@:/\\<>{}=") {
		return ""
	}
	for _, mark := range []string{" via ", "(", "[", "|", " - "} {
		s, _, _ = strings.Cut(s, mark)
	}
	if last, first, reversed := strings.Cut(s, ","); reversed {
		s = first
		if isSuffix(first) {
			s = last
		}
	}
	words := strings.Fields(s)
	for len(words) > 0 && isTitle(words[0]) {
		words = words[1:]
	}
	if len(words) > 0 && slices.IndexFunc([]rune(words[0]), isEastAsian) >= 0 {
		return plausible(strings.Join(words, " "))
	}
	for len(words) > 2 && isInitial(words[0]) {
		words = words[1:]
	}
	if len(words) == 0 || isInitial(words[0]) {
		return ""
	}
	return plausible(words[0])
}

// fromAddress trusts a local part only when it has the form of two names.
func fromAddress(addr string) string {
	local, _, _ := strings.Cut(addr, "@")
	local, _, _ = strings.Cut(local, "+")
	words := strings.FieldsFunc(local, func(r rune) bool { return r == '.' || r == '_' || r == '-' })
	if len(words) < 2 || isRole(words[0]) {
		return ""
	}
	for _, w := range words {
		if isInitial(w) || plausible(w) == "" {
			return ""
		}
	}
	return plausible(words[0])
}

// plausible returns the name in the usual case, or "" when it has what names do not have.
func plausible(s string) string {
	if utf8.RuneCountInString(s) > maxName || isDomain(s) {
		return ""
	}
	letters := 0
	for _, r := range s {
		switch {
		case unicode.IsLetter(r):
			letters++
		case !unicode.IsMark(r) && !strings.ContainsRune("'’-. ·・\u200c\u200d", r):
			return ""
		}
	}
	if letters == 0 {
		return ""
	}
	return usualCase(s)
}

// isDomain says whether there is a dot with letters right behind it, as in example.com but not in J.R.
func isDomain(s string) bool {
	for rest := s; ; {
		_, after, found := strings.Cut(rest, ".")
		if !found {
			return false
		}
		label, _, _ := strings.Cut(after, ".")
		if utf8.RuneCountInString(label) > 1 {
			return true
		}
		rest = after
	}
}

// usualCase turns jane and JANE into Jane, and leaves what has both cases alone.
func usualCase(s string) string {
	if s != strings.ToLower(s) && s != strings.ToUpper(s) {
		return s
	}
	start := true
	return strings.Map(func(r rune) rune {
		defer func() { start = strings.ContainsRune("-'’. ", r) }()
		if start {
			return unicode.ToTitle(r)
		}
		return unicode.ToLower(r)
	}, s)
}

func isEastAsian(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
}

func isInitial(s string) bool {
	return utf8.RuneCountInString(strings.TrimSuffix(s, ".")) == 1
}

func isTitle(s string) bool {
	return slices.Contains([]string{"mr", "mrs", "ms", "miss", "mx", "dr", "prof", "sir", "bapak", "pak", "ibu", "bu",
		"m", "mme", "mlle", "monsieur", "madame", "herr", "frau", "hr", "fr", "ing", "dipl.-ing"}, strings.TrimSuffix(strings.ToLower(s), "."))
}

func isSuffix(s string) bool {
	return slices.Contains([]string{"jr", "sr", "ii", "iii", "iv", "phd", "ph.d", "md", "m.d", "esq", "mba", "msc", "bsc", "cpa"},
		strings.TrimSuffix(strings.ToLower(strings.TrimSpace(s)), "."))
}

func isRole(s string) bool {
	return slices.Contains([]string{"no", "do", "not", "noreply", "donotreply", "info", "support", "sales", "service", "customer",
		"help", "contact", "office", "admin", "mail", "mailer", "team", "news", "web", "post", "billing", "accounts", "order", "orders",
		"hello", "it", "hr", "the", "out", "auto", "bounce", "bounces", "postmaster", "root"}, strings.ToLower(s))
}
