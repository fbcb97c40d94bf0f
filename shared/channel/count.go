package channel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/report"
)

// Count keeps the lines of the reports (AG-6). It looks at the sessions that
// changed since it last did, takes away what each added before and adds what
// it adds now. The lines and what a session has added are written in one
// transaction, so that each change counts once, however often it is looked at.
//
// A mail's way costs nothing more for it: about three reads and two writes for
// a session that changed between two runs, however often it did.
type Count struct {
	Docs   Docs
	Config *Configuration
	Now    Clock
}

// ReportLine is one line of the finest report: reports/{digest}.
type ReportLine struct {
	Day   string `json:"day"` // "": of the present
	Queue string `json:"queue"`
	Agent string `json:"agent"`
	report.Counts
}

func (l ReportLine) key() report.Key { return report.Key{Day: l.Day, Queue: l.Queue, Agent: l.Agent} }

// counted is what a session has added so far: counted/{session}.
type counted struct {
	Version time.Time    `json:"version"` // of the session, that is in it
	Lines   []ReportLine `json:"lines"`
}

// countedUntil is how far the count has got: reports/until.
type countedUntil struct {
	At time.Time `json:"at"`
}

const (
	reportUntilPath = "reports/until"
	countFor        = 2 * time.Minute
	// countAgain is how far back a run looks behind the end of the one before: a transaction that took its time
	// earlier may have been committed later.
	countAgain = 5 * time.Minute
	countChunk = 50 // sessions of one transaction
)

func countedPath(session string) string { return "counted/" + session }

func reportPath(k report.Key) string { return "reports/" + digest(k.Day, k.Queue, k.Agent) }

// Handle counts what changed. One run counts at a time; another returns at once.
func (c *Count) Handle(ctx context.Context) error {
	cat, err := c.Config.Load(ctx)
	if err != nil {
		return err
	}
	err = locked(ctx, c.Docs, c.Now, "reports", func(ctx context.Context) error { return c.run(ctx, cat) })
	if errors.Is(err, errBusy) {
		return nil
	}
	return err
}

func (c *Count) run(ctx context.Context, cat *Catalog) error {
	have, err := get[countedUntil](ctx, c.Docs, reportUntilPath)
	if err != nil {
		return err
	}
	q := Query{Collection: "sessions", Order: []Order{{Field: "updated_at"}}, Limit: pageSize}
	if have != nil {
		q.Where = []Where{{"updated_at", ">=", have.At.Add(-countAgain)}}
	}
	began := c.Now().UTC()
	for until := time.Now().Add(countFor); time.Now().Before(until); {
		page, next, err := onePage[Session](ctx, c.Docs, q)
		if err != nil {
			return fmt.Errorf("count: %w", err)
		}
		for chunk := range slices.Chunk(page, countChunk) {
			if err := c.chunk(ctx, cat, chunk); err != nil {
				return fmt.Errorf("count %d sessions from %s: %w", len(chunk), chunk[0].id, err)
			}
		}
		if len(page) < pageSize {
			return c.until(ctx, began)
		}
		if last := page[len(page)-1].v.UpdatedAt; last.Before(began) {
			if err := c.until(ctx, last); err != nil {
				return err
			}
		}
		q.After = next
	}
	return nil
}

func (c *Count) until(ctx context.Context, at time.Time) error {
	return c.Docs.Write(ctx, func(tx Tx) { tx.Set(reportUntilPath, countedUntil{at}) })
}

// chunk counts sessions as they were read. One that changed since is found by
// the next run, and one that was counted as it was later stays so.
func (c *Count) chunk(ctx context.Context, cat *Catalog, sessions []found[Session]) error {
	return c.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		before, refs := make([]counted, len(sessions)), make([]*Ref, len(sessions))
		for i, d := range sessions {
			refs[i] = &Ref{Path: countedPath(d.id), Into: &before[i]}
		}
		if err := tx.Get(ctx, refs...); err != nil {
			return err
		}
		change := report.Sum{}
		for i, d := range sessions {
			if !d.version.After(before[i].Version) {
				refs[i] = nil
				continue
			}
			now := d.v.adds(cat)
			for k, n := range now.Less(before[i].sum()) {
				change.Add(k, n, 1)
			}
			before[i] = counted{Version: d.version, Lines: lines(now)}
		}
		if err := add(ctx, tx, change.Less(nil)); err != nil {
			return err
		}
		for i, ref := range refs {
			if ref != nil {
				tx.Set(ref.Path, before[i])
			}
		}
		return nil
	})
}

// add adds to the stored lines.
func add(ctx context.Context, tx Tx, change report.Sum) error {
	keys := slices.Collect(maps.Keys(change))
	have, refs := make([]ReportLine, len(keys)), make([]*Ref, len(keys))
	for i, k := range keys {
		refs[i] = &Ref{Path: reportPath(k), Into: &have[i]}
	}
	if err := tx.Get(ctx, refs...); err != nil {
		return err
	}
	for i, k := range keys {
		have[i].Day, have[i].Queue, have[i].Agent = k.Day, k.Queue, k.Agent
		have[i].Add(change[k], 1)
		if have[i].Counts == (report.Counts{}) {
			tx.Delete(refs[i].Path)
			continue
		}
		tx.Set(refs[i].Path, have[i])
	}
	return nil
}

func (c counted) sum() report.Sum {
	out := report.Sum{}
	for _, l := range c.Lines {
		out.Add(l.key(), l.Counts, 1)
	}
	return out
}

func lines(s report.Sum) []ReportLine {
	var out []ReportLine
	for k, c := range s {
		out = append(out, ReportLine{k.Day, k.Queue, k.Agent, c})
	}
	return out
}

// adds is what the session adds to the reports; one that was merged is counted
// with the other.
func (s *Session) adds(cat *Catalog) report.Sum {
	if s.MergedInto != "" {
		return nil
	}
	return report.Of(report.Facts{
		State: s.State, Queue: s.Queue, Agent: s.Agent, Started: s.Outbound, CreatedAt: s.CreatedAt,
		AnsweredAt: s.AnsweredAt, AnsweredBy: s.AnsweredBy, ResolvedAt: s.ResolvedAt, Handling: time.Duration(s.Handling) * time.Second,
	}, cat.ByQueue[s.Queue].Hours.Day)
}
