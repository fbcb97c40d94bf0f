package replay

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime"
	"strings"
	"time"
)

// Generate makes n mails as a contact centre gets them: a third answer earlier
// ones, 15 % are HTML, 10 % carry a file of 100 KB, names and texts are in many
// scripts. The same seed makes the same mails.
func Generate(n int, seed uint64, to []string) []Mail {
	g := generator{r: rand.New(rand.NewPCG(seed, 1)), to: to, seed: seed, at: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	out := make([]Mail, n)
	for i := range out {
		out[i] = Mail{File: fmt.Sprintf("generated-%05d.eml", i+1), Raw: g.mail(i)}
	}
	return out
}

type generator struct {
	r    *rand.Rand
	to   []string
	seed uint64
	at   time.Time
	sent []sent
}

type sent struct {
	id, refs, from, to, subject string
}

var (
	names    = []string{"Grace Hopper", "José Núñez", "Łukasz Żak", "Đặng Thị Hà", "Мария Иванова", "山田太郎", "김민서", "محمد علي", "Ayşe Yılmaz", "Siti Rahmawati", "Jürgen Groß", "Zoë Brontë"}
	subjects = []string{"Where is my order?", "Rechnung fehlt", "Question sur ma facture", "Pesanan belum datang", "Вопрос о доставке", "請求書について", "Can't log in 😕", "¿Cambio de dirección?", "Refund for #4711", "Produkt defekt – was nun?"}
	words    = strings.Fields("the order has not arrived yet could you please check the tracking number bitte prüfen Sie die Rechnung merci d'avance для заказа ご確認ください terima kasih invoice attached refund address größer straße déjà été 😊 привет 谢谢")
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (g *generator) mail(i int) []byte {
	g.at = g.at.Add(time.Duration(g.r.IntN(90)) * time.Second)
	m := sent{id: fmt.Sprintf("<%d.%d@mail.example.net>", g.seed, i), from: fmt.Sprintf("customer%d@example.net", g.r.IntN(1+i)), to: pick(g.r, g.to), subject: pick(g.r, subjects)}
	var b bytes.Buffer
	header := func(k, v string) { fmt.Fprintf(&b, "%s: %s\r\n", k, v) }
	if len(g.sent) > 0 && g.r.IntN(3) == 0 {
		old := pick(g.r, g.sent)
		m.from, m.to, m.subject, m.refs = old.from, old.to, "Re: "+strings.TrimPrefix(old.subject, "Re: "), strings.TrimSpace(old.refs+" "+old.id)
		header("In-Reply-To", old.id)
		header("References", strings.ReplaceAll(m.refs, " ", "\r\n "))
	}
	g.sent = append(g.sent, m)
	header("From", mime.QEncoding.Encode("utf-8", pick(g.r, names))+" <"+m.from+">")
	header("To", m.to)
	header("Subject", mime.BEncoding.Encode("utf-8", m.subject))
	header("Date", g.at.Format(time.RFC1123Z))
	header("Message-ID", m.id)
	header("MIME-Version", "1.0")
	html, file := g.r.IntN(100) < 15, g.r.IntN(100) < 10
	if !file {
		g.body(&b, html)
		return b.Bytes()
	}
	header("Content-Type", `multipart/mixed; boundary="limit"`)
	b.WriteString("\r\n--limit\r\n")
	g.body(&b, html)
	b.WriteString("\r\n--limit\r\nContent-Type: application/pdf; name=\"invoice.pdf\"\r\nContent-Disposition: attachment; filename=\"invoice.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	g.file(&b)
	b.WriteString("--limit--\r\n")
	return b.Bytes()
}

func (g *generator) body(b *bytes.Buffer, html bool) {
	var text strings.Builder
	for range 40 + g.r.IntN(120) {
		text.WriteString(pick(g.r, words))
		text.WriteByte(" \n"[min(g.r.IntN(12)/11, 1)])
	}
	kind, content := "plain", text.String()
	if html {
		kind, content = "html", "<html><body><p>"+strings.ReplaceAll(content, "\n", "</p>\n<p>")+"</p></body></html>"
	}
	fmt.Fprintf(b, "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n", kind)
	lines(b, []byte(content))
}

func (g *generator) file(b *bytes.Buffer) {
	data := make([]byte, 75<<10) // 100 KB as base64
	for i := range data {
		data[i] = byte(g.r.Uint32())
	}
	copy(data, "%PDF-1.7\n")
	lines(b, data)
}

// lines writes base64 in lines of 76 (RFC 2045 6.8).
func lines(b *bytes.Buffer, data []byte) {
	enc := base64.StdEncoding.EncodeToString(data)
	for len(enc) > 76 {
		b.WriteString(enc[:76] + "\r\n")
		enc = enc[76:]
	}
	b.WriteString(enc + "\r\n")
}
