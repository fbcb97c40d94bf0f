package channel

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"emailchannel.dev/emailchannel/shared/event"
)

const settingsPath = "settings/channel"

func sessionPath(id string) string          { return "sessions/" + id }
func messagePath(session, id string) string { return "sessions/" + session + "/messages/" + id }
func historyPath(session, id string) string { return "sessions/" + session + "/history/" + id }
func mailPath(fingerprint string) string    { return "mails/" + fingerprint }
func outboundPath(id string) string         { return "outbound/" + id }
func agentPath(id string) string            { return "agents/" + id }
func queuePath(id string) string            { return "queues/" + id }
func accountPath(id string) string          { return "accounts/" + id }
func teamPath(id string) string             { return "teams/" + id }
func recordPath(session string) string      { return "records/" + session }
func operationPath(id string) string        { return "crmops/" + id }
func quarantinePath(source string) string   { return "quarantine/" + digest(source) }
func deadLetterPath(id string) string       { return "deadletters/" + id }
func leasePath(name string) string          { return "leases/" + name }
func cursorPath(account, dir string) string { return accountPath(account) + "/folders/" + digest(dir) }

// rawObject is the name of a raw mail in the archive.
func rawObject(src event.Source) string { return "raw/" + src.Key() + ".eml" }

func partObject(raw, index string) string {
	return "parts/" + strings.TrimPrefix(raw, "raw/") + "/" + index
}
func outboundObject(id, words string) string { return "out/" + id + "-" + words + ".eml" }

// besides is the prefix of what goes with a raw mail, "" for none: the parts of
// one that came in, the other wordings of one of ours.
func besides(raw string) string {
	end := strings.LastIndexByte(raw, '-')
	switch {
	case strings.HasPrefix(raw, "raw/"):
		return partObject(raw, "")
	case strings.HasPrefix(raw, "out/") && end > 0:
		return raw[:end+1]
	}
	return ""
}

// QuarantinePath is where the entry of a mail stands that could not be processed.
func QuarantinePath(src event.Source) string { return quarantinePath(src.Key()) }

// ResponseID is the outbound ID of the auto-response to an event.
func ResponseID(eventID string) string { return "auto-" + digest(eventID) }

// digest makes a document's name of words that may hold anything.
func digest(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:15]))
}
