package email

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	ours    = "Received: from mx.example.org by inbox.internal with LMTP\n"
	edge    = "Received: from sender.example (sender.example [192.0.2.1]) by mx.example.net (Postfix) with ESMTPS\n"
	foreign = "Received: from a by sender.example with ESMTP\n"
)

func ar(rest string) string { return "Authentication-Results: mx.example.net; " + rest + "\n" }

func TestParseAuthenticationResults(t *testing.T) {
	const forged = "spf=pass smtp.mailfrom=ann@example.com; dkim=pass header.d=example.com; dmarc=pass header.from=example.com"
	full := Authentication{From: "example.com", SPF: AuthPass, SPFDomain: "example.com", SPFAligned: true, DKIM: AuthPass,
		DKIMDomains: []string{"example.com"}, DKIMAligned: true, DMARC: AuthPass, Source: "mx.example.net"}
	nothing := Authentication{From: "example.com"}
	tests := []struct {
		name, header string
		trusted      []string // mx.example.net unless told
		want         Authentication
	}{
		{"Gmail's order", ours + edge + ar(forged) + foreign, nil, full},
		{"above our own Received", ar(forged) + ours + edge + foreign, nil, full},
		{"nobody is trusted", ours + ar(forged), []string{}, nothing},
		{"another server's name", ours + ar(forged), []string{"example.net.evil.example", "x.example.net"}, nothing},
		{"a name below ours", ours + ar(forged), []string{"Example.NET."}, full},
		{"no header", ours, nil, nothing},
		{"Microsoft, without a name", ours + "Authentication-Results: spf=pass (sender IP is 192.0.2.1)\n smtp.mailfrom=example.com; dkim=pass (signature was verified)\n header.d=example.com;dmarc=pass action=none\n header.from=example.com;compauth=pass reason=100\n",
			[]string{"-", "outlook.com"}, with(full, func(a *Authentication) { a.Source = "-" })},
		{"a nameless field is no wildcard's", ours + "Authentication-Results: spf=pass smtp.mailfrom=example.com\n", nil, nothing},
		{"several filters of ours", ar("dmarc=pass header.from=example.com") + ar("dkim=pass header.d=example.com") + ar("spf=pass smtp.mailfrom=example.com") + ours, nil, full},

		{"forged below ours", ours + edge + ar("spf=fail smtp.mailfrom=x@evil.example; dkim=none; dmarc=fail header.from=example.com") + ar(forged), nil,
			Authentication{From: "example.com", SPF: AuthFail, SPFDomain: "evil.example", DKIM: AuthNone, DMARC: AuthFail, Source: "mx.example.net"}},
		{"forged with a Received of ours", ours + edge + ar("dmarc=fail header.from=example.com") + edge + ar(forged), nil,
			Authentication{From: "example.com", DMARC: AuthFail, Source: "mx.example.net"}},
		{"forged below a foreign hop", ours + foreign + ar(forged), nil, nothing},
		{"forged, and our server adds nothing: cannot be told", ours + ar(forged), nil, full},
		{"injected through a quoted address", ours + ar(`spf=fail smtp.mailfrom="a; dkim=pass header.d=example.com; x"@evil.example`) + foreign, nil,
			Authentication{From: "example.com", SPF: AuthFail, SPFDomain: "evil.example", Source: "mx.example.net"}},
		{"injected through a comment", ours + ar(`spf=fail (domain of a; dkim=pass header.d=example.com (nested\) ; dkim=pass header.d=example.com)) smtp.mailfrom=evil.example`), nil,
			Authentication{From: "example.com", SPF: AuthFail, SPFDomain: "evil.example", Source: "mx.example.net"}},
		{"a comment that swallows the rest opens no door", ours + ar(`spf=fail smtp.mailfrom=a(@evil.example; dkim=fail; dmarc=fail`) + ar(forged), nil,
			Authentication{From: "example.com", SPF: AuthFail, SPFDomain: "a", Source: "mx.example.net"}},
		{"a quote that swallows the rest", ours + ar(`spf=fail smtp.mailfrom="a@evil.example; dkim=fail`) + ar(forged), nil,
			Authentication{From: "example.com", SPF: AuthFail, Source: "mx.example.net"}},
		{"dmarc about another From", ours + ar("dmarc=pass header.from=evil.example; spf=pass smtp.mailfrom=evil.example"), nil,
			Authentication{From: "example.com", SPF: AuthPass, SPFDomain: "evil.example", DMARC: AuthNone, Source: "mx.example.net"}},
		{"the server's DMARC stands above alignment", ours + ar("dmarc=fail header.from=example.com; dkim=pass header.d=mail.example.com"), nil,
			Authentication{From: "example.com", DKIM: AuthPass, DKIMDomains: []string{"mail.example.com"}, DKIMAligned: true, DMARC: AuthFail, Source: "mx.example.net"}},
		{"no DMARC stated, an aligned subdomain signed", ours + ar("dkim=fail header.d=list.example; dkim=pass header.i=@mail.example.com header.s=s1"), nil,
			Authentication{From: "example.com", DKIM: AuthPass, DKIMDomains: []string{"mail.example.com"}, DKIMAligned: true, DMARC: AuthPass, Source: "mx.example.net"}},
		{"a failed signature proves nothing", ours + ar("dkim=fail header.d=example.com; dkim=permerror header.d=example.com"), nil,
			Authentication{From: "example.com", DKIM: AuthFail, Source: "mx.example.net"}},
		{"the null path: HELO", ours + ar("spf=pass smtp.mailfrom= smtp.helo=mail.example.com"), nil,
			Authentication{From: "example.com", SPF: AuthPass, SPFDomain: "mail.example.com", SPFAligned: true, DMARC: AuthPass, Source: "mx.example.net"}},
		{"none", ours + ar("none"), nil, Authentication{From: "example.com", Source: "mx.example.net"}},
		{"words that no RFC knows", ours + ar("dmarc=bestguesspass action=none header.from=example.com; SPF=HardFail"), nil,
			Authentication{From: "example.com", SPF: AuthFail, DMARC: AuthNeutral, Source: "mx.example.net"}},
		{"spaces, versions, a missing semicolon", ours + "Authentication-Results: MX.Example.NET 1 spf = pass\n\tsmtp.mailfrom = ann@example.com ; dkim/1=pass header.d=\"example.com\"; dmarc=pass\n", nil, full},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			trusted := tt.trusted
			if trusted == nil {
				trusted = []string{"mx.example.net"}
			}
			m := parseString(t, tt.header+"From: Ann <ann@Example.com>\nSubject: x\n\nx")
			if diff := cmp.Diff(tt.want, m.Authentication(trusted)); diff != "" {
				t.Errorf("-want +have:\n%s", diff)
			}
		})
	}
}

