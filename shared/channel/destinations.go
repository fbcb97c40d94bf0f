package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// Objects is an archive from which can be deleted.
type Objects interface {
	// Archive's Open returns an [fs.ErrNotExist] for a name that holds no object.
	Archive
	// Delete removes an object; a missing one is fine.
	Delete(ctx context.Context, name string) error
	// List calls each for every object whose name starts with prefix.
	List(ctx context.Context, prefix string, each func(name string, size int64) error) error
}

// Destinations is the archive as the settings have it: new objects go to the
// present destination, and those of earlier ones are still found. It follows a
// change of the settings within a second.
//
// An object may be in two destinations when a change came between two
// deliveries of a mail. Both have the same content, because names are written
// once, and are deleted together.
type Destinations struct {
	Config *Configuration
	Local  Objects // the deployment's own bucket
	// Connect reaches a destination that is not the deployment's own. It is
	// called once for each, so credentials that change are its matter.
	Connect func(ctx context.Context, d Destination) (Objects, error)

	mu        sync.Mutex
	connected map[Destination]Objects
}

// Put implements Archive.
func (d *Destinations) Put(ctx context.Context, name, contentType string, r io.Reader) error {
	s, err := d.storage(ctx)
	if err != nil {
		return err
	}
	to, err := d.connect(ctx, s.Destination)
	if err != nil {
		return err
	}
	return to.Put(ctx, name, contentType, r)
}

// Open implements Archive. A destination that cannot be asked may have the
// object: that is an error, and not that there is none.
func (d *Destinations) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	var found io.ReadCloser
	missing := fmt.Errorf("object %s: %w", name, fs.ErrNotExist)
	var failed error
	err := d.each(ctx, func(o Objects) error {
		if found != nil {
			return nil
		}
		r, err := o.Open(ctx, name)
		switch {
		case err == nil:
			found = r
		case !errors.Is(err, fs.ErrNotExist):
			failed = errors.Join(failed, err)
		default:
			missing = err
		}
		return nil
	})
	switch {
	case found != nil:
		return found, nil
	case failed != nil || err != nil:
		return nil, errors.Join(failed, err)
	}
	return nil, missing
}

// Delete implements Objects: in all destinations.
func (d *Destinations) Delete(ctx context.Context, name string) error {
	return d.each(ctx, func(o Objects) error { return o.Delete(ctx, name) })
}

// List implements Objects: one destination after another, each in its order.
// An object in two of them is named twice.
func (d *Destinations) List(ctx context.Context, prefix string, each func(name string, size int64) error) error {
	return d.each(ctx, func(o Objects) error { return o.List(ctx, prefix, each) })
}

// each calls f for every destination, the present one first, also when one fails.
func (d *Destinations) each(ctx context.Context, f func(Objects) error) error {
	s, err := d.storage(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, at := range append([]Destination{s.Destination}, s.Earlier...) {
		o, err := d.connect(ctx, at)
		if err == nil {
			err = f(o)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (d *Destinations) storage(ctx context.Context) (Storage, error) {
	cat, err := d.Config.Load(ctx)
	if err != nil {
		return Storage{}, err
	}
	return cat.Storage, nil
}

func (d *Destinations) connect(ctx context.Context, at Destination) (Objects, error) {
	if at.Own() {
		return d.Local, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if o, ok := d.connected[at]; ok {
		return o, nil
	}
	o, err := d.Connect(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("connect to %s bucket %s: %w", at.Kind, at.Bucket, err)
	}
	if d.connected == nil {
		d.connected = map[Destination]Objects{}
	}
	d.connected[at] = o
	return o, nil
}
