package hours

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReplace(t *testing.T) {
	day := func(name string, d int, folder string) Holiday {
		return Holiday{Name: name, Date: Date{2027, time.May, d}, Folder: folder}
	}
	own, other := day("Stocktaking", 3, ""), day("Labour Day", 1, "France 2027")
	a, b, c := day("Labour Day", 1, "Germany 2027"), day("Ascension", 6, "Germany 2027"), day("Whit Monday", 17, "Germany 2027")
	h := Hours{Zone: "Europe/Berlin", Holidays: []Holiday{own, a, other, b}}
	without := func(l ...Holiday) []Holiday { // as an import has them
		var out []Holiday
		for _, d := range l {
			d.Folder = ""
			out = append(out, d)
		}
		return out
	}

	got, added, present, removed := h.Replace("Germany 2027", without(c, a, c))
	for name, diff := range map[string]string{
		"holidays": cmp.Diff([]Holiday{own, a, other, c}, got.Holidays), "added": cmp.Diff([]Holiday{c}, added),
		"present": cmp.Diff([]Holiday{a}, present), "removed": cmp.Diff([]Holiday{b}, removed), "before": cmp.Diff([]Holiday{own, a, other, b}, h.Holidays),
	} {
		if diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if again, added, present, removed := got.Replace("Germany 2027", without(a, c)); len(added)+len(removed) != 0 || len(present) != 2 || !cmp.Equal(again, got) {
		t.Errorf("again: added %v, removed %v", added, removed)
	}
	if diff := cmp.Diff([]Holiday{a, c}, got.Folder("Germany 2027")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Holiday{own}, got.Folder("")); diff != "" {
		t.Error(diff)
	}
	gone, _, _, removed := got.Replace("Germany 2027", nil)
	if diff := cmp.Diff([]Holiday{own, other}, gone.Holidays); diff != "" || len(removed) != 2 {
		t.Errorf("removed %v: %s", removed, diff)
	}
	if first := at(t, "2027-05-01T10:00:00+02:00"); gone.Open(first) {
		t.Error("open on a day that another folder closes")
	}
}

func TestValidateFolder(t *testing.T) {
	for name, ok := range map[string]bool{
		"Deutschland/2027": true, "日本 2027": true, strings.Repeat("x", 100): true,
		"": false, " a": false, "a\nb": false, strings.Repeat("x", 101): false,
	} {
		if err := ValidateFolder(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	h := Hours{Zone: "UTC", Holidays: []Holiday{{Name: "x", Date: Date{2027, time.May, 1}, Folder: "a\tb"}}}
	if err := h.Validate(); err == nil || !strings.HasPrefix(err.Error(), "holidays[0].folder: ") {
		t.Errorf("%v", err)
	}
}
