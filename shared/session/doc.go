// Package session decides what may happen to an email session: which state follows which event, when a
// timer falls due, how a session is named, and how its name is signed into a subject line.
//
// It decides; it never stores, sends or reads a clock. Time is an argument, and so are settings, so a
// changed threshold holds for every session from the next question on (SE-7).
//
// # States and moves
//
// [Next] reads one table. This picture is made from that table, and a test holds the two together; a
// move that is not in it is refused with a [*TransitionError].
//
//	stateDiagram-v2
//	  [*] --> unopened : inbound
//	  [*] --> active : start_outbound
//	  unopened --> active : open, outbound
//	  unopened --> unopened : inbound
//	  unopened --> closed : merge
//	  active --> paused : pause, timer_pause
//	  active --> resolved : resolve
//	  active --> active : inbound, outbound
//	  active --> closed : merge
//	  paused --> active : activate, inbound
//	  paused --> closed : timer_close_paused, merge
//	  paused --> paused : outbound
//	  resolved --> active : activate
//	  resolved --> reopened : inbound
//	  resolved --> closed : timer_close_resolved, merge
//	  resolved --> resolved : outbound
//	  closed --> reopened : inbound, outbound
//	  closed --> closed : merge
//	  reopened --> active : open, outbound
//	  reopened --> reopened : inbound
//	  reopened --> closed : merge
//
// A move from [*] is the birth of a session. A self-loop is activity that changes no state.
//
// # Decisions where the rules are silent
//
//   - A day is 24 hours of elapsed time, not a calendar day: a session belongs to no time zone.
//   - At the very instant when its days are over, a timer is due and a window to reopen is shut.
//   - Activity is mail in or out and what agents do to the state ([IsActivity]). Otherwise a session that
//     an agent takes out of a long pause would fall back into it at the next sweep. A timer and a merge
//     are no activity: a close by timer does not prolong the window to reopen, which counts from
//     the last activity as well. With the default days that window is therefore over when a timer closes;
//     whoever wants closed sessions to reopen gives closed_reopen more days than resolved_close.
//   - Answering is opening: an agent's reply to an unopened or reopened session makes it active. A reply
//     to a paused or resolved session leaves it so; only the end user's reply moves those by itself.
//   - An automatic reply is no event: it neither moves a session nor counts as activity.
//   - [Merge] closes the session that the channel folded into another one, from whichever state. Mail that
//     arrives for it later belongs to the other one; the channel follows that link before it asks here.
package session
