package email

import (
	"regexp"
	"strings"
)

// verbs stand in attribution lines: "On Monday Ann <a@example.com> wrote:".
var verbs = regexp.MustCompile(`(?i)(?:^|[\s>)"”])(?:wrote|writes|schrieb|geschrieben|a écrit|a ecrit|écrit|escribió|escribio|ha scritto|scrisse|escreveu|schreef|heeft geschreven|het volgende geschreven|skrev|kirjoitti|napisał\(?a?\)?|napisała|napsala?|napísala?|írta|написала?|пишет?|написав|yazdı|şunu yazdı|a scris|έγραψε|je napisa[ol]a?|pisze|viết|đã viết|menulis|skrifaði|rašė|kirjutas|כתב|كتب|เขียน)|(?:写道|寫道|のメール|書きました|작성|님이 작성)`)

var verbAtEnd = regexp.MustCompile(`(?i)(?:wrote|schrieb|a écrit|escribió|ha scritto|escreveu|schreef|skrev|kirjoitti|napisał|написал)\s*$`)

// longestVerb is in bytes: of most lines the end need not be looked at in full.
const longestVerb = 32

// starters begin an attribution, before the date.
var starters = regexp.MustCompile(`(?i)^(?:on|am|le|el|il|em|op|den|dne|dnia|w dniu|в|at|in data|il giorno|a[sz]?|pe|ke|to|ti|ma|la|su|os?|dana|στις|vào|pada|ในวันที่|tarihinde|בתאריך|في)\s`)

// dateStart: the line begins with a date or a time, after a weekday or without one; 在 is Chinese for "at".
var dateStart = regexp.MustCompile(`^(?:\p{L}{2,12}[.,]{0,2}\s+|在\s*)?(?:\d{1,4}[./년年-]|\d{1,2}\s|\d{1,2}:\d{2})`)

var (
	dateInside  = regexp.MustCompile(`\d{1,2}[:.h]\d{2}|\b(?:19|20)\d\d\b|\d{1,2}[./-]\d{1,2}[./-]\d{2}`)
	addrAtColon = regexp.MustCompile(`[^\s@]+@[^\s@]+\s*[:：]$`)
)

// attribution tells whether line i ends an attribution, and at which line it begins: programs wrap it up to four times.
func (f *folder) attribution(i int) (begin int, ok bool) {
	lines := f.lines
	l := strings.Trim(strings.TrimSpace(lines[i]), "- ")
	colon := strings.HasSuffix(l, ":") || strings.HasSuffix(l, "：")
	if l == "" || !colon && !verbAtEnd.MatchString(l[max(0, len(l)-longestVerb):]) {
		return 0, false
	}
	if f.tries++; f.tries > maxTries {
		return 0, false
	}
	joined := l
	for j := i; ; j-- {
		if isAttribution(joined, colon) {
			return datedLineAbove(lines, j), true
		}
		if j == 0 || i-j == 3 || len(joined) > 400 {
			return 0, false
		}
		above := strings.Trim(strings.TrimSpace(lines[j-1]), "- ")
		if above == "" || isQuoted(above) {
			return 0, false
		}
		joined = above + " " + joined
	}
}

// datedLineAbove: the address and the verb make an attribution already; the date may stand on the line before.
func datedLineAbove(lines []string, j int) int {
	if j == 0 || starters.MatchString(lines[j]) || dateStart.MatchString(lines[j]) {
		return j
	}
	above := strings.TrimSpace(lines[j-1])
	if (starters.MatchString(above) || dateStart.MatchString(above)) && dateInside.MatchString(above) {
		return j - 1
	}
	if nameAbove(lines, j) {
		return j - 1
	}
	return j
}

// nameAbove: line j begins with the address, and the name that belongs to it was wrapped: it stands above by itself.
func nameAbove(lines []string, j int) bool {
	if j < 2 || !strings.HasPrefix(strings.TrimSpace(lines[j]), "<") || strings.TrimSpace(lines[j-2]) != "" {
		return false
	}
	name := strings.TrimSpace(lines[j-1])
	return name != "" && len(name) <= 80 && !strings.ContainsAny(name, ".!?。！？")
}

