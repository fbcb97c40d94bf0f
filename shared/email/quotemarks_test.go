package email

import (
	"strings"
	"testing"
)

// TestQuotesInManyLanguages: what Outlook, Gmail and Apple Mail write above a quote.
func TestQuotesInManyLanguages(t *testing.T) {
	tests := []struct{ language, fields, attribution, separator string }{
		{"English", "From|Sent|To|Subject", "On Mon, Mar 2, 2026 at 9:00 AM Ann <a@example.com> wrote:", "-----Original Message-----"},
		{"Indonesian", "Dari|Dikirim|Kepada|Perihal", "Pada Sen, 2 Mar 2026 pukul 09.00 Ann <a@example.com> menulis:", "-----Pesan Asli-----"},
		{"Indonesian, Outlook.com", "Dari|Terkirim|Kepada|Subjek", "Pada tanggal 2 Mar 2026, pukul 09.00, Ann <a@example.com> menulis:", ""},
		{"French", "De|Envoyé|À|Objet", "Le lun. 2 mars 2026 à 09:00, Ann <a@example.com> a écrit :", "-----Message d'origine-----"},
		{"German", "Von|Gesendet|An|Betreff", "Am Mo., 2. März 2026 um 09:00 Uhr schrieb Ann <a@example.com>:", "-----Ursprüngliche Nachricht-----"},
		{"Spanish", "De|Enviado el|Para|Asunto", "El lun, 2 mar 2026 a las 9:00, Ann (<a@example.com>) escribió:", "-----Mensaje original-----"},
		{"Italian", "Da|Inviato|A|Oggetto", "Il giorno lun 2 mar 2026 alle ore 09:00 Ann <a@example.com> ha scritto:", "-----Messaggio originale-----"},
		{"Portuguese", "De|Enviada em|Para|Assunto", "Em seg., 2 de mar. de 2026 às 09:00, Ann <a@example.com> escreveu:", "-----Mensagem original-----"},
		{"Dutch", "Van|Verzonden|Aan|Onderwerp", "Op ma 2 mrt 2026 om 09:00 schreef Ann <a@example.com>:", "-----Oorspronkelijk bericht-----"},
		{"Danish", "Fra|Sendt|Til|Emne", "Den man. 2. mar. 2026 kl. 09.00 skrev Ann <a@example.com>:", "-----Oprindelig meddelelse-----"},
		{"Norwegian", "Fra|Sendt|Til|Emne", "man. 2. mar. 2026 kl. 09:00 skrev Ann <a@example.com>:", "-----Opprinnelig melding-----"},
		{"Swedish", "Från|Skickat|Till|Ämne", "Den mån 2 mars 2026 kl 09:00 skrev Ann <a@example.com>:", "-----Ursprungligt meddelande-----"},
		{"Finnish", "Lähettäjä|Lähetetty|Vastaanottaja|Aihe", "ma 2. maalisk. 2026 klo 9.00 Ann <a@example.com> kirjoitti:", "-----Alkuperäinen viesti-----"},
		{"Polish", "Od|Wysłano|Do|Temat", "pon., 2 mar 2026 o 09:00 Ann <a@example.com> napisał(a):", "-----Wiadomość oryginalna-----"},
		{"Czech", "Od|Odesláno|Komu|Předmět", "po 2. 3. 2026 v 9:00 odesílatel Ann <a@example.com> napsal:", "-----Původní zpráva-----"},
		{"Hungarian", "Feladó|Elküldve|Címzett|Tárgy", "Ann <a@example.com> ezt írta (időpont: 2026. márc. 2., H, 9:00):", "-----Eredeti üzenet-----"},
		{"Turkish", "Kimden|Gönderilen|Kime|Konu", "Ann <a@example.com>, 2 Mar 2026 Pzt, 09:00 tarihinde şunu yazdı:", "-----Orijinal Mesaj-----"},
		{"Russian", "От|Отправлено|Кому|Тема", "пн, 2 мар. 2026 г. в 09:00, Ann <a@example.com>:", "-----Исходное сообщение-----"},
		{"Ukrainian", "Від|Надіслано|Кому|Тема", "пн, 2 бер. 2026 р. о 09:00 Ann <a@example.com> пише:", ""},
		{"Greek", "Από|Στάλθηκε|Προς|Θέμα", "Στις Δευ 2 Μαρ 2026 στις 9:00 π.μ., ο χρήστης Ann <a@example.com> έγραψε:", "-----Αρχικό μήνυμα-----"},
		{"Chinese", "发件人|发送时间|收件人|主题", "Ann <a@example.com> 于2026年3月2日周一 09:00写道：", "-----原始邮件-----"},
		{"Chinese, Thunderbird", "", "在 2026/3/2 9:00, Ann 写道:", ""},
		{"Chinese, wrapped", "", "Ann of a department with a name\n<a@example.com> 于2026年3月2日周一 09:00写道：", ""},
		{"Korean, wrapped", "", "2026년 3월 2일 (월) 오전 9:00, Ann\n<a@example.com>님이 작성:", ""},
		{"Chinese, traditional", "寄件者|寄件日期|收件者|主旨", "Ann <a@example.com> 於 2026年3月2日 週一 上午9:00寫道：", "-----原始郵件-----"},
		{"Japanese", "差出人|送信日時|宛先|件名", "2026年3月2日(月) 9:00 Ann <a@example.com>:", ""},
		{"Korean", "보낸 사람|보낸 날짜|받는 사람|제목", "2026년 3월 2일 (월) 오전 9:00, Ann <a@example.com>님이 작성:", "-----원본 메시지-----"},
		{"Vietnamese", "Từ|Ngày|Đến|Chủ đề", "Vào Th 2, 2 thg 3, 2026 vào lúc 09:00 Ann <a@example.com> đã viết:", ""},
		{"Hebrew", "מאת|נשלח|אל|נושא", "בתאריך יום ב׳, 2 במרץ 2026 ב-9:00 מאת Ann <a@example.com>:", ""},
	}
	for _, tt := range tests {
		t.Run(tt.language, func(t *testing.T) {
			quotes := []string{tt.attribution + "\n\n> Really?\n", tt.attribution + "\nReally?\n"}
			if f := strings.Split(tt.fields, "|"); len(f) == 4 {
				block := f[0] + ": Ann <a@example.com>\n" + f[1] + ": 2.3.2026 09:00\n" + f[2] + ": Bob\n" + f[3] + ": Offer\n"
				quotes = append(quotes, block+"\nReally?\n", "________________________________\n"+block+"\nReally?\n")
			}
			if tt.separator != "" {
				quotes = append(quotes, tt.separator+"\nReally?\n")
			}
			for _, quote := range quotes {
				if fresh, quoted := SplitReply("Yes.\n\n" + quote); fresh != "Yes.\n" || quoted != "\n"+quote {
					t.Errorf("fresh %q of %q", fresh, quote)
				}
				html := "<div>Yes.</div><br><div>" + strings.NewReplacer("<", "&lt;", ">", "&gt;", "\n", "<br>\n").Replace(quote) + "</div>"
				fresh, quoted := SplitReplyHTML(html)
				checkSplit(t, html, fresh, quoted)
				if quoted == "" || flat(fresh) != "Yes." {
					t.Errorf("fresh %q of the HTML of %q", flat(fresh), quote)
				}
			}
		})
	}
}

// TestWordsAboveAnAddressStay: what stands above a wrapped attribution is not always a name.
func TestWordsAboveAnAddressStay(t *testing.T) {
	text := "\nThanks!\n<a@example.com> wrote:\n\n> Really?\n"
	if fresh, _ := SplitReply(text); fresh != "\nThanks!\n" {
		t.Errorf("fresh %q", fresh)
	}
}

func TestAnswersBetweenAreNeverFolded(t *testing.T) {
	text := "Hi\n\nOn Mon, 2 Mar 2026, Ann <a@example.com> wrote:\n> One?\n\nYes.\n\n> From: Bob\n> Sent: Monday\n> To: Ann\n> Subject: x\n>\n> Two?\n\nNo.\n"
	if fresh, quoted := SplitReply(text); fresh != text {
		t.Errorf("folded: %q", quoted)
	}
}
