// Package zendesk is the client of the Zendesk Support API.
//
// It carries out single calls and decides nothing about tickets: which operations a session needs is crm's matter,
// when they are sent is flush's. It never sleeps and never repeats a call. What it knows of the server's limits it
// turns into errors: after a 429, or once the server says that no request is left in this minute, further calls
// fail at once with the same *APIError until the time has come, so that a queue of operations does not run into
// the wall one by one.
//
// A failed call is one of three:
//   - Temporary(err): 429, 409, 5xx, or no answer. Without an answer the effect may have happened; look it up
//     (TicketByExternalID, Comments) before sending again. CreateTicket with the same key and the same ticket may
//     simply be repeated within two hours.
//   - ErrBadCredentials: every call will fail until an admin changes the settings.
//   - anything else: this call is refused for good; *APIError tells why.
//
// Records refuses an operation for what it says (400, 413, 422) or because its ticket is gone. 301, 402, 403 and 404
// of a call are the account's: a suspension or a wrong subdomain parks nothing.
//
// Tokens, addresses and texts are never part of an error that this package makes; Description and Details are the
// server's words and may quote a value.
//
// Pages followed: https://developer.zendesk.com/api-reference/ticketing/introduction/ and the pages of tickets,
// ticket_comments, users, ticket-attachments, job_statuses and ticket_fields below it.
package zendesk