func isAttribution(s string, colon bool) bool {
	verb := verbs.MatchString(s)
	begins := dateStart.MatchString(s) || starters.MatchString(s)
	switch {
	case !colon:
		return begins && dateInside.MatchString(s)
	case verb && begins:
		return dateInside.MatchString(s) || strings.Contains(s, "@")
	case verb:
		return addressBeforeVerb.MatchString(s) || senderFirst.MatchString(s) && dateInside.MatchString(s)
	}
	return dateInside.MatchString(s) && (dateStart.MatchString(s) && addrAtColon.MatchString(s) || begins && bracketAtColon.MatchString(s))
}

var (
	// senderFirst: "Ann <ann@example.com>, 2 Mar 2026, 09:00 tarihinde şunu yazdı:".
	senderFirst = regexp.MustCompile(`^[^<>:]{0,80}<[^\s@<>]+@[^\s@<>]+>`)
	// bracketAtColon: no verb at all, the address in brackets at the end.
	bracketAtColon = regexp.MustCompile(`<[^\s@<>]+@[^\s@<>]+>\s*[:：]$`)
)

// addressBeforeVerb: "Ann Example <ann@example.com> wrote:" without a date.
var addressBeforeVerb = regexp.MustCompile(`^[^<>]{0,80}<[^\s@<>]+@[^\s@<>]+>\s*(?:\p{L}+\s){0,3}\p{L}+\s*[:：]$`)

// separators are the words between the dashes of "-----Original Message-----".
var separators = regexp.MustCompile(`(?i)^[-_=—*\s]{2,}\s*(?:original[\s-]*(?:message|mail|e-?mail|nachricht)|ursprüngliche (?:nachricht|mail)|originalnachricht|urspr\. nachricht|(?:message|mail|courriel) d['’]origine|message original|message transféré|mensaje original|messaggio originale|mensagem original|oprindelig (?:besked|meddelelse)|opprinnelig (?:melding|meddelelse)|ursprungligt meddelande|originalmeddelande|oorspronkelijk bericht|alkuperäinen viesti|(?:wiadomość|oryginalna) (?:oryginalna|wiadomość)|původní (?:zpráva|e-?mail)|pôvodná správa|eredeti üzenet|mesaj original|orijinal (?:mesaj|ileti)|исходное сообщение|оригинальное сообщение|оригінальне повідомлення|αρχικό μήνυμα|原始邮件|原始郵件|原邮件|元のメッセージ|원본 메[시세]지|reply message|reply above this line|reply to (?:this|the) message|forwarded message|weitergeleitete nachricht|пересылаемое сообщение|pesan (?:asli|terusan|yang diteruskan))\s*[-_=—*\s]{2,}$`)

func isSeparator(l string) bool {
	return len(l) < 200 && strings.IndexAny(l, "-_=*—") == 0 && separators.MatchString(l)
}

// mobileBreak is what Outlook's mobile programs put between a reply and the quote.
var mobileBreak = regexp.MustCompile(`(?i)^(?:get|gesendet von|envoyé (?:à partir )?(?:de|depuis)|sent from|enviado desde|inviato da|verzonden vanuit|télécharge[rz]|obter o|obtener|scarica|hämta|hent|download|skickat från|sendt fra) \[?outlook\b[^.!?]{0,120}(?:<https?://|$)`)

// ownDevice is the line that phones put below a reply, on its own between blank lines.
var ownDevice = regexp.MustCompile(`(?i)^(?:sent from my|von meinem|gesendet von meinem|envoyé de mon|enviado desde mi|enviado do meu|inviato da(?:l mio| i?phone)|verzonden vanaf mijn|sendt fra min|skickat från min|wysłane z mojego|отправлено с моего|dikirim dari) [^.!?]{2,50}$`)

