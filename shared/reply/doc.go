// Package reply decides when an end user's mail gets an automatic reply (AR-3), how many an address may get
// (AR-6), and what its text says: it fills the tags of a template (AR-5) and of an agent's signature (SG-1).
//
// It never sends, never reads a clock, and does not know which mail is automatic; package email tells that.
//
// # Tags
//
// A tag is written @{name}. A template that names another one is refused when it is saved ([Validate]).
//
//	@{consumer}           the end user's first name           customer, pelanggan, client, Kundin/Kunde
//	@{agent}              the agent's first name              our team, tim kami, notre équipe, unser Team
//	@{date}               today in the queue's time zone      21 November 2026, 21. November 2026 in German
//	@{time}               now in the queue's time zone        14:05, in Indonesian 14.05
//	@{queue}              the queue's name                    customer service, layanan pelanggan, …
//	@{company}            the company's name                  our company, perusahaan kami, …
//	@{next_working_date}  the queue's next working date       the next working day, hari kerja berikutnya, …
//	@{ticket_id}          the CRM's ticket                    not yet assigned, belum tersedia, …
//
// The right column shows the fallback where there is no value, in English, Indonesian, French and German;
// file texts.go has them all. Any other language falls back to English.
// An answer with @{ticket_id} waits for the CRM to make the ticket, five minutes at the most; without a CRM, or
// where mail that comes in gets no record, it has the fallback at once.
// Signatures have @{agent}, the agent's name, @{company}, and @{alias}, the agent's address.
//
// # Values are strangers' text
//
// The end user's name comes from a mail's From line, which anybody can write. A value therefore is escaped
// for where it stands: as text, in a quoted attribute, or as part of an address in href and its like, where
// it can never bring its own scheme. Elsewhere in markup no tag is allowed. A template is read once: a
// value that looks like a tag stays text. A name that is no plausible first name is left out ([FirstName]),
// so that nobody has the channel send an advertisement to a third person in its greeting.
package reply
