package email

import "strings"

// bounceReason: RFC 3464, and what mail servers sent before it and still send.
func bounceReason(s *signals) string {
	return firstNonEmpty(formalBounce(s), bounceWords(s))
}

// formalBounce finds what only programs write.
func formalBounce(s *signals) string {
	if s.facts.reportType == "delivery-status" {
		return "report-type: delivery-status"
	}
	if s.facts.feedback != nil || s.facts.reportType != "" {
		return ""
	}
	switch {
	case s.h.has("x-failed-recipients"):
		return "x-failed-recipients"
	case len(s.facts.status) > 0 && (s.daemon() || s.facts.mediaType == "multipart/report"):
		return "part: message/delivery-status"
	case s.sesNotification("bounce"):
		return "amazon ses: bounce"
	case s.sesNotification("delivery"):
		return "amazon ses: delivery"
	case s.h.has("x-mlserver") && contains(s.subject, listRefusals) != "":
		return "list server: " + contains(s.subject, listRefusals)
	}
	return ""
}

// bounceWords: parcels are undeliverable and returned to sender, too, and people forward bounces and ask about them. So
// words count only of a sender that is a mail system or a program behind which nobody reads.
func bounceWords(s *signals) string {
	if s.facts.feedback != nil || s.facts.reportType != "" {
		return ""
	}
	daemon := s.daemon()
	if subject := contains(s.subject, bounceSubjects); subject != "" && daemon {
		return "subject: " + subject
	}
	text := s.text
	if !daemon {
		if isReplySubject(s.subject) || isForwardSubject(s.subject) || !isNoReplyLocal(s.local) {
			return ""
		}
		text, _ = SplitReply(text)
	}
	if phrase := contains(text, bouncePhrases); phrase != "" {
		return "text: " + phrase
	}
	return ""
}

// unsure: a bounce by its words, from a sender that a person could be.
func (s *signals) unsure() bool { return !s.mailer() && formalBounce(s) == "" }

// daemon: the sender is a mail system, or bears its name: a postmaster may be a person.
func (s *signals) daemon() bool {
	return s.mailer() || isPostmaster(s.local) || contains(s.from, daemonNames) != ""
}

// mailer: the sender is a mail system.
func (s *signals) mailer() bool {
	return s.nullish || isDaemonLocal(s.local) || strings.Contains(s.from, "mailer-daemon") ||
		strings.Trim(s.from, " <>\"") == "" && s.h.has("from")
}

func contains(s string, phrases []string) string {
	for _, p := range phrases {
		if strings.Contains(s, p) {
			return p
		}
	}
	return ""
}

var daemonNames = []string{"mail delivery s", "mail-delivery", "mail administrator", "system administrator",
	"mailsystem", "mail system", "postmaster@", "delivery system", "mail router", "mail gateway"}

// listRefusals are what list servers answer to mail that they do not distribute.
var listRefusals = []string{"are not member", "not member", "loop alert", "loop back warning", "wip alert", "ml error"}

// bounceSubjects are looked for anywhere in a lower-case subject.
var bounceSubjects = []string{
	"undeliverable", "undelivered", "delivery status notification", "delivery failure", "delivery failed", "delivery has failed",
	"delivery error", "delivery report", "delivery status", "delivery notification", "delivery problem", "delivery unsuccessful",
	"delivery incomplete", "failed delivery", "failure delivery", "failure notice", "failure notification", "mail failure",
	"mail delivery", "returned mail", "returned to sender", "returning message to sender", "return mail", "mail system error", "mail error",
	"non-delivery", "nondeliverable", "not delivered", "could not be delivered", "can't be delivered", "was not delivered",
	"unable to deliver", "message delayed", "delayed mail", "warning: could not send", "delayed 24 hours", "delayed 4 hours",
	"delayed 48 hours", "delayed 72 hours", "status of your message", "user unknown", "mailbox full", "rejected mail", "message rejected",
	"blocked mail", "message status - ", "invalid recipient", "mail not delivered", "no such user", "considered unsolicited",
	"unzustellbar", "nicht zustellbar", "zustellung fehlgeschlagen", "fehler bei der nachrichtenzustellung", "zustellungsfehler",
	"non remis", "non distribué", "échec de la remise", "echec de remise", "no se puede entregar", "no se pudo entregar", "no entregado",
	"error de entrega", "mancata consegna", "impossibile recapitare", "não entregue", "falha na entrega", "onbestelbaar",
	"kan niet worden afgeleverd", "kunde inte levereras", "kunne ikke leveres", "toimittaminen epäonnistui", "nie można dostarczyć",
	"niedostarczon", "nedoručiteln", "не доставлено", "недоставленное", "не может быть доставлено", "teslim edilemedi",
	"配信不能", "配信エラー", "メールエラー", "送信エラー", "未送達", "未配達", "无法投递", "退信", "無法傳遞", "退件", "배달되지 않음", "반송",
}

// bouncePhrases are sentences from the texts that mail servers write, in lower case.
var bouncePhrases = []string{
	"this is the qmail-send program", "this is the mail delivery agent", "this is the mail system at host", "this is the mail delivery system",
	"this message was created automatically by mail delivery software", "this message was created automatically by the mail system",
	"message that you sent could not be delivered", "message you sent could not be delivered", "your message could not be delivered",
	"could not be delivered to", "couldn't be delivered to", "wasn't delivered to", "was not delivered to", "could not deliver",
	"following addresses had permanent", "the following addresses had transient", "following addresses had delivery problems",
	"delivery to the following recipient", "delivery to the following recipients", "the following recipient", "following recipients failed",
	"following address failed", "following address(es) failed", "did not reach some or all of the intended recipients",
	"did not reach the following recipient", "your message did not reach", "your message was not delivered", "your mail message to",
	"diagnostic information for administrators", "permanent fatal errors", "permanent error", "fatal errors -----",
	"transcript of session follows", "message from  yahoo.com", "unable to deliver", "undeliverable", "undelivered", "not be delivered",
	"delivery failed", "delivery has failed", "failed to deliver", "delivery attempts", "delivery attempt", "delivery failure",
	"not able to deliver", "returned to sender", "user unknown", "unknown user", "user not found", "no such user", "invalid user",
	"recipient unknown", "recipient address rejected", "mailbox is full", "mailbox full", "mailbox unavailable", "mailbox exceeded",
	"quota exceeded", "over quota", "exceeded storage", "host unknown", "unrouteable address", "unroutable address", "550 ", "554 ", "552 ", "5.1.1",
	"original message follows", "unsent message below", "message has been rejected", "was rejected by", "message was refused", "relaying denied",
	"konnte nicht zugestellt werden", "n'a pas pu être", "no se ha podido entregar", "non è stato possibile consegnare",
	"не удалось доставить", "не было доставлено", "не доставлено", "送信できませんでした", "配信できませんでした", "お送りできませんでした", "送達できません",
	"宛先不明", "发送失败", "无法发送", "退回",
}
