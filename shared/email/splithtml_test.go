package email

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// flat is the text of HTML in one line, as a reader sees it.
func flat(html string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(TextFromHTML(html), ">", "")), " ")
}

// checkSplit holds for every HTML: nothing is lost, and nothing but tags is added at the fold.
func checkSplit(tb testing.TB, html, fresh, quoted string) {
	tb.Helper()
	if quoted == "" {
		if fresh != html {
			tb.Errorf("no fold, yet the HTML is another: %q, was %q", fresh, html)
		}
		return
	}
	at, ok := foldHTML(html)
	if !ok || !strings.HasPrefix(fresh, html[:at]) || !strings.HasSuffix(quoted, html[at:]) {
		tb.Fatalf("HTML was lost at %d: %q + %q", at, fresh, quoted)
	}
	if added := fresh[at:]; added != "" && !strings.HasPrefix(added, "</") {
		tb.Errorf("added to fresh: %q", added)
	}
}

func TestCorpusQuotequail(t *testing.T) {
	dir := needCorpus(t, "quotequail/files")
	const none = "-" // nothing is folded
	want := map[string]string{
		"apple_forward.html":                    "test blah",
		"apple_reply.html":                      "Foo Bar",
		"gmail_forward.html":                    "test blah",
		"gmail_reply.html":                      "foo bar",
		"ios_mail_reply_unescaped_address.html": "Sounds good, I'll be there at 2.",
		"mailru_forward.html":                   none, // nothing but the forward
		"mailru_forward_unwrapped.html":         none,
		"outlook_forward.html":                  "Original message More text",
		"outlook_forward_unwrapped.html":        none,
		"outlook_forward_unwrapped_top.html":    none,
		"thunderbird_forward.html":              none, // nothing but the forward
		"thunderbird_forward_unwrapped.html":    none,
		"yahoo_reply_unescaped_address.html":    "Thanks Jane, that looks great. One question on item 2 - can we ship it before Friday? Dan",
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.html"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d files, %v", len(files), err)
	}
	good := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fresh, quoted := SplitReplyHTML(string(raw))
		checkSplit(t, string(raw), fresh, quoted)
		have := none
		if quoted != "" {
			have = flat(fresh)
		}
		if name := filepath.Base(file); have != want[name] {
			t.Errorf("%s: %q, want %q", name, have, want[name])
			continue
		}
		good++
	}
	t.Logf("%d of %d", good, len(files))
}

func TestCorpusHTMLLosesNothing(t *testing.T) {
	n, folded := 0, 0
	corpusMails(t, func(name string, raw []byte) {
		m, err := Parse(bytes.NewReader(raw), "", Limits{}, nil)
		if err != nil || m.HTML == "" {
			return
		}
		n++
		fresh, quoted := SplitReplyHTML(m.HTML)
		checkSplit(t, m.HTML, fresh, quoted)
		if quoted != "" {
			folded++
			t.Logf("%s: %.80q | %.80q", name, tail(flat(fresh)), flat(quoted))
		}
	})
	t.Logf("%d mails with HTML, %d folded", n, folded)
}

