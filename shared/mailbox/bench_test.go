package mailbox_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"emailchannel.dev/emailchannel/shared/mailbox"
)

func report(b *testing.B, mails int) {
	b.ReportMetric(float64(mails)/b.Elapsed().Seconds(), "mails/s")
}

// BenchmarkSend is SMTP delivery of small mails by four senders over pooled connections.
func BenchmarkSend(b *testing.B) {
	s := start(b)
	sender := mailbox.NewSender(s.Dialer)
	defer sender.Close()
	var n atomic.Int64
	b.SetParallelism(2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e := mailbox.Envelope{From: "a@example.com", To: []string{fmt.Sprintf("%d@example.com", n.Add(1)%50)}}
			if _, err := sender.Send(context.Background(), s.smtp, login(), e, strings.NewReader(raw(1))); err != nil {
				b.Error(err)
			}
		}
	})
	report(b, b.N)
}

// BenchmarkFetch reads a mailbox of 2,000 small mails; an operation is one mail.
func BenchmarkFetch(b *testing.B) {
	const mails = 2000
	s := start(b)
	s.fill(b, 1, mails)
	b.ResetTimer()
	for n := 0; n < b.N; {
		limit := min(mails, b.N-n)
		_, err := s.Fetch(context.Background(), s.imap, login(), "INBOX", mailbox.Cursor{}, limit, func(_ context.Context, item mailbox.Item) error {
			_, err := io.Copy(io.Discard, item.Body)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		n += limit
	}
	report(b, b.N)
}
