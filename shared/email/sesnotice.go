package email

import (
	"encoding/json"
	"strings"
)

// sesNotice is a notification of Amazon SES as SNS mails it: a JSON object in a text mail.
// https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
type sesNotice struct {
	Type string `json:"notificationType"`
	Mail struct {
		Headers []struct{ Name, Value string }
		Common  struct {
			MessageID string `json:"messageId"`
		} `json:"commonHeaders"`
	}
	Bounce struct {
		Kind       string         `json:"bounceType"`
		Recipients []sesRecipient `json:"bouncedRecipients"`
	}
	Complaint struct {
		Kind       string         `json:"complaintFeedbackType"`
		Recipients []sesRecipient `json:"complainedRecipients"`
	}
	Delivery struct {
		Recipients []string
		Response   string `json:"smtpResponse"`
	}
}

type sesRecipient struct {
	Address    string `json:"emailAddress"`
	Action     string
	Status     string
	Diagnostic string `json:"diagnosticCode"`
}

// parseSES reads the object at the beginning of text; ok says whether there is one. Gateways wrap its single line,
// some with an exclamation mark before the break, so line breaks are dropped.
func parseSES(text string) (n sesNotice, ok bool) {
	text, _, _ = strings.Cut(text, "\n\n")
	text = strings.NewReplacer("!\n ", "", "\n ", "", "\n", "").Replace(text)
	at := strings.Index(text, "{")
	if at < 0 || json.NewDecoder(strings.NewReader(text[at:])).Decode(&n) != nil {
		return sesNotice{}, false
	}
	return n, n.Type != ""
}

// recipients are those of a bounce or of a delivery.
func (n sesNotice) recipients() []Recipient {
	var list []Recipient
	for _, r := range n.Bounce.Recipients {
		action := firstNonEmpty(strings.ToLower(r.Action), "failed")
		if strings.EqualFold(n.Bounce.Kind, "Transient") && r.Action == "" {
			action = "delayed"
		}
		list = append(list, Recipient{Address: r.Address, Action: action, Status: r.Status, DiagnosticCode: typedValue(r.Diagnostic)})
	}
	for _, addr := range n.Delivery.Recipients {
		list = append(list, Recipient{Address: addr, Action: "delivered", DiagnosticCode: n.Delivery.Response})
	}
	return list[:min(len(list), maxRecipients)]
}

// messageID is that of the mail as we sent it; SES's own messageId is no Message-ID.
func (n sesNotice) messageID() string {
	for _, f := range n.Mail.Headers {
		if strings.EqualFold(f.Name, "message-id") {
			return firstID([]string{f.Value})
		}
	}
	return firstID([]string{n.Mail.Common.MessageID})
}
