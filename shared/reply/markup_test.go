package reply

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestValidateMarkup(t *testing.T) {
	for _, ok := range []string{
		"", "plain @{agent}", `<p style="color:red">Hello<br>&amp;</p>`,
		`<a href="https://shop.example/?a=javascript:b">x</a><a href="mailto:@{alias}">y</a><a href="tel:+4930123">z</a><a href="#top">t</a><a href="@{alias}">u</a>`,
		`<img src="cid:logo" alt="x"><img src="https://shop.example/a.png"><table background="cid:b"><tr><td>x</td></tr></table>`,
		`<img srcset="cid:a 1x, https://h/b.png 2x"><style>p { background: url('cid:c') }</style>`,
		`<a title="onclick=javascript:x" href="http://h/">x</a> 5 < 6 javascript: is a word`,
	} {
		if err := ValidateMarkup(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for in, want := range map[string]string{
		`<script>alert(1)</script>`:                       "<script> is not allowed",
		`<SCRIPT SRC=//h>`:                                "<script> is not allowed",
		`<iframe src="https://h/">`:                       "<iframe> is not allowed",
		`<svg/onload=x>`:                                  "<svg> is not allowed",
		`<form action="https://h/">`:                      "<form> is not allowed",
		`<meta http-equiv=refresh>`:                       "<meta> is not allowed",
		`<p onclick="x()">`:                               "onclick of <p> is not allowed",
		`<img src="cid:a" ONERROR=x>`:                     "onerror of <img> is not allowed",
		`<a href="javascript:x">`:                         `href of <a>: an address with "javascript:" is not allowed, only http, https, mailto, tel`,
		`<a href=" jAva&#115;cript:x">`:                   `an address with "javascript:"`,
		"<a href=\"java\tscr\nipt:x\">":                   `an address with "javascript:"`,
		`<a href="&#1;javascript:x">`:                     `an address with "javascript:"`,
		`<a href="vbscript:x">`:                           `an address with "vbscript:"`,
		`<a href="data:text/html,x">`:                     `an address with "data:"`,
		`<a href="cid:logo">`:                             `an address with "cid:"`,
		`<img src="data:image/png;base64,x">`:             `only http, https, cid; upload the picture`,
		`<img src="file:///etc/passwd">`:                  `an address with "file:"`,
		`<img srcset="cid:a 1x, javascript:x 2x">`:        `srcset of <img>: an address with "javascript:"`,
		`<p style="background:url( 'javascript:x')">`:     `style of <p>: an address with "javascript:"`,
		`<p style="width: expression(x)">`:                "style of <p> is not allowed",
		`<style>@import "data:text/css,x";</style>`:       `a style sheet: an address with "data:"`,
		`<style>p { background: url(file:///x) }</style>`: `a style sheet: an address with "file:"`,
	} {
		if err := ValidateMarkup(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, without %q", in, err, want)
		}
	}
	if err := ValidateMarkup(`<script></script><p onclick=x style="x:url(file:y)"><a href="data:x">`); strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("not a line per finding: %v", err)
	}
}

// FuzzValidateMarkup reads what is accepted as a browser does, and finds nothing that runs.
func FuzzValidateMarkup(f *testing.F) {
	f.Add(`<a href="javascript:x" onclick=y style="url(z)">@{agent}</a><style>p{}</style>`)
	f.Add(`<title><script></title><xmp></p><textarea></xmp><table><a href="j&#x61;vascript:x"><!-- --!><plaintext>`)
	f.Fuzz(func(t *testing.T, in string) {
		if ValidateMarkup(in) != nil {
			return
		}
		doc, err := html.Parse(strings.NewReader(in))
		if err != nil {
			return
		}
		for n := range doc.Descendants() {
			if n.Type == html.ElementNode && slices.Contains(active, n.Data) {
				t.Errorf("%q has a <%s>", in, n.Data)
			}
			for _, a := range n.Attr {
				link, err := url.Parse(strings.TrimSpace(a.Val))
				if strings.HasPrefix(a.Key, "on") || a.Key == "href" && err == nil && link.Scheme == "javascript" {
					t.Errorf("%q has %s=%q", in, a.Key, a.Val)
				}
			}
		}
	})
}
