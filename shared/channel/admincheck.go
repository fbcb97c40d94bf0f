package channel

import (
	"regexp"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/wire"
)

// Misfits is the error of an input that does not fit its type; nil without any.
func Misfits(list []wire.Misfit) error {
	var bad Invalid
	for _, m := range list {
		bad.Fields = append(bad.Fields, Field{m.Path, m.Message})
	}
	return bad.err()
}

// merge adds what a validator found, which writes one "field: message" a line.
func (e *Invalid) merge(prefix string, err error) {
	if err == nil {
		return
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		field, message, ok := strings.Cut(line, ": ")
		if !ok {
			field, message = strings.TrimSuffix(prefix, "."), line
			prefix = ""
		}
		e.Fields = append(e.Fields, Field{prefix + field, message})
	}
}

// line refuses what does not fit one line of a mail's header or a list.
func (e *Invalid) line(field, v string, most int) {
	if len(v) > most || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		e.add(field, "must be one line of at most %d bytes", most)
	}
}

func (e *Invalid) oneOf(field, v string, allowed ...string) {
	if !slices.Contains(allowed, v) {
		e.add(field, "%q is none of %s", v, strings.Join(allowed, ", "))
	}
}

var slug = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// slug refuses an ID that is no plain word; it becomes part of secrets, objects and links.
func (e *Invalid) slug(field, id string) {
	if !slug.MatchString(id) {
		e.add(field, "%q is no ID of a-z, 0-9 and -, at most 63 long", id)
	}
}

// template refuses tags that nothing can fill in (AR-5, SG-1).
func (e *Invalid) template(field string, err error) {
	if err == nil {
		return
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		e.Fields = append(e.Fields, Field{field, line})
	}
}
