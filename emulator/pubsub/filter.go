package pubsub

import (
	"fmt"
	"strconv"
	"strings"
)

// maxFilter is the cloud's limit for a filter, in bytes.
const maxFilter = 256

// filter decides over a message's attributes whether a subscription gets it.
type filter func(attrs map[string]string) bool

// parseFilter reads a subscription's filter; the empty one takes everything.
//
//	expr   = term { "AND" term } | term { "OR" term }     the two do not mix without parentheses
//	term   = [ "NOT" | "-" ] ( "(" expr ")" | test )
//	test   = "attributes" ":" key
//	       | "attributes" "." key ( "=" | "!=" ) string
//	       | "hasPrefix" "(" "attributes" "." key "," string ")"
//	key    = letters, digits, "-" and "_", or a string
//
// A message without the attribute passes "!=". Anything else is refused, so that a filter which works here
// works in the cloud. See https://cloud.google.com/pubsub/docs/subscription-message-filter.
func parseFilter(text string) (filter, error) {
	if text == "" {
		return func(map[string]string) bool { return true }, nil
	}
	if len(text) > maxFilter {
		return nil, fmt.Errorf("filter has %d bytes, the limit is %d", len(text), maxFilter)
	}
	p := &filterParser{text: text}
	p.next()
	f := p.expr()
	if p.err == nil && p.tok != "" {
		p.fail("unexpected %q", p.tok)
	}
	if p.err != nil {
		return nil, p.err
	}
	return f, nil
}

// filterParser keeps the first error and then only winds up.
type filterParser struct {
	text string
	pos  int    // behind tok
	at   int    // where tok begins
	tok  string // "" at the end; strings keep their quotes
	err  error
}

func (p *filterParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("filter %q, at byte %d: %s", p.text, p.at, fmt.Sprintf(format, args...))
	}
	p.tok = ""
	p.pos = len(p.text)
}

// next reads a token: a word, a quoted string, "!=" or a single character.
func (p *filterParser) next() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
	p.at = p.pos
	rest := p.text[p.pos:]
	n := 0
	switch {
	case rest == "":
	case rest[0] == '"':
		n = quotedLen(rest)
		if n < 0 {
			p.fail("string without an end")
			return
		}
	case strings.HasPrefix(rest, "!="):
		n = 2
	case isWord(rest[0]) && rest[0] != '-':
		for n < len(rest) && isWord(rest[n]) {
			n++
		}
	default:
		n = 1
	}
	p.tok = rest[:n]
	p.pos += n
}

func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

func isWord(c byte) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (p *filterParser) expect(tok string) {
	if p.tok != tok {
		p.fail("want %q, have %q", tok, p.tok)
		return
	}
	p.next()
}

func (p *filterParser) expr() filter {
	f := p.term()
	op := p.tok
	for p.tok == "AND" || p.tok == "OR" {
		if p.tok != op {
			p.fail("AND and OR need parentheses")
			return nil
		}
		p.next()
		left, right := f, p.term()
		if op == "AND" {
			f = func(a map[string]string) bool { return left(a) && right(a) }
		} else {
			f = func(a map[string]string) bool { return left(a) || right(a) }
		}
	}
	return f
}

func (p *filterParser) term() filter {
	if p.tok == "NOT" || p.tok == "-" {
		p.next()
		f := p.operand()
		return func(a map[string]string) bool { return !f(a) }
	}
	return p.operand()
}

func (p *filterParser) operand() filter {
	switch p.tok {
	case "(":
		p.next()
		f := p.expr()
		p.expect(")")
		return f
	case "hasPrefix":
		return p.prefix()
	case "attributes":
		return p.attribute()
	case "":
		p.fail("unexpected end")
	default:
		p.fail("unexpected %q", p.tok)
	}
	return nil
}

func (p *filterParser) prefix() filter {
	p.next()
	p.expect("(")
	p.expect("attributes")
	p.expect(".")
	key := p.key()
	p.expect(",")
	prefix := p.str()
	p.expect(")")
	return func(a map[string]string) bool {
		v, ok := a[key]
		return ok && strings.HasPrefix(v, prefix)
	}
}

func (p *filterParser) attribute() filter {
	p.next()
	if p.tok == ":" {
		p.next()
		key := p.key()
		return func(a map[string]string) bool { _, ok := a[key]; return ok }
	}
	p.expect(".")
	key := p.key()
	op := p.tok
	if op != "=" && op != "!=" {
		p.fail("want = or !=, have %q", p.tok)
		return nil
	}
	p.next()
	value := p.str()
	return func(a map[string]string) bool {
		v, ok := a[key]
		return (ok && v == value) == (op == "=")
	}
}

func (p *filterParser) key() string {
	if strings.HasPrefix(p.tok, `"`) {
		return p.str()
	}
	key := p.tok
	if key == "" || !isWord(key[0]) || key[0] == '-' {
		p.fail("want an attribute key, have %q", p.tok)
		return ""
	}
	p.next()
	return key
}

func (p *filterParser) str() string {
	if !strings.HasPrefix(p.tok, `"`) {
		p.fail("want a string in double quotes, have %q", p.tok)
		return ""
	}
	s, err := strconv.Unquote(p.tok)
	if err != nil {
		p.fail("bad string %s", p.tok)
		return ""
	}
	p.next()
	return s
}
