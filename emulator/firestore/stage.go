package firestore

import (
	"bytes"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// staged is a set of writes evaluated against the current documents, ready to be committed.
type staged struct {
	changes []change // one per document, in the order of first mention
	results []*pb.WriteResult
	targets []int // results[i] reports the update time of changes[targets[i]]
	// deletes counts the delete operations among the writes, for billing.
	deletes int
}

// draft is a document while writes are applied to it.
type draft struct {
	name       string
	before     *document
	version    int64 // update time for preconditions; 0 once written here
	exists     bool
	fields     map[string]*pb.Value
	decoded    bool // fields is filled from before
	transforms int
}

// stager evaluates writes one after the other, each seeing the effect of those before it.
type stager struct {
	current func(name string) *document
	now     int64
	drafts  map[string]int
	order   []*draft
	out     staged
}

// stage evaluates writes without storing anything. The caller holds the documents' locks and has checked their names.
func stage(current func(string) *document, writes []*pb.Write, now int64) (*staged, error) {
	s := &stager{current: current, now: now, drafts: make(map[string]int, len(writes))}
	for _, w := range writes {
		if err := s.apply(w); err != nil {
			return nil, err
		}
	}
	for _, d := range s.order {
		c, err := d.finish()
		if err != nil {
			return nil, err
		}
		s.out.changes = append(s.out.changes, c)
	}
	return &s.out, nil
}

// writeTarget returns the name of the document a write is about.
func writeTarget(w *pb.Write) string {
	switch x := w.GetOperation().(type) {
	case *pb.Write_Update:
		return x.Update.GetName()
	case *pb.Write_Delete:
		return x.Delete
	case *pb.Write_Transform:
		return x.Transform.GetDocument()
	}
	return ""
}

func (s *stager) draft(name string) *draft {
	i, ok := s.drafts[name]
	if !ok {
		before := s.current(name)
		i = len(s.order)
		s.drafts[name] = i
		d := &draft{name: name, before: before, exists: before != nil}
		if before != nil {
			d.version = before.updated
		}
		s.order = append(s.order, d)
	}
	s.out.targets = append(s.out.targets, i)
	return s.order[i]
}

func (s *stager) apply(w *pb.Write) error {
	d := s.draft(writeTarget(w))
	if err := d.check(w.CurrentDocument); err != nil {
		return err
	}
	result := &pb.WriteResult{}
	s.out.results = append(s.out.results, result)
	transforms := w.UpdateTransforms
	switch x := w.Operation.(type) {
	case *pb.Write_Delete:
		s.out.deletes++
		*d = draft{name: d.name, before: d.before, decoded: true}
		return nil
	case *pb.Write_Update:
		if err := d.update(x.Update.GetFields(), w.UpdateMask); err != nil {
			return err
		}
	case *pb.Write_Transform:
		transforms = x.Transform.GetFieldTransforms()
	default:
		return invalid("a write has no operation")
	}
	d.exists = true
	return d.transform(transforms, s.now, result)
}

func (d *draft) check(p *pb.Precondition) error {
	switch c := p.GetConditionType().(type) {
	case *pb.Precondition_Exists:
		if c.Exists && !d.exists {
			return status.Errorf(codes.NotFound, "No document to update: %s", d.name)
		}
		if !c.Exists && d.exists {
			return status.Errorf(codes.AlreadyExists, "Document already exists: %s", d.name)
		}
	case *pb.Precondition_UpdateTime:
		if !d.exists {
			return status.Errorf(codes.NotFound, "No document to update: %s", d.name)
		}
		if d.version != c.UpdateTime.AsTime().UnixMicro() {
			return status.Errorf(codes.FailedPrecondition, "the stored version of %s does not match the required base version", d.name)
		}
	}
	return nil
}

// load decodes the stored fields once, when a write needs them.
func (d *draft) load() {
	if !d.decoded {
		d.fields, d.decoded = d.before.decode(), true
	}
}

func (d *draft) update(fields map[string]*pb.Value, mask *pb.DocumentMask) error {
	if err := checkFields(fields, 0); err != nil {
		return err
	}
	if mask == nil {
		d.fields, d.decoded = fields, true
		return nil
	}
	paths, err := parseMask(mask)
	if err != nil {
		return err
	}
	d.load()
	for _, p := range paths {
		if v := getField(fields, p.segments); v != nil {
			d.fields = setField(d.fields, p.segments, v)
		} else {
			deleteField(d.fields, p.segments)
		}
	}
	return nil
}

func (d *draft) transform(transforms []*pb.DocumentTransform_FieldTransform, now int64, result *pb.WriteResult) error {
	if len(transforms) == 0 {
		return nil
	}
	if d.transforms += len(transforms); d.transforms > maxTransforms {
		return invalid("more than %d field transforms on one document", maxTransforms)
	}
	d.load()
	for _, t := range transforms {
		p, err := parseFieldPath(t.FieldPath)
		if err != nil {
			return err
		}
		stored, reported, err := transform(t, getField(d.fields, p.segments), now)
		if err != nil {
			return err
		}
		if err := checkValue(stored, len(p.segments)-1); err != nil {
			return err
		}
		d.fields = setField(d.fields, p.segments, stored)
		result.TransformResults = append(result.TransformResults, reported)
	}
	return nil
}

// finish encodes the draft. Writes that leave the fields as they were keep the stored version, update time included.
func (d *draft) finish() (change, error) {
	c := change{name: d.name, before: d.before}
	if !d.exists {
		return c, nil
	}
	d.load()
	if size := storageSize(d.name, d.fields); size > maxDocument {
		return c, invalid("document %s is %d bytes large, the maximum is %d bytes", d.name, size, maxDocument)
	}
	fields, err := encodeFields(d.fields)
	if err != nil {
		return c, invalid("document %s cannot be encoded: %v", d.name, err)
	}
	if d.before != nil && bytes.Equal(fields, d.before.fields) {
		c.after = d.before
		return c, nil
	}
	collection, id := cutLast(d.name)
	c.after = &document{collection: interned(collection), id: strings.Clone(id), fields: fields}
	return c, nil
}

// stamp fills in the update times that the commit assigned.
func (s *staged) stamp() {
	for i, r := range s.results {
		if after := s.changes[s.targets[i]].after; after != nil {
			r.UpdateTime = timestamp(after.updated)
		}
	}
}
