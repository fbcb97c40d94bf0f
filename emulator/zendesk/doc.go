// Package zendesk is the emulator's Zendesk: the part of the Support API that the channel uses, over HTTP.
//
// It decides as Zendesk documents it, on the suite's clock:
//   - a ticket is created with its first comment; a closed ticket refuses every update with 422;
//   - POST /tickets honours Idempotency-Key for two hours: same key and body, same answer; same key and
//     another body, 400;
//   - update_many is a job: the answer says "queued", the change happens when the job is polled or a second later;
//   - safe_update with an old updated_stamp answers 409;
//   - an upload's token lives 60 minutes and is used up by the comment that names it;
//   - the account has a limit per minute, a ticket one of 30 updates in ten minutes: 429 with Retry-After.
//
// Where Zendesk is lenient in a way that would hide a mistake of ours, the fake is strict: an unknown or expired
// upload token, an unknown author, requester or assignee are 422, and every request is held against Zendesk's own
// OpenAPI file when that file is there (Options.Spec): a violation is 400, names the field and is counted.
//
// It never calls out, sends no mail, runs no triggers, and has one account. What it acknowledged is on disk before
// the answer leaves, so a killed process loses nothing; it does not fsync, so a power cut may.
//
// Pages followed: https://developer.zendesk.com/api-reference/ticketing/introduction/ and, below it, tickets,
// ticket_comments, users, ticket-attachments, job_statuses, search, ticket_fields.
package zendesk
