package filetype

import (
	"bytes"
	"fmt"
	"mime"
	"path"
	"strings"
	"unicode"
)

// Type is what a file is sent as.
type Type struct {
	Kind  string // as people call it: "JPEG", "DOC"
	Media string // media type
	Image bool   // may be shown within a mail
}

// Refused tells why a file may not be sent. Part is what is wrong: "name",
// "type" (the declared one) or "content".
type Refused struct{ Name, Part, Problem string }

func (r *Refused) Error() string { return fmt.Sprintf("%q %s", r.Name, r.Problem) }

// MaxName is the longest name of a file in bytes.
const MaxName = 255

// ByName is what a file of that name is sent as if its content agrees.
// declared is the media type that its sender gave it; empty and
// application/octet-stream say nothing. The error is a [*Refused].
func ByName(name, declared string) (Type, error) {
	k, err := byName(name, declared)
	return k.Type, err
}

func byName(name, declared string) (kind, error) {
	if problem := badName(name); problem != "" {
		return kind{}, &Refused{name, "name", problem}
	}
	ext := extension(name)
	k, ok := kinds[ext]
	switch {
	case ext == "":
		return kind{}, &Refused{name, "name", "has no extension; may be sent: " + list}
	case !ok:
		return kind{}, &Refused{name, "name", fmt.Sprintf("may not be sent: .%s is none of %s", ext, list)}
	case !k.declared(declared):
		return kind{}, &Refused{name, "type", fmt.Sprintf("is declared as %s, and a %s is %s", declared, k.Kind, k.Media)}
	}
	return k, nil
}

// list is what an error offers.
const list = "JPEG JPG PNG GIF TIFF RAW WebP MP4 MOV AVI WMV WebM MP3 WAV PDF DOC DOCX XLS XLSX PPT PPTX CSV TXT"

func extension(name string) string { return strings.ToLower(strings.TrimPrefix(path.Ext(name), ".")) }

// badName refuses names that are not what they seem: a mark that turns the
// direction of writing shows "cod.exe" as "exe.doc".
func badName(name string) string {
	switch {
	case name == "":
		return "is no name of a file"
	case len(name) > MaxName:
		return fmt.Sprintf("is longer than %d bytes", MaxName)
	case strings.ContainsAny(name, `/\`):
		return "is a path and no name"
	case strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar
	}):
		return "has characters that no name of a file has"
	}
	return ""
}

// declared tells whether a media type does not contradict the kind.
func (k kind) declared(v string) bool {
	media, _, err := mime.ParseMediaType(v)
	if v == "" || err == nil && (media == "application/octet-stream" || media == k.Media) {
		return true
	}
	for _, begin := range k.also {
		if err == nil && strings.HasPrefix(media, begin) {
			return true
		}
	}
	return false
}

// headSize is how much of the beginning is looked at; a PDF's header may come
// as late as byte 1,024.
const headSize = 1024 + 16

// Check looks at the content of one file as it is written to it.
type Check struct {
	name   string
	kind   kind
	head   []byte
	scan   scanner
	judged bool
	err    error
}

// scanner looks at the whole of a content. problem is what is wrong with it,
// empty for nothing.
type scanner interface {
	write(p []byte)
	problem() string
}

// New begins with what [ByName] says.
func New(name, declared string) (*Check, error) {
	k, err := byName(name, declared)
	if err != nil {
		return nil, err
	}
	c := &Check{name: name, kind: k}
	if k.scan != nil {
		c.scan = k.scan()
	}
	return c, nil
}

// Write takes the next bytes. It fails with a [*Refused] as soon as it is
// certain that the content is another.
func (c *Check) Write(p []byte) (int, error) {
	c.head = append(c.head, p[:min(len(p), headSize-len(c.head))]...)
	if len(c.head) == headSize {
		c.judge()
	}
	if c.scan != nil && c.err == nil {
		c.scan.write(p)
	}
	if c.err != nil {
		return 0, c.err
	}
	return len(p), nil
}

// judge looks at the beginning.
func (c *Check) judge() {
	if c.judged {
		return
	}
	c.judged = true
	switch {
	case len(c.head) == 0:
		c.refuse("is empty")
	case !c.kind.begins(c.head):
		c.refuse(c.kind.not(c.head))
	}
}

func (c *Check) refuse(problem string) { c.err = &Refused{c.name, "content", problem} }

// Done is the verdict on what was written. The error is a [*Refused].
func (c *Check) Done() (Type, error) {
	c.judge()
	if c.err == nil && c.scan != nil {
		if problem := c.scan.problem(); problem != "" {
			c.refuse(problem)
		}
	}
	if c.err != nil {
		return Type{}, c.err
	}
	return c.kind.Type, nil
}

// not says that a content is no such kind, and what it looks like instead.
func (k kind) not(head []byte) string {
	if what := looks(head); what != "" {
		return fmt.Sprintf("is no %s: it looks like %s", k.Kind, what)
	}
	return fmt.Sprintf("is no %s: its content is something else, or damaged", k.Kind)
}

func starts(head []byte, with string) bool { return bytes.HasPrefix(head, []byte(with)) }
