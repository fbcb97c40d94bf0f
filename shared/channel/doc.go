// Package channel holds the use cases of the e-mail channel, one type each:
// [Poll] fetches mail, [Receive] makes sessions of it, [Assign] gives them to
// agents, [Respond] writes auto-responses, [Send] delivers, [Record] and
// [Flush] tell the CRM, [Sweep] moves what fell due and resumes what got
// stuck, [Count] adds up the reports, [Desk] is the agents' work and [Admin] the
// settings. [Purge] deletes what is over its storage period, [Erase] what was
// stored of an end user, and [Remail] processes archived mail once more.
//
// # How nothing is lost and nothing happens twice
//
// Every use case runs at least once for its event, may run twice at the same
// time, and may end between any two steps. Three rules make that harmless:
//
//  1. What a use case decides, it writes in one transaction, under IDs derived
//     from its input: the fingerprint of the mail, the ID of the event. The
//     transaction begins by looking whether that was done already.
//  2. An event is published after the commit. The history entry that it tells
//     of carries the time from which it counts as overdue; publishing clears
//     it, and Sweep publishes what is still overdue. So the history is the
//     outbox, and a lost publish costs minutes, never mail.
//  3. An effect that cannot be taken back is claimed in a transaction first:
//     a mail between the server's go-ahead and the first byte of its content,
//     a CRM operation by its key. What was claimed and not confirmed is
//     looked up, or shown to people, but not repeated.
//
// An agent's idempotency key stands for what he asked for: the same request gets
// the first answer again, also when it would make another mail by now, and
// another request under the key is a [*Conflict].
//
// What only one may do at a time (poll an account, flush, count, log in to all
// accounts) holds a [Lease]. It is renewed for as long as the work takes, runs
// out soon after its holder died, and ends the work of one who lost it.
//
// Named steps ([fault.Step]) mark the places where the emulator's fault switch
// ends a function; the tests do so at each of them.
//
// # Where mail goes
//
// Which session a mail joins is package thread's decision. One that begins a
// session is for the account that it came to. If it names several of ours, and
// that account among them, it is for the first that it names, To before Cc,
// whose queue is served: whose mailbox is polled first does not matter. A mail
// of ours that arrives at another queue than it was sent from is that queue's
// mail too, in a session linked to the first. What a mailbox had before its
// account was added makes sessions like any mail, but is not answered by a
// machine.
//
// An agent who no longer serves a queue loses his sessions in it, and those that
// are open wait for another. Closed ones keep agent and queue. When one opens
// again it goes to the queue that takes the mail by then if its own is gone, and
// to its agent only if he still serves that.
//
// A ticket is in the CRM that the settings named when it was made. Once they name
// another host, nothing is written to it: a session that goes on gets a new
// ticket there, and what is left for the old one is parked with the reason.
//
// # Runs over many documents
//
// Sweep, Purge and the removal of a queue or an agent find their documents by
// an index, and read pages of them, each behind the last document of the one
// before. So memory does not grow with what is due, and a document that fails
// is passed over and told of: it is neither read again in this run nor in the
// way of others, and the next run finds it. Each run has a bound of time. A
// session that is due is read once, by the query that finds it, and written on
// condition that nobody changed it since: of two sweeps at the same time one
// moves it, and an agent who is faster than both keeps it.
//
// # Documents
//
//	settings/channel                 Settings, one document
//	accounts/{id}                    Account;  accounts/{id}/folders/{name}  Cursor;  accounts/{id}/reconciliations/{name}
//	queues/{id}  agents/{id}  teams/{id}
//	audit/{id}                       Audit: one change of one of the above
//	mails/{fingerprint}              Mail: dedupe key, threading index, tombstone
//	sessions/{id}                    Session, with messages/{fingerprint}, history/{id} and viewers/{agent}
//	outbound/{id}                    Outbound: a mail on its way out
//	files/{id}                       Upload: a file that waits to be sent
//	records/{session}                CRMRecord;  crmops/{id}  Operation
//	quarantine/{source}              Quarantined;  deadletters/{id}  DeadLetter
//	erasures/{id}                    Erasure, a receipt, with items/{id}  ErasedItem
//	logins/{account}                 Login: the last to both servers;  discards/{secret}  Discard
//	reports/{digest}                 ReportLine;  counted/{session}  what it has added to them
//	leases/{name}                    Lease
package channel
