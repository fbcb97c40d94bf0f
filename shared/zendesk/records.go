package zendesk

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
)

// Records carries the operations of package crm out on tickets.
type Records struct{ c *Client }

var _ channel.CRM = (*Records)(nil)

// NewRecords makes Records of a client.
func NewRecords(c *Client) *Records { return &Records{c} }

// sessionTag marks the tickets of the channel.
const sessionTag = "emailchannel"

// Create implements channel.CRM. The external ID is the session's, by which a
// ticket is found whose creation was not confirmed.
func (r *Records) Create(ctx context.Context, key string, f crm.Facts, lookup bool) (ticketID string, made bool, err error) {
	if lookup {
		if id, err := r.find(ctx, f.SessionID); err != nil || id != "" {
			return id, false, classify(err)
		}
	}
	t, err := r.c.CreateTicket(ctx, key, ticket(f))
	var api *APIError
	if errors.As(err, &api) && api.Code == "IdempotentRequestError" {
		// Created under this key with the facts of then.
		id, err := r.find(ctx, f.SessionID)
		if err == nil && id == "" { // it is found later, or the key is forgotten
			err = fmt.Errorf("the key of session %s is used, and no ticket is found", f.SessionID)
		}
		return id, false, classify(err)
	}
	if err != nil {
		return "", false, classify(err)
	}
	return strconv.FormatInt(t.ID, 10), true, nil
}

func (r *Records) find(ctx context.Context, session string) (string, error) {
	t, err := r.c.TicketByExternalID(ctx, session)
	if err != nil || t == nil {
		return "", err
	}
	return strconv.FormatInt(t.ID, 10), nil
}

func ticket(f crm.Facts) Ticket {
	subject := f.Subject
	if subject == "" {
		subject = "E-mail from " + f.EndUser
		if f.Started {
			subject = "E-mail to " + f.EndUser
		}
	}
	t := Ticket{
		ExternalID: f.SessionID,
		Subject:    subject,
		Comment:    &Comment{Body: f.Description(), Public: false},
		Tags:       []string{sessionTag, "queue_" + tag(f.Queue)},
		Metadata:   map[string]any{"session": f.SessionID},
	}
	if strings.Contains(f.EndUser, "@") {
		t.Requester = &Requester{Name: f.EndUserName, Email: f.EndUser}
		if t.Requester.Name == "" {
			t.Requester.Name = f.EndUser
		}
	}
	return t
}

// tag makes one word of a name.
func tag(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r < 0x80
	}), "_")
}

// Apply implements channel.CRM with one update_many.
func (r *Records) Apply(ctx context.Context, changes []channel.Change) []error {
	errs := make([]error, len(changes))
	var updates []TicketUpdate
	var index []int
	before := earlier{r: r, jobs: map[string]outcome{}}
	for i, ch := range changes {
		if known, err := before.result(ctx, ch); known {
			errs[i] = classify(err)
			continue
		}
		u, done, err := r.update(ctx, ch)
		if errs[i] = classify(err); err == nil && !done {
			updates, index = append(updates, u), append(index, i)
		}
	}
	if len(updates) == 0 {
		return errs
	}
	results, err := r.run(ctx, updates)
	for _, i := range index {
		id, _ := strconv.ParseInt(changes[i].Ticket, 10, 64)
		errs[i] = classify(err)
		if err == nil {
			errs[i] = result(results[id], id)
		}
	}
	return errs
}

// earlier are the jobs of attempts before.
type earlier struct {
	r    *Records
	jobs map[string]outcome
}

type outcome struct {
	job Job
	err error
}

// result tells what became of a change that a job has. It does not know of a
// job that failed or was forgotten: then the ticket tells.
func (e earlier) result(ctx context.Context, ch channel.Change) (known bool, err error) {
	if ch.Job == "" {
		return false, nil
	}
	o, ok := e.jobs[ch.Job]
	if !ok {
		o.job, o.err = e.r.c.Job(ctx, ch.Job)
		e.jobs[ch.Job] = o
	}
	switch id, _ := strconv.ParseInt(ch.Ticket, 10, 64); {
	case o.err != nil && !gone(o.err) && !errors.Is(classify(o.err), crm.ErrRefused):
		return true, &crm.Unfinished{Job: ch.Job, Err: o.err}
	case o.err != nil || o.job.Finished() && o.job.Status != jobCompleted:
		return false, nil
	case !o.job.Finished():
		return true, &crm.Unfinished{Job: ch.Job, Err: fmt.Errorf("it is %s", o.job.Status)}
	default:
		return true, result(o.job.results()[id], id)
	}
}

