package firestore

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
)

// childDir names the directory in which a re-executed test binary writes until it is killed.
const childDir = "FIRESTORE_TEST_CHILD_DIR"

// writeForever commits documents 0, 1, 2 … and prints each number once it is acknowledged.
func writeForever(dir string) {
	s, err := Open(Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s.disk.limit, s.disk.minimum = 8<<10, 8<<10 // compact all the time
	l := local{Server: s}
	for i := int64(0); ; i++ {
		if err := l.set(nil, strconv.FormatInt(i, 10), i); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(i)
	}
}

func TestKill(t *testing.T) {
	for _, acknowledged := range []int{10, 500, 3000} {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, nil, err)
		must(t, nil, cmd.Start())
		lines, last := bufio.NewScanner(out), -1
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				break // the last line may be cut
			}
			if last = n; last == acknowledged {
				must(t, nil, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait() // it was killed
		if last < acknowledged {
			t.Fatalf("the child stopped at write %d", last)
		}
		l := newLocal(t, Options{Dir: dir})
		for i := range last + 1 {
			d, err := l.get(nil, strconv.Itoa(i))
			if err != nil {
				t.Fatalf("acknowledged write %d of %d: %v", i, last, err)
			}
			if d.Name == "" {
				t.Fatal("a document without a name")
			}
		}
		must(t, nil, l.Close())
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	l := newLocal(t, Options{Dir: dir})
	l.ok(l.set(nil, "kept", 1))
	l.ok(l.set(nil, "changed", 1))
	l.ok(l.set(nil, "changed", 2))
	l.ok(l.set(nil, "gone", 1))
	before, err := l.get(nil, "changed")
	l.ok(err)
	if _, err := Open(Options{Dir: dir}); err == nil {
		t.Fatal("one directory was opened twice")
	}
	l.ok(l.Close())
	l.ok(l.Close())
	wantCode(t, "commit after close", l.set(nil, "x", 1), codes.Internal)

	l = newLocal(t, Options{Dir: dir}) // from a snapshot
	_, err = l.DeleteDocument(context.Background(), &pb.DeleteDocumentRequest{Name: testRoot + "/c/gone"})
	l.ok(err)
	crash(t, l)
	l = newLocal(t, Options{Dir: dir}) // from a snapshot and a log
	_, err = l.get(nil, "gone")
	wantCode(t, "a deleted document", err, codes.NotFound)
	after, err := l.get(nil, "changed")
	l.ok(err)
	equal(t, "update time", after.UpdateTime.AsTime(), before.UpdateTime.AsTime())
	equal(t, "create time", after.CreateTime.AsTime(), before.CreateTime.AsTime())
	n, err := l.find(nil, 2, 0)
	l.ok(err)
	equal(t, "documents with n == 2", n, 1)
	l.ok(l.Close())
}

// crash lets go of the directory without a snapshot.
func crash(t *testing.T, l local) {
	t.Helper()
	must(t, nil, l.disk.log.Close())
	must(t, nil, l.disk.guard.Close())
}

func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	l := newLocal(t, Options{Dir: dir})
	l.disk.limit, l.disk.minimum = 4<<10, 4<<10
	for i := range 500 {
		l.ok(l.set(nil, strconv.Itoa(i%50), int64(i)))
		if i%100 == 0 {
			l.disk.background.Wait()
		}
	}
	l.disk.background.Wait()
	if l.disk.generation < 2 {
		t.Fatalf("the log was compacted %d times", l.disk.generation)
	}
	crash(t, l)
	l = newLocal(t, Options{Dir: dir})
	for i := 450; i < 500; i++ {
		n, err := l.find(nil, int64(i), 0)
		l.ok(err)
		equal(t, fmt.Sprintf("documents with n == %d", i), n, 1)
	}
	l.ok(l.Close())
}

// TestDamage flips or cuts bytes of a log with three records.
func TestDamage(t *testing.T) {
	var ends []int
	prepare := func(t *testing.T) string {
		dir := t.TempDir()
		l := newLocal(t, Options{Dir: dir})
		ends = nil
		for i := range 3 {
			l.ok(l.set(nil, strconv.Itoa(i), int64(i)))
			ends = append(ends, int(l.disk.size))
		}
		crash(t, l)
		return dir
	}
	tests := []struct {
		name   string
		damage func([]byte) []byte
		kept   int // documents
		record int // damaged one that is reported; negative: none
	}{
		{name: "whole", damage: func(b []byte) []byte { return b }, kept: 3, record: -1},
		{name: "torn payload", damage: func(b []byte) []byte { return b[:len(b)-1] }, kept: 2, record: -1},
		{name: "torn header", damage: func(b []byte) []byte { return b[:ends[1]+5] }, kept: 2, record: -1},
		{name: "last payload unsynced", damage: func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, kept: 2, record: -1},
		{name: "payload in the middle", damage: func(b []byte) []byte { b[ends[1]-1] ^= 1; return b }, record: 1},
		{name: "length in the middle", damage: func(b []byte) []byte { b[ends[0]+2] ^= 1; return b }, record: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := prepare(t)
			path := filepath.Join(dir, "log-0")
			b, err := os.ReadFile(path)
			must(t, nil, err)
			must(t, nil, os.WriteFile(path, tt.damage(b), 0o600))
			s, err := Open(Options{Dir: dir})
			if tt.record >= 0 {
				want := fmt.Sprintf("%s: offset %d:", path, ends[tt.record-1])
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("got %v, want %q", err, want)
				}
				return
			}
			must(t, nil, err)
			l := local{t, s}
			docs, _ := l.store.all()
			equal(t, "documents", len(docs), tt.kept)
			l.ok(l.set(nil, "more", 1)) // behind what was cut off
			crash(t, l)
			l = newLocal(t, Options{Dir: dir})
			docs, _ = l.store.all()
			equal(t, "documents after another write", len(docs), tt.kept+1)
			l.ok(l.Close())
		})
	}
}
