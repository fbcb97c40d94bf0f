// Package email turns bytes into a Mail and a Draft into bytes.
//
// # What it decides
//
//   - Parse reads one RFC 5322 message in one pass and keeps what it got. Malformed mail is never an error: each
//     repair and each bound that was reached is named in Mail.Degraded. Attachments are streamed to the caller. An
//     envelope of Outlook (TNEF, winmail.dat) is opened: its files become parts, its text the mail's if there is no
//     other. Encrypted content stays a part, with the reason in Degraded; enclosed mails stay parts too.
//   - Text is UTF-8 whatever was declared: valid UTF-8 wins, then the declared charset, and it is guessed where none
//     is declared or the declared one cannot read a quarter of the text. Paragraphs that were broken into lines only to
//     be sent (format=flowed, RFC 3676) are put together.
//   - Class says what kind of mail it is: bounce, feedback, auto, list, normal (in this order of precedence), and
//     Suppress whether an automatic answer is forbidden (RFC 3834 and the headers in use). Who merely asks for no
//     answer, as Exchange does on people's mail, is not taken for a machine.
//   - Fingerprint is the identity of a mail: a hash of the canonical Message-ID, or of its content where there is none.
//   - Report names each recipient of a bounce with what the servers said about it, and the mail of ours that it is
//     about. It is what somebody wrote, not a proof, and Unsure where only its words make it a bounce and a person may
//     have written them.
//   - Authentication says how far the domain in From is proven: by the results of servers that the caller trusts
//     (RFC 8601), or by DKIM signatures checked here, with DMARC's alignment.
//   - SplitReply and SplitReplyHTML fold the quote below a reply; nothing is ever deleted. FreshText takes both together.
//   - Compose writes a Draft as multipart/mixed{related{alternative}}, only as deep as needed, DKIM-signed on request.
//
// # What it never does
//
// No network, clock, logger or randomness of its own: equal input gives equal output, so a redelivered event
// composes the same bytes again. (The DKIM signature alone carries the time of signing.) It does not sanitise HTML
// for display and does not know which addresses are ours; both belong to the caller.
//
// # Why MIME is walked here and not by go-message
//
// go-message's multipart reader gives up the whole mail at the first bad header line of a part, loses the parts after
// a child without its closing boundary, and stops a base64 body at the first foreign byte. Real mail has all three
// (see the corpus tests), so reading works on lines with a stack of boundaries, and go-message composes only.
package email