func with(a Authentication, change func(*Authentication)) Authentication {
	change(&a)
	return a
}

// TestCorpusAuthenticationResults: every field that real servers wrote is understood.
func TestCorpusAuthenticationResults(t *testing.T) {
	fields, results, methods := 0, 0, map[string]int{}
	corpusMails(t, func(name string, raw []byte) {
		m, err := Parse(bytes.NewReader(raw), "", Limits{}, nil)
		if err != nil {
			return
		}
		for _, f := range m.Trace {
			if f.Name == "received" {
				continue
			}
			fields++
			a := parseAuthField(f.Value)
			if a.open || len(a.results) == 0 || strings.ContainsAny(a.id, "=; ") {
				t.Errorf("%s: %+v of %q", name, a, f.Value)
			}
			for _, r := range a.results {
				results++
				methods[r.method]++
			}
		}
	})
	t.Logf("%d fields, %d results: %v", fields, results, methods)
	if fields < 70 || methods["spf"] < 20 || methods["dkim"] < 30 || methods["dmarc"] < 5 {
		t.Errorf("%d fields, %v", fields, methods)
	}
}

func TestTraceIsBounded(t *testing.T) {
	m := parseString(t, ours+ar("x=y (\""+strings.Repeat("z", maxTraceValue))+ar("spf=pass smtp.mailfrom=example.com")+"From: ann@example.com\n\nx")
	if len(m.Trace) != 0 {
		t.Errorf("%d fields below one that is too long", len(m.Trace))
	}
	m = parseString(t, strings.Repeat(edge, 100)+ar("spf=pass")+"From: ann@example.com\n\nx")
	if len(m.Trace) != 0 {
		t.Errorf("%d fields", len(m.Trace))
	}
	if m = parseString(t, ours+foreign+"From: ann@example.com\n\nx"); m.Trace != nil {
		t.Errorf("a mail without results has a trace: %v", m.Trace)
	}
}

