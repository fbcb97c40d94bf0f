package email

// Limits bounds the work for one mail. What lies beyond a bound is left out of the Mail and named in Mail.Degraded
// as "limit:bytes", "limit:parts" and so on; the archived raw mail still has it.
type Limits struct {
	Bytes       int64 // of the raw mail that are read
	Parts       int   // leaf parts: texts, attachments and inline files, those in Outlook envelopes too
	Depth       int   // nesting of multiparts, and of messages in an Outlook envelope; a deeper one becomes an attachment as it is
	HeaderBytes int   // of one header block, the mail's or a part's
	Links       int   // link targets that are kept when text is made from HTML
	TextBytes   int   // of Mail.Text and of Mail.HTML, each
}

// DefaultLimits are the bounds for mail of up to 25 MB of attachments (about 35 MB encoded).
func DefaultLimits() Limits {
	return Limits{Bytes: 64 << 20, Parts: 1000, Depth: 20, HeaderBytes: 256 << 10, Links: 2000, TextBytes: 1 << 20}
}

// withDefaults replaces every bound that is not positive, so that the zero Limits is usable and never unbounded.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	if l.Bytes <= 0 {
		l.Bytes = d.Bytes
	}
	for _, f := range []struct {
		have *int
		want int
	}{{&l.Parts, d.Parts}, {&l.Depth, d.Depth}, {&l.HeaderBytes, d.HeaderBytes}, {&l.Links, d.Links}, {&l.TextBytes, d.TextBytes}} {
		if *f.have <= 0 {
			*f.have = f.want
		}
	}
	return l
}
