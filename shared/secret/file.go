package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// File keeps secrets unencrypted in one JSON file of mode 0600, for local use.
// Put replaces the file at once. It is safe for concurrent use in one process;
// of several that write, one may lose its value.
type File struct {
	path string
	mu   sync.Mutex
}

// NewFile uses the file at path, which the first Put creates. It refuses one
// that others than its owner can read or write.
func NewFile(path string) (*File, error) {
	f := &File{path: path}
	_, err := f.read()
	return f, err
}

// Get reads a value. The errors are ErrName, ErrNotFound and those of the file.
func (f *File) Get(_ context.Context, name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	values, err := f.read()
	if err != nil {
		return "", err
	}
	value, ok := values[name]
	if !ok {
		return "", fmt.Errorf("secret: get %s: %w", name, ErrNotFound)
	}
	return value, nil
}

// Put stores a value in the file. It refuses what Secret Manager refuses.
func (f *File) Put(_ context.Context, name, value string) error {
	if value == "" || len(value) > 64<<10 {
		return fmt.Errorf("secret: put %s: a value has 1 byte to 64 KiB", name)
	}
	return f.change(name, func(values map[string]string) { values[name] = value })
}

// Delete removes a value; a missing one is fine.
func (f *File) Delete(_ context.Context, name string) error {
	return f.change(name, func(values map[string]string) { delete(values, name) })
}

func (f *File) change(name string, edit func(map[string]string)) error {
	if err := checkName(name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	values, err := f.read()
	if err != nil {
		return err
	}
	edit(values)
	if err := f.replace(values); err != nil {
		return fmt.Errorf("secret: write %s: %w", f.path, err)
	}
	return nil
}

func (f *File) read() (map[string]string, error) {
	values := map[string]string{}
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return values, nil
	}
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("secret: %s has mode %04o, must be 0600", f.path, info.Mode().Perm())
	}
	data, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	// The decoder's error is left out: it may quote the content.
	if json.Unmarshal(data, &values) != nil {
		return nil, fmt.Errorf("secret: %s is not a JSON object of strings", f.path)
	}
	return values, nil
}

func (f *File) replace(values map[string]string) (err error) {
	data, err := json.MarshalIndent(values, "", "\t")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone after the rename
	_, writeErr := tmp.Write(data)
	if err := errors.Join(writeErr, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), f.path)
}
