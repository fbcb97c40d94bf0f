package email

// SplitReply separates what the sender wrote now from the quote of earlier mail below it.
func SplitReply(text string) (fresh, quoted string) { return text, "" }
