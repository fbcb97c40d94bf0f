package zendesk

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// state is what is kept in memory: everything but the comments' text, the answers kept for idempotency keys and
// the files. 20,000 tickets take some 15 MB.
type state struct {
	tickets      map[int64]*ticket
	byExternal   map[string][]int64 // external IDs are not unique in Zendesk
	byUser       map[int64][]int64  // tickets by requester
	comments     map[int64][]ref    // by ticket, in order
	users        map[int64]*user
	byEmail      map[string]int64
	byUserExt    map[string]int64
	fields       map[int64]*field
	uploads      map[string]*upload
	uploadsSwept time.Time
	jobs         map[string]ref
	pending      []*job
	keys         map[string]keptKey
	answers      map[int64]ref // while a key is taken into use: the place of its answer
	keysSwept    int           // how many were left by the last sweep
	updates      map[int64][]time.Time

	lastTicket, lastComment, lastUser, lastField, lastFile, lastSeq int64
}

// IDs start apart, so that one passed for another is not found.
func newState() *state {
	return &state{
		tickets: map[int64]*ticket{}, byExternal: map[string][]int64{}, byUser: map[int64][]int64{},
		comments: map[int64][]ref{}, users: map[int64]*user{}, byEmail: map[string]int64{}, byUserExt: map[string]int64{},
		fields: map[int64]*field{}, uploads: map[string]*upload{}, jobs: map[string]ref{}, keys: map[string]keptKey{}, answers: map[int64]ref{},
		updates:     map[int64][]time.Time{},
		lastComment: 1_000_000_000, lastUser: 360_000_000, lastField: 24_000_000, lastFile: 500_000_000,
	}
}

// nextUser takes an ID at once: a batch may make several users.
func (st *state) nextUser() int64 {
	st.lastUser++
	return st.lastUser
}

func (st *state) setTicket(t *ticket) {
	if old := st.tickets[t.ID]; old != nil {
		st.unindex(old)
	}
	st.tickets[t.ID] = t
	st.lastTicket = max(st.lastTicket, t.ID)
	st.byUser[t.RequesterID] = append(st.byUser[t.RequesterID], t.ID)
	if t.ExternalID != nil {
		st.byExternal[*t.ExternalID] = append(st.byExternal[*t.ExternalID], t.ID)
	}
}

func (st *state) unindex(t *ticket) {
	without := func(ids []int64) []int64 { return slices.DeleteFunc(ids, func(id int64) bool { return id == t.ID }) }
	st.byUser[t.RequesterID] = without(st.byUser[t.RequesterID])
	if t.ExternalID != nil {
		st.byExternal[*t.ExternalID] = without(st.byExternal[*t.ExternalID])
	}
}

func (st *state) addComment(id, ticketID int64, r ref) {
	st.comments[ticketID] = append(st.comments[ticketID], r)
	st.lastComment = max(st.lastComment, id)
}

func (st *state) setUser(u *user) {
	if old := st.users[u.ID]; old != nil {
		delete(st.byEmail, strings.ToLower(old.Email))
		if old.ExternalID != nil {
			delete(st.byUserExt, strings.ToLower(*old.ExternalID))
		}
	}
	st.users[u.ID] = u
	st.lastUser = max(st.lastUser, u.ID)
	if u.Email != "" {
		st.byEmail[strings.ToLower(u.Email)] = u.ID
	}
	if u.ExternalID != nil {
		st.byUserExt[strings.ToLower(*u.ExternalID)] = u.ID
	}
}

func (st *state) userByEmail(email string) *user { return st.users[st.byEmail[strings.ToLower(email)]] }

func (st *state) setUpload(u *upload) {
	for _, a := range u.Attachments {
		st.lastFile = max(st.lastFile, a.ID)
	}
	if u.Used {
		delete(st.uploads, u.Token)
		return
	}
	st.uploads[u.Token] = u
}

// load opens the log and builds the state from the last version of each record.
func load(path string, now time.Time) (*appendLog, *state, error) {
	st := newState()
	latest := map[identity]record{}
	log, err := openLog(path, func(r record) { st.note(r, latest, now) })
	if err != nil {
		return nil, nil, err
	}
	for _, r := range latest {
		if err := st.restore(log, r); err != nil {
			return nil, nil, err
		}
	}
	for _, ids := range st.byExternal {
		slices.Sort(ids)
	}
	for _, ids := range st.byUser {
		slices.Sort(ids)
	}
	slices.SortFunc(st.pending, func(a, b *job) int { return cmp.Compare(a.Seq, b.Seq) })
	return log, st, nil
}

type identity struct {
	kind byte
	id   int64
}

// note remembers where a record's latest version is. Of the large ones, which are never changed, the place is all
// that is kept; what has expired is not read at all.
func (st *state) note(r record, latest map[identity]record, now time.Time) {
	switch r.kind {
	case kindComment:
		st.addComment(r.id, r.owner, r.ref)
		return
	case kindAnswer, kindKey:
		st.lastSeq = max(st.lastSeq, r.id)
		if now.Unix() >= r.owner {
			return
		}
	}
	if r.kind == kindAnswer {
		st.answers[r.id] = r.ref
		return
	}
	latest[identity{r.kind, r.id}] = r
}

func (st *state) restore(log *appendLog, r record) error {
	switch r.kind {
	case kindTicket:
		return restoreAs(log, r, func(t *ticket) { st.setTicket(t) })
	case kindUser:
		return restoreAs(log, r, func(u *user) { st.setUser(u) })
	case kindField:
		return restoreAs(log, r, func(f *field) { st.fields[f.ID] = f; st.lastField = max(st.lastField, f.ID) })
	case kindUpload:
		return restoreAs(log, r, func(u *upload) { st.setUpload(u) })
	case kindJob:
		return restoreAs(log, r, func(j *job) { st.setJob(j, r.ref) })
	case kindKey:
		return restoreAs(log, r, func(k *key) { st.keep(k) })
	}
	return nil
}

func restoreAs[T any](log *appendLog, r record, set func(*T)) error {
	v := new(T)
	if err := log.read(r.ref, v); err != nil {
		return err
	}
	set(v)
	return nil
}
