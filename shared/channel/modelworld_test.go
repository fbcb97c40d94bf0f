package channel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
)

var errOutage = errors.New("outage")

// parcel is an event on its way to one consumer.
type parcel struct {
	to string // receive, assign, drain or respond
	m  event.Message
}

// carrier is the bus, with the filters of the subscriptions; what it carries arrives when the test says so.
type carrier struct {
	mu      sync.Mutex
	down    bool
	parcels []parcel
}

func (c *carrier) Publish(_ context.Context, topic string, ms ...event.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return errOutage
	}
	for _, m := range ms {
		switch topic {
		case event.TopicReceived:
			c.parcels = append(c.parcels, parcel{"receive", m})
		case event.TopicQueue:
			c.parcels = append(c.parcels, parcel{"drain", m})
		case event.TopicSession:
			if m.Attributes["waiting"] != "" {
				c.parcels = append(c.parcels, parcel{"assign", m})
			}
			if m.Attributes["scenario"] != "" {
				c.parcels = append(c.parcels, parcel{"respond", m})
			}
		}
	}
	return nil
}

// flaky is a database whose next transaction fails, before it was committed or after: then the caller cannot tell.
// Lanes of one use case may write at the same time: one of them meets the trouble.
type flaky struct {
	channel.Docs
	before, after atomic.Bool
	committed     atomic.Int32
}

func (f *flaky) Update(ctx context.Context, do func(context.Context, channel.Tx) error) error {
	if f.before.Swap(false) {
		return errOutage
	}
	if err := f.Docs.Update(ctx, do); err != nil {
		return err
	}
	f.committed.Add(1)
	if f.after.Swap(false) {
		return errOutage
	}
	return nil
}

// trouble is what goes wrong in one step.
type trouble struct {
	before, after, down bool
	crash               int // at this step, from 1; 0: at none
}

func (t trouble) none() bool { return t == trouble{} }

// world is the real channel: the use cases over the embedded Firestore, in which the indexes are enforced.
type world struct {
	*desks
	docs  *flaky
	bus   *carrier
	step  time.Time
	ticks int
}

func newWorld(d *desks) *world {
	w := &world{desks: d, docs: &flaky{Docs: d.docs}, bus: &carrier{}, step: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	return w
}

// clock stands still for a step but for a little at each look: what happens later in a step has a later time.
func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ticks++
	return w.step.Add(time.Duration(w.ticks) * 50 * time.Microsecond)
}

// pass begins the next step, a second later and as much more as is said.
func (w *world) pass(more time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.step, w.ticks = w.step.Add(time.Second+more), 0
}

// config is read afresh in each step, as an instance of a function does that has just started.
func (w *world) config() *channel.Configuration { return channel.NewConfiguration(w.desks.docs) }

func (w *world) agents() *channel.Desk {
	return &channel.Desk{Docs: w.docs, Archive: w.archive, Bus: w.bus, Secrets: w.secrets, Config: w.config(), Now: w.clock}
}

func (w *world) admins() *channel.Admin {
	return &channel.Admin{Docs: w.desks.docs, Secrets: w.secrets, Bus: w.bus, Mail: deskMail{}, Schedule: w.schedule, Now: w.clock}
}

// try runs f with a trouble. The transactions that it committed and whether it came to its end are told.
func (w *world) try(t trouble, f func(ctx context.Context) error) (committed int, err error) {
	w.docs.before.Store(t.before)
	w.docs.after.Store(t.after)
	w.docs.committed.Store(0)
	w.bus.down = t.down
	var steps atomic.Int32
	ctx := fault.WithSteps(w.Context(), func(string) {
		if n := int(steps.Add(1)); t.crash > 0 && n >= t.crash { // all lanes end, not only the first that comes by
			runtime.Goexit()
		}
	})
	err = errOutage // unless f returns
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = f(ctx)
	}()
	<-done
	w.docs.before.Store(false)
	w.docs.after.Store(false)
	w.bus.down = false
	return int(w.docs.committed.Load()), err
}

// letterIn is a mail of a customer.
type letterIn struct {
	id, parent, from, queue string // parent is a fingerprint
	answers                 string // its parent's Message-ID
	auto                    bool
	n                       int
}

func (l letterIn) fingerprint() string { return email.Fingerprint(l.id) }

// post puts a mail into the archive and its event on the way.
func (w *world) post(l letterIn) {
	var b strings.Builder
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s@example.com>\r\nSubject: Number %d\r\nMessage-ID: <%s>\r\n", l.from, l.queue, l.n, l.id)
	if l.answers != "" {
		fmt.Fprintf(&b, "In-Reply-To: <%s>\r\nReferences: <%s>\r\n", l.answers, l.answers)
	}
	if l.auto {
		b.WriteString("Auto-Submitted: auto-replied\r\n")
	}
	b.WriteString("\r\nHello.\r\n")
	src := event.Source{Account: l.queue, Folder: "INBOX", UIDValidity: 1, UID: uint32(l.n)}
	object := "raw/" + src.Key() + ".eml"
	if err := w.archive.Put(w.Context(), object, "message/rfc822", strings.NewReader(b.String())); err != nil {
		w.Fatal(err)
	}
	w.bus.parcels = append(w.bus.parcels, parcel{"receive", event.Encode(event.Received{Source: src, Object: object, ReceivedAt: w.clock(), Size: int64(b.Len())})})
}

// sessions reads all sessions.
func (w *world) sessions() map[string]channel.Session {
	out := map[string]channel.Session{}
	all[channel.Session](w, channel.Query{Collection: "sessions"}, func(s channel.Session) { out[s.ID] = s })
	return out
}

func all[T any](w *world, q channel.Query, each func(T)) {
	err := w.desks.docs.Find(w.Context(), q, func(_ string, decode func(any) error) error {
		var v T
		if err := decode(&v); err != nil {
			return err
		}
		each(v)
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

func decoded[T any](w *world, m event.Message) T {
	var v T
	if err := json.Unmarshal(m.Data, &v); err != nil {
		w.Fatal(err)
	}
	return v
}
