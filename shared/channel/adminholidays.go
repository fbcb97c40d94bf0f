package channel

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"emailchannel.dev/emailchannel/shared/hours"
)

// HolidayImport is what an import of holidays did to a queue (QU-6).
type HolidayImport struct {
	Added   []hours.Holiday `json:"added"`
	Present []hours.Holiday `json:"present"` // the queue was closed on those days already
	Skipped []hours.Skipped `json:"skipped"` // with the reason
}

// ImportHolidays adds the holidays of an iCalendar file to a queue. Those that
// it has stay, and the same file a second time changes nothing. A file that is
// no calendar is [*Invalid]. The caller limits its bytes.
func (a *Admin) ImportHolidays(ctx context.Context, queue string, calendar io.Reader) (*HolidayImport, error) {
	if _, err := a.Queue(ctx, queue); err != nil {
		return nil, err
	}
	file, err := io.ReadAll(calendar)
	if err != nil {
		return nil, fmt.Errorf("holidays of queue %s: %w", queue, err)
	}
	holidays, skipped, err := hours.ImportICS(bytes.NewReader(file))
	if err != nil {
		return nil, &Invalid{[]Field{{"calendar", err.Error()}}}
	}
	done := &HolidayImport{Skipped: skipped}
	err = a.save(ctx, thingID{ThingQueue, queue}, func(ctx context.Context, tx *edit, now time.Time) error {
		q, err := get[Queue](ctx, tx, queuePath(queue))
		if err != nil {
			return err
		}
		if q == nil {
			return notFound("queue", queue)
		}
		var with hours.Hours
		with, done.Added, done.Present = q.Hours.Add(holidays)
		if len(done.Added) == 0 {
			return errUnchanged
		}
		var bad Invalid
		bad.merge("hours.", with.Validate())
		if err := bad.err(); err != nil {
			return err
		}
		tx.Patch(queuePath(queue), map[string]any{"hours": with, "updated_at": now})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("holidays of queue %s: %w", queue, err)
	}
	if len(done.Added) == 0 {
		return done, nil
	}
	return done, a.drain(ctx, queue)
}
