package reply

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"emailchannel.dev/emailchannel/shared/hours"
)

const all = "@{consumer}|@{agent}|@{date}|@{time}|@{queue}|@{company}|@{next_working_date}|@{ticket_id}"

func TestRender(t *testing.T) {
	full := Values{Consumer: "Zoë", Agent: "Budi", Queue: "Returns", Company: "Fish & Chips", TicketID: "4711",
		Now: now, Zone: "Asia/Jakarta", NextWorking: hours.Date{Year: 2026, Month: time.December, Day: 1}}
	in := func(language string, v Values) Values { v.Language = language; return v }
	tests := []struct {
		name     string
		template string
		values   Values
		want     string
	}{
		{"english", all, in("en", full), "Zoë|Budi|21 November 2026|20:05|Returns|Fish &amp; Chips|1 December 2026|4711"},
		{"indonesian", all, in("id", full), "Zoë|Budi|21 November 2026|20.05|Returns|Fish &amp; Chips|1 Desember 2026|4711"},
		{"french, with region", all, in("fr-CA", full), "Zoë|Budi|21 novembre 2026|20:05|Returns|Fish &amp; Chips|1er décembre 2026|4711"},
		{"german, with underscore", all, in("DE_at", full), "Zoë|Budi|21. November 2026|20:05|Returns|Fish &amp; Chips|1. Dezember 2026|4711"},
		{"nothing known, english", all, Values{Now: now, Zone: "Mars/Base", Language: "tlh"},
			"customer|our team|21 November 2026|13:05|customer service|our company|the next working day|not yet assigned"},
		{"nothing known, indonesian", all, Values{Now: now, Language: "in", Consumer: " \t"},
			"pelanggan|tim kami|21 November 2026|13.05|layanan pelanggan|perusahaan kami|hari kerja berikutnya|belum tersedia"},
		{"nothing known, french", all, Values{Now: now, Language: "fr"},
			"client|notre équipe|21 novembre 2026|13:05|service client|notre entreprise|prochain jour ouvré|pas encore attribué"},
		{"nothing known, german", all, Values{Now: now, Language: "de"},
			"Kundin/Kunde|unser Team|21. November 2026|13:05|Kundendienst|unser Unternehmen|nächster Werktag|noch nicht vergeben"},
		{"no tags", "<p>a@{b</p> @ {} 5 < 6", full, "<p>a@{b</p> @ {} 5 < 6"},
		{"unknown tags stay", "@{foo}@{}@{alias}", full, "@{foo}@{}@{alias}"},
		{"twice, side by side", "@{agent}@{agent}", full, "BudiBudi"},
		{"markup in a value", "<p>@{consumer}</p>", Values{Consumer: `<script>alert("x")</script>`},
			"<p>&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;</p>"},
		{"a tag in a value", "@{consumer} @{queue}", Values{Consumer: "@{ticket_id}", Queue: "@{con", TicketID: "4711"},
			"@&#123;ticket_id} @&#123;con"},
		{"a tag made of two values", "@{consumer}@{queue}", Values{Consumer: "@", Queue: "{ticket_id}", TicketID: "4711"}, "@&#123;ticket_id}"},
		{"an attribute", `<img alt="@{company}">`, Values{Company: `x" onerror="y`}, `<img alt="x&#34; onerror=&#34;y">`},
		{"an address", `<a href="https://h/t?id=@{ticket_id}&amp;q=@{queue}">`, Values{TicketID: "a b/c?d", Queue: `"><x>`},
			`<a href="https://h/t?id=a%20b%2Fc%3Fd&amp;q=%22%3E%3Cx%3E">`},
		{"no scheme from a value", `<a href="@{consumer}">`, Values{Consumer: "javascript:alert(1)"}, `<a href="javascript%3Aalert%281%29">`},
		{"no host from a value", `<a href='@{consumer}'>`, Values{Consumer: "//evil.example"}, `<a href='%2F%2Fevil.example'>`},
		{"an unquoted attribute that nobody validated", `<img alt=@{consumer}>`, Values{Consumer: "x onerror=y"}, `<img alt=x%20onerror%3Dy>`},
		{"lines and directions", "@{consumer}", Values{Consumer: "a\r\nBcc: b\u202e\x00\xff"}, "a Bcc: b\ufffd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Render(tt.template, tt.values); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestMonths(t *testing.T) {
	want := map[string]string{
		"en": "1 January 2027,1 February 2027,1 March 2027,1 April 2027,1 May 2027,1 June 2027,1 July 2027,1 August 2027,1 September 2027,1 October 2027,1 November 2027,1 December 2027",
		"id": "1 Januari 2027,1 Februari 2027,1 Maret 2027,1 April 2027,1 Mei 2027,1 Juni 2027,1 Juli 2027,1 Agustus 2027,1 September 2027,1 Oktober 2027,1 November 2027,1 Desember 2027",
		"fr": "1er janvier 2027,1er février 2027,1er mars 2027,1er avril 2027,1er mai 2027,1er juin 2027,1er juillet 2027,1er août 2027,1er septembre 2027,1er octobre 2027,1er novembre 2027,1er décembre 2027",
		"de": "1. Januar 2027,1. Februar 2027,1. März 2027,1. April 2027,1. Mai 2027,1. Juni 2027,1. Juli 2027,1. August 2027,1. September 2027,1. Oktober 2027,1. November 2027,1. Dezember 2027",
	}
	for language, months := range want {
		var got []string
		for m := time.January; m <= time.December; m++ {
			got = append(got, Render("@{next_working_date}", Values{Language: language, NextWorking: hours.Date{Year: 2027, Month: m, Day: 1}}))
		}
		if strings.Join(got, ",") != months {
			t.Errorf("%s: %v", language, got)
		}
	}
}

func TestRenderSignature(t *testing.T) {
	const template = `<p>@{agent}, @{company}<br><a href="mailto:@{alias}">@{alias}</a> @{consumer}</p>`
	got := RenderSignature(template, SignatureValues{Agent: "Budi <b>", Company: "A & B", Alias: "budi+x@shop.example"})
	want := `<p>Budi &lt;b&gt;, A &amp; B<br><a href="mailto:budi%2Bx@shop.example">budi+x@shop.example</a> @{consumer}</p>`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := RenderSignature("@{agent}|@{company}|@{alias}", SignatureValues{Language: "fr"}); got != "notre équipe|notre entreprise|" {
		t.Errorf("got %s", got)
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name, template string
		errors         []string // the beginning of each line
	}{
		{"all tags", "<p>" + all + "</p>", nil},
		{"in attributes", `<a title='@{company}' href = "https://h/@{ticket_id}">5 < 6 @{agent}</a>`, nil},
		{"after a comment", "<!-- it's here --><p>@{agent}</p>", nil},
		{"a stray quote", `<p "x>@{agent}</p>`, nil},
		{"a greater sign in a value", `<a title="a > b" href="@{agent}">`, nil},
		{"an address of mail", "write to a@{b.example", []string{`"@{" is not a whole tag`}},
		{"unknown, each by name", "@{foo} @{Consumer} @{ agent } @{alias}", []string{"@{foo} is", "@{Consumer} is", "@{ agent } is", "@{alias} is"}},
		{"broken by markup", "@{con<b>sumer}</b>", []string{`"@{" is not`}},
		{"no end", "@{consumer", []string{`"@{" is not`}},
		{"empty", "@{}", []string{`"@{" is not`}},
		{"unquoted", "<img alt=@{consumer}>", []string{"@{consumer} stands inside markup"}},
		{"in a name", "<@{queue}><p @{agent}>", []string{"@{agent} stands inside markup"}},
		{"in a handler", `<p onclick="x('@{consumer}')">`, []string{"@{consumer} stands inside markup"}},
		{"in a style", `<p STYLE = "background:url(@{consumer})">`, []string{"@{consumer} stands inside markup"}},
		{"in a comment", "<!-- @{consumer} -->", []string{"@{consumer} stands inside markup"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			if err := Validate(tt.template); err != nil {
				lines = strings.Split(err.Error(), "\n")
			}
			if len(lines) != len(tt.errors) {
				t.Fatalf("got %q, want %q", lines, tt.errors)
			}
			for i, want := range tt.errors {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("got %q, want %q", lines[i], want)
				}
			}
		})
	}
	if err := ValidateSignature("@{agent} @{company} @{alias}"); err != nil {
		t.Error(err)
	}
	if err := ValidateSignature("@{consumer}"); err == nil || !strings.Contains(err.Error(), "agent, company, alias") {
		t.Errorf("got %v", err)
	}
}

func TestUses(t *testing.T) {
	if !Uses("<p>@{agent}</p>", "agent") || Uses("@{agents} @{age nt} {agent}", "agent") {
		t.Error("Uses does not tell the tags")
	}
}

// TestValuesNeverBecomeMarkup renders any value into a template of every allowed place and reads the result
// as a mail program would: the elements, attributes and schemes are those of the template.
func TestValuesNeverBecomeMarkup(t *testing.T) {
	const template = `<p title="@{consumer}">@{consumer}</p><a href="@{consumer}">x</a><a href='https://h/@{consumer}'>y</a>`
	if err := Validate(template); err != nil {
		t.Fatal(err)
	}
	hostile := rapid.OneOf(rapid.String(), rapid.StringMatching(`[<>"'&;:/=@{}\\ a-z]{0,30}`),
		rapid.SampledFrom([]string{"javascript:x", "//h", "\\\\h", "@{ticket_id}", "'><img src=x onerror=y>", "&#106;avascript:x", "http://h@i/"}))
	rapid.Check(t, func(t *rapid.T) {
		value := hostile.Draw(t, "value")
		out := Render(template, Values{Consumer: value, TicketID: "SECRET"})
		if strings.Contains(out, "SECRET") {
			t.Fatalf("a value was read as a template: %s", out)
		}
		if again := Render(out, Values{Consumer: "SECRET", TicketID: "SECRET"}); strings.Contains(again, "SECRET") {
			t.Fatalf("a value became a tag for the next reader: %s", out)
		}
		var shape []string
		for z := html.NewTokenizer(strings.NewReader(out)); z.Next() != html.ErrorToken; {
			token := z.Token()
			if token.Type == html.TextToken {
				continue
			}
			s := token.Type.String() + " " + token.Data
			for _, a := range token.Attr {
				s += " " + a.Key
				if a.Key == "href" && !strings.HasPrefix(a.Val, "https://h/") && strings.ContainsAny(a.Val, ":/\\") {
					t.Fatalf("a value became a destination: %s", out)
				}
			}
			shape = append(shape, s)
		}
		const want = "StartTag p title,EndTag p,StartTag a href,EndTag a,StartTag a href,EndTag a"
		if got := strings.Join(shape, ","); got != want {
			t.Fatalf("got %s from %s", got, out)
		}
	})
}
