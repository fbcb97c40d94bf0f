package channel_test

import (
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
)

// SG-1, SG-2: the queue's signature goes below an agent's words where he wants
// it, in both forms, with its tags filled in and escaped.
func TestSignature(t *testing.T) {
	d := newDesks(t)
	set := func(sig channel.Signature) {
		t.Helper()
		if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
			tx.Patch("queues/support", map[string]any{"signature": sig})
			tx.Patch("agents/ana@example.com", map[string]any{"name": "Ana <Silva>", "alias": "ana.s@example.com"})
			tx.Patch("settings/channel", map[string]any{"company": "Lamps & Co", "version": channel.Inc(1)})
		}); err != nil {
			t.Fatal(err)
		}
		d.desk.Config = channel.NewConfiguration(d.docs)
	}
	on := channel.Signature{On: true, HTML: `<p>@{agent}<br>@{company}<br>@{alias}</p>`}
	const text = "-- \nAna <Silva>\nLamps & Co\nana.s@example.com"
	const html = `<div class="signature"><p>Ana &lt;Silva&gt;<br>Lamps &amp; Co<br>ana.s@example.com</p></div>`
	for _, c := range []struct {
		name    string
		sig     channel.Signature
		words   channel.Words
		text    string
		html    string
		without bool
	}{
		{name: "to a text", sig: on, words: channel.Words{Text: "1 < 2\nyes", Signature: true}, text: "1 < 2\nyes\n\n" + text, html: "<div>1 &lt; 2<br>\nyes</div>\n" + html},
		{name: "to HTML", sig: on, words: channel.Words{HTML: "<p>Yes.</p>", Signature: true}, text: "Yes.\n\n" + text, html: "<p>Yes.</p>\n" + html},
		{name: "not wanted", sig: on, words: channel.Words{Text: "Yes."}, text: "Yes."},
		{name: "switched off", sig: channel.Signature{HTML: on.HTML}, words: channel.Words{Text: "Yes.", Signature: true}, text: "Yes."},
	} {
		t.Run(c.name, func(t *testing.T) {
			set(c.sig)
			c.words.Key, c.words.Subject, c.words.To = c.name, "Lamp", addresses("cleo@customer.example")
			got, err := d.desk.Start(t.Context(), ana, "support", c.words)
			if err != nil {
				t.Fatal(err)
			}
			if have := strings.TrimSpace(got.Message.Text); have != c.text {
				t.Errorf("text %q, want %q", have, c.text)
			}
			if got.Message.HTML != c.html {
				t.Errorf("HTML %q, want %q", got.Message.HTML, c.html)
			}
		})
	}
}
