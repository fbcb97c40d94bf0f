package email

import "strings"

// authField is one Authentication-Results field (RFC 8601 section 2.2).
type authField struct {
	id      string // authserv-id in lower case, "" if there is none
	results []methodResult
	open    bool // a quote or a comment is never closed
}

// methodResult is "dkim=pass header.d=example.com".
type methodResult struct {
	method string
	result AuthResult
	props  map[string]string
}

// domain is the domain of a property that holds one or an address; in lower case.
func (r methodResult) domain(key string) string {
	v := r.props[key]
	return domainASCII(strings.Trim(v[strings.LastIndexByte(v, '@')+1:], "<>[] "))
}

// parseAuthField is tolerant where servers differ (no authserv-id, a missing first semicolon, a version, spaces around
// "="), and strict about what belongs together: nothing in quotes or comments is ever taken for a result, because a
// sender's address is copied into them.
func parseAuthField(value string) authField {
	segments, whole := authSegments(value)
	f := authField{open: !whole}
	for i, words := range segments {
		if i == 0 && len(words) > 0 && words[0].eq < 0 {
			f.id = strings.Trim(strings.ToLower(words[0].text), ".")
			for words = words[1:]; len(words) > 0 && words[0].eq < 0; { // the version
				words = words[1:]
			}
		}
		if r, ok := methodOf(words); ok && len(f.results) < maxAuthResults {
			f.results = append(f.results, r)
		}
	}
	return f
}

func methodOf(words []authWord) (methodResult, bool) {
	if len(words) == 0 || words[0].eq <= 0 {
		return methodResult{}, false // also "none": nothing was checked
	}
	key, value := words[0].pair()
	method, _, _ := strings.Cut(key, "/") // a version may follow
	r := methodResult{method: method, result: authResult(value), props: map[string]string{}}
	for _, w := range words[1:] {
		if w.eq <= 0 {
			continue
		}
		if key, value := w.pair(); r.props[key] == "" {
			r.props[key] = value
		}
	}
	return r, true
}

func authResult(s string) AuthResult {
	switch r := AuthResult(strings.ToLower(s)); r {
	case AuthNone, AuthPass, AuthFail, AuthSoftFail, AuthNeutral, AuthPolicy, AuthTempError, AuthPermError:
		return r
	case "hardfail":
		return AuthFail
	}
	return AuthNeutral
}

// authWord is a word of the field without its quotes. eq is the place of its first "=" outside of quotes, or -1.
type authWord struct {
	text string
	eq   int
}

func (w authWord) pair() (key, value string) { return strings.ToLower(w.text[:w.eq]), w.text[w.eq+1:] }

// authScanner cuts a structured field into segments at ";" and these into words.
type authScanner struct {
	s        string
	at       int
	segments [][]authWord
	words    []authWord
	word     []byte
	begun    bool // word may be empty and still be one: ""
	eq       int
	quotes   bool // the word has a quoted part
}

// authSegments reads value; whole is false if a quote or a comment is never closed, then its content is left out.
func authSegments(value string) (segments [][]authWord, whole bool) {
	sc := authScanner{s: value, eq: -1}
	whole = true
	for sc.at < len(sc.s) && whole {
		c := sc.s[sc.at]
		sc.at++
		switch c {
		case '(':
			sc.space()
			whole = sc.comment()
		case '"':
			whole = sc.quoted()
		case ' ', '\t', '\r', '\n':
			sc.space()
		case ';':
			sc.flush()
			sc.segments, sc.words = append(sc.segments, sc.words), nil
		case '=':
			sc.equals()
		default:
			sc.word, sc.begun = append(sc.word, c), true
		}
	}
	sc.flush()
	return append(sc.segments, sc.words), whole
}

// comment skips to the end of a comment; they nest.
func (sc *authScanner) comment() bool {
	for depth := 1; sc.at < len(sc.s); sc.at++ {
		switch sc.s[sc.at] {
		case '\\':
			sc.at++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				sc.at++
				return true
			}
		}
	}
	return false
}

// quoted takes the content of a quoted string into the word.
func (sc *authScanner) quoted() bool {
	begin := len(sc.word)
	for ; sc.at < len(sc.s); sc.at++ {
		switch c := sc.s[sc.at]; c {
		case '"':
			sc.at++
			sc.begun, sc.quotes = true, true
			return true
		case '\\':
			if sc.at++; sc.at < len(sc.s) {
				sc.word = append(sc.word, sc.s[sc.at])
			}
		default:
			sc.word = append(sc.word, c)
		}
	}
	sc.word = sc.word[:begin]
	return false
}

// equals joins "spf = pass": the word before it was its left side.
func (sc *authScanner) equals() {
	if n := len(sc.words); !sc.begun && n > 0 && sc.words[n-1].eq < 0 {
		sc.word, sc.begun, sc.words = []byte(sc.words[n-1].text), true, sc.words[:n-1]
	}
	if sc.eq < 0 && !sc.quotes {
		sc.eq = len(sc.word)
	}
	sc.word, sc.begun = append(sc.word, '='), true
}

// space ends a word, unless it is a left side whose right side is still to come ("spf= pass"). A property may be
// empty: "smtp.mailfrom= smtp.helo=example.com".
func (sc *authScanner) space() {
	if !sc.begun {
		return
	}
	next := strings.TrimLeft(sc.s[sc.at:], " \t\r\n")
	if i := strings.IndexAny(next[:min(len(next), maxTraceValue)], " \t\r\n;("); i >= 0 {
		next = next[:i]
	}
	if sc.quotes || sc.eq < 0 || sc.eq != len(sc.word)-1 || strings.Contains(next, "=") {
		sc.flush()
	}
}

func (sc *authScanner) flush() {
	if sc.begun {
		sc.words = append(sc.words, authWord{string(sc.word), sc.eq})
	}
	sc.word, sc.begun, sc.eq, sc.quotes = nil, false, -1, false
}
