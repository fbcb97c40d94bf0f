package session

import (
	"strings"
	"testing"
)

func TestSettingsValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	edge := Settings{Threshold{true, 1}, Threshold{true, 1000}, Threshold{false, 1}, Threshold{false, 1000}}
	if err := edge.Validate(); err != nil {
		t.Error(err)
	}
	bad := Settings{Threshold{true, 0}, Threshold{true, 1001}, Threshold{true, -1}, Threshold{false, 0}}
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"paused_close: 0 days", "resolved_close: 1001 days", "active_pause: -1 days", "closed_reopen: 0 days"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
	one := Default()
	one.ActivePause.Days = 2000
	if err := one.Validate(); err == nil || err.Error() != "active_pause: 2000 days, must be 1 to 1000" {
		t.Errorf("got %v", err)
	}
}

func TestValidate(t *testing.T) {
	for _, s := range States() {
		if err := s.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, e := range Events() {
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, k := range Kinds() {
		if err := k.Validate(); err != nil {
			t.Error(err)
		}
	}
	if None.Validate() == nil || State("Active").Validate() == nil || Event("").Validate() == nil || Kind("seen").Validate() == nil {
		t.Error("an unknown value is accepted")
	}
}
