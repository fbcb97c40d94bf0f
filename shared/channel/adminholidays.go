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
	Present []hours.Holiday `json:"present"`           // the queue, or the folder, had them already
	Removed []hours.Holiday `json:"removed,omitempty"` // those of the folder that the file does not have
	Skipped []hours.Skipped `json:"skipped"`           // with the reason
}

// Holidays lists the holidays of a queue; with a folder, its own.
func (a *Admin) Holidays(ctx context.Context, queue, folder string) ([]hours.Holiday, error) {
	q, err := a.Queue(ctx, queue)
	if err != nil || folder == "" {
		return q.holidays(), err
	}
	in := q.Hours.Folder(folder)
	if len(in) == 0 {
		return nil, notFound("folder of holidays", folder)
	}
	return in, nil
}

func (q *Queue) holidays() []hours.Holiday {
	if q == nil {
		return nil
	}
	return q.Hours.Holidays
}

// ImportHolidays adds the holidays of an iCalendar file to a queue. Without a
// folder those that it has stay; into a folder they take the place of what that
// had. The same file a second time changes nothing. A file that is no calendar
// is [*Invalid]. The caller limits its bytes.
func (a *Admin) ImportHolidays(ctx context.Context, queue, folder string, calendar io.Reader) (*HolidayImport, error) {
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
	if folder != "" {
		if err := badFolder(folder); err != nil {
			return nil, err
		}
		if len(holidays) == 0 { // a wrong file would empty it
			return nil, &Invalid{[]Field{{"calendar", fmt.Sprintf("has no holiday, and %d events that are none: delete the folder to empty it", len(skipped))}}}
		}
	}
	done := &HolidayImport{}
	err = a.changeHours(ctx, queue, func(h hours.Hours) (hours.Hours, bool) {
		*done = HolidayImport{Skipped: skipped}
		if folder == "" {
			h, done.Added, done.Present = h.Add(holidays)
		} else {
			h, done.Added, done.Present, done.Removed = h.Replace(folder, holidays)
		}
		return h, len(done.Added)+len(done.Removed) > 0
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// DeleteHolidays removes a folder of a queue's holidays.
func (a *Admin) DeleteHolidays(ctx context.Context, queue, folder string) error {
	if err := badFolder(folder); err != nil {
		return err
	}
	if _, err := a.Holidays(ctx, queue, folder); err != nil {
		return err
	}
	return a.changeHours(ctx, queue, func(h hours.Hours) (hours.Hours, bool) {
		with, _, _, removed := h.Replace(folder, nil)
		return with, len(removed) > 0
	})
}

func badFolder(name string) error {
	var bad Invalid
	if err := hours.ValidateFolder(name); err != nil {
		bad.add("folder", "%v", err)
	}
	return bad.err()
}

// changeHours saves what f makes of a queue's hours, if it is a change, and has
// its waiting mail looked at again. f may run several times.
func (a *Admin) changeHours(ctx context.Context, queue string, f func(hours.Hours) (hours.Hours, bool)) error {
	changed := false
	err := a.save(ctx, thingID{ThingQueue, queue}, func(ctx context.Context, tx *edit, now time.Time) error {
		q, err := get[Queue](ctx, tx, queuePath(queue))
		if err != nil {
			return err
		}
		if q == nil {
			return notFound("queue", queue)
		}
		var with hours.Hours
		if with, changed = f(q.Hours); !changed {
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
		return fmt.Errorf("holidays of queue %s: %w", queue, err)
	}
	if !changed {
		return nil
	}
	return a.drain(ctx, queue)
}