// update makes the entry of a change; done when a comment whose answer was
// lost is there already. What Zendesk would not take is refused here, as it
// would refuse the whole batch.
func (r *Records) update(ctx context.Context, ch channel.Change) (u TicketUpdate, done bool, err error) {
	id, err := strconv.ParseInt(ch.Ticket, 10, 64)
	if err != nil {
		return u, false, fmt.Errorf("ticket %q: %w", ch.Ticket, crm.ErrRefused)
	}
	u.ID = id
	if ch.Facts != nil {
		u.Comment = &Comment{Body: ch.Facts.Description(), Public: false}
		u.AdditionalTags = []string{"queue_" + tag(ch.Facts.Queue)}
		if ch.Facts.MergedInto != "" {
			u.Status = StatusSolved
		}
	}
	if ch.Post != nil {
		u.Comment = &Comment{Body: ch.Body, Public: ch.Post.Public}
	}
	if err := checkComment(u.Comment); err != nil || !ch.Lookup {
		return u, false, err
	}
	comments, err := r.c.Comments(ctx, id)
	if gone(err) {
		err = refuse(err)
	}
	return u, err == nil && told(ch, comments), err
}

// told tells whether the comment of a change is there. A description is when
// it is the last of its session: what it says may have been so before.
func told(ch channel.Change, comments []Comment) (there bool) {
	for _, c := range comments {
		switch {
		case ch.Post != nil:
			there = there || ch.Post.In(c.Body)
		case strings.Contains(c.Body, ch.Facts.Mark()):
			there = strings.TrimSpace(c.Body) == strings.TrimSpace(ch.Facts.Description())
		}
	}
	return there
}

const (
	jobPoll = 500 * time.Millisecond
	jobWait = 2 * time.Minute
)

// run waits for the job of an update_many and returns its results by ticket.
func (r *Records) run(ctx context.Context, updates []TicketUpdate) (map[int64]JobResult, error) {
	id, err := r.c.UpdateMany(ctx, updates)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, jobWait)
	defer cancel()
	for {
		job, err := r.c.Job(ctx, id)
		if err != nil {
			return nil, &crm.Unfinished{Job: id, Err: err}
		}
		if job.Finished() {
			return job.results(), nil
		}
		select {
		case <-ctx.Done():
			return nil, &crm.Unfinished{Job: id, Err: ctx.Err()}
		case <-time.After(jobPoll):
		}
	}
}

func result(res JobResult, ticket int64) error {
	switch {
	case res.ID == 0:
		return fmt.Errorf("ticket %d: the job has no result for it", ticket)
	case res.Success:
		return nil
	case res.Temporary():
		return fmt.Errorf("ticket %d: %s %s", ticket, res.Error, res.Details)
	}
	return fmt.Errorf("ticket %d: %s %s: %w", ticket, res.Error, res.Details, crm.ErrRefused)
}

// classify tells refusals from what may succeed later. Refused is what was sent,
// which stays as it is. Everything else is the account's: its suspension, its IP
// allow list, its subdomain, the rights and the credentials of its user are an
// admin's to mend, and until then the operations wait.
func classify(err error) error {
	if err == nil || errors.Is(err, crm.ErrRefused) {
		return err
	}
	var api *APIError
	answered := errors.As(err, &api)
	switch {
	case answered && api.RetryAfter > 0:
		return &crm.RetryAfter{Err: err, After: api.RetryAfter}
	case answered && !api.ofContent(), Temporary(err), errors.As(err, new(*crm.Unfinished)):
		return err
	}
	return refuse(err)
}

func refuse(err error) error { return fmt.Errorf("%w: %w", crm.ErrRefused, err) }
