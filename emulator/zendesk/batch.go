package zendesk

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Kinds of records in the log.
const (
	kindTicket  = 'T'
	kindComment = 'C' // owner: the ticket
	kindUser    = 'U'
	kindField   = 'F'
	kindUpload  = 'P'
	kindJob     = 'J'
	kindAnswer  = 'A' // owner: Unix time at which its idempotency key expires
	kindKey     = 'K' // owner: the same; the ID is that of the answer
)

// batch is what one request changes: written to the log in one piece, then applied to the state.
type batch struct {
	buf   bytes.Buffer
	apply []func(st *state, base int64)
	err   error
}

// put adds a record; then is called with its place once the batch is on disk.
func (b *batch) put(kind byte, id, owner int64, v any, then func(*state, ref)) {
	body, err := json.Marshal(v)
	if err != nil {
		b.err = err
		return
	}
	fmt.Fprintf(&b.buf, "%c %d %d\t", kind, id, owner)
	at := int64(b.buf.Len())
	b.buf.Write(body)
	b.buf.WriteByte('\n')
	b.apply = append(b.apply, func(st *state, base int64) { then(st, ref{off: base + at, len: int32(len(body))}) })
}

func (b *batch) ticket(t *ticket) {
	b.put(kindTicket, t.ID, 0, t, func(st *state, _ ref) { st.setTicket(t) })
}

func (b *batch) comment(c *comment) {
	b.put(kindComment, c.ID, c.TicketID, c, func(st *state, r ref) { st.addComment(c.ID, c.TicketID, r) })
}

func (b *batch) user(u *user) {
	b.put(kindUser, u.ID, 0, u, func(st *state, _ ref) { st.setUser(u) })
}

func (b *batch) field(f *field) {
	b.put(kindField, f.ID, 0, f, func(st *state, _ ref) { st.fields[f.ID] = f })
}

func (b *batch) upload(u *upload) {
	b.put(kindUpload, u.Attachments[0].ID, 0, u, func(st *state, _ ref) { st.setUpload(u) })
}

func (b *batch) job(j *job) {
	b.put(kindJob, j.Seq, 0, j, func(st *state, r ref) { st.setJob(j, r) })
}

// key adds an idempotency key and the answer that it stands for.
func (b *batch) key(k *key, body json.RawMessage) {
	b.put(kindAnswer, k.Seq, k.Expires.Unix(), body, func(st *state, r ref) { st.answers[k.Seq] = r })
	b.put(kindKey, k.Seq, k.Expires.Unix(), k, func(st *state, _ ref) { st.keep(k) })
}

// commit makes the batch durable and visible; on an error nothing of it is either.
func (s *Server) commit(b *batch) error {
	if b.err != nil {
		return fmt.Errorf("encode a change: %w", b.err)
	}
	b.buf.WriteString("E\n")
	base, err := s.log.append(b.buf.Bytes())
	if err != nil {
		return err
	}
	for _, apply := range b.apply {
		apply(s.state, base)
	}
	return nil
}