func isMobileBreak(lines []string, i int) bool {
	l := strings.TrimSpace(lines[i])
	if len(l) < 200 && mobileBreak.MatchString(l) {
		return true
	}
	return len(l) < 80 && i > 0 && strings.TrimSpace(lines[i-1]) == "" && nextText(lines, i+1) > i+1 && ownDevice.MatchString(l)
}

var sentFrom = regexp.MustCompile(`(?i)^(?:sent (?:from|via|with|using)|gesendet (?:von|mit)|von meinem .* gesendet|diese nachricht wurde von meinem|envoyé (?:de|depuis|à partir|avec)|enviado (?:desde|do|de|a partir)|inviato da|verzonden (?:vanaf|met|vanuit)|sendt fra|skickat från|lähetetty|wysłan[eo] z|odesláno z|отправлено (?:с|из)|надіслано з|gönderildi|iphone ?から送信|发自我的|發自我的|dikirim dari |나의 .*에서 보냄|get outlook for|typeapp)`)

func isSentFrom(l string) bool {
	l = strings.TrimLeft(l, "*_ ")
	return len(l) < 120 && (sentFrom.MatchString(l) || strings.HasSuffix(l, "から送信") || strings.HasSuffix(l, "gesendet"))
}

// headerNames maps the field names that programs write into quoted header blocks to what they mean.
var headerNames = func() map[string]string {
	names := map[string]string{}
	for meaning, words := range map[string]string{
		"from": "from|von|de|da|fra|från|van|od|od:|от|від|lähettäjä|kimden|gönderen|feladó|expéditeur|remitente|mittente|nadawca|odesílatel|de la|发件人|發件人|寄件者|寄件人|差出人|送信者|送信元|보낸 사람|보낸사람|από|מאת|من|từ|dari",
		"date": "message du|sent|date|gesendet|datum|envoyé|enviado|enviado el|enviada em|enviada|fecha|data|inviato|sendt|dato|skickat|verzonden|wysłano|wysłane|data wysłania|отправлено|дата|надіслано|lähetetty|päivämäärä|gönderilen|tarih|elküldve|dátum|odesláno|odoslané|发送时间|日期|傳送時間|寄件日期|送信日時|日時|보낸 날짜|날짜|ημερομηνία|στάλθηκε|trimis|נשלח|تاريخ|ngày|tanggal|dikirim|terkirim|dikirim pada",
		"to":   "to|an|à|a|para|til|till|aan|do|кому|vastaanottaja|kime|címzett|komu|pro|către|收件人|收件者|宛先|받는 사람|προς|אל|إلى|đến|kepada|untuk|destinataire|destinatario",
		"subj": "subject|betreff|betr|objet|sujet|asunto|oggetto|assunto|emne|ämne|onderwerp|temat|тема|aihe|konu|tárgy|předmět|predmet|subiect|主题|主旨|主題|件名|제목|θέμα|נושא|الموضوع|chủ đề|subjek|perihal",
		"cc":   "cc|kopie|copie|kopia|cc:|копия|reply-to|antwort an|抄送|副本|참조",
	} {
		for _, w := range strings.Split(words, "|") {
			names[w] = meaning
		}
	}
	return names
}()

// headerMeaning is what a line of a quoted header block tells, "" if it is no such line.
func headerMeaning(l string) string {
	l = strings.TrimLeft(strings.TrimSpace(l), "*>• \t")
	i := strings.IndexAny(l, ":：")
	if i <= 0 || i > 40 {
		return ""
	}
	return headerNames[strings.ToLower(strings.Trim(l[:i], "* \u00a0"))]
}

// isHeaderBlock: line i begins a quoted header block: a sender or date, then two more fields within the next lines,
// which may be wrapped or stand apart. One such line alone is only someone's words.
func isHeaderBlock(lines []string, i int) bool {
	first := headerMeaning(lines[i])
	if first != "from" && first != "date" {
		return false
	}
	seen := map[string]bool{first: true}
	for j := i + 1; j < len(lines) && j <= i+7; j++ {
		l := strings.TrimSpace(lines[j])
		if m := headerMeaning(l); m != "" {
			seen[m] = true
		}
	}
	return len(seen) >= 3 && seen["from"]
}
