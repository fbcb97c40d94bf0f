package email

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/jhillyerd/enmime/v2"
)

// enmimeDiffers explains every mail where enmime has a text, a file or a name that we have not.
func enmimeDiffers() map[string]string {
	const drops = "enmime cannot read the undeclared 8-bit characters and leaves them out; we guess windows-1252"
	return map[string]string{
		"dovecot-imaptest/tests/fetch-binary-mime-qp.mbox": "enmime does not know white space after the equals sign of a soft line break (RFC 2045 section 6.7 rule 3)",
		"enmime/testdata/parts/chardet-detection.raw":      "enmime guesses Latin although the text is declared and valid UTF-8",
		"james-mime4j/mimetools-testmsgs/multi-frag.msg": "the base64 goes over into the text after it; enmime stops there, we keep all that can be decoded. " +
			"The picture itself is in both",
		"rspamd/messages/badboundary.eml":                        "the last line is the boundary without its closing dashes; enmime decodes it as base64 of the file",
		"spamassassin/nice/mime7":                                "the part ends with the equals sign of a soft line break; enmime keeps it as content",
		"spamassassin/nice/unicode1":                             "enmime keeps a blank and the opening quote in the file's name",
		"spamassassin/spam/009":                                  "unencoded '=CENTER' in quoted-printable is the byte 0xCE for us (RFC 2045), nothing for enmime",
		"james-mime4j/mimetools-testmsgs/infinite.msg":           drops,
		"spamassassin/welcomelists/ibm_enews_de":                 drops,
		"spamassassin/welcomelists/netcenter-direct_de":          drops,
		"webklex-php-imap/messages/attachment_long_filename.eml": "enmime drops the first piece of a name whose charset it does not know (iso-8859-15)",
	}
}

// TestCorpusEnmime holds Parse against another parser: nothing that enmime finds may be missing.
func TestCorpusEnmime(t *testing.T) {
	known := enmimeDiffers()
	n, unreadable, lost, leaves := 0, 0, 0, 0
	corpusMails(t, func(name string, raw []byte) {
		n++
		theirs, err := enmime.ReadEnvelope(bytes.NewReader(raw))
		if err != nil {
			unreadable++
			return
		}
		ours, err := readAll(raw)
		if err != nil {
			return // TestCorpusTable counts these
		}
		found := enmimeLeaves(theirs)
		leaves += len(found)
		missing := ours.missing(found)
		lost += len(missing)
		compareKnown(t, known, name, strings.Join(missing, "; "))
	})
	failOnStale(t, known)
	t.Logf("%d mails, %d that enmime cannot read, %d leaves there, %d of them different here", n, unreadable, leaves, lost)
}

// enmimeLeaf is a part without parts that has content.
type enmimeLeaf struct {
	path, name string
	charset    string
	content    []byte
	text       bool
}

func enmimeLeaves(e *enmime.Envelope) (leaves []enmimeLeaf) {
	e.Root.DepthMatchAll(func(p *enmime.Part) bool {
		if p.FirstChild == nil && len(bytes.TrimSpace(p.Content)) > 0 {
			leaves = append(leaves, enmimeLeaf{p.PartID, p.FileName, firstNonEmpty(p.OrigCharset, p.Charset), p.Content, strings.HasPrefix(p.ContentType, "text/") || p.ContentType == ""})
		}
		return false
	})
	return leaves
}

// read is a mail with the contents of its files.
type read struct {
	*Mail
	files [][]byte
}

func readAll(raw []byte) (r read, err error) {
	r.Mail, err = Parse(bytes.NewReader(raw), "", Limits{}, func(_ Part, content io.Reader) error {
		b, err := io.ReadAll(content)
		r.files = append(r.files, b)
		return err
	})
	return r, err
}

func (r read) missing(leaves []enmimeLeaf) (why []string) {
	texts := letters(r.Text) + "\x00" + letters(r.HTML)
	taken := map[int]bool{}
	for _, l := range leaves {
		i := r.file(l, taken)
		taken[i] = true
		switch {
		case i < 0 && !strings.Contains(texts, letters(string(l.content))):
			why = append(why, fmt.Sprintf("no %s %.60q (%d bytes, name %q)", l.path, l.content, len(l.content), l.name))
		case i >= 0 && l.name != "" && !sameName(r.Parts[i], l.name):
			why = append(why, fmt.Sprintf("%s is named %q, there %q", l.path, r.Parts[i].Name, l.name))
		}
	}
	return why
}

// file is the index of the part with the leaf's content, the one with its name if there are several, -1 if none.
func (r read) file(l enmimeLeaf, taken map[int]bool) int {
	found := -1
	for i, f := range r.files {
		if taken[i] || !sameContent(f, l, r.Parts[i].Type) {
			continue
		}
		if sameName(r.Parts[i], l.name) {
			return i
		}
		if found < 0 {
			found = i
		}
	}
	return found
}

// sameName: enmime keeps folders, encoded words within quotes, and either of two different names by chance.
func sameName(p Part, theirs string) bool {
	theirs = fileName(DecodeHeader(theirs))
	return theirs == p.Name || theirs == p.OtherName
}

func sameContent(f []byte, l enmimeLeaf, mediaType string) bool {
	if bytes.Equal(f, l.content) {
		return true
	}
	if !l.text || !strings.HasPrefix(mediaType, "text/") {
		return false
	}
	text, _ := toUTF8(f, l.charset)
	return letters(text) == letters(string(l.content))
}

// letters is s without white space and controls, about which parsers differ at the ends of lines and parts.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar || r == '\ufeff' {
			return -1
		}
		return r
	}, s)
}
