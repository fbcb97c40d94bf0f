package suite_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
)

// What goes out with mail besides its words.
func specFiles(t *testing.T) {
	w := site(t, nil)
	w.row("AR-1", responseFiles)
	w.row("AR-2", fileTypes)
	w.row("SG-1", signatures)
	w.row("SG-2", signaturesOfQueues)
}

const gif = "GIF89a\x01\x00\x01\x00\x00\x00\x00;"

// file asks for an upload, with so many bytes in all.
func (w *world) file(role, name, begin string, size int) answer {
	w.t.Helper()
	body := append([]byte(begin), bytes.Repeat([]byte("x"), max(0, size-len(begin)))...)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+w.Addrs.HTTP+"/v1/files?name="+url.QueryEscape(name), bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+role+"-token")
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp.StatusCode, out}
}

// upload is file that must be taken.
func (w *world) upload(role, name, begin string, size int) channel.Upload {
	w.t.Helper()
	a := w.file(role, name, begin, size)
	if a.status != http.StatusCreated {
		w.t.Fatalf("upload %s: %d %s", name, a.status, a.body)
	}
	return decoded[channel.Upload](w, a)
}

// named is an upload as a queue's settings name it.
func named(u channel.Upload, contentID string) map[string]any {
	m := map[string]any{"name": u.Name, "type": u.Type, "object": u.Object, "size": u.Size}
	if contentID != "" {
		m["content_id"] = contentID
	}
	return m
}

