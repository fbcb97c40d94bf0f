package suite_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A suite that is killed while its clock moves must not start again before what
// it stored on the way.
func TestClockIsWrittenBeforeItMoves(t *testing.T) {
	dir := t.TempDir()
	w := siteIn(t, dir, nil)
	var stored struct{ Offset time.Duration }
	err := errors.New("nothing fell due")
	w.Clock.AfterFunc(time.Hour, func() {
		var b []byte
		if b, err = os.ReadFile(filepath.Join(dir, "clock.json")); err == nil {
			err = json.Unmarshal(b, &stored)
		}
	})
	w.control("POST", "/_emulator/clock", `{"advance":"2h"}`)
	if err != nil || stored.Offset < 2*time.Hour {
		t.Errorf("after the first hour of two it says %s, %v", stored.Offset, err)
	}
}
