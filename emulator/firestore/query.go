package firestore

import (
	"bytes"
	"slices"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// scope is the set of documents a query ranges over.
type scope struct {
	root   string // projects/P/databases/D/documents
	parent string // root or a document's name
	id     string // collection ID; empty for every collection below parent
	group  bool   // all descendants of parent
}

func (s *scope) collectionPath() string { return s.parent + "/" + s.id }

// contains tells whether documents of this collection belong to the scope.
func (s *scope) contains(collection string) bool {
	if !s.group {
		return collection == s.collectionPath()
	}
	_, id := cutLast(collection)
	return (s.id == "" || s.id == id) && strings.HasPrefix(collection, s.parent+"/")
}

// nameOperand encodes a name used as filter operand or cursor.
func (s *scope) nameOperand(v *pb.Value) ([]byte, error) {
	ref, ok := v.GetValueType().(*pb.Value_ReferenceValue)
	if !ok {
		return nil, invalid("__name__ is compared with something that is no document name")
	}
	if err := checkDocumentName(ref.ReferenceValue); err != nil {
		return nil, err
	}
	return appendPath(nil, relativePath(ref.ReferenceValue)), nil
}

type order struct {
	path fieldPath
	desc bool
}

// cursor is a position in the results: a prefix of the order's values.
type cursor struct {
	keys   [][]byte
	before bool // lies before the documents that equal it
}

// query is a compiled, validated StructuredQuery.
type query struct {
	scope
	where     filter
	disjuncts [][]condition
	orders    []order // complete: what the request says, what inequalities imply, __name__ last
	byName    bool    // the request itself orders by __name__
	start     *cursor
	end       *cursor
	offset    int
	limit     int         // negative: none
	mask      []fieldPath // nil: whole documents
}

// compileQuery validates q and completes its order as described at StructuredQuery.order_by.
func compileQuery(parent string, q *pb.StructuredQuery) (*query, error) {
	if q == nil {
		return nil, invalid("a structured query is expected")
	}
	c := &query{limit: -1, offset: int(q.Offset)}
	if err := c.compileScope(parent, q.From); err != nil {
		return nil, err
	}
	var err error
	if c.where, err = c.compileFilter(q.Where); err != nil {
		return nil, err
	}
	if c.disjuncts, err = c.where.disjuncts(); err != nil {
		return nil, err
	}
	if err := c.compileOrders(q.OrderBy); err != nil {
		return nil, err
	}
	if err := c.checkCombination(q); err != nil {
		return nil, err
	}
	if c.orders[0].path.isName() && c.orders[0].desc && c.where.count() == 0 {
		return nil, status.Error(codes.FailedPrecondition, "Firestore does not support descending key scans")
	}
	if c.start, err = c.compileCursor(q.StartAt); err != nil {
		return nil, err
	}
	if c.end, err = c.compileCursor(q.EndAt); err != nil {
		return nil, err
	}
	if q.Limit != nil {
		c.limit = int(q.Limit.Value)
	}
	return c, c.compileMask(q.Select)
}

func (c *query) compileScope(parent string, from []*pb.StructuredQuery_CollectionSelector) error {
	root, _, err := splitName(parent)
	if err != nil {
		return err
	}
	if err := checkParent(parent); err != nil {
		return err
	}
	if len(from) != 1 {
		return invalid("a query has exactly one collection selector")
	}
	c.scope = scope{root: root, parent: parent, id: from[0].CollectionId, group: from[0].AllDescendants}
	if c.id == "" && c.group {
		return nil
	}
	return checkID(c.id)
}

func (c *query) compileOrders(explicit []*pb.StructuredQuery_Order) error {
	desc := false
	for _, o := range explicit {
		path, err := parseFieldPath(o.GetField().GetFieldPath())
		if err != nil {
			return err
		}
		if c.orderOf(path) >= 0 {
			return invalid("the query orders by %s twice", path.text)
		}
		desc = o.Direction == pb.StructuredQuery_DESCENDING
		c.orders = append(c.orders, order{path, desc})
	}
	implied := c.where.inequalities(nil)
	if len(implied) > maxInequalities {
		return invalid("the query has inequalities on more than %d fields", maxInequalities)
	}
	slices.SortFunc(implied, func(a, b fieldPath) int { return strings.Compare(a.text, b.text) })
	for _, p := range implied {
		if !p.isName() && c.orderOf(p) < 0 {
			c.orders = append(c.orders, order{p, desc})
		}
	}
	name := fieldPath{text: nameField, segments: []string{nameField}}
	switch at := c.orderOf(name); {
	case at < 0:
		c.orders = append(c.orders, order{name, desc})
	case at < len(c.orders)-1:
		return invalid("order by clause cannot contain more fields after the key")
	default:
		c.byName = true
	}
	return nil
}

func (c *query) orderOf(p fieldPath) int {
	return slices.IndexFunc(c.orders, func(o order) bool { return o.path.text == p.text })
}

func (c *query) checkCombination(q *pb.StructuredQuery) error {
	if q.FindNearest != nil {
		return invalid("vector search is not supported by this emulator")
	}
	if q.Offset < 0 || q.Limit != nil && q.Limit.Value < 0 {
		return invalid("offset and limit must not be negative")
	}
	if n := c.where.count() + len(c.orders); n > maxQueryParts {
		return invalid("the query has %d filters and orders, at most %d are allowed", n, maxQueryParts)
	}
	for _, conditions := range c.disjuncts {
		arrays := 0
		for _, d := range conditions {
			if d.op == opContains {
				arrays++
			}
		}
		if arrays > 1 {
			return invalid("only one array-contains or array-contains-any is allowed per disjunction")
		}
	}
	if c.where.uses(opNotEqual)+c.where.uses(opNotIn)+c.where.uses(opNotNull)+c.where.uses(opNotNaN) > 1 {
		return invalid("only one of !=, not-in, IS_NOT_NULL and IS_NOT_NAN is allowed per query")
	}
	if c.where.uses(opNotIn) > 0 && c.where.disjunctive() {
		return invalid("not-in cannot be used in the same query with in, array-contains-any or OR")
	}
	return nil
}

// aggregate adds the fields that sums and averages read to the order, in front of the name: the index that the cloud
// uses for them sorts by them and holds no document without them, which a limit makes visible.
func (c *query) aggregate(fields []fieldPath) error {
	last := len(c.orders) - 1
	for _, p := range fields {
		if c.orderOf(p) >= 0 {
			continue
		}
		if c.byName {
			return invalid("an index with %s after __name__ is not supported: order by it as well", p.text)
		}
		c.orders = slices.Insert(c.orders, last, order{p, c.orders[last].desc})
		last++
	}
	return nil
}

func (c *query) compileCursor(p *pb.Cursor) (*cursor, error) {
	if p == nil || len(p.Values) == 0 {
		return nil, nil
	}
	if len(p.Values) > len(c.orders) {
		return nil, invalid("a cursor has more values than the query has orders")
	}
	out := &cursor{before: p.Before}
	for i, v := range p.Values {
		key, err := c.operandKey(c.orders[i].path, v)
		if err != nil {
			return nil, err
		}
		out.keys = append(out.keys, key)
	}
	return out, nil
}

func (c *query) compileMask(sel *pb.StructuredQuery_Projection) error {
	if sel == nil || len(sel.Fields) == 0 {
		return nil
	}
	for _, f := range sel.Fields {
		p, err := parseFieldPath(f.FieldPath)
		if err != nil {
			return err
		}
		c.mask = append(c.mask, p)
	}
	return nil
}

// position returns d's place in the results as one comparable key, or false when a field of the order is
// missing, which keeps a document out of the results.
func (c *query) position(d *document) ([]byte, bool) {
	b := make([]byte, 0, 64)
	ok := true
	for _, o := range c.orders {
		if b, ok = d.appendDirected(b, o); !ok {
			return nil, false
		}
	}
	return b, true
}

// prefix is the cursor in the form of position.
func (c *query) prefix(p *cursor) []byte {
	var b []byte
	for i, k := range p.keys {
		b = appendDirected(b, k, c.orders[i].desc)
	}
	return b
}

func appendDirected(b, key []byte, desc bool) []byte {
	n := len(b)
	b = append(b, key...)
	if desc {
		complement(b[n:])
	}
	return b
}

func (d *document) appendDirected(b []byte, o order) ([]byte, bool) {
	n := len(b)
	b, ok := d.appendKey(b, o.path)
	if o.desc {
		complement(b[n:])
	}
	return b, ok
}

// selects evaluates everything but offset and limit, and returns the document's position.
func (c *query) selects(d *document) ([]byte, bool) {
	if !c.where.matches(d) {
		return nil, false
	}
	at, ok := c.position(d)
	if !ok || !c.inRange(at) {
		return nil, false
	}
	return at, true
}

func (c *query) inRange(at []byte) bool {
	if c.start != nil {
		p := c.prefix(c.start)
		equal := bytes.HasPrefix(at, p)
		if equal && !c.start.before || !equal && bytes.Compare(at, p) < 0 {
			return false
		}
	}
	if c.end != nil {
		p := c.prefix(c.end)
		equal := bytes.HasPrefix(at, p)
		if equal && c.end.before || !equal && bytes.Compare(at, p) > 0 {
			return false
		}
	}
	return true
}

// want is how many documents the results can need in total, negative for all.
func (c *query) want() int {
	if c.limit < 0 {
		return -1
	}
	return c.offset + c.limit
}