// parts are a mail's files as its recipient has them.
func (w *world) parts(s stored) (out []email.Part) {
	w.t.Helper()
	_, err := email.Parse(bytes.NewReader(s.raw), "", email.DefaultLimits(), func(p email.Part, content io.Reader) error {
		n, err := io.Copy(io.Discard, content)
		p.Size = n
		out = append(out, p)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// places counts the pictures that a mail shows and the files that it has.
func places(parts []email.Part) (inline, files int) {
	for _, p := range parts {
		if p.Disposition == "inline" {
			inline++
		} else {
			files++
		}
	}
	return inline, files
}

// responseFiles: ten pictures and ten files, 25 MB each together, to the byte.
func responseFiles(w *world) {
	var html strings.Builder
	var pictures, files []map[string]any
	for i := range 11 {
		id := fmt.Sprintf("p%d", i)
		fmt.Fprintf(&html, `<img src="cid:%s">`, id)
		pictures = append(pictures, named(w.upload("admin", id+".gif", gif, 1000+i), id))
		files = append(files, named(w.upload("admin", fmt.Sprintf("f%d.csv", i), "a,b\n", 1000), ""))
	}
	save := func(n, m int) {
		w.queue("support", func(q map[string]any) {
			r := in(q, "response")
			r["html"], r["inline"], r["files"] = "<p>Thanks.</p>"+html.String()[:n*len(`<img src="cid:p0">`)], pictures[:n], files[:m]
		})
	}
	save(10, 10)
	w.begin("ten@customer.example", support)
	autos := w.autos("ten@customer.example")
	if len(autos) != 1 {
		w.t.Fatalf("%d auto-responses", len(autos))
	}
	if inline, attached := places(w.parts(autos[0])); inline != 10 || attached != 10 {
		w.t.Errorf("%d pictures and %d files, not ten each", inline, attached)
	}
	bad := look[map[string]any](w, "/v1/queues/support")
	in(bad, "response")["files"] = files
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/support", bad, "response.files", "11 files, at most 10")
	bad = look[map[string]any](w, "/v1/queues/support")
	in(bad, "response")["html"], in(bad, "response")["inline"] = html.String(), pictures
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/support", bad, "response.inline", "11 files, at most 10")

	const half = 25 << 19 // bytes: two make 25 MB
	a, b, c := w.upload("admin", "a.csv", "a,b\n", half), w.upload("admin", "b.csv", "a,b\n", half), w.upload("admin", "c.csv", "a,b\n", half+1)
	bad = look[map[string]any](w, "/v1/queues/support")
	in(bad, "response")["files"] = []map[string]any{named(a, ""), named(c, "")}
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/support", bad, "response.files", "(26214401 bytes) together, at most 25.0 MB (26214400 bytes)")
	pictures, files = pictures[:0], []map[string]any{named(a, ""), named(b, "")}
	save(0, 2)
	w.begin("full@customer.example", support)
	autos = w.autos("full@customer.example")
	if len(autos) != 1 || len(w.parts(autos[0])) != 2 || w.parts(autos[0])[1].Size != half {
		w.t.Errorf("25 MB: %d auto-responses", len(autos))
	}
	files = nil
	save(0, 0)
}

// fileTypes: by name and by content, and the refusal says which.
func fileTypes(w *world) {
	const exe = "MZ\x90\x00\x03\x00\x00\x00"
	for _, tc := range []struct {
		name, begin string
		words       []string
	}{
		{"setup.exe", exe, []string{"setup.exe", ".exe is none of"}},
		{"logo.gif", exe, []string{"logo.gif", "looks like a Windows program"}},
		{"notes.txt", exe, []string{"notes.txt", "bytes that text does not have"}},
		{"logo.png", gif, []string{"logo.png", "GIF"}},
		{"page.gif", "<!DOCTYPE html><script>alert(1)</script>", []string{"page.gif", "HTML"}},
	} {
		a := w.file("admin", tc.name, tc.begin, 2000)
		w.check(a.status == http.StatusUnprocessableEntity, "%s: %d", tc.name, a.status)
		for _, word := range tc.words {
			w.check(strings.Contains(string(a.body), word), "%s: %s, without %q", tc.name, a.body, word)
		}
	}
	// What was looked into as one kind does not become another, nor a picture.
	list := w.upload("admin", "list.csv", "a,b\n", 100)
	for field, change := range map[string]func(r, f map[string]any){
		"response.files[0].name":  func(r, f map[string]any) { f["name"], f["type"] = "list.pdf", "application/pdf"; r["files"] = []any{f} },
		"response.inline[0].type": func(r, f map[string]any) { f["content_id"] = "x"; r["inline"] = []any{f} },
		"response.files[0].size":  func(r, f map[string]any) { f["size"] = 99; r["files"] = []any{f} },
	} {
		bad := look[map[string]any](w, "/v1/queues/support")
		r := in(bad, "response")
		delete(r, "inline")
		change(r, named(list, ""))
		w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/support", bad, field, "list.")
	}
}

// sign gives a queue a signature with a picture.
func (w *world) sign(queue, html string, pictures ...map[string]any) {
	w.t.Helper()
	w.queue(queue, func(m map[string]any) {
		m["signature"] = map[string]any{"on": true, "html": html, "inline": pictures}
	})
}

func signatures(w *world) {
	for html, word := range map[string]string{
		"@{consumer}":                        "agent, company, alias",
		`<a href="javascript:x">x</a>`:       "javascript:",
		`<img src="cid:none">`:               "cid:none",
		`<p onmouseover="x">x</p>`:           "onmouseover",
		strings.Repeat("x", 64<<10+1):        "at most 65536 bytes",
		`<img src="data:image/gif;base64,">`: "upload the picture",
	} {
		bad := look[map[string]any](w, "/v1/queues/support")
		bad["signature"] = map[string]any{"on": true, "html": html}
		w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/support", bad, "signature.html", word)
	}
	w.sign("support", `<p><img src="cid:logo" alt="@{company}"><a href="https://example.com/">@{agent}</a> @{alias}</p>`, named(w.upload("admin", "logo.gif", gif, 500), "logo"))
	s, _ := w.begin("signed@customer.example", support)
	own := w.upload("agent", "own.gif", gif, 300)
	w.do("agent", "POST", "/v1/sessions/"+s.ID+"/reply", map[string]any{"html": `<p>Look: <img src="cid:own"></p>`, "inline": []any{map[string]any{"file": own.ID, "content_id": "own"}}, "signature": true})
	w.do("agent", "POST", "/v1/sessions", map[string]any{"queue": "support", "to": []any{map[string]any{"addr": "signed@customer.example"}}, "subject": "News", "text": "See you.", "signature": true})
	w.do("agent", "POST", "/v1/sessions/"+s.ID+"/reply", map[string]any{"text": "Plain."})
	got := w.answers("signed@customer.example")
	if len(got) != 3 {
		w.t.Fatalf("%d mails", len(got))
	}
	for i, want := range [][]string{{"own", "logo"}, {"logo"}, nil} {
		var ids []string
		for _, p := range w.parts(got[i]) {
			w.check(p.Disposition == "inline" && p.Type == "image/gif", "mail %d: %+v", i, p)
			ids = append(ids, p.ContentID)
		}
		w.check(slices.Equal(ids, want), "mail %d shows %v, not %v", i, ids, want)
		m, err := email.Parse(bytes.NewReader(got[i].raw), "", email.DefaultLimits(), nil)
		if err != nil {
			w.t.Fatal(err)
		}
		signed := strings.Contains(m.HTML, `alt="Example &amp; Co"`) && strings.Contains(m.HTML, "Ana Silva</a> ana@example.com") && strings.Contains(m.Text, "Ana Silva")
		w.check(signed == (want != nil), "mail %d is signed: %t: %s", i, signed, m.HTML)
	}
	w.queue("support", func(m map[string]any) { in(m, "signature")["on"] = false })
	w.do("agent", "POST", "/v1/sessions/"+s.ID+"/reply", map[string]any{"text": "Off.", "signature": true})
	got = w.answers("signed@customer.example")
	w.check(len(got) == 4 && len(w.parts(got[3])) == 0, "OFF, but signed")

	// What a mail cannot carry: refused with the sizes, and the agent's words and
	// picture can be sent without it.
	w.sign("support", `<img src="cid:poster">`, named(w.upload("admin", "poster.gif", gif, 30<<20), "poster"))
	own = w.upload("agent", "own.gif", gif, 300)
	mail := map[string]any{"html": `<p><img src="cid:own"></p>`, "inline": []any{map[string]any{"file": own.ID, "content_id": "own"}}, "signature": true}
	w.refused(http.StatusUnprocessableEntity, "agent", "POST", "/v1/sessions/"+s.ID+"/reply", mail, `"signature"`, "30.0 MB (31457280 bytes)", "at most 25.0 MB (26214400 bytes)")
	mail["signature"] = false
	w.do("agent", "POST", "/v1/sessions/"+s.ID+"/reply", mail)
	w.check(len(w.answers("signed@customer.example")) == 5, "not sent without the signature")

	// What the account's server does not take: rejected, and said with its limit.
	w.sign("support", `<img src="cid:poster">`, named(w.upload("admin", "poster.gif", gif, 20<<20), "poster"))
	list := w.upload("agent", "list.csv", "a,b\n", 20<<20)
	out := decoded[sent](w, w.do("agent", "POST", "/v1/sessions/"+s.ID+"/reply", map[string]any{"text": "Both.", "files": []any{list.ID}, "signature": true}))
	o := w.stands(out.Message.ID, channel.Rejected)
	w.check(strings.Contains(o.Answer, fmt.Sprintf("mail of %d bytes is larger than the 52428800 that the server takes", o.Size)), "the answer is %q", o.Answer)
	w.check(slices.Contains(w.kinds(s.ID), "send_failed") && len(w.content(list.Object)) == 20<<20, "the agent is not told, or his file is lost")
}

// signaturesOfQueues: of many queues it is that of the one that the mail is in.
func signaturesOfQueues(w *world) {
	w.sign("support", `<p>Support <img src="cid:logo"></p>`, named(w.upload("admin", "support.gif", gif, 100), "logo"))
	w.sign("billing", `<p>Billing <img src="cid:logo"></p>`, named(w.upload("admin", "billing.gif", gif, 100), "logo"))
	s, _ := w.begin("moved@customer.example", support)
	reply := map[string]any{"text": "Hello.", "signature": true}
	w.do("supervisor", "POST", "/v1/sessions/"+s.ID+"/reply", reply)
	w.act(s.ID, "transfer", map[string]any{"queue": "billing"})
	w.do("supervisor", "POST", "/v1/sessions/"+s.ID+"/reply", reply)
	w.do("supervisor", "POST", "/v1/sessions", map[string]any{"queue": "billing", "to": []any{map[string]any{"addr": "moved@customer.example"}}, "subject": "News", "text": "Hi", "signature": true})
	got := w.answers("moved@customer.example")
	if len(got) != 3 {
		w.t.Fatalf("%d mails", len(got))
	}
	for i, want := range []string{"support.gif", "billing.gif", "billing.gif"} {
		parts := w.parts(got[i])
		w.check(len(parts) == 1 && parts[0].Name == want, "mail %d has %+v, not %s", i, parts, want)
	}
}
