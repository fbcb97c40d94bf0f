package email

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// differences compares what a corpus test found with what is known and explained. A new difference fails, and so does
// an explanation that nothing needs any more: the list never grows stale.
func differences(t *testing.T, explained, found map[string]string) {
	t.Helper()
	for key, what := range found {
		if why := explained[key]; why == "" {
			t.Errorf("%s: %s", key, what)
		} else {
			t.Logf("%s: %s (%s)", key, what, why)
		}
	}
	for key, why := range explained {
		if found[key] == "" {
			t.Errorf("%s is as expected now; drop the explanation %q", key, why)
		}
	}
}

func TestCorpusSisimai(t *testing.T) {
	dir := needCorpus(t, "sisimai-set-of-emails")
	rows := readTSV(t, filepath.Join(dir, "expected.tsv"))
	found := map[string]string{}
	class, recipients, bounces, hard, status, stated := 0, 0, 0, 0, 0, 0
	for _, row := range rows {
		key := row["file"] + "/" + row["index"]
		m := parseBytes(t, findFile(t, dir, row["file"]))
		if want := sisimaiClass(row["reason"]); m.Class == want {
			class++
		} else {
			found[key+" class"] = string(m.Class) + " (" + m.ClassReason + "), want " + string(want)
		}
		if m.Class != ClassBounce {
			continue
		}
		bounces++
		i := int(row["index"][0] - '1')
		if i >= len(m.Report.Recipients) || !strings.Contains(m.Report.Recipients[i].Address, "@") {
			found[key+" recipient"] = "none"
			continue
		}
		recipients++
		r := m.Report.Recipients[i]
		if n := countRows(rows, row["file"]); n != len(m.Report.Recipients) {
			found[row["file"]+" recipients"] = itoa(len(m.Report.Recipients)) + ", want " + itoa(n)
		}
		if r.Hard == (row["hardbounce"] == "true") {
			hard++
		} else {
			found[key+" hard"] = row["reason"] + ": " + r.Status + " " + r.Action + " " + r.DiagnosticCode
		}
		if sisimaiInvents(row["status"]) {
			continue
		}
		if stated++; r.Status == row["status"] {
			status++
		} else {
			found[key+" status"] = r.Status + ", want " + row["status"] + ": " + r.DiagnosticCode
		}
	}
	t.Logf("class %d/%d; of bounces: recipient %d/%d, hard or soft %d/%d, status %d/%d where one was stated",
		class, len(rows), recipients, bounces, hard, bounces, status, stated)
	differences(t, sisimaiExplained, found)
	if class*100 < len(rows)*99 || recipients < bounces || hard*100 < bounces*90 || status*100 < stated*97 {
		t.Error("below 99 % of the classes, all recipients, 90 % of hard or soft, 97 % of the stated statuses")
	}
}

func sisimaiClass(reason string) Class {
	switch reason {
	case "vacation":
		return ClassAuto
	case "feedback":
		return ClassFeedback
	}
	return ClassBounce
}

// sisimaiInvents: Sisimai makes up x.0.9yy for its own reasons where the report states no status.
func sisimaiInvents(status string) bool {
	return status == "" || status == `\N` || len(status) == 7 && status[1:5] == ".0.9"
}

func countRows(rows []map[string]string, file string) (n int) {
	for _, row := range rows {
		if row["file"] == file {
			n++
		}
	}
	return n
}

// What Sisimai says otherwise, and why that is no fault here.
const (
	saysUnknown = "the server says that the user does not exist; Sisimai calls it filtered because it was said after DATA"
	innerStatus = "the report's own status is kept; Sisimai prefers one that a server on the way gave"
)

