package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/heap"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
)

const gif = "GIF89a\x01\x00\x01\x00\x00\x00\x00;"

// form is a multipart body with these parts, as name, filename, type and content.
func form(parts ...[4]string) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="%s"; filename="%s"`, p[0], p[1])}}
		if p[2] != "" {
			h.Set("Content-Type", p[2])
		}
		part, err := w.CreatePart(h)
		if err != nil {
			panic(err)
		}
		io.WriteString(part, p[3])
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String(), w.FormDataContentType()
}

// enclose sends files with an answer and with an auto-response.
func (c *client) enclose(session string) {
	c.Helper()
	body, contentType := form([4]string{"file", "pixel.gif", "image/gif", gif})
	pixel := c.want(201, "ana", "POST", "/v1/files", body, "Content-Type", contentType)
	list := c.want(201, "ana", "POST", "/v1/files?name=prices.csv", "a;b\r\n", "Content-Type", "application/octet-stream")
	if pixel["type"] != "image/gif" || list["type"] != "text/csv" || list["size"] != 5.0 || list["by"] != "ana@example.com" {
		c.Errorf("uploaded %v, %v", pixel, list)
	}
	mail := obj{"html": `<p>See <img src="cid:pixel">.</p>`, "inline": []obj{{"file": pixel["id"], "content_id": "pixel"}}, "files": []any{list["id"]}}
	sent := c.want(202, "ana", "POST", "/v1/sessions/"+session+"/reply", mail, "Idempotency-Key", "f1")
	again := c.want(202, "ana", "POST", "/v1/sessions/"+session+"/reply", mail, "Idempotency-Key", "f1")
	message := sent["message"].(obj)
	if files := message["attachments"].([]any); len(files) != 2 || files[0].(obj)["inline"] != true || files[1].(obj)["name"] != "prices.csv" || again["outbound"].(obj)["id"] != sent["outbound"].(obj)["id"] {
		c.Errorf("sent %v", sent)
	}
	status, h, got := c.do("ana", "GET", fmt.Sprintf("/v1/sessions/%s/messages/%s/attachments/0", session, message["id"]), nil)
	if status != 200 || h.Get("Content-Type") != "image/gif" || string(got) != gif {
		c.Errorf("%d %v %q", status, h, got)
	}
	logo := c.want(201, "adam", "POST", "/v1/files?name=logo.gif", gif, "Content-Type", "image/gif")
	q := c.want(200, "adam", "GET", "/v1/queues/support", nil)
	q["response"] = obj{"on": true, "html": `<img src="cid:logo">`, "inline": []obj{{"name": "logo.gif", "type": logo["type"], "size": logo["size"], "object": logo["object"], "content_id": "logo"}}}
	c.want(200, "adam", "PUT", "/v1/queues/support", q)
}

// What may not be uploaded is refused by its name, and nothing of it is stored.
func TestRefusedUploads(t *testing.T) {
	c := newClient(t)
	c.configure()
	exe := "MZ\x90\x00\x03\x00"
	two, twoType := form([4]string{"file", "a.gif", "image/gif", gif}, [4]string{"file", "b.gif", "image/gif", gif})
	other, otherType := form([4]string{"photo", "a.gif", "image/gif", gif})
	bad, badType := form([4]string{"file", "invoice.pdf", "application/pdf", exe})
	for name, r := range map[string]struct {
		who, path, body, contentType string
		status                       int
		says                         string
	}{
		"a program":              {"ana", "?name=a.exe", exe, "application/octet-stream", 422, `\"a.exe\" may not be sent`},
		"a program called pdf":   {"ana", "", bad, badType, 422, `\"invoice.pdf\" is no PDF: it looks like a Windows program`},
		"no name":                {"ana", "", gif, "image/gif", 422, "is no name of a file"},
		"another type":           {"ana", "?name=a.gif", gif, "text/html", 422, "is declared as text/html"},
		"an unknown parameter":   {"ana", "?name=a.gif&x=1", gif, "image/gif", 422, `"field":"x"`},
		"two files":              {"ana", "", two, twoType, 422, "one part too many"},
		"another field":          {"ana", "", other, otherType, 422, `"field":"photo"`},
		"a form that is cut":     {"ana", "", two[:len(two)/3], twoType, 400, "cannot be read to its end"},
		"a form without content": {"ana", "", "", twoType, 400, "cannot be read to its end"},
		"a program's account":    {"svc", "?name=a.gif", gif, "image/gif", 403, "service"},
		"nobody":                 {"", "?name=a.gif", gif, "image/gif", 401, ""},
	} {
		if status, _, body := c.do(r.who, "POST", "/v1/files"+r.path, r.body, "Content-Type", r.contentType); status != r.status || !strings.Contains(string(body), r.says) {
			t.Errorf("%s: %d %s, want %d with %s", name, status, body, r.status, r.says)
		}
	}
	c.around.mu.Lock()
	defer c.around.mu.Unlock()
	for name, content := range c.around.objects {
		t.Errorf("%s was stored: %q", name, content)
	}
}

