package channel_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
)

const pixel = "GIF89a\x01\x00\x01\x00\x00\x00\x00;"

// upload brings a file, whose content follows from its name.
func (d *desks) upload(who channel.Actor, name string, size int) channel.Upload {
	d.Helper()
	begin := map[bool]string{true: pixel, false: "words "}[strings.HasSuffix(name, ".gif")]
	u, err := d.desk.Upload(d.Context(), who, name, "", strings.NewReader(begin+strings.Repeat("x", max(0, size-len(begin)))))
	if err != nil {
		d.Fatal(err)
	}
	return *u
}

// received are the parts of a mail of ours as its recipient gets them, by name.
func (d *desks) received(s *channel.Sent) map[string]email.Part {
	d.Helper()
	raw, err := d.archive.Open(d.Context(), s.Message.Raw)
	if err != nil {
		d.Fatal(err)
	}
	found := map[string]email.Part{}
	_, err = email.Parse(raw, "", email.DefaultLimits(), func(p email.Part, content io.Reader) error {
		found[p.Name] = p
		_, err := io.Copy(io.Discard, content)
		return err
	})
	if err != nil {
		d.Fatal(err)
	}
	return found
}

// AG-1, AR-1: a reply and a new mail take files and pictures along, once.
func TestMailWithFiles(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	shown, unshown, prices := d.upload(ana, "shown.gif", 50), d.upload(ana, "unshown.gif", 60), d.upload(ana, "prices.csv", 70)
	w := channel.Words{Key: "k", HTML: `<p>See <img src="cid:p1@x">.</p>`, Files: []string{prices.ID},
		Inline: []channel.Inline{{File: shown.ID, ContentID: "p1@x"}, {File: unshown.ID, ContentID: "p2"}}}
	sent, err := d.desk.Reply(ctx, ana, id, w)
	if err != nil {
		t.Fatal(err)
	}
	want := []channel.Attachment{
		{Name: "shown.gif", Type: "image/gif", ContentID: "p1@x", Inline: true, Size: 50, Object: shown.Object},
		{Name: "unshown.gif", Type: "image/gif", ContentID: "p2", Size: 60, Object: unshown.Object},
		{Name: "prices.csv", Type: "text/csv", Size: 70, Object: prices.Object},
	}
	p, err := d.read.Messages(ctx, ana, id, channel.PageRequest{})
	if err != nil || !slices.Equal(p.Items[1].Attachments, want) || !slices.Equal(sent.Message.Attachments, want) {
		t.Errorf("the message has %+v, %v", p.Items[1].Attachments, err)
	}
	if a, body, err := d.read.File(ctx, ana, id, sent.Message.ID, 2); err != nil || a != want[2] {
		t.Errorf("%+v, %v", a, err)
	} else if b, _ := io.ReadAll(body); len(b) != 70 {
		t.Errorf("%d bytes", len(b))
	}
	parts := d.received(sent)
	for i, disposition := range []string{"inline", "attachment", "attachment"} {
		if got := parts[want[i].Name]; got.Disposition != disposition || got.Type != want[i].Type || got.ContentID != want[i].ContentID {
			t.Errorf("part %d: %+v", i, got)
		}
	}
	if again, err := d.desk.Reply(ctx, ana, id, w); err != nil || again.Outbound.ID != sent.Outbound.ID {
		t.Errorf("again: %v", err)
	}
	var clash *channel.Conflict
	for name, change := range map[string]func(*channel.Words){
		"other files":       func(w *channel.Words) { w.Files = []string{d.upload(ana, "b.csv", 1).ID} },
		"no files":          func(w *channel.Words) { w.Files = nil },
		"another place":     func(w *channel.Words) { w.Files, w.Inline = append(w.Files, unshown.ID), w.Inline[:1] },
		"another picture's": func(w *channel.Words) { w.Inline = []channel.Inline{w.Inline[0], {File: unshown.ID, ContentID: "p3"}} },
	} {
		other := w
		change(&other)
		if _, err := d.desk.Reply(ctx, ana, id, other); !errors.As(err, &clash) {
			t.Errorf("the same key with %s: %v", name, err)
		}
	}
	w.Key = "another"
	if _, err := d.desk.Reply(ctx, ana, id, w); !slices.Equal(fields(err), []string{"files[0]", "inline[0].file", "inline[1].file"}) {
		t.Errorf("files of another mail: %v", err)
	}
	news := d.upload(ana, "news.txt", 10)
	begun, err := d.desk.Start(ctx, ana, "support", channel.Words{Key: "s", To: []email.Address{{Addr: "cleo@customer.example"}}, Subject: "News", Text: "See.", Files: []string{news.ID}})
	if err != nil || len(begun.Message.Attachments) != 1 || begun.Message.Attachments[0].Object != news.Object {
		t.Errorf("a new mail: %+v, %v", begun, err)
	}
}

