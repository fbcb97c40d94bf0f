package channel

import (
	"context"
	"errors"
	"io"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
)

// Ref asks for one document: Path is filled in by the caller, Into by the
// store, which sets Found and Version. What Find has found it decodes into a
// Ref as well as into a value, and sets Path and Cursor, too.
type Ref struct {
	Path    string
	Into    any
	Found   bool
	Version time.Time // of the document as it was read
	Cursor  []any     // After of the query that goes on behind this document
}

// Query finds documents of one collection. Every query has its index in
// terraform/firestore.indexes.json.
type Query struct {
	Collection string // "sessions", "sessions/ID/messages"; with Group the last ID alone
	Group      bool   // all collections of that name
	Where      []Where
	Order      []Order
	After      []any // values of Order to start after; one more is the path of the document among those that have the same
	Limit      int
}

// Where is one condition; Op is ==, <=, <, >=, >, in or array-contains.
type Where struct {
	Field, Op string
	Value     any
}

// Order is one sort field.
type Order struct {
	Field string
	Desc  bool
}

// Reader reads documents.
type Reader interface {
	// Get fills every ref in one call.
	Get(ctx context.Context, refs ...*Ref) error
	// Find calls each for every document in order until it returns an error.
	// Those that Order leaves equal are in the order of their paths. into is a
	// pointer to a value, or a Ref with such a pointer.
	Find(ctx context.Context, q Query, each func(id string, decode func(into any) error) error) error
	// Count counts up to limit documents.
	Count(ctx context.Context, q Query, limit int) (int, error)
}

// Tx is a serialisable read-write transaction. Reads come before writes.
type Tx interface {
	Reader
	Create(path string, v any)
	Set(path string, v any)
	// Patch changes single fields of a document that exists; values may be Inc, or nil to remove a field.
	Patch(path string, fields map[string]any)
	// PatchAt is Patch of a document that nobody has changed since version; else the commit fails with ErrChanged.
	PatchAt(path string, version time.Time, fields map[string]any)
	Delete(path string)
}

// Inc is a value of Patch that adds to a number.
type Inc int

// Docs is the database.
type Docs interface {
	Reader
	// Update runs f in a transaction and commits what it wrote. f may run
	// several times and must have no other effects.
	Update(ctx context.Context, f func(ctx context.Context, tx Tx) error) error
	// Write is Update without reads.
	Write(ctx context.Context, f func(tx Tx)) error
}

// ErrExists is returned for a Create of a document that is there already,
// ErrMissing for a Patch of one that is not, ErrChanged for a PatchAt of one
// that has another version.
var (
	ErrExists  = errors.New("document exists already")
	ErrMissing = errors.New("document does not exist")
	ErrChanged = errors.New("document has changed")
)

// Archive keeps raw mail and attachments under write-once names.
type Archive interface {
	// Put stores an object; one that exists already is left as it is.
	Put(ctx context.Context, name, contentType string, r io.Reader) error
	Open(ctx context.Context, name string) (io.ReadCloser, error)
}

// Bus publishes events; nil means that the messages are safe with the broker.
type Bus interface {
	Publish(ctx context.Context, topic string, ms ...event.Message) error
}

// Secrets reads and writes passwords and tokens by name. One that is missing is
// an [fs.ErrNotExist].
type Secrets interface {
	Get(ctx context.Context, name string) (string, error)
	Put(ctx context.Context, name, value string) error
}

// Clock tells the time.
type Clock func() time.Time

// get reads one document; nil when there is none.
func get[T any](ctx context.Context, r Reader, path string) (*T, error) {
	var v T
	ref := Ref{Path: path, Into: &v}
	if err := r.Get(ctx, &ref); err != nil || !ref.Found {
		return nil, err
	}
	return &v, nil
}

// find reads all documents of a query.
func find[T any](ctx context.Context, r Reader, q Query) ([]T, error) {
	var out []T
	err := r.Find(ctx, q, func(_ string, decode func(any) error) error {
		var v T
		if err := decode(&v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	return out, err
}
