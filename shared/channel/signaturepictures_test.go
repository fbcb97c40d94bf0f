package channel_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
)

// signed gives a queue a signature that shows an uploaded picture.
func (d *desks) signed(queue string, picture channel.Upload) {
	d.Helper()
	q := doc[channel.Queue](d, "queues/"+queue)
	q.Signature = channel.Signature{On: true, HTML: `<p>` + q.Name + ` <img src="cid:logo" alt="@{company}"></p>`, Inline: []channel.File{asFile(picture, "logo")}}
	if _, err := d.admin.PutQueue(d.Context(), q); err != nil {
		d.Fatal(err)
	}
	d.desk.Config = channel.NewConfiguration(d.docs)
}

// asFile is an upload as a queue's settings name it.
func asFile(u channel.Upload, contentID string) channel.File {
	return channel.File{Name: u.Name, Type: u.Type, Size: u.Size, Object: u.Object, ContentID: contentID}
}

// SG-1, SG-2: the pictures of the queue's signature go along, from whichever
// queue the session is in, and stay the queue's when the mail ends.
func TestSignatureWithPictures(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	ours, theirs := d.upload(sam, "support.gif", 50), d.upload(sam, "billing.gif", 60)
	d.signed("support", ours)
	d.signed("billing", theirs)
	id := d.inbound("support")
	own := d.upload(ana, "own.gif", 70)
	w := channel.Words{Key: "k", HTML: `<p><img src="cid:mine"></p>`, Inline: []channel.Inline{{File: own.ID, ContentID: "mine"}}, Signature: true}
	sent, err := d.desk.Reply(ctx, ana, id, w)
	if err != nil {
		t.Fatal(err)
	}
	got := d.received(sent)
	if p := got["support.gif"]; p.Disposition != "inline" || p.ContentID != "logo" || len(got) != 2 || got["own.gif"].Disposition != "inline" {
		t.Errorf("the reply has %+v", got)
	}
	if a := sent.Message.Attachments; len(a) != 1 || a[0].Object != own.Object {
		t.Errorf("the message's own are %+v", a)
	}
	if again, err := d.desk.Reply(ctx, ana, id, w); err != nil || again.Outbound.ID != sent.Outbound.ID {
		t.Errorf("the same key: %v", err)
	}

	d.ok(d.desk.Transfer(ctx, sam, id, "billing", dora.ID))
	moved, err := d.desk.Reply(ctx, dora, id, channel.Words{Key: "k2", Text: "Hello.", Signature: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.received(moved); len(got) != 1 || got["billing.gif"].Disposition != "inline" || !strings.Contains(moved.Message.HTML, "Billing <img") {
		t.Errorf("after the transfer it has %+v: %s", got, moved.Message.HTML)
	}
	begun, err := d.desk.Start(ctx, ana, "support", channel.Words{Key: "s", To: addresses("cleo@customer.example"), Subject: "News", Text: "See.", Signature: true})
	if err != nil || d.received(begun)["support.gif"].Disposition != "inline" {
		t.Errorf("a new mail: %v", err)
	}
	without, err := d.desk.Start(ctx, ana, "support", channel.Words{Key: "s2", To: addresses("cleo@customer.example"), Subject: "News", Text: "See."})
	if err != nil || len(d.received(without)) != 0 {
		t.Errorf("not wanted: %v", err)
	}

	// The mails end, and the queues keep their pictures; then one lets go of it.
	d.keepFor(channel.Days30)
	for _, s := range []*channel.Sent{sent, moved, begun, without} {
		d.accepted(s.Outbound.ID)
	}
	left := func(when string, want ...channel.Upload) {
		t.Helper()
		d.run(d.purge())
		var names []string
		for _, u := range want {
			names = append(names, u.Object)
		}
		slices.Sort(names)
		if got := d.archive.names("files/"); !slices.Equal(got, names) {
			t.Errorf("%s: %v, want %v", when, got, names)
		}
	}
	d.pass(31 * day)
	left("after the storage period", ours, theirs)
	d.erase(cleoAddress)
	left("erased", ours, theirs)
	q := doc[channel.Queue](d, "queues/billing")
	q.Signature = channel.Signature{}
	if _, err := d.admin.PutQueue(ctx, q); err != nil {
		t.Fatal(err)
	}
	d.pass(8 * day)
	left("without a signature", ours)
}

// What a mail cannot carry is refused with the sizes, and nothing is lost.
func TestSignatureThatIsTooLarge(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	d.signed("support", d.upload(sam, "poster.gif", 26<<20))
	id := d.inbound("support")
	own := d.upload(ana, "own.gif", 1<<20)
	w := channel.Words{Key: "k", HTML: `<img src="cid:mine">`, Inline: []channel.Inline{{File: own.ID, ContentID: "mine"}}, Signature: true}
	_, err := d.desk.Reply(ctx, ana, id, w)
	if !slices.Equal(fields(err), []string{"signature"}) {
		t.Fatalf("%v", err)
	}
	for _, says := range []string{"26.0 MB (27262976 bytes)", "1.0 MB (1048576 bytes)", "at most 25.0 MB (26214400 bytes)", "without the signature"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%v, without %q", err, says)
		}
	}
	if n := d.session(id).Messages; n != 1 {
		t.Errorf("%d messages", n)
	}
	w.Signature = false
	if _, err := d.desk.Reply(ctx, ana, id, w); err != nil {
		t.Errorf("without the signature: %v", err)
	}

	// To the byte: 25 MB with the agent's own.
	d.signed("support", d.upload(sam, "small.gif", 24<<20))
	for size, ok := range map[int]bool{1 << 20: true, 1<<20 + 1: false} {
		own := d.upload(ana, "own.gif", size)
		w := channel.Words{Key: fmt.Sprint(size), HTML: `<img src="cid:mine">`, Inline: []channel.Inline{{File: own.ID, ContentID: "mine"}}, Signature: true}
		if _, err := d.desk.Reply(ctx, ana, id, w); (err == nil) != ok {
			t.Errorf("%d bytes beside 24 MB: %v", size, err)
		}
	}

	// A Content-ID cannot mean two pictures.
	twin := d.upload(ana, "twin.gif", 50)
	w = channel.Words{Key: "twin", HTML: `<img src="cid:logo">`, Inline: []channel.Inline{{File: twin.ID, ContentID: "logo"}}, Signature: true}
	if _, err := d.desk.Reply(ctx, ana, id, w); !slices.Equal(fields(err), []string{"inline"}) {
		t.Errorf("the signature's Content-ID: %v", err)
	}
}

// What may not stand in a signature is refused at save, by its field.
func TestSignatureIsChecked(t *testing.T) {
	d := newDesks(t)
	logo, list := d.upload(sam, "logo.gif", 50), d.upload(sam, "list.csv", 50)
	file := asFile(logo, "logo")
	with := func(html string, files ...channel.File) channel.Signature {
		return channel.Signature{On: true, HTML: html, Inline: files}
	}
	huge := file
	huge.Size = 200<<20 + 1
	stranger := file
	stranger.Object = "raw/1.eml"
	for name, c := range map[string]struct {
		sig  channel.Signature
		want []string
		says string
	}{
		"another tag":           {with("<p>@{consumer}</p>"), []string{"signature.html"}, "agent, company, alias"},
		"a script's link":       {with(`<a href="javascript:alert(1)">x</a>`), []string{"signature.html"}, `"javascript:" is not allowed`},
		"a script":              {with(`<script>x</script>`), []string{"signature.html"}, "<script> is not allowed"},
		"a handler":             {with(`<p onclick="x">x</p>`), []string{"signature.html"}, "onclick"},
		"a picture in the text": {with(`<img src="data:image/gif;base64,R0lGODdh">`), []string{"signature.html"}, "upload the picture"},
		"nothing":               {with(" "), []string{"signature.html"}, "missing"},
		"too long":              {with(strings.Repeat("x", 64<<10+1)), []string{"signature.html"}, "at most 65536 bytes"},
		"no such picture":       {with(`<img src="cid:other">`, file), []string{"signature.html"}, `shows "cid:other"`},
		"no picture":            {with("x", asFile(list, "list")), []string{"signature.inline[0].type"}, "no picture"},
		"too many":              {with("x", slices.Repeat([]channel.File{file}, 11)...), nil, "11 files, at most 10"},
		"too large":             {with("x", huge), []string{"signature.inline"}, "at most 200.0 MB"},
		"no upload":             {with("x", stranger), []string{"signature.inline[0].object"}, "no uploaded file"},
	} {
		q := doc[channel.Queue](d, "queues/support")
		q.Signature = c.sig
		_, err := d.admin.PutQueue(t.Context(), q)
		var bad *channel.Invalid
		if !errors.As(err, &bad) || c.want != nil && !slices.Equal(fields(err), c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, not about %v, %q", name, err, c.want, c.says)
		}
	}
	d.signed("support", logo)
}

// The limit of what is stored, to the byte, and at the upload itself.
func TestSignaturePictureOf200MB(t *testing.T) {
	if testing.Short() {
		t.Skip("400 MB of memory")
	}
	d := newDesks(t)
	most := make([]byte, 200<<20)
	copy(most, pixel)
	u, err := d.desk.Upload(t.Context(), sam, "poster.gif", "", bytes.NewReader(most))
	if err != nil {
		t.Fatal(err)
	}
	d.signed("support", *u)
	if _, err := d.desk.Upload(t.Context(), sam, "poster.gif", "", bytes.NewReader(append(most, 0))); !slices.Equal(fields(err), []string{"file"}) {
		t.Errorf("a byte more: %v", err)
	}
	d.pass(time.Hour)
	if _, err := d.desk.Reply(t.Context(), ana, d.inbound("support"), channel.Words{Key: "k", Text: "x", Signature: true}); !slices.Equal(fields(err), []string{"signature"}) {
		t.Errorf("sent: %v", err)
	}
}