func TestMailRefusesFiles(t *testing.T) {
	d := newDesks(t)
	id := d.inbound("support")
	big := make([]string, 3)
	for i := range big {
		big[i] = d.upload(ana, fmt.Sprintf("%d.txt", i), 9<<20).ID
	}
	picture, list, foreign := d.upload(ana, "a.gif", 50), d.upload(ana, "a.csv", 50), d.upload(ben, "b.csv", 50)
	large := d.upload(ana, "large.gif", 26<<20) // as a signature may have it
	d.pass(7*24*time.Hour - time.Hour)
	many := make([]string, 11)
	for i := range many {
		many[i] = d.upload(ana, "a.txt", 9).ID
	}
	fresh := d.upload(ana, "late.csv", 5)
	for name, c := range map[string]struct {
		w    channel.Words
		want []string
		says string
	}{
		"too many":              {channel.Words{Files: many}, []string{"files"}, "11 files, at most 10: leave out 1"},
		"too big":               {channel.Words{Files: big}, []string{"files"}, "27.0 MB (28311552 bytes) together, at most 25.0 MB (26214400 bytes): leave some out"},
		"too big a picture":     {channel.Words{Inline: []channel.Inline{{large.ID, "x"}}}, []string{"inline"}, "26.0 MB"},
		"nobody's":              {channel.Words{Files: []string{"none"}}, []string{"files[0]"}, "upload it"},
		"another agent's":       {channel.Words{Files: []string{list.ID, foreign.ID}}, []string{"files[1]"}, "upload it"},
		"no ID":                 {channel.Words{Files: []string{"../raw"}}, []string{"files[0]"}, `"../raw" is no ID`},
		"twice":                 {channel.Words{Files: []string{list.ID, list.ID}}, []string{"files[1]"}, "goes along already"},
		"no picture":            {channel.Words{Inline: []channel.Inline{{list.ID, "x"}}}, []string{"inline[0].file"}, `"a.csv" is text/csv and no picture`},
		"picture without an ID": {channel.Words{Inline: []channel.Inline{{picture.ID, ""}}}, []string{"inline[0].content_id"}, "missing"},
		"a bad Content-ID":      {channel.Words{Inline: []channel.Inline{{picture.ID, "a>\r\nBcc: x"}}}, []string{"inline[0].content_id"}, "is no Content-ID"},
		"nothing to show":       {channel.Words{HTML: `<img src="cid:logo"><img src="cid:x">`, Inline: []channel.Inline{{picture.ID, "x"}}}, []string{"html"}, `shows "cid:logo"`},
	} {
		c.w.Key, c.w.Text = name, "Hello."
		if _, err := d.desk.Reply(t.Context(), ana, id, c.w); !slices.Equal(fields(err), c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q of %v", name, err, c.says, c.want)
		}
	}
	d.pass(time.Hour)
	if _, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "stale", Text: "x", Files: []string{list.ID, fresh.ID}}); !slices.Equal(fields(err), []string{"files[0]"}) || !strings.Contains(err.Error(), "upload it again") {
		t.Errorf("after its time: %v", err)
	}
	if names := d.archive.names("out/"); len(names) > 0 {
		t.Errorf("composed nevertheless: %v", names)
	}
}

