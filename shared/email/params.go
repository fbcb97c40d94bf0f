package email

import (
	"sort"
	"strconv"
	"strings"
)

// params are the parameters of a Content-Type or Content-Disposition by their lower-case name.
type params map[string]string

// parseParams reads "value; name=value; ..." as mail has it: with RFC 2231 continuations and charsets, with encoded
// words where none belong, without quotes where some belong. charset is that of raw 8-bit text.
func parseParams(raw, charset string) (value string, ps params) {
	value, rest := cutToken(raw)
	value = strings.ToLower(strings.TrimSpace(value))
	ps = params{}
	segments := map[string]map[int]segment{}
	for rest != "" {
		var name, v string
		var quoted bool
		name, v, quoted, rest = cutParam(rest)
		if name == "" {
			continue
		}
		base, seg, isSegment := segmentName(name)
		if !isSegment {
			if _, dup := ps[name]; !dup {
				ps[name] = decodeText(v, charset)
			}
			continue
		}
		if segments[base] == nil {
			segments[base] = map[int]segment{}
		}
		seg.text = v
		seg.encoded = seg.encoded && !quoted || seg.encoded && strings.Contains(v, "%")
		segments[base][seg.index] = seg
	}
	for base, segs := range segments {
		if joined := joinSegments(segs, charset); joined != "" {
			ps[base] = joined // RFC 2231 wins over the plain form beside it (RFC 6266 section 4.3)
		}
	}
	return value, ps
}

// cutToken splits off what stands before the first semicolon.
func cutToken(s string) (token, rest string) {
	i := strings.IndexByte(s, ';')
	if i < 0 {
		// "text/plain charset=utf-8": the semicolon was forgotten
		if sp := strings.IndexAny(strings.TrimLeft(s, " \t"), " \t"); sp >= 0 && strings.Contains(s[sp:], "=") {
			s = strings.TrimLeft(s, " \t")
			return s[:sp], s[sp:]
		}
		return s, ""
	}
	return s[:i], s[i+1:]
}

// cutParam reads one parameter and returns what follows it.
func cutParam(s string) (name, value string, quoted bool, rest string) {
	s = strings.TrimLeft(s, " \t;,")
	eq := strings.IndexAny(s, "=;")
	if eq < 0 {
		return "", "", false, ""
	}
	if s[eq] == ';' {
		return "", "", false, s[eq+1:]
	}
	name = strings.ToLower(strings.TrimSpace(s[:eq]))
	s = strings.TrimLeft(s[eq+1:], " \t")
	if strings.HasPrefix(s, `"`) {
		value, rest = cutQuoted(s[1:])
		return name, value, true, rest
	}
	end := unquotedEnd(s)
	return name, strings.Trim(s[:end], " \t'"), false, s[end:]
}

// unquotedEnd finds the end of a value without quotes: the semicolon, or the next parameter after a space.
func unquotedEnd(s string) int {
	end := strings.IndexByte(s, ';')
	if end < 0 {
		end = len(s)
	}
	for i := 0; i < end; i++ {
		if s[i] != ' ' && s[i] != '\t' {
			continue
		}
		word := strings.TrimLeft(s[i:end], " \t")
		if eq := strings.IndexByte(word, '='); eq > 0 && !strings.HasPrefix(word, "=?") && isToken(word[:eq]) {
			return i
		}
	}
	return end
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '*') {
			return false
		}
	}
	return s != ""
}

// cutQuoted reads up to the closing quote. A backslash quotes only a quote or a backslash: Windows paths have more.
func cutQuoted(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// segment is a piece of an RFC 2231 parameter.
type segment struct {
	index   int
	encoded bool
	text    string
}

// segmentName splits "filename*1*" into its base, index and form.
func segmentName(name string) (base string, seg segment, ok bool) {
	base, rest, ok := strings.Cut(name, "*")
	if !ok || base == "" {
		return name, seg, false
	}
	rest, seg.encoded = strings.CutSuffix(rest, "*")
	if rest == "" {
		seg.encoded = true
		return base, seg, true
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 0 {
		return name, seg, false
	}
	seg.index = n
	return base, seg, true
}

func joinSegments(segs map[int]segment, fallback string) string {
	order := make([]int, 0, len(segs))
	for i := range segs {
		order = append(order, i)
	}
	sort.Ints(order)
	charset, bytes, encodedAny := fallback, []byte(nil), false
	for n, i := range order {
		s := segs[i]
		if s.encoded && n == 0 {
			if parts := strings.SplitN(s.text, "'", 3); len(parts) == 3 {
				charset, s.text = parts[0], parts[2]
			}
		}
		if s.encoded {
			encodedAny = true
			bytes = append(bytes, unescapePercent(s.text)...)
		} else {
			bytes = append(bytes, s.text...)
		}
	}
	if !encodedAny {
		return decodeText(string(bytes), fallback) // Lotus Notes continues encoded words this way
	}
	text, _ := toUTF8(bytes, charset)
	if strings.Contains(text, "=?") {
		return decodeText(text, fallback)
	}
	return cleanText(text)
}

func unescapePercent(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && hexValue(s[i+1]) >= 0 && hexValue(s[i+2]) >= 0 {
			out = append(out, byte(hexValue(s[i+1])<<4|hexValue(s[i+2])))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return out
}

// fileName makes a sender's name safe to show and to use as a leaf name: no folder, no control or direction-changing
// characters ("exe.\u202Egpj" would read as a picture), at most 200 characters.
func fileName(s string) string {
	if i := strings.LastIndexAny(s, `/\`); i >= 0 {
		s = s[i+1:]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if s == "." || s == ".." {
		return ""
	}
	return cutRunes(s, 200)
}

// cutRunes keeps the end of a long name too, which tells the file's type.
func cutRunes(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:limit-20]) + "…" + string(r[len(r)-19:])
}
