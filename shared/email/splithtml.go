package email

import "strings"

// SplitReplyHTML separates the HTML that the sender wrote now from the quote of earlier mail below it, as SplitReply
// does for text and by the same rules. Nothing is deleted: fresh begins with the input up to the fold, quoted ends with
// the input from the fold on. So that each can be shown by itself, fresh also ends with the end tags of what is open at
// the fold, and quoted begins with their start tags. Without a fold, fresh is the input and quoted is "".
//
// Beside the words (attribution lines, header blocks, separators) it knows the marks that programs leave in their HTML:
// Gmail, Outlook in all its forms, Apple, Thunderbird, Yahoo, Proton, Zoho, Zimbra, GMX and others. The result is not
// sanitised.
func SplitReplyHTML(html string) (fresh, quoted string) {
	at, ok := foldHTML(html)
	if !ok {
		return html, ""
	}
	open, ok := openElements(html, at)
	if !ok {
		return html, ""
	}
	var ends, starts strings.Builder
	for i := len(open) - 1; i >= 0; i-- {
		ends.WriteString("</" + open[i].name + ">")
	}
	for _, e := range open {
		starts.WriteString(e.raw)
	}
	return html[:at] + ends.String(), starts.String() + html[at:]
}

// FreshText is the text of m that its sender wrote now: SplitReply's, or where no words tell the quote, what stands above
// the marks that programs leave in their HTML.
func FreshText(m *Mail) string {
	fresh, quoted := SplitReply(m.Text)
	if quoted != "" || m.HTML == "" {
		return fresh
	}
	html, quoted := SplitReplyHTML(m.HTML)
	if quoted == "" {
		return fresh
	}
	above := strings.TrimSpace(TextFromHTML(html))
	if above == "" || !strings.HasPrefix(strings.TrimSpace(m.Text), above) {
		return fresh // the two forms of the mail say different things
	}
	return above
}

// foldHTML finds the offset at which the quote begins.
func foldHTML(html string) (at int, ok bool) {
	lines := htmlLines(html)
	if lines == nil {
		return 0, false
	}
	texts, shown := make([]string, len(lines)), make([]string, len(lines))
	for i, l := range lines {
		texts[i], shown[i] = l.text, l.text
		if l.image && strings.TrimSpace(l.text) == "" {
			shown[i] = "[image]"
		}
	}
	f := folder{lines: texts, tail: lastUnquoted(texts)}
	for i, l := range lines {
		begin, ok := i, f.marked(i, l.mark)
		if !ok {
			begin, ok = f.quoteAt(i)
		}
		if !ok {
			continue
		}
		begin = foldAbove(shown, begin)
		return lines[begin].at, strings.TrimSpace(strings.Join(shown[:begin], "")) != ""
	}
	return 0, false
}

// marked tells whether the mark of line i makes it certain that a quote begins there.
func (f *folder) marked(i int, m mark) bool {
	switch m {
	case markRest:
		return true
	case markQuote:
		next := i
		for next < len(f.lines) && !isQuoted(f.lines[next]) {
			next++
		}
		return next == len(f.lines) || f.tail < next // no answers between or below
	case markBorder:
		return f.namesFields(i)
	}
	return false
}

// namesFields: three of the next lines look like header fields, in whatever language.
func (f *folder) namesFields(i int) bool {
	fields, seen := 0, 0
	for ; i < len(f.lines) && seen < 6; i++ {
		l := strings.TrimSpace(f.lines[i])
		if l == "" {
			continue
		}
		seen++
		if at := strings.IndexAny(l, ":："); at > 0 && at <= 40 {
			fields++
		}
	}
	return fields >= 3
}