// Of what may not be sent nothing stays.
func TestUploadRefuses(t *testing.T) {
	d := newDesks(t)
	cut := errors.New("the line broke")
	for name, c := range map[string]struct {
		name    string
		content io.Reader
		says    string
	}{
		"a program":            {"setup.exe", strings.NewReader("MZ"), ".exe is none of"},
		"a program called pdf": {"invoice.pdf", strings.NewReader("MZ\x90\x00"), "looks like a Windows program"},
		"late zeros":           {"a.txt", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), strings.NewReader("\x00")), "bytes that text does not have"},
		"nothing":              {"a.txt", strings.NewReader(""), "is empty"},
		"too much":             {"a.txt", io.LimitReader(forever{}, 25<<20+1), `"a.txt" has more than 25.0 MB`},
		"a cut":                {"a.txt", io.MultiReader(strings.NewReader("x"), broken{cut}), cut.Error()},
	} {
		if _, err := d.desk.Upload(t.Context(), ana, c.name, "", c.content); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		} else if invalid := slices.Equal(fields(err), []string{"file"}); invalid == errors.Is(err, cut) {
			t.Errorf("%s: %#v", name, err)
		}
	}
	if names := d.archive.names("files/"); len(names) > 0 {
		t.Errorf("stored: %v", names)
	}
	if n, err := d.docs.Count(t.Context(), channel.Query{Collection: "files"}, 10); n > 0 || err != nil {
		t.Errorf("%d documents, %v", n, err)
	}
}

type forever struct{}

func (forever) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// Of two mails that take the same file at the same time one goes out.
func TestAFileGoesWithOneMail(t *testing.T) {
	d := newDesks(t)
	id := d.inbound("support")
	u := d.upload(ana, "a.csv", 50)
	errs := make([]error, 4)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			_, errs[i] = d.desk.Reply(t.Context(), ana, id, channel.Words{Key: fmt.Sprint(i), Text: "x", Files: []string{u.ID}})
		})
	}
	all.Wait()
	sent := 0
	for _, err := range errs {
		var clash *channel.Conflict
		var bad *channel.Invalid
		if err == nil {
			sent++
		} else if !errors.As(err, &clash) && !errors.As(err, &bad) {
			t.Error(err)
		}
	}
	if sent != 1 {
		t.Errorf("%d mails took it: %v", sent, errs)
	}
}

