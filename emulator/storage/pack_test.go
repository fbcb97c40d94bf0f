package storage

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func mustOpenPack(t *testing.T, path string) (*pack, []*object) {
	t.Helper()
	p, objects, err := openPack(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.file.Close() })
	return p, objects
}

func mustAppend(t *testing.T, p *pack, name string, generation int64, content string, s state) record {
	t.Helper()
	o := &object{Name: name, Generation: generation, Size: int64(len(content))}
	r, err := p.append(o, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.setState(r, s); err != nil {
		t.Fatal(err)
	}
	return r
}

// Whatever a killed process left of the last record, the others are there, and
// the next append takes its place.
func TestTornLastRecordIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pack")
	p, _ := mustOpenPack(t, path)
	mustAppend(t, p, "first", 1, "1111", liveState)
	whole := p.end
	mustAppend(t, p, strings.Repeat("n", 900), 2, "2222", draftState)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := whole; size < int64(len(file)); size++ {
		torn := filepath.Join(t.TempDir(), "torn")
		if err := os.WriteFile(torn, file[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		p, objects := mustOpenPack(t, torn)
		if len(objects) != 1 || objects[0].Name != "first" || p.end != whole {
			t.Fatalf("cut at %d: %d objects, end %d, want %d", size, len(objects), p.end, whole)
		}
		mustAppend(t, p, "third", 3, "3333", liveState)
		if _, objects := mustOpenPack(t, torn); len(objects) != 2 {
			t.Fatalf("cut at %d: %d objects after an append", size, len(objects))
		}
		p.file.Close()
	}
}

func TestDeletedContentIsErased(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pack")
	p, _ := mustOpenPack(t, path)
	secret := strings.Repeat("personal", 10000)
	r := mustAppend(t, p, "x", 1, secret, liveState)
	mustAppend(t, p, "y", 2, "stays", liveState)
	if err := p.kill(r); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file, []byte("personal")) || !bytes.Contains(file, []byte("stays")) {
		t.Error("the deleted content, or the wrong one, is in the file")
	}
}

func TestPackOfGarbageIsRewritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pack")
	p, _ := mustOpenPack(t, path)
	garbage := mustAppend(t, p, "garbage", 1, strings.Repeat("g", worthIt+1), liveState)
	for i := range 3 {
		mustAppend(t, p, fmt.Sprint(i), int64(2+i), fmt.Sprint("content ", i), liveState)
	}
	if err := p.kill(garbage); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second opening finds the rewritten file
		q, objects := mustOpenPack(t, path)
		if q.end > 1000 || len(objects) != 3 {
			t.Fatalf("%d bytes, %d objects", q.end, len(objects))
		}
		for i, o := range objects {
			got, err := io.ReadAll(q.content(o.record))
			if err != nil || string(got) != fmt.Sprint("content ", i) {
				t.Errorf("object %d: %q, %v", i, got, err)
			}
		}
	}
}

// A process killed while it replaced an object leaves two of a name.
func TestLaterOfTwoLiveRecordsWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pack")
	p, _ := mustOpenPack(t, path)
	mustAppend(t, p, "x", 7, "new", liveState)
	mustAppend(t, p, "x", 3, "old", liveState)
	for range 2 {
		b, err := openBucket(path)
		if err != nil {
			t.Fatal(err)
		}
		defer b.pack.file.Close()
		got, err := io.ReadAll(b.pack.content(b.objects["x"].record))
		if err != nil || string(got) != "new" || len(b.objects) != 1 {
			t.Errorf("%q, %v", got, err)
		}
	}
}