// disk is an archive in a folder, which holds nothing in memory.
type disk struct{ dir string }

func (d disk) path(name string) string {
	return filepath.Join(d.dir, strings.ReplaceAll(name, "/", "_"))
}

func (d disk) Put(_ context.Context, name, _ string, r io.Reader) error {
	f, err := os.Create(d.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		os.Remove(f.Name())
		return err
	}
	return nil
}

func (d disk) Open(_ context.Context, name string) (io.ReadCloser, error) {
	return os.Open(d.path(name))
}

// film gives the bytes of a file of n bytes.
type film struct{ n, at int }

func (f *film) Read(p []byte) (int, error) {
	p = p[:min(len(p), f.n-f.at)]
	if len(p) == 0 {
		return 0, io.EOF
	}
	begin := "\x00\x00\x00\x18ftypisom"
	for i := range p {
		if p[i] = byte((f.at + i) * 2654435761 >> 8); f.at+i < len(begin) {
			p[i] = begin[f.at+i]
		}
	}
	f.at += len(p)
	return len(p), nil
}

// counted counts the bytes that a mail server gets.
type counted struct{ n int64 }

func (c *counted) Send(_ context.Context, _ channel.Account, _, _ string, _ []string, size int64, msg io.Reader) (channel.Receipt, error) {
	n, err := io.Copy(io.Discard, msg)
	if c.n = n; err == nil && n != size {
		err = fmt.Errorf("%d bytes, announced as %d", n, size)
	}
	return channel.Receipt{}, err
}

// maxHeap is what a mail with 25 MB of files may add to the heap, in bytes.
const maxHeap = 64 << 20

// A file of 25 MB is uploaded, sent with an answer and delivered without ever
// being in memory whole; a byte more is refused.
func TestMemoryOfAFile(t *testing.T) {
	c := newClient(t)
	c.configure()
	session := c.inbound(1)
	d := disk{t.TempDir()}
	config := channel.NewConfiguration(c.docs)
	desk := &channel.Desk{Docs: c.docs, Archive: d, Bus: c.around, Secrets: vault{c.around}, Config: config, Now: time.Now}
	api := &server{Deps: Deps{Desk: desk}}
	who := channel.Actor{ID: "ana@example.com", Role: channel.RoleAgent}
	upload := func(size int) (any, error) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/files?name=film.mp4", &film{n: size})
		return api.upload(&call{w: httptest.NewRecorder(), r: r, who: who})
	}
	const size = 25 << 20
	server := &counted{}
	peak := heap.Peak(func() {
		u, err := upload(size)
		if err != nil {
			t.Fatal(err)
		}
		sent, err := desk.Reply(t.Context(), who, session, channel.Words{Key: "k", Text: "The film.", Files: []string{u.(*channel.Upload).ID}})
		if err != nil {
			t.Fatal(err)
		}
		send := &channel.Send{Docs: c.docs, Archive: d, Secrets: vault{c.around}, Mail: server, Config: config, Now: time.Now}
		if err := send.Handle(t.Context(), event.Outbound{ID: sent.Outbound.ID}); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("a file of 25 MB, sent as %d bytes: %.1f MiB of heap", server.n, float64(peak)/(1<<20))
	if server.n < size/3*4 {
		t.Errorf("the server got %d bytes", server.n)
	}
	if peak > maxHeap {
		t.Errorf("%d bytes of heap, want at most %d", peak, maxHeap)
	}
	if _, err := upload(size + 1); err == nil || !strings.Contains(err.Error(), `"film.mp4" has more than 25.0 MB (26214400 bytes)`) {
		t.Errorf("a byte more: %v", err)
	}
}
