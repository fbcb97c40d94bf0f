package email

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/google/go-cmp/cmp"
)

const unsignedMail = "From: Ann <ann@example.com>\r\nTo: support@example.net\r\nSubject: Hello\r\n\r\nFirst line\r\n\r\n\r\nlast line\r\n"

var signingKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func keyRecord() string {
	return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(signingKey.Public().(ed25519.PublicKey))
}

// oneKey is a DNS in which every domain has the key.
func oneKey(string) ([]string, error) { return []string{keyRecord()}, nil }

func sign(t testing.TB, raw, domain string, c dkim.Canonicalization) string {
	t.Helper()
	var b bytes.Buffer
	o := &dkim.SignOptions{Domain: domain, Selector: "s1", Signer: signingKey, HeaderCanonicalization: c, BodyCanonicalization: c, HeaderKeys: []string{"From", "To", "Subject"}}
	if err := dkim.Sign(&b, strings.NewReader(raw), o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestVerifyDKIM(t *testing.T) {
	relaxed := sign(t, unsignedMail, "example.com", dkim.CanonicalizationRelaxed)
	simple := sign(t, unsignedMail, "example.com", dkim.CanonicalizationSimple)
	answer := func(record string, err error) func(string) ([]string, error) {
		return func(string) ([]string, error) { return []string{record}, err }
	}
	pass := Signature{Domain: "example.com", Result: AuthPass}
	tests := []struct {
		name, raw string
		lookup    func(string) ([]string, error)
		want      []Signature // Why is a part of the reason
	}{
		{"relaxed", relaxed, nil, []Signature{pass}},
		{"simple", simple, nil, []Signature{pass}},
		{"stored with LF", strings.ReplaceAll(simple, "\r\n", "\n"), nil, []Signature{pass}},
		{"after an mbox line and fields of servers", "From x@y Mon Mar  2 10:15:00 2026\r\nReceived: by z\r\n" + simple, nil, []Signature{pass}},
		{"empty lines added at the end", simple + "\r\n\r\n\r\n", nil, []Signature{pass}},
		{"the last line end lost", strings.TrimSuffix(simple, "\r\n"), nil, []Signature{pass}},
		{"two signatures", sign(t, relaxed, "list.example", dkim.CanonicalizationSimple), nil, []Signature{{Domain: "list.example", Result: AuthPass}, pass}},
		{"changed body", strings.Replace(relaxed, "First", "Other", 1), nil, []Signature{{"example.com", AuthFail, "body hash"}}},
		{"added text", relaxed + "more\r\n", nil, []Signature{{"example.com", AuthFail, "body hash"}}},
		{"changed subject", strings.Replace(relaxed, "Subject: Hello", "Subject: Pay", 1), nil, []Signature{{"example.com", AuthFail, "did not verify"}}},
		{"body length", strings.Replace(relaxed, "; d=", "; l=10; d=", 1), nil, []Signature{{"example.com", AuthFail, "length"}}},
		{"no signature", unsignedMail, nil, nil},
		{"no mail", "", nil, nil},
		{"no key", relaxed, answer("", errors.New("NXDOMAIN")), []Signature{{"example.com", AuthPermError, "NXDOMAIN"}}},
		{"DNS is down", relaxed, answer("", fmt.Errorf("lookup: %w", &net.DNSError{Err: "timeout", IsTimeout: true, IsTemporary: true})), []Signature{{"example.com", AuthTempError, "timeout"}}},
		{"revoked key", relaxed, answer("v=DKIM1; k=ed25519; p=", nil), []Signature{{"example.com", AuthPermError, "revoked"}}},
		{"test key", relaxed, answer(keyRecord()+"; t=s:y", nil), []Signature{{"example.com", AuthPermError, "test mode"}}},
		{"endless key", relaxed, answer(keyRecord()+strings.Repeat(" ", maxKeyRecord), nil), []Signature{{"example.com", AuthPermError, "too long"}}},
		{"a domain that is none", strings.Replace(relaxed, "d=example.com", "d=exa/mple.com", 1), nil, []Signature{{"exa/mple.com", AuthPermError, "not a domain name"}}},
		{"half a signature", "DKIM-Signature: v=1; d=example.com\r\n" + unsignedMail, nil, []Signature{{"example.com", AuthPermError, "required tag"}}},
		{"endless signature", "DKIM-Signature: v=1; h=" + strings.Repeat("a:\r\n ", 1000) + "\r\n" + unsignedMail, nil, []Signature{{"", AuthPolicy, "header beyond"}}},
		{"endless header", "DKIM-Signature: v=1\r\n" + strings.Repeat("X: "+strings.Repeat("y", 900)+"\r\n", 200) + unsignedMail, nil, []Signature{{"", AuthPolicy, "header beyond"}}},
		{"countless fields", strings.Repeat("X: y\r\n", maxSignedFields) + relaxed, nil, []Signature{{"", AuthPolicy, "header beyond"}}},
		{"empty lines without end", simple + strings.Repeat("\r\n", 1<<20) + "x", nil, []Signature{{"", AuthPolicy, "body beyond"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lookup := tt.lookup
			if lookup == nil {
				lookup = oneKey
			}
			have, err := VerifyDKIM(iotest.HalfReader(strings.NewReader(tt.raw)), lookup)
			if err != nil {
				t.Fatal(err)
			}
			for i := range have {
				if i < len(tt.want) && strings.Contains(have[i].Why, tt.want[i].Why) {
					have[i].Why = tt.want[i].Why
				}
			}
			if diff := cmp.Diff(tt.want, have); diff != "" {
				t.Errorf("-want +have:\n%s", diff)
			}
		})
	}
}

func TestVerifyDKIMCountsItsWork(t *testing.T) {
	raw := unsignedMail
	for range 20 {
		raw = sign(t, raw, "example.com", dkim.CanonicalizationRelaxed)
	}
	queries := make(chan string, 100)
	list, err := VerifyDKIM(strings.NewReader(raw), func(name string) ([]string, error) {
		queries <- name
		return oneKey(name)
	})
	if err != nil || len(list) != maxSignatures || len(queries) != maxSignatures || <-queries != "s1._domainkey.example.com" {
		t.Errorf("%d signatures, %d queries, %v", len(list), len(queries), err)
	}
}

// TestVerifyDKIMEndsWithItsReader: the library leaves its goroutines behind when reading fails between two signatures.
func TestVerifyDKIMEndsWithItsReader(t *testing.T) {
	raw := sign(t, sign(t, unsignedMail, "example.com", dkim.CanonicalizationRelaxed), "example.org", dkim.CanonicalizationSimple)
	before := runtime.NumGoroutine()
	broken := errors.New("connection lost")
	for i := range 50 {
		r := io.MultiReader(strings.NewReader(raw[:len(raw)-i]), iotest.ErrReader(broken))
		if list, err := VerifyDKIM(r, oneKey); !errors.Is(err, broken) || list != nil {
			t.Fatalf("%v, %v", list, err)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func TestAuthenticationFromDKIM(t *testing.T) {
	list := []Signature{{"list.example", AuthFail, "x"}, {"mail.example.com", AuthPass, ""}}
	a := AuthenticationFromDKIM(list, "example.com")
	if !a.Proven() || !a.DKIMAligned || a.DKIM != AuthPass || a.Source != "dkim" {
		t.Errorf("%+v", a)
	}
	if a = AuthenticationFromDKIM(list, "list.example"); a.Proven() || a.DKIM != AuthPass {
		t.Errorf("a failed signature proves: %+v", a)
	}
	if a = AuthenticationFromDKIM(list[1:], ""); a.Proven() {
		t.Errorf("no author, yet proven: %+v", a)
	}
	if a = AuthenticationFromDKIM(nil, "example.com"); a.Source != "" || a.Proven() {
		t.Errorf("%+v", a)
	}
}

func FuzzVerifyDKIM(f *testing.F) {
	f.Add(unsignedMail)
	f.Add(sign(f, unsignedMail, "example.com", dkim.CanonicalizationRelaxed))
	f.Add(sign(f, unsignedMail, "example.com", dkim.CanonicalizationSimple))
	f.Fuzz(func(t *testing.T, raw string) {
		list, err := VerifyDKIM(strings.NewReader(raw), oneKey)
		if err != nil || len(list) > maxSignatures {
			t.Fatalf("%v, %d", err, len(list))
		}
		// Reading in other pieces changes nothing.
		again, err := VerifyDKIM(iotest.OneByteReader(strings.NewReader(raw)), oneKey)
		if diff := cmp.Diff(list, again); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
	})
}
