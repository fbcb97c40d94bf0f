// Package sim predicts how long mail would wait and who would have how much to
// do, if it came as it once did and a policy were another (AS-8).
//
// [Run] plays arrivals against a [Scenario], event by event, with the rules of
// production: route.Policy says who may be assigned something, route.Compare
// who is first, package hours when a queue is open and when its day ends. The
// same arrivals, scenario and seed give the same report, byte for byte.
//
// # What is assumed
//
//   - Mail of a queue is assigned oldest first, at once or as soon as somebody
//     qualifies.
//   - An agent is logged in during his working hours; without any, always.
//   - He works on one session at a time, the one assigned first, and begins
//     none outside of his working hours. What he has begun he finishes.
//   - A session counts as open from its assignment until it is done. It is done
//     for good: no customer comes back.
//   - How long a session takes is recorded with its arrival, or drawn. The draw
//     hangs on the seed and the place among the arrivals alone, so that two
//     policies are compared with the same work.
//   - The simulation ends with the last session, and at the latest [After] the
//     last arrival. What waits then is reported as still waiting, and is not
//     among the waits.
//
// Fairness is Jain's index, (Σx)² / (n·Σx²) with x the sessions assigned to each
// of n agents: 1 when all have the same, 1/n when one has all
// (https://arxiv.org/abs/cs/9809099). Percentiles are by nearest rank.
package sim
