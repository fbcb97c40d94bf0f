package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Store is what both archives are: four methods with one meaning, which
// package archivetest checks.
type Store interface {
	Put(ctx context.Context, name, contentType string, r io.Reader) error
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	Delete(ctx context.Context, name string) error
	List(ctx context.Context, prefix string, each func(name string, size int64) error) error
}

var (
	_ Store = (*GCS)(nil)
	_ Store = (*S3)(nil)
)

// ProbeError tells which step of a [Probe] failed, and with which answer.
type ProbeError struct {
	Step string // "write", "write once", "read", "list" or "delete"
	Err  error
}

func (e *ProbeError) Error() string { return e.Step + ": " + e.Err.Error() }
func (e *ProbeError) Unwrap() error { return e.Err }

// probeFor bounds a probe: an address that nobody answers from is an answer.
const probeFor = 20 * time.Second

// Probe writes, reads, lists and deletes an object under a name that nobody
// uses, and returns a [*ProbeError] for the first step that fails (ST-2). The
// step "write once" fails where a second write changes the first.
func Probe(ctx context.Context, s Store, name string) error {
	ctx, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	content := "probe of the e-mail channel: " + name
	put := func(content string) error {
		return s.Put(ctx, name, "text/plain", strings.NewReader(content))
	}
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"write", func() error { return put(content) }},
		{"read", func() error { return holds(ctx, s, name, content) }},
		{"write once", func() error { return errors.Join(put("another "+content), holds(ctx, s, name, content)) }},
		{"list", func() error { return listed(ctx, s, name) }},
		{"delete", func() error { return s.Delete(ctx, name) }},
	} {
		if err := step.run(); err != nil {
			if step.name != "write" && step.name != "delete" { // leave nothing behind
				err = errors.Join(err, s.Delete(context.WithoutCancel(ctx), name))
			}
			return &ProbeError{step.name, err}
		}
	}
	return nil
}

func holds(ctx context.Context, s Store, name, content string) error {
	r, err := s.Open(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, 1<<10))
	if err == nil && !bytes.Equal(b, []byte(content)) {
		err = fmt.Errorf("the object holds other content than what was written first: %q", b)
	}
	return err
}

func listed(ctx context.Context, s Store, name string) error {
	found := false
	err := s.List(ctx, name, func(got string, _ int64) error {
		found = found || got == name
		return nil
	})
	if err == nil && !found {
		err = errors.New("the object is not in the list")
	}
	return err
}
