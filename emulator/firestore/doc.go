// Package firestore is an embedded Firestore (native mode, Standard edition) that the official clients accept over
// gRPC. It exists so that the emulator suite and the tests need neither Java nor an account, and so that what passes
// here passes in the cloud: where the two could differ, it is as strict as the cloud.
//
// What it promises:
//
//   - Transactions are serializable and pessimistic, the cloud's default: reads lock documents, queries lock the
//     range they read, locks are granted first come, first served, a deadlock ends at once with ABORTED for its
//     youngest transaction. OPTIMISTIC transactions are treated the same. Transactions expire after 60 s idle and
//     270 s in total, on the real clock.
//   - Reads outside of transactions never wait. Read-only transactions and read_time see one moment of the past, as
//     far back as 16 MiB of replaced documents and one hour reach.
//   - With an index file, a query that the cloud would refuse is refused, FAILED_PRECONDITION with the entry to add.
//   - A query reads one contiguous range of an ordered index per disjunction. These physical indexes are made by
//     need and independent of the declared ones; a collection of a few documents is just filtered.
//   - With a directory, an acknowledged commit survives the end of the process at any moment (not of the machine:
//     commits are not synced one by one).
//   - Operations are counted as they would be billed, per caller.
//   - Names, values and requests are held to the published limits, apart from the 40,000 index entries per document.
//
// What it never does: streaming writes (web and mobile clients), pipelines, vector search, security rules, or the real
// service's pace. That a document takes about one sustained write a second in the cloud is a matter of design: this
// package takes as many as it can.
//
// # Layout
//
// A request is compiled (query.go, filter.go, fieldpath.go, name.go; limits.go), checked against the index file
// (declared.go, coverage.go), and evaluated by the store (store.go, run.go) over immutable documents (document.go)
// with the help of indexes (index.go, sorted.go) whose keys order like Firestore's values (orderkey.go,
// wirekey.go). Writes lock
// (lock.go, deadlock.go, intent.go, predictor.go), are evaluated (stage.go, transform.go) and committed (commit.go).
// disk.go, log.go and compact.go persist; history.go keeps the recent past, listen.go watches the present.
package firestore