var sisimaiExplained = func() map[string]string {
	known := map[string]string{
		"lhost-ezweb-02.eml/1 hard":            "the server says user unknown; Sisimai takes it for suspended",
		"lhost-exim-51.eml/1 hard":             "does not exist, says the server; that it means the sender's domain cannot be read there",
		"lhost-exim-31.eml/1 hard":             "the domain may not exist or may be blacklisted, says the server: not sure enough for hard",
		"lhost-amazonworkmail-05.eml/1 status": innerStatus, "lhost-amazonworkmail-07.eml/1 status": innerStatus,
		"lhost-amazonses-17.eml/1 status": innerStatus, "lhost-exchange2007-05.eml/1 status": innerStatus,
	}
	for _, file := range []string{"mcafee-04", "mfilter-01", "mfilter-03", "activehunter-02", "amazonses-02", "amazonworkmail-02",
		"courier-02", "mailru-07", "mailfoundry-01", "messagingserver-03", "messagingserver-06", "exchange2003-04", "mcafee-01",
		"messagingserver-08", "mxlogic-03", "apachejames-01"} {
		known["lhost-"+file+".eml/1 hard"] = saysUnknown
	}
	known["lhost-messagingserver-03.eml/2 hard"] = saysUnknown
	return known
}()

func TestCorpusSisimaiIsNeverAnswered(t *testing.T) {
	dir := needCorpus(t, "sisimai-set-of-emails")
	n := 0
	corpusMails(t, func(name string, raw []byte) {
		if !strings.HasPrefix(name, filepath.Base(dir)) {
			return
		}
		n++
		if _, suppress := parseBytes(t, raw).Suppress(); !suppress {
			t.Errorf("%s would be answered", name)
		}
	})
	if n < 240 {
		t.Errorf("only %d mails found", n)
	}
}

var (
	rawMessageID = regexp.MustCompile(`(?im)^[> \t]*message-id:[ \t]*(?:\r?\n[ \t]+)?<?([^<>\s]+)>?`)
	rawRecipient = regexp.MustCompile(`(?im)^(?:final|original)-recipient:[^;\r\n]*;[ \t]*<?([^\s<>]+@[^\s<>]+)>?\s*$`)
)

// TestCorpusSisimaiOriginals holds what upstream's tables leave out against the raw bytes, read with two patterns
// instead of the parser: the Message-ID of the returned mail and the recipients of the status part.
func TestCorpusSisimaiOriginals(t *testing.T) {
	needCorpus(t, "sisimai-set-of-emails")
	found := map[string]string{}
	reports, ids, withID, addresses, withAddress := 0, 0, 0, 0, 0
	corpusMails(t, func(name string, raw []byte) {
		if !strings.HasPrefix(name, "sisimai") {
			return
		}
		m := parseBytes(t, raw)
		if m.Report == nil {
			return
		}
		reports++
		file := filepath.Base(name)
		_, body, _ := strings.Cut(unixLines(string(raw)), "\n\n")
		if at := rawMessageID.FindAllStringSubmatch(body, -1); len(at) > 0 {
			withID++
			if id := m.Report.OriginalMessageID; id != "" && containsGroup(at, id) {
				ids++
			} else {
				found[file+" message-id"] = id + " is not in the returned mail: " + at[0][1]
			}
		}
		if at := rawRecipient.FindAllStringSubmatch(body, -1); len(at) > 0 && m.Class == ClassBounce {
			withAddress++
			if addr := missingAddress(at, m.Report.Recipients); addr == "" {
				addresses++
			} else {
				found[file+" recipient"] = addr + " is missing"
			}
		}
	})
	t.Logf("%d reports: original Message-ID %d/%d, recipients of the status part %d/%d", reports, ids, withID, addresses, withAddress)
	differences(t, originalsExplained, found)
}

func containsGroup(matches [][]string, s string) bool {
	for _, m := range matches {
		if m[1] == s {
			return true
		}
	}
	return false
}

func missingAddress(matches [][]string, list []Recipient) string {
next:
	for _, m := range matches {
		for _, r := range list {
			if strings.EqualFold(m[1], r.Address) || strings.EqualFold(m[1], r.Final) {
				continue next
			}
		}
		return m[1]
	}
	return ""
}

var originalsExplained = map[string]string{
	"lhost-gmail-04.eml message-id": "quoted-printable wraps the raw line; the parser reads it decoded and whole",
}
