package firestore

import (
	"errors"
	"os"
	"sync"
	"testing"

	"emailchannel.dev/emailchannel/emulator/google"
)

// googles is Google's emulator, started once for all tests and ended by TestMain.
var googles struct {
	once sync.Once
	*google.Process
	err error
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeForever(dir)
		return
	}
	code := m.Run()
	if googles.Process != nil {
		googles.Stop()
	}
	os.Exit(code)
}

// googleAddr returns the address of Google's emulator, or skips the test.
func googleAddr(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("Google's emulator is not started with -short")
	}
	googles.once.Do(func() { googles.Process, googles.err = google.Start(t.Context(), google.Firestore(), "") })
	if errors.Is(googles.err, google.ErrMissing) {
		t.Skip(googles.err)
	}
	if googles.err != nil {
		t.Fatal(googles.err)
	}
	return googles.Addr
}
