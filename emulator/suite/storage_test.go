package suite_test

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
)

const folder = "centre/mail"

// TestSpecStorage moves the archive to S3 while mail comes in, and lets the
// storage period pass.
func TestSpecStorage(t *testing.T) {
	w := site(t, nil)
	early, _ := w.begin("Early <early@customer.example>", "support@example.com")
	w.row("ST-2", func(w *world) {
		wrong := w.inS3("30d")
		wrong["credentials"] = map[string]any{"access_key": suite.S3AccessKey, "secret_key": "hunter2"}
		if p := w.probed(wrong); p.OK || p.Step != "write" || !strings.Contains(p.Answer, "SignatureDoesNotMatch") || strings.Contains(p.Answer, "hunter2") {
			w.t.Errorf("wrong credentials: %+v", p)
		}
		nowhere := w.inS3("30d")
		in(nowhere, "destination")["bucket"] = "nowhere"
		if p := w.probed(nowhere); p.OK || p.Step != "write" || !strings.Contains(p.Answer, "NoSuchBucket") {
			w.t.Errorf("no such bucket: %+v", p)
		}
		if p := w.probed(w.inS3("30d")); !p.OK {
			w.t.Errorf("the right one: %+v", p)
		}
		if p := w.probed(map[string]any{}); !p.OK {
			w.t.Errorf("the deployment's own: %+v", p)
		}
		in(nowhere, "destination")["folder"] = "../up"
		w.refused(422, "admin", "PUT", "/v1/storage", nowhere, "destination.folder")
		w.check(len(w.inBucket("")) == 0 && len(w.objects("probe")) == 0, "a probe was left behind")
	})
	w.done("admin", "PUT", "/v1/storage", w.inS3("unlimited"))
	w.inForce()
	w.control("POST", "/_emulator/faults", `{"fail":"s3","times":3}`) // OP-4: it comes later, and once
	late, mail := w.begin("Late <late@customer.example>", "support@example.com")
	w.check(len(w.Faults.Rules()) == 0, "S3 did not fail: %+v", w.Faults.Rules())
	kept, _ := w.begin("Kept <kept@customer.example>", "support@example.com")
	w.row("ST-1", func(w *world) {
		if raws := w.inBucket("raw/"); len(raws) != 2 || len(w.objects("raw/")) != 1 {
			w.t.Errorf("S3 has %q, Cloud Storage %v", raws, w.objects("raw/"))
		}
		m := w.messages(late.ID)[0]
		raw := w.done("supervisor", "GET", rawOf(m), nil).body
		w.check(strings.Contains(string(raw), "<"+mail.id+">"), "the raw mail from S3: %s", raw)
		w.check(string(raw) == string(w.inS3Object(m.Raw)), "the API and S3 tell another raw mail")
		raw = w.done("supervisor", "GET", rawOf(w.messages(early.ID)[0]), nil).body
		w.check(strings.Contains(string(raw), "early@customer.example"), "the raw mail from before: %s", raw)
	})
	w.row("ST-4", func(w *world) {
		for _, s := range []channel.Session{early, late} {
			m := w.messages(s.ID)[0]
			for _, dry := range []bool{true, false} {
				r := decoded[channel.Replayed](w, w.do("admin", "POST", "/v1/mails/replay", map[string]any{"mail": m.ID, "dry_run": dry}))
				w.check(r.Known && r.DryRun == dry && r.Session == s.ID && len(r.Differences) == 0, "replay: %+v", r)
			}
			w.check(w.session(s.ID).Messages == 1, "a replay made another message")
		}
	})
	w.row("ST-3", func(w *world) {
		w.done("supervisor", "POST", "/v1/sessions/"+kept.ID+"/hold", map[string]any{"reason": "a lawsuit"})
		body := w.inS3("30d")
		delete(body, "credentials") // they are there
		w.done("admin", "PUT", "/v1/storage", body)
		w.inForce()
		w.advance(29 * 24 * time.Hour)
		w.check(len(w.inBucket("raw/")) == 2 && len(w.objects("raw/")) == 1, "deleted before its time")
		w.advance(2 * 24 * time.Hour)
		for _, s := range []channel.Session{early, late} {
			now := w.session(s.ID)
			w.check(now.Subject == s.Subject && now.Consumer == s.Consumer, "the facts of the session: %+v", now)
			for _, m := range w.messages(s.ID) {
				w.check(m.Text == "" && m.HTML == "" && !m.PurgedAt.IsZero() && m.Subject != "" && !m.At.IsZero(), "what is left of a message: %+v", m)
				w.refused(404, "supervisor", "GET", rawOf(m), nil)
			}
		}
		w.check(len(w.objects("raw/")) == 0, "Cloud Storage still has %v", w.objects("raw/"))
		held := w.messages(kept.ID)[0]
		w.check(held.Text != "" && held.PurgedAt.IsZero(), "the held mail: %+v", held)
		if raws := w.inBucket("raw/"); len(raws) != 1 || raws[0] != folder+"/"+held.Raw {
			w.t.Errorf("S3 has %q", raws)
		}
	})
	w.row("ST-5", func(w *world) {
		his := map[string]any{"address": "kept@customer.example"}
		w.refused(409, "admin", "POST", "/v1/erasures", his, kept.ID)
		w.done("supervisor", "DELETE", "/v1/sessions/"+kept.ID+"/hold", map[string]any{"reason": "settled"})
		receipt := decoded[channel.ErasureReceipt](w, w.do("admin", "POST", "/v1/erasures", his))
		var objects []string
		for _, item := range receipt.Items {
			objects = append(objects, item.Objects...)
		}
		w.check(receipt.State == channel.ErasureDone && len(objects) > 0, "receipt: %+v", receipt)
		again := w.done("admin", "GET", "/v1/erasures/"+receipt.ID, nil).body
		w.check(!strings.Contains(string(again), "kept@") && strings.Contains(string(again), kept.ID), "the receipt: %s", again)
		if left := w.inBucket(""); len(left) != 0 {
			w.t.Errorf("S3 still has %q", left)
		}
		w.check(len(w.sessions("kept@customer.example")) == 0, "the address still finds a session")
		s := w.session(kept.ID)
		w.check(s.Subject == "" && s.Consumer.Addr == "" && !s.ErasedAt.IsZero(), "the session: %+v", s)
		for _, kind := range []string{"held", "released", "erased"} {
			w.check(slices.Contains(w.kinds(kept.ID), kind), "no %s in its history", kind)
		}
	})
}