// The same call twice at the same time sends one mail, and both get it.
func TestFilesTwiceAtOnce(t *testing.T) {
	d := newDesks(t)
	id := d.inbound("support")
	u := d.upload(ana, "a.csv", 50)
	sent := make([]*channel.Sent, 4)
	var all sync.WaitGroup
	for i := range sent {
		all.Go(func() {
			var err error
			if sent[i], err = d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "k", Text: "x", Files: []string{u.ID}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := d.session(id).Messages; n != 2 {
		t.Errorf("%d messages", n)
	}
}

// What is uploaded goes after a week; a queue keeps its files, and a mail's
// end with it.
func TestFilesEnd(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	unused, mailed, logo := d.upload(ana, "a.csv", 50), d.upload(ana, "b.csv", 50), d.upload(sam, "logo.gif", 50)
	if _, err := d.desk.Reply(ctx, ana, id, channel.Words{Key: "k", Text: "x", Files: []string{mailed.ID}}); err != nil {
		t.Fatal(err)
	}
	q := doc[channel.Queue](d, "queues/support")
	q.Response.Inline = []channel.File{{Name: "logo.gif", Type: logo.Type, Size: logo.Size, Object: logo.Object, ContentID: "logo"}}
	if _, err := d.admin.PutQueue(ctx, q); err != nil {
		t.Fatal(err)
	}
	holds := func(when string, want ...channel.Upload) {
		t.Helper()
		if err := d.purge().Handle(ctx); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		var names []string
		for _, u := range want {
			names = append(names, u.Object)
		}
		slices.Sort(names)
		if got := d.archive.names("files/"); !slices.Equal(got, names) {
			t.Errorf("%s: %v, want %v", when, got, names)
		}
	}
	d.pass(7 * 24 * time.Hour)
	holds("at its end, an hour ahead", unused, mailed, logo)
	d.pass(time.Hour)
	holds("after a week", mailed, logo)
	d.pass(8 * 24 * time.Hour)
	holds("after two", mailed, logo)
	if _, err := d.admin.PutQueue(ctx, q); err != nil {
		t.Errorf("saved again as it is: %v", err)
	}
	q.Response.Inline = nil
	if _, err := d.admin.PutQueue(ctx, q); err != nil {
		t.Fatal(err)
	}
	d.pass(8 * 24 * time.Hour)
	holds("after the queue let go of it", mailed)
	set := doc[channel.Settings](d, "settings/channel")
	set.Storage.Period = channel.Days30
	set.Version++
	if err := d.docs.Write(ctx, func(tx channel.Tx) { tx.Set("settings/channel", set) }); err != nil {
		t.Fatal(err)
	}
	outbound := doc[channel.Message](d, "sessions/"+id+"/messages/"+d.answer(id)).Outbound
	if err := d.docs.Write(ctx, func(tx channel.Tx) { tx.Patch("outbound/"+outbound, map[string]any{"state": channel.Accepted}) }); err != nil {
		t.Fatal(err)
	}
	d.pass(31 * 24 * time.Hour)
	holds("after the storage period")
}

// answer is the ID of the session's mail that went out.
func (d *desks) answer(id string) string {
	d.Helper()
	p, err := d.read.Messages(d.Context(), sam, id, channel.PageRequest{})
	if err != nil {
		d.Fatal(err)
	}
	i := slices.IndexFunc(p.Items, func(m channel.Message) bool { return m.Direction == channel.Out })
	return p.Items[i].ID
}

// An auto-response takes only what was looked into, as that.
func TestResponseTakesUploads(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	u := d.upload(sam, "prices.csv", 50)
	good := channel.File{Name: "prices.csv", Type: "text/csv", Size: 50, Object: u.Object}
	save := func(f channel.File) error {
		q := doc[channel.Queue](d, "queues/support")
		q.Response.Files = []channel.File{f}
		_, err := d.admin.PutQueue(ctx, q)
		return err
	}
	for name, c := range map[string]struct {
		change func(*channel.File)
		want   string
	}{
		"another kind":   {func(f *channel.File) { f.Name, f.Type = "prices.pdf", "application/pdf" }, "response.files[0].name"},
		"another type":   {func(f *channel.File) { f.Type = "text/plain" }, "response.files[0].type"},
		"another size":   {func(f *channel.File) { f.Size = 1 }, "response.files[0].size"},
		"no upload":      {func(f *channel.File) { f.Object = "files/none" }, "response.files[0].object"},
		"a mail's file":  {func(f *channel.File) { f.Object = "raw/1.eml" }, "response.files[0].object"},
		"another's path": {func(f *channel.File) { f.Object = "files/a/b" }, "response.files[0].object"},
	} {
		f := good
		c.change(&f)
		if err := save(f); !slices.Equal(fields(err), []string{c.want}) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if err := save(good); err != nil {
		t.Fatal(err)
	}
	renamed := good
	renamed.Name = "list.csv"
	d.pass(10 * 24 * time.Hour)
	if err := save(renamed); err != nil {
		t.Errorf("in use, and renamed: %v", err)
	}
	if err := save(channel.File{Name: "list.pdf", Object: u.Object}); err == nil {
		t.Error("text became a PDF")
	}
}

// ST-5: what was sent to an end user goes with him, and nobody else's.
func TestSentFilesAreErased(t *testing.T) {
	d := newDesks(t)
	id := d.inbound("support")
	gone, other := d.upload(ana, "a.csv", 50), d.upload(ana, "a.csv", 50) // the same content
	sent, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "k", Text: "x", Files: []string{gone.ID}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) { tx.Patch("outbound/"+sent.Outbound.ID, map[string]any{"state": channel.Accepted}) }); err != nil {
		t.Fatal(err)
	}
	erase := channel.Erase{Docs: d.docs, Objects: d.archive, Now: d.clock}
	if _, err := erase.Handle(t.Context(), channel.Actor{ID: "adam", Role: channel.RoleAdmin}, "cleo@customer.example"); err != nil {
		t.Fatal(err)
	}
	if got := d.archive.names("files/"); !slices.Equal(got, []string{other.Object}) {
		t.Errorf("left: %v", got)
	}
}
