// Package hours answers when a queue works (QU-6): whether it is open, when it opens next, which date is its
// next working date, and on which calendar day of the queue an instant falls.
//
// It reads no clock; now is an argument, of any time zone. Settings are checked once, by [Hours.Validate],
// when they are saved; afterwards every question has an answer.
//
// # Rules
//
//   - Hours are wall-clock hours in the queue's IANA zone. An interval is half-open: open at From, closed
//     at To. To may be 24:00; a night shift is two intervals, one on each day.
//   - When clocks go forward, the skipped hour does not exist: 02:00–05:00 begins at 03:00 that day, and
//     02:00–03:00 does not take place. When clocks go back, the repeated hour is open both times.
//   - A week without intervals is open around the clock. A queue that is never open is one that is off.
//   - A holiday closes its whole calendar day, also in a week without intervals. A recurring one does so
//     every year on the same month and day; 29 February therefore in leap years only.
//   - Holidays may lie in folders, such as one for a country and a year, which are shown, replaced by an
//     import and removed as one. A date that is in several is closed while it is in any.
//   - A working date is a date with at least one interval that is no holiday.
//   - Without a zone, the zone is UTC. The time zone database is part of the program.
package hours