func TestSplitReplyHTML(t *testing.T) {
	const outlookBlock = `<p class=MsoNormal><b>%s:</b> Ann &lt;ann@example.com&gt;<br><b>%s:</b> 2 March 2026 09:00<br><b>%s:</b> Bob<br><b>%s:</b> Offer</p></div><p>Really?</p>`
	block := func(names string) string {
		f := strings.Split(names, "|")
		return strings.NewReplacer("%s:</b> Ann", f[0]+":</b> Ann", "%s:</b> 2", f[1]+":</b> 2", "%s:</b> Bob", f[2]+":</b> Bob", "%s:</b> Offer", f[3]+":</b> Offer").Replace(outlookBlock)
	}
	tests := []struct{ name, html, fresh string }{
		{"nothing quoted", "<p>Hello</p><p>there</p>", ""},
		{"Gmail", `<div dir="ltr">Yes.</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">On Mon, 2 Mar 2026 at 09:00, Ann &lt;<a href="mailto:a@example.com">a@example.com</a>&gt; wrote:<br></div><blockquote class="gmail_quote" style="margin:0">Really?</blockquote></div>`, "Yes."},
		{"Gmail in a language nobody knows", `<div>Yes.</div><div class="gmail_quote"><div class="gmail_attr">Xyzzy plugh:<br></div><blockquote class="gmail_quote">Really?</blockquote></div>`, "Yes."},
		{"Gmail, answers between", `<div class="gmail_quote"><div class="gmail_attr">On 2 Mar 2026 Ann &lt;a@example.com&gt; wrote:</div><blockquote class="gmail_quote">One?</blockquote><div>Yes.</div><blockquote class="gmail_quote">Two?</blockquote><div>No.</div></div>`, ""},
		{"Gmail, a word above and answers between", `<div>Hi!</div><div class="gmail_quote"><div class="gmail_attr">On 2 Mar 2026 Ann &lt;a@example.com&gt; wrote:</div><blockquote class="gmail_quote">One?</blockquote><div>Yes, we have it.</div></div>`, ""},
		{"Gmail signature below the quote", `<div>Yes.</div><div class="gmail_quote"><blockquote class="gmail_quote">Really?</blockquote></div><div class="gmail_signature">Bob<br>Bolt Ltd</div>`, "Yes."},
		{"Outlook on the web", `<div>Yes.</div><div id="appendonsend"></div><hr tabindex="-1" style="display:inline-block;width:98%"><div id="divRplyFwdMsg" dir="ltr"><font><b>Von:</b> Ann</font></div><div>Really?</div>`, "Yes."},
		{"Outlook on the web without the hook", `<div>Yes.<br></div><hr tabindex="-1"><div id="x_divRplyFwdMsg"><b>Xyz:</b> Ann</div><div>Really?<blockquote>older</blockquote>old</div>`, "Yes."},
		{"Outlook for Windows", `<div class=WordSection1><p class=MsoNormal>Yes.</p><div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0in 0in 0in'>` + block("From|Sent|To|Subject") + `</div>`, "Yes."},
		{"Outlook in a language nobody knows", `<p>Yes.</p><div style='border:none;border-top:solid #B5C4DF 1.0pt'>` + block("Xa|Xb|Xc|Xd"), "Yes."},
		{"a border alone", `<p>Yes.</p><div style='border-top:solid #B5C4DF 1.0pt'><p>Please note: it is open.</p><p>Bob</p></div>`, ""},
		{"Outlook in Indonesian, no border", `<p>Ya.</p><div>` + block("Dari|Dikirim|Kepada|Perihal"), "Ya."},
		{"Outlook mobile", `<div>Yes.</div><div id="ms-outlook-mobile-signature">Get <a href="https://aka.ms/x">Outlook for iOS</a></div><hr><div id="mail-editor-reference-message-container"><b>From:</b> Ann<br>Really?</div>`, "Yes."},
		{"Apple", `<html><body>Yes.<br><div><br><blockquote type="cite"><div>On 2 Mar 2026, at 09:00, Ann &lt;a@example.com&gt; wrote:</div><br><div>Really?</div></blockquote></div></body></html>`, "Yes."},
		{"iPhone in French", `<div>Oui.</div><div><br></div><div>Envoyé de mon iPhone</div><div><br>Le 2 mars 2026 à 09:00, Ann &lt;a@example.com&gt; a écrit :<br><br></div><blockquote type="cite">Vraiment ?</blockquote>`, "Oui."},
		{"Thunderbird", `<p>Yes.</p><div class="moz-cite-prefix">Am 02.03.26 um 09:00 schrieb Ann:<br></div><blockquote type="cite" cite="mid:x">Really?</blockquote><div class="moz-signature">-- <br>Bob</div>`, "Yes."},
		{"Thunderbird, answer below", `<p><br></p><div class="moz-cite-prefix">Am 02.03.26 um 09:00 schrieb Ann:<br></div><blockquote type="cite">Really?</blockquote><p>Yes.</p>`, ""},
		{"Yahoo", `<div class="yahoo-style-wrap"><div>Yes.</div></div><div id="ydp1yahoo_quoted_2" class="ydp1yahoo_quoted"><div>On Monday Ann wrote:</div><div>Really?</div></div>`, "Yes."},
		{"Yahoo, answer below", `<div id="yahoo_quoted_2" class="yahoo_quoted"><div>On Monday Ann wrote:</div><div>Really?</div></div><div>Yes.</div>`, ""},
		{"Proton", `<div>Yes.</div><div class="protonmail_quote">On Monday, Ann wrote:<br><blockquote class="protonmail_quote" type="cite">Really?</blockquote></div>`, "Yes."},
		{"GMX", `<div>Ja.<div name="quote" style="border-left:2px solid"><div name="quoted-content">Wirklich?</div></div></div>`, "Ja."},
		{"Zimbra", `<div>Oui.</div><hr id="zwchr"><div><b>De: </b>"Ann"<br>Vraiment ?</div>`, "Oui."},
		{"only a picture above", `<div><img src="cid:1"></div><div class="gmail_quote"><blockquote>Really?</blockquote></div>`, ""},
		{"nothing above", `<div><br></div><div class="gmail_quote"><blockquote>Really?</blockquote></div>`, ""},
		{"a counting picture below", `<p>Yes.</p><blockquote type="cite">Really?</blockquote><img src="https://example.com/open.gif" width=1 height=1>`, "Yes."},
		{"an address that nobody escaped", `<div>Yes.</div><div>On 2 Mar 2026, at 09:00, Ann <a@example.com> wrote:</div><div>Really?</div>`, "Yes."},
		{"plain text in HTML", `<div style="white-space: pre-wrap">Yes.

On Mon, 2 Mar 2026 at 09:00, Ann &lt;a@example.com&gt; wrote:
&gt; really?
</div>`, "Yes."},
		{"within a table", `<table><tr><td>Yes.<br><br>On Mon, 2 Mar 2026 at 09:00, Ann &lt;a@example.com&gt; wrote:<blockquote>Really?</blockquote></td></tr></table>`, "Yes."},
		{"a quotation in a letter", `<p>You wrote</p><blockquote>it works</blockquote><p>and it does not.</p>`, ""},
		{"styles are no text", `<html><head><style>p{content:"On Mon, 2 Mar 2026, Ann &lt;a@example.com&gt; wrote:"}</style></head><body><p>Yes.</p></body></html>`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fresh, quoted := SplitReplyHTML(tt.html)
			checkSplit(t, tt.html, fresh, quoted)
			if (quoted == "") != (tt.fresh == "" && tt.name != "only a picture above") {
				t.Fatalf("fresh %q, quoted %q", fresh, quoted)
			}
			if quoted != "" && flat(fresh) != tt.fresh {
				t.Errorf("fresh %q, want %q", flat(fresh), tt.fresh)
			}
		})
	}
}

