package channel_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
)

// AC-9: what is signed is taken once; what is not leaves nothing behind.
func TestPush(t *testing.T) {
	const key, mail = "a key of 16 bytes and more", "From: cleo@customer.example\r\nSubject: Lamp\r\nMessage-ID: <p@customer.example>\r\n\r\nIt broke.\r\n"
	sign := func(key, at, mail string) channel.Proof {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(at + "." + mail))
		return channel.Proof{Time: at, Signature: "v1=" + hex.EncodeToString(mac.Sum(nil))}
	}
	d := newDesks(t)
	d.secrets.values["account-support"] = channel.Credentials{Password: "demo", PushKey: key}.Encode()
	push := channel.Push{Docs: d.docs, Archive: d.archive, Bus: d.bus, Secrets: d.secrets, Config: d.desk.Config, Now: d.clock}
	now := fmt.Sprint(d.clock().Unix())
	good := sign(key, now, mail)
	old := fmt.Sprint(d.clock().Add(-6 * time.Minute).Unix())
	huge := strings.Repeat("x", channel.MaxPush+1)
	for _, c := range []struct {
		name, account string
		proof         channel.Proof
		mail          string
		want          error
	}{
		{"another key", "support", sign("another key of 16 bytes", now, mail), mail, channel.ErrUnproven},
		{"another mail", "support", good, mail + "!", channel.ErrUnproven},
		{"less of the mail", "support", good, mail[:20], channel.ErrUnproven},
		{"another time", "support", channel.Proof{Time: now + "0", Signature: good.Signature}, mail, channel.ErrUnproven},
		{"too old", "support", sign(key, old, mail), mail, channel.ErrUnproven},
		{"no signature", "support", channel.Proof{Time: now}, mail, channel.ErrUnproven},
		{"an account without a key", "billing", sign("", now, mail), mail, channel.ErrUnproven},
		{"no such account", "nobody", good, mail, channel.ErrNotFound},
		{"too large", "support", sign(key, now, huge), huge, channel.ErrTooLarge},
	} {
		if err := push.Handle(t.Context(), c.account, c.proof, strings.NewReader(c.mail)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if len(d.archive.objects) != 0 || d.bus.count(event.TopicReceived) != 0 {
		t.Fatalf("left behind: %d objects, %d events", len(d.archive.objects), d.bus.count(event.TopicReceived))
	}
	for range 2 { // the provider repeats a request whose answer was lost
		if err := push.Handle(t.Context(), "support", good, strings.NewReader(mail)); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.archive.objects) != 1 {
		t.Fatalf("%d objects", len(d.archive.objects))
	}
	for _, m := range d.bus.sent[event.TopicReceived] {
		var e event.Received
		read(t, m, &e)
		if err := d.receive(d.archive).Handle(t.Context(), e, 1); err != nil {
			t.Fatal(err)
		}
	}
	p, err := d.read.Sessions(t.Context(), sam, channel.Filter{}, channel.PageRequest{})
	if err != nil || len(p.Items) != 1 || p.Items[0].Messages != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
}