// After a restart on other ports, mail in the suite's S3 is found where S3 is now.
func TestStorageSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	down := func(w *world) {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	w := restarted(t, dir)
	w.done("admin", "PUT", "/v1/storage", w.inS3("unlimited"))
	w.inForce()
	s, _ := w.begin("Cleo <cleo@customer.example>", "support@example.com")
	stored, before := len(w.inBucket("raw/")), w.Addrs.S3
	down(w)
	w = restarted(t, dir)
	defer down(w)
	raw := w.done("supervisor", "GET", rawOf(w.messages(s.ID)[0]), nil).body
	w.check(stored == 1 && strings.Contains(string(raw), "cleo@customer.example"), "S3 at %s had %d mails, at %s %s", before, stored, w.Addrs.S3, raw)
}

func rawOf(m channel.Message) string {
	return "/v1/sessions/" + m.Session + "/messages/" + m.ID + "/raw"
}

// inS3 is the body of PUT /v1/storage for the suite's S3.
func (w *world) inS3(period string) map[string]any {
	return map[string]any{
		"period":      period,
		"destination": map[string]any{"kind": "s3", "bucket": suite.Bucket, "folder": folder, "endpoint": "http://" + w.Addrs.S3, "path_style": true},
		"credentials": map[string]any{"access_key": suite.S3AccessKey, "secret_key": suite.S3SecretKey},
	}
}

type probed struct {
	OK           bool
	Step, Answer string
}

func (w *world) probed(body map[string]any) (p probed) {
	w.t.Helper()
	if err := json.Unmarshal(w.done("admin", "POST", "/v1/storage/test", body).body, &p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) s3() *minio.Client {
	w.t.Helper()
	c, err := minio.New(w.Addrs.S3, &minio.Options{Creds: credentials.NewStaticV4(suite.S3AccessKey, suite.S3SecretKey, ""), BucketLookup: minio.BucketLookupPath, Region: "us-east-1"})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// inBucket lists S3's bucket: objects of the folder whose names begin so, and
// with "" whatever there is.
func (w *world) inBucket(prefix string) (names []string) {
	w.t.Helper()
	if prefix != "" {
		prefix = folder + "/" + prefix
	}
	for o := range w.s3().ListObjects(w.t.Context(), suite.Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			w.t.Fatal(o.Err)
		}
		names = append(names, o.Key)
	}
	return names
}

func (w *world) inS3Object(name string) []byte {
	w.t.Helper()
	o, err := w.s3().GetObject(w.t.Context(), suite.Bucket, folder+"/"+name, minio.GetObjectOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}
