package email

import (
	"regexp"
	"strings"
)

// replyPrefix matches one reply prefix in the usual languages, with a counter ("Re[2]:", "Re^2:", "Re(3):", "Re*2:")
// and with the full-width colon of Chinese and Japanese programs. Forward prefixes are no replies.
var replyPrefix = regexp.MustCompile(`(?i)^\s*(?:re|aw|antw|antwort|sv|vs|rv|r|rif|odp|ynt|yan|res|vá|vä|ats|atb|bls|απ|σχετ|отв|отг|השב|תגובה|رد|回复|回覆|答复|答覆|回信|返信|답장|회신|ตอบ|trả lời)\s*(?:[\[(^*]?\d{1,4}[\])]?)?\s*[:：]`)

// forwardPrefix matches one forward prefix.
var forwardPrefix = regexp.MustCompile(`(?i)^\s*(?:fwd?|wg|weitergeleitet|tr|enc|i|vb|doorst|vl|vidarebefordrat|videresendt|pd|podaj|ilt|továbbítás|пересл|转发|轉寄|转寄|転送|전달)\s*[:：]`)

func isForwardSubject(s string) bool { return forwardPrefix.MatchString(s) }

// isReplySubject tells whether a subject begins with a reply prefix.
func isReplySubject(s string) bool { return replyPrefix.MatchString(s) }

// ReplySubject is "RE: " and the original subject; one that has a reply prefix already stays as it is (AR-4).
func ReplySubject(s string) string {
	s = strings.TrimSpace(cleanText(s))
	if isReplySubject(s) {
		return s
	}
	return strings.TrimSpace("RE: " + s)
}
