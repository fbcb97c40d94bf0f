package zendesk_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/zendesk"
)

// An account that is suspended, moved, or closed to us or to our address parks nothing: only what is sent is refused for good.
func TestOnlyContentIsRefused(t *testing.T) {
	for status, refused := range map[int]bool{
		301: false, 401: false, 402: false, 403: false, 404: false, 408: false, 410: false, 429: false, 500: false,
		400: true, 413: true, 422: true,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			r := zendesk.NewRecords(against(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"error":{"title":"No help desk here","message":"X"}}`)
			}))
			_, _, created := r.Create(t.Context(), "k", crm.Facts{SessionID: "S"}, false)
			updated := r.Apply(t.Context(), []channel.Change{{Ticket: "1", Facts: &crm.Facts{SessionID: "A"}}})[0]
			looked := r.Apply(t.Context(), []channel.Change{{Ticket: "1", Facts: &crm.Facts{SessionID: "A"}, Lookup: true}})[0]
			for call, err := range map[string]error{"create": created, "update": updated, "look-up": looked} {
				if err == nil || errors.Is(err, crm.ErrRefused) != refused {
					t.Errorf("%s: %v, refused for good, not %t", call, err, refused)
				}
			}
		})
	}
}

// A job whose state cannot be read is still the account's, and is asked for again; one that is forgotten is not.
func TestAJobIsKeptWhileTheAccountIsClosed(t *testing.T) {
	r := zendesk.NewRecords(against(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	err := r.Apply(t.Context(), []channel.Change{{Ticket: "1", Facts: &crm.Facts{SessionID: "A"}, Lookup: true, Job: "J1"}})[0]
	if unfinished := (*crm.Unfinished)(nil); !errors.As(err, &unfinished) || unfinished.Job != "J1" {
		t.Errorf("%v", err)
	}
}

// A ticket that was deleted is refused by its look-up, and does not come again for ever.
func TestALookupOfAGoneTicket(t *testing.T) {
	a := newAccount(t, 0)
	changes := []channel.Change{{Ticket: "99", Facts: &crm.Facts{SessionID: "A"}, Lookup: true}, {Ticket: "99", Facts: &crm.Facts{SessionID: "A"}, Lookup: true, Job: "forgotten"}}
	for i, err := range zendesk.NewRecords(a.Client).Apply(t.Context(), changes) {
		if !errors.Is(err, crm.ErrRefused) {
			t.Errorf("change %d: %v", i, err)
		}
	}
}

// A session whose key is used and whose ticket is not found yet is looked for again, as it has none otherwise.
func TestAUsedKeyWithoutATicket(t *testing.T) {
	tickets := ""
	r := zendesk.NewRecords(against(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"IdempotentRequestError"}`)
			return
		}
		_, _ = io.WriteString(w, `{"tickets":[`+tickets+`]}`)
	}))
	if id, _, err := r.Create(t.Context(), "k", crm.Facts{SessionID: "S"}, false); err == nil || errors.Is(err, crm.ErrRefused) {
		t.Errorf("ticket %q, %v", id, err)
	}
	tickets = `{"id":5}`
	if id, made, err := r.Create(t.Context(), "k", crm.Facts{SessionID: "S"}, false); id != "5" || made || err != nil {
		t.Errorf("ticket %q, made %t, %v", id, made, err)
	}
}
