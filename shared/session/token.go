package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"regexp"
	"strings"
	"unicode"
)

// signatureLength is in characters of five bits: 40 bits. A guess costs one mail, so this is out of reach.
const signatureLength = 8

// tokenLike finds everything that looks like a token. Mail programs fold and re-encode subjects, so blanks
// between any two characters are tolerated; RFC 2047 words are decoded by the caller.
var tokenLike = regexp.MustCompile(`\[\s*#((?:\s*[0-9A-Za-z]){11})\s*-((?:\s*[0-9A-Za-z]){8})\s*\]`)

// Token returns the session's mark for a subject line (CH-2), such as "[#8F3K2M9QX01-4QZ7T0WA]": the ID and
// the first 40 bits of its HMAC-SHA-256. It returns "" for what is no ID and for an empty key, which
// everybody could sign with.
func Token(id string, key []byte) string {
	id, err := ParseID(id)
	if err != nil || len(key) == 0 {
		return ""
	}
	return "[#" + id + "-" + sign(id, key) + "]"
}

// HasToken tells whether something in a decoded subject looks like a token, so that keys are needed to judge it.
func HasToken(subject string) bool { return tokenLike.MatchString(subject) }

// FindToken returns the ID of the first token in a decoded subject that one of the keys has signed. Keys
// are the present one and those before it, so that a new key does not orphan mail under way. Tampered
// says that something looked like a token and no key fits any. Whether the sender may join the session
// is not decided here (CH-5).
func FindToken(subject string, keys [][]byte) (id string, ok, tampered bool) {
	for _, m := range tokenLike.FindAllStringSubmatch(subject, -1) {
		id, idOK := canonical(withoutSpace(m[1]), IDLength)
		sig, sigOK := canonical(withoutSpace(m[2]), signatureLength)
		if idOK && sigOK && signedByAny(id, sig, keys) {
			return id, true, false
		}
		tampered = true
	}
	return "", false, tampered
}

func signedByAny(id, sig string, keys [][]byte) bool {
	for _, key := range keys {
		if len(key) > 0 && subtle.ConstantTimeCompare([]byte(sign(id, key)), []byte(sig)) == 1 {
			return true
		}
	}
	return false
}

// sign keeps tokens apart from any other use of the same key by a prefix.
func sign(id string, key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("session-subject-token\x00" + id))
	return encode(mac.Sum(nil), signatureLength)
}

func withoutSpace(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}
