package email

import (
	"errors"
	"time"
)

// ErrEmpty is returned by Parse for input without a single byte that could belong to a mail. There is nothing to
// show and nothing to answer: the caller quarantines it.
var ErrEmpty = errors.New("empty mail")

// Class is the kind of a mail. Only ClassNormal is written by a person to be answered.
type Class string

// The classes in the order in which they are decided: a bounce of a list mail is a bounce.
const (
	ClassBounce   Class = "bounce"   // a delivery status, RFC 3464 or one of the older forms
	ClassFeedback Class = "feedback" // an abuse report, RFC 5965
	ClassAuto     Class = "auto"     // written by a program, RFC 3834
	ClassList     Class = "list"     // list or bulk mail, RFC 2369 and RFC 2919
	ClassNormal   Class = "normal"
)

// Mail is one parsed message. Every text in it is valid UTF-8.
type Mail struct {
	MessageID    string   // canonical, without the angle brackets; "" if there is none
	HasMessageID bool     // MessageID is not empty
	InReplyTo    []string // Message-IDs without brackets, each once
	References   []string // Message-IDs without brackets, each once, the oldest first; the first and the last when bounded

	From, Sender, ReplyTo, To, Cc []Address

	ReturnPath      string // the envelope sender's address, "" if unknown or null
	ReturnPathEmpty bool   // the envelope sender is the null path "<>" (RFC 5321 section 4.5.5)

	Subject string
	Date    time.Time // of the Date field; zero if unreadable

	Text  string // the plain text, made from HTML where there is no other; LF line ends
	HTML  string // as the sender wrote it, unsanitised; "" if the mail has none
	Parts []Part // attachments and inline files in their order

	Class       Class
	ClassReason string // which rule decided, e.g. "auto-submitted: auto-replied"

	Degraded []string // each repair or bound by name, each once

	Fingerprint        string // of the Message-ID, else of the content
	ContentFingerprint string // of the content always: tells apart different mails under one Message-ID

	Bytes  int64   // of the raw mail that were read
	Report *Report // what a bounce or an abuse report says; nil for other mail

	// Trace is what the servers on the way wrote, as far as it can matter to ParseAuthenticationResults: the Received
	// and Authentication-Results fields from the top to the last of the latter. nil for mail without one.
	Trace []TraceField `json:",omitempty"`

	Signed bool `json:",omitempty"` // has a DKIM signature, which VerifyDKIM can check

	noReply string // why an automatic answer is forbidden although the class allows it; see Suppress
}

// Part is an attachment or an inline file. Its content is not held: it went to the save function of Parse. Size is
// known only after that, and so is the Name of a file of more than 4 MiB in an Outlook envelope (winmail.dat).
type Part struct {
	Name        string // the file name without any folder, "" if the sender gave none; see customaryName
	OtherName   string `json:",omitempty"` // what Content-Type calls it where Content-Disposition says otherwise: programs show either
	Type        string // media type in lower case, e.g. "application/pdf"
	Disposition string // "attachment" or "inline"
	ContentID   string // without angle brackets
	Size        int64  // decoded bytes; known only after save has returned
	Index       string // position in the tree as in IMAP, e.g. "2.1"
}
