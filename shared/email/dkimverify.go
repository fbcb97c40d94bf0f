package email

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// Signature is a DKIM signature (RFC 6376) after its check.
type Signature struct {
	Domain string // d=, who signed
	Result AuthResult
	Why    string // the reason unless it passed
}

// The bounds of VerifyDKIM. A mail beyond one of them has no verified signature.
const (
	maxSignatures     = 5         // looked at, the topmost; each costs a query and a hash of the body
	maxSignature      = 4 << 10   // bytes of a DKIM-Signature field
	maxSignedHeader   = 100 << 10 // bytes of the header
	maxSignedFields   = 500
	maxSignedBlank    = 10000 // empty lines in a row within the body
	maxKeyRecord      = 8 << 10
	maxKeyRecordNames = 253
)

// VerifyDKIM checks the DKIM signatures of the mail that r delivers, for mail whose server states no
// Authentication-Results. lookup returns the TXT records of a domain, one string per record; it is called at most five
// times. An error that is a net.Error and temporary gives AuthTempError, any other AuthPermError. The body is streamed,
// never held.
//
// A mail without signature gives none and is not read beyond its header. Line ends that lost their CR are restored;
// a leading mbox line is skipped. Signatures over a part of the body (l=) fail, so do weak ones (SHA-1, RSA below 1024
// bits) and those of keys in test mode. Expiry (x=) is compared with the clock of the machine.
//
// The error is that of r, wrapped.
func VerifyDKIM(r io.Reader, lookup func(domain string) ([]string, error)) ([]Signature, error) {
	src := &heldError{r: r}
	br := bufio.NewReaderSize(src, lineBuffer)
	head, signed, ok := signedHeader(br)
	if src.err != nil {
		return nil, fmt.Errorf("read mail: %w", src.err)
	}
	if !signed {
		return nil, nil
	}
	if !ok {
		return []Signature{{Result: AuthPolicy, Why: "header beyond the bounds"}}, nil
	}
	body := &blankLines{r: &crlfReader{r: br}}
	checked, err := dkim.VerifyWithOptions(io.MultiReader(bytes.NewReader(head), body), &dkim.VerifyOptions{
		LookupTXT: keyLookup(lookup), MaxVerifications: maxSignatures,
	})
	switch {
	case src.err != nil:
		return nil, fmt.Errorf("read mail: %w", src.err)
	case body.over:
		return []Signature{{Result: AuthPolicy, Why: "body beyond the bounds"}}, nil
	case err != nil && !errors.Is(err, dkim.ErrTooManySignatures):
		return []Signature{{Result: AuthPermError, Why: err.Error()}}, nil
	}
	return signatures(checked), nil
}

func signatures(checked []*dkim.Verification) []Signature {
	var list []Signature
	for _, v := range checked {
		s := Signature{Domain: domainASCII(v.Domain), Result: AuthPass}
		if v.Err != nil {
			s.Why = v.Err.Error()
		}
		switch {
		case v.Err == nil:
		case dkim.IsTempFail(v.Err):
			s.Result = AuthTempError
		case dkim.IsPermFail(v.Err):
			s.Result = AuthPermError
		default:
			s.Result = AuthFail
		}
		list = append(list, s)
	}
	return list
}

// AuthenticationFromDKIM is what checked signatures say about a mail from the author's domain, see Mail.AuthorDomain.
func AuthenticationFromDKIM(list []Signature, from string) Authentication {
	a := Authentication{From: from}
	for _, s := range list {
		a.Source = "dkim"
		if a.DKIM == "" || s.Result == AuthPass {
			a.DKIM = s.Result
		}
		if s.Result == AuthPass {
			a.DKIMDomains = append(a.DKIMDomains, s.Domain)
		}
	}
	a.conclude()
	return a
}

// signedHeader reads the header up to and with the empty line, with CRLF line ends. ok is false beyond a bound.
func signedHeader(br *bufio.Reader) (head []byte, signed, ok bool) {
	var b bytes.Buffer
	fields, signature := 0, 0
	for b.Len() <= maxSignedHeader {
		l, err := br.ReadSlice('\n')
		text := bytes.TrimRight(l, "\r\n")
		if b.Len() == 0 && (len(text) == 0 && err == nil || bytes.HasPrefix(text, []byte("From ")) || bytes.HasPrefix(text, []byte(">From "))) {
			continue
		}
		if len(text) > 0 && text[0] != ' ' && text[0] != '\t' {
			name := bytes.TrimRight(text[:max(bytes.IndexByte(text, ':'), 0)], " \t")
			isSignature := bytes.EqualFold(name, []byte("dkim-signature"))
			signed = signed || isSignature
			if fields++; isSignature {
				signature = b.Len()
			} else {
				signature = -1
			}
		}
		b.Write(text)
		b.WriteString("\r\n")
		if errors.Is(err, bufio.ErrBufferFull) || fields > maxSignedFields || signature >= 0 && signed && b.Len()-signature > maxSignature {
			return nil, signed, false
		}
		if len(text) == 0 || err != nil {
			if len(text) > 0 {
				b.WriteString("\r\n")
			}
			return b.Bytes(), signed, true
		}
	}
	return nil, signed, false
}

// networkError is net.Error; package net has no place among pure packages.
type networkError interface {
	error
	Timeout() bool
	Temporary() bool
}

// keyLookup refuses names that are none before they get into a query, and keys that say that they only try.
func keyLookup(lookup func(string) ([]string, error)) func(string) ([]string, error) {
	return func(name string) ([]string, error) {
		if !isKeyName(name) {
			return nil, errors.New("not a domain name")
		}
		records, err := lookup(name)
		var network networkError
		if errors.As(err, &network) {
			return nil, network // the library looks at the outermost error alone
		}
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if len(r) > maxKeyRecord {
				return nil, errors.New("key record too long")
			}
			if isTestKey(r) {
				return nil, errors.New("key in test mode")
			}
		}
		return records, nil
	}
}

func isKeyName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return len(name) <= maxKeyRecordNames && !strings.Contains(name, "..") && !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".")
}

// isTestKey: a verifier treats mail signed with such a key as unsigned (RFC 6376 section 3.6.1, t=y).
func isTestKey(record string) bool {
	for tag := range strings.SplitSeq(record, ";") {
		key, value, _ := strings.Cut(tag, "=")
		if strings.TrimSpace(key) != "t" {
			continue
		}
		for flag := range strings.SplitSeq(value, ":") {
			if strings.TrimSpace(flag) == "y" {
				return true
			}
		}
	}
	return false
}