// TestSplitReplyHTMLBalances: either side can be put into a page by itself.
func TestSplitReplyHTMLBalances(t *testing.T) {
	fresh, quoted := SplitReplyHTML(`<body bgcolor="white"><table><tr><td class="x">Yes.<div><div class="gmail_quote">On Mon:<blockquote>No?</blockquote></div></div></td></tr></table></body>`)
	if fresh != `<body bgcolor="white"><table><tr><td class="x">Yes.</td></tr></table></body>` ||
		quoted != `<body bgcolor="white"><table><tr><td class="x"><div><div class="gmail_quote">On Mon:<blockquote>No?</blockquote></div></div></td></tr></table></body>` {
		t.Errorf("%q\n%q", fresh, quoted)
	}
}

func TestSplitReplyHTMLIsBounded(t *testing.T) {
	deep := strings.Repeat("<div>", 100000) + "Yes.<div class=gmail_quote><blockquote>No?</blockquote></div>"
	if _, quoted := SplitReplyHTML(deep); quoted != "" {
		t.Error("folded far below the bound of nesting")
	}
	for name, s := range map[string]string{
		"end tags": strings.Repeat("<i>", 400) + strings.Repeat("</b>", 200000), "lines": strings.Repeat("On Ann wrote:<br>", 50000),
		"one line": strings.Repeat("x ", 500000), "quotes": strings.Repeat("<blockquote>x</blockquote>y", 30000), "paragraphs": strings.Repeat("<p>From: x", 50000),
		"cells": strings.Repeat("<tr><td>a", 50000), "brackets": strings.Repeat("<", 500000), "attributes": "<p " + strings.Repeat("a=b ", 200000) + ">",
	} {
		begin := time.Now()
		fresh, quoted := SplitReplyHTML(s)
		checkSplit(t, s, fresh, quoted)
		// Far above what it takes: this catches work that is not linear, not a slow machine.
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%s: %v for %d bytes", name, took, len(s))
		}
	}
}

// TestFreshText: a quote that only its marks in the HTML tell.
func TestFreshText(t *testing.T) {
	quote := `<div id="ydp1yahoo_quoted_1"><div>Kita tulis:</div><div>Really?</div></div>`
	for name, c := range map[string]struct{ text, html, want string }{
		"HTML alone":            {"Yes.\nKita tulis:\nReally?", "<div>Yes.</div>" + quote, "Yes."},
		"the text says more":    {"Yes, but.\nReally?", "<div>Yes.</div><div>And no.</div>" + quote, "Yes, but.\nReally?"},
		"nothing but the quote": {"Kita tulis:\nReally?", quote, "Kita tulis:\nReally?"},
		"no quote":              {"Yes.", "<div>Yes.</div>", "Yes."},
		"words":                 {"Yes.\n\nOn 2 Mar 2026 Ann <a@example.com> wrote:\n> Really?\n", "", "Yes.\n"},
	} {
		if fresh := FreshText(&Mail{Text: c.text, HTML: c.html}); fresh != c.want {
			t.Errorf("%s: %q", name, fresh)
		}
	}
}