func TestAuthorDomain(t *testing.T) {
	for header, want := range map[string]string{
		"From: a@Example.COM": "example.com", "From: a@b.example, c@b.example": "b.example", "From: a@b.example, c@d.example": "",
		"From: a@b.example\nFrom: c@d.example": "", "From: Ann": "", "Subject: x": "", "From: a@bücher.example": "xn--bcher-kva.example",
		"From: a@b.example <c@d.example>": "d.example", "From: Doe, Ann <c@d.example>": "d.example", "From: c@": "",
	} {
		if have := parseString(t, header+"\n\nx").AuthorDomain(); have != want {
			t.Errorf("%q: %q, want %q", header, have, want)
		}
	}
}

func TestAligned(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"example.com", "example.com", true}, {"Mail.Example.com", "example.com", true}, {"a.example.com", "b.example.com", true},
		{"example.com.", "example.com", true}, {"evil.example", "example.com", false}, {"notexample.com", "example.com", false},
		{"co.uk", "bank.co.uk", false}, {"evil.co.uk", "bank.co.uk", false}, {"com", "example.com", false}, {"com", "com", true},
		{"alice.github.io", "bob.github.io", false}, {"github.io", "bob.github.io", false}, {"10.0.0.1", "9.0.0.1", false}, {"", "", false}, {"x", "", false},
		{"bücher.example", "xn--bcher-kva.example", true}, {"localhost", "a.localhost", false},
	} {
		if Aligned(tt.a, tt.b) != tt.want || Aligned(tt.b, tt.a) != tt.want {
			t.Errorf("Aligned(%q, %q) is not %v", tt.a, tt.b, tt.want)
		}
	}
}

func FuzzAuthenticationResults(f *testing.F) {
	for _, s := range []string{"mx.example.net; spf=pass smtp.mailfrom=a@b.example", "mx 1; dkim=pass (x) header.d=\"a;b\"", "spf=pass (", "a;;b=c=d", "=", "a = \"", "\\", "(((", "x;dkim=pass header.d= header.i=@a"} {
		f.Add(s, "b.example")
	}
	f.Fuzz(func(t *testing.T, value, from string) {
		trace := []TraceField{{"received", "by mx"}, {"authentication-results", value}}
		if a := ParseAuthenticationResults(trace, nil, from); a.Source != "" || a.DMARC != "" || a.Proven() {
			t.Fatalf("believed without trust: %+v", a)
		}
		field := parseAuthField(value)
		a := ParseAuthenticationResults(trace, []string{firstNonEmpty(field.id, noAuthServer)}, from)
		if a.Proven() && !a.SPFAligned && !a.DKIMAligned && !strings.Contains(strings.ToLower(value), "dmarc") || a.Proven() && from == "" {
			t.Fatalf("%q proves %+v", value, a)
		}
		// What stands in a comment or in quotes is no result.
		for _, hidden := range []string{"mx; spf=fail (" + strings.NewReplacer("(", "", ")", "", "\\", "").Replace(value) + ")",
			`mx; spf=fail reason="` + strings.NewReplacer(`"`, "", `\`, "").Replace(value) + `"`} {
			if r := parseAuthField(hidden).results; len(r) != 1 || r[0].result != AuthFail {
				t.Fatalf("%q gives %+v", hidden, r)
			}
		}
		if _, whole := authSegments(value); whole && len(field.results) > maxAuthResults {
			t.Fatal("unbounded")
		}
	})
}
