package reply

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"emailchannel.dev/emailchannel/shared/hours"
)

// tagTexts are what every tag says in a language, with a value and without.
var tagTexts = map[string]map[string][2]string{
	"en": {
		"consumer": {"Zoë", "customer"}, "agent": {"Budi", "our team"}, "queue": {"Returns", "customer service"}, "company": {"Lamps", "our company"},
		"ticket_id": {"4711", "not yet assigned"}, "next_working_date": {"2 March 2027", "the next working day"},
		"date": {"1 March 2027", "28 February 2027"}, "time": {"06:05", "23:05"},
	},
	"id": {
		"consumer": {"Zoë", "pelanggan"}, "agent": {"Budi", "tim kami"}, "queue": {"Returns", "layanan pelanggan"}, "company": {"Lamps", "perusahaan kami"},
		"ticket_id": {"4711", "belum tersedia"}, "next_working_date": {"2 Maret 2027", "hari kerja berikutnya"},
		"date": {"1 Maret 2027", "28 Februari 2027"}, "time": {"06.05", "23.05"},
	},
	"fr": {
		"consumer": {"Zoë", "client"}, "agent": {"Budi", "notre équipe"}, "queue": {"Returns", "service client"}, "company": {"Lamps", "notre entreprise"},
		"ticket_id": {"4711", "pas encore attribué"}, "next_working_date": {"2 mars 2027", "prochain jour ouvré"},
		"date": {"1er mars 2027", "28 février 2027"}, "time": {"06:05", "23:05"},
	},
	"de": {
		"consumer": {"Zoë", "Kundin/Kunde"}, "agent": {"Budi", "unser Team"}, "queue": {"Returns", "Kundendienst"}, "company": {"Lamps", "unser Unternehmen"},
		"ticket_id": {"4711", "noch nicht vergeben"}, "next_working_date": {"2. März 2027", "nächster Werktag"},
		"date": {"1. März 2027", "28. Februar 2027"}, "time": {"06:05", "23:05"},
	},
}

// TestEveryTag renders each tag in each language, with its value and without, in each place that a tag may
// have, and reads the result as a mail program does. Without a zone, the date and the time are UTC's.
func TestEveryTag(t *testing.T) {
	at := time.Date(2027, time.February, 28, 23, 5, 0, 0, time.UTC)
	known := Values{Consumer: "Zoë", Agent: "Budi", Queue: "Returns", Company: "Lamps", TicketID: "4711", Now: at,
		Zone: "Asia/Jakarta", NextWorking: hours.Date{Year: 2027, Month: time.March, Day: 2}}
	blank := Values{Consumer: " \t", Agent: "\u00a0", Queue: "\n", Now: at}
	for language, texts := range tagTexts {
		if len(texts) != len(Tags()) {
			t.Errorf("%s has %d tags of %d", language, len(texts), len(Tags()))
		}
		for _, tag := range Tags() {
			for i, v := range []Values{known, blank} {
				v.Language = language
				inEveryPlace(t, language, tag, v, texts[tag][i])
			}
		}
	}
}

// TestEveryValueIsEscaped does so with values that would be markup, a tag or a link.
func TestEveryValueIsEscaped(t *testing.T) {
	for _, hostile := range []string{`<b onclick="x">'&amp;`, `"><script>alert(1)</script>`, "@{ticket_id}", "javascript:x", "//evil.example", "{{x}} ${y}"} {
		v := Values{Consumer: hostile, Agent: hostile, Queue: hostile, Company: hostile, TicketID: hostile}
		for language := range tagTexts {
			v.Language = language
			for _, tag := range []string{"consumer", "agent", "queue", "company", "ticket_id"} {
				inEveryPlace(t, language, tag, v, hostile)
			}
		}
	}
}

// inEveryPlace holds that a tag says the same as text, in an attribute and in a link, and nothing besides.
func inEveryPlace(t *testing.T, language, tag string, v Values, want string) {
	t.Helper()
	template := strings.ReplaceAll(`<p title="@{x}">@{x}</p><a href="https://h/@{x}">x</a>`, "@{x}", "@{"+tag+"}")
	if err := Validate(template); err != nil {
		t.Fatal(err)
	}
	out := Render(template, v)
	var tokens []html.Token
	for z := html.NewTokenizer(strings.NewReader(out)); z.Next() != html.ErrorToken; {
		tokens = append(tokens, z.Token())
	}
	if len(tokens) != 6 || len(tokens[0].Attr) != 1 || len(tokens[3].Attr) != 1 {
		t.Fatalf("%s, @{%s}: the markup changed: %s", language, tag, out)
	}
	if got := tokens[0].Attr[0].Val; got != want {
		t.Errorf("%s, @{%s}: the attribute says %q, not %q", language, tag, got, want)
	}
	if got := tokens[1].Data; got != want {
		t.Errorf("%s, @{%s}: the text says %q, not %q", language, tag, got, want)
	}
	link, err := url.Parse(tokens[3].Attr[0].Val)
	if err != nil || link.Host != "h" || link.Path != "/"+want || link.RawQuery != "" || link.Fragment != "" {
		t.Errorf("%s, @{%s}: the link is %s, %v", language, tag, tokens[3].Attr[0].Val, err)
	}
}
