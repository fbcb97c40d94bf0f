package firestore

import (
	"bytes"
	"slices"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

type operator int

const (
	opEqual operator = iota
	opIn
	opContains
	opContainsAny
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opNotEqual
	opNotIn
	opNotNull
	opNotNaN
)

// inequality tells operators that put their field into the implicit order of the results.
func (o operator) inequality() bool { return o >= opLess }

// disjunctive tells operators that stand for several equalities.
func (o operator) disjunctive() bool { return o == opIn || o == opContainsAny }

// condition is one comparison of a field, with its operands as order keys. Nothing equals null except by IS_NULL, so
// an equality with null has no operands and matches nothing.
type condition struct {
	path fieldPath
	op   operator
	keys [][]byte // one, or the elements of in, not-in and array-contains-any
	// names are the operands of a condition on __name__.
	names []string
}

// filter is the tree of a query's where clause: a condition, or an AND/OR of filters. The zero value is an
// empty AND and matches everything.
type filter struct {
	cond *condition
	or   bool
	kids []filter
}

var (
	keyNull = orderKey(&pb.Value{})
	keyNaN  = append([]byte{tagNumber}, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0)
)

var fieldOperators = map[pb.StructuredQuery_FieldFilter_Operator]operator{
	pb.StructuredQuery_FieldFilter_EQUAL:                 opEqual,
	pb.StructuredQuery_FieldFilter_IN:                    opIn,
	pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS:        opContains,
	pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY:    opContainsAny,
	pb.StructuredQuery_FieldFilter_LESS_THAN:             opLess,
	pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL:    opLessEqual,
	pb.StructuredQuery_FieldFilter_GREATER_THAN:          opGreater,
	pb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL: opGreaterEqual,
	pb.StructuredQuery_FieldFilter_NOT_EQUAL:             opNotEqual,
	pb.StructuredQuery_FieldFilter_NOT_IN:                opNotIn,
}

func (s *scope) compileFilter(f *pb.StructuredQuery_Filter) (filter, error) {
	switch x := f.GetFilterType().(type) {
	case nil:
		return filter{}, nil
	case *pb.StructuredQuery_Filter_CompositeFilter:
		return s.compileComposite(x.CompositeFilter)
	case *pb.StructuredQuery_Filter_UnaryFilter:
		return compileUnary(x.UnaryFilter)
	case *pb.StructuredQuery_Filter_FieldFilter:
		return s.compileField(x.FieldFilter)
	}
	return filter{}, invalid("unknown kind of filter")
}

func (s *scope) compileComposite(f *pb.StructuredQuery_CompositeFilter) (filter, error) {
	out := filter{or: f.Op == pb.StructuredQuery_CompositeFilter_OR}
	if f.Op == pb.StructuredQuery_CompositeFilter_OPERATOR_UNSPECIFIED || len(f.Filters) == 0 {
		return filter{}, invalid("a composite filter needs an operator and at least one filter")
	}
	for _, g := range f.Filters {
		kid, err := s.compileFilter(g)
		if err != nil {
			return filter{}, err
		}
		out.kids = append(out.kids, kid)
	}
	return out, nil
}

func compileUnary(f *pb.StructuredQuery_UnaryFilter) (filter, error) {
	path, err := parseFieldPath(f.GetField().GetFieldPath())
	if err != nil {
		return filter{}, err
	}
	c := &condition{path: path}
	switch f.Op {
	case pb.StructuredQuery_UnaryFilter_IS_NULL:
		c.op, c.keys = opEqual, [][]byte{keyNull}
	case pb.StructuredQuery_UnaryFilter_IS_NAN:
		c.op, c.keys = opEqual, [][]byte{keyNaN}
	case pb.StructuredQuery_UnaryFilter_IS_NOT_NULL:
		c.op = opNotNull
	case pb.StructuredQuery_UnaryFilter_IS_NOT_NAN:
		c.op = opNotNaN
	default:
		return filter{}, invalid("a unary filter has no operator")
	}
	return filter{cond: c}, nil
}

func (s *scope) compileField(f *pb.StructuredQuery_FieldFilter) (filter, error) {
	path, err := parseFieldPath(f.GetField().GetFieldPath())
	if err != nil {
		return filter{}, err
	}
	op, ok := fieldOperators[f.Op]
	if !ok {
		return filter{}, invalid("a field filter has no operator")
	}
	operands := []*pb.Value{f.Value}
	if op == opIn || op == opNotIn || op == opContainsAny {
		if operands, err = listOperand(op, f.Value); err != nil {
			return filter{}, err
		}
	}
	c := &condition{path: path, op: op}
	for _, v := range operands {
		key, err := s.operandKey(path, v)
		if err != nil {
			return filter{}, err
		}
		if key[0] == tagNull && !op.inequality() || c.has(key) {
			continue
		}
		c.keys = append(c.keys, key)
		if path.isName() {
			c.names = append(c.names, v.GetReferenceValue())
		}
	}
	return filter{cond: c}, nil
}

func listOperand(op operator, v *pb.Value) ([]*pb.Value, error) {
	values := v.GetArrayValue().GetValues()
	n := len(values)
	switch {
	case n == 0:
		return nil, invalid("in, not-in and array-contains-any need a non-empty array")
	case op == opNotIn && n > maxNotIn:
		return nil, invalid("not-in takes at most %d values", maxNotIn)
	case n > maxDisjunctions:
		return nil, invalid("in and array-contains-any take at most %d values", maxDisjunctions)
	}
	return values, nil
}

// operandKey encodes an operand; names must lie in what is queried.
func (s *scope) operandKey(path fieldPath, v *pb.Value) ([]byte, error) {
	if v.GetValueType() == nil {
		return nil, invalid("a filter or cursor has no value")
	}
	if !path.isName() {
		return orderKey(v), nil
	}
	return s.nameOperand(v)
}

// matches evaluates the filter for d.
func (f *filter) matches(d *document) bool {
	if f.cond != nil {
		return f.cond.matches(d)
	}
	for i := range f.kids {
		if f.kids[i].matches(d) == f.or {
			return f.or
		}
	}
	return !f.or
}

func (c *condition) matches(d *document) bool {
	if c.op == opContains || c.op == opContainsAny {
		elements := d.field(c.path).GetArrayValue().GetValues()
		return slices.ContainsFunc(elements, func(e *pb.Value) bool { return c.has(orderKey(e)) })
	}
	key, ok := d.appendKey(nil, c.path)
	return ok && c.compare(key)
}

func (c *condition) has(key []byte) bool {
	return slices.ContainsFunc(c.keys, func(k []byte) bool { return bytes.Equal(k, key) })
}

func (c *condition) compare(key []byte) bool {
	null := key[0] == tagNull
	switch c.op {
	case opEqual, opIn:
		return c.has(key)
	case opNotEqual:
		return !null && !c.has(key)
	case opNotIn:
		return !null && !c.has(key) && !c.has(keyNull)
	case opNotNull:
		return !null
	case opNotNaN:
		return !null && !bytes.Equal(key, keyNaN)
	}
	if key[0] != c.keys[0][0] {
		return false // ranges stay within one type
	}
	r := bytes.Compare(key, c.keys[0])
	switch c.op {
	case opLess:
		return r < 0
	case opLessEqual:
		return r <= 0
	case opGreater:
		return r > 0
	default:
		return r >= 0
	}
}

// inequalities collects the distinct fields with inequality conditions.
func (f *filter) inequalities(into []fieldPath) []fieldPath {
	if c := f.cond; c != nil && c.op.inequality() && !slices.ContainsFunc(into, func(p fieldPath) bool { return p.text == c.path.text }) {
		return append(into, c.path)
	}
	for i := range f.kids {
		into = f.kids[i].inequalities(into)
	}
	return into
}

// count returns how many conditions the filter has.
func (f *filter) count() int {
	if f.cond != nil {
		return 1
	}
	n := 0
	for i := range f.kids {
		n += f.kids[i].count()
	}
	return n
}

// uses counts the conditions with this operator.
func (f *filter) uses(op operator) int {
	n := 0
	if f.cond != nil && f.cond.op == op {
		n = 1
	}
	for i := range f.kids {
		n += f.kids[i].uses(op)
	}
	return n
}

// disjunctive tells whether the filter says "or" in one form or another.
func (f *filter) disjunctive() bool {
	return f.or || f.cond != nil && f.cond.op.disjunctive() ||
		slices.ContainsFunc(f.kids, func(k filter) bool { return k.disjunctive() })
}

// disjuncts expands the filter into its disjunctive normal form: the query's result is the union of the
// conjunctions'. in and array-contains-any are expanded as well. A conjunction is a set of conditions, and the same
// set counts once: a in {1, 2} twice has three of them.
func (f *filter) disjuncts() ([][]condition, error) {
	if f.cond != nil {
		return f.cond.disjuncts(), nil
	}
	var out [][]condition
	if !f.or {
		out = [][]condition{nil}
	}
	for i := range f.kids {
		kid, err := f.kids[i].disjuncts()
		if err != nil {
			return nil, err
		}
		if f.or {
			out = distinct(append(out, kid...))
		} else {
			out = distinct(product(out, kid))
		}
		if len(out) > maxDisjunctions {
			return nil, invalid("the query has more than %d disjunctions after expansion", maxDisjunctions)
		}
	}
	return out, nil
}

func (c *condition) disjuncts() [][]condition {
	if c.op.inequality() {
		return [][]condition{{*c}}
	}
	op := opEqual
	if c.op == opContains || c.op == opContainsAny {
		op = opContains
	}
	var out [][]condition
	for i, k := range c.keys {
		one := condition{path: c.path, op: op, keys: [][]byte{k}}
		if c.names != nil {
			one.names = c.names[i : i+1]
		}
		out = append(out, []condition{one})
	}
	return out
}

func (c condition) same(other condition) bool {
	return c.op == other.op && c.path.text == other.path.text && slices.EqualFunc(c.keys, other.keys, bytes.Equal)
}

func product(a, b [][]condition) [][]condition {
	var out [][]condition
	for _, x := range a {
		for _, y := range b {
			conjunction := slices.Clone(x)
			for _, c := range y {
				if c.op == opContains || !slices.ContainsFunc(x, c.same) {
					conjunction = append(conjunction, c)
				}
			}
			out = append(out, conjunction)
		}
	}
	return out
}

// distinct keeps the first of the conjunctions that have the same conditions.
func distinct(all [][]condition) [][]condition {
	var out [][]condition
	for _, c := range all {
		if !slices.ContainsFunc(out, func(o []condition) bool { return sameSet(o, c) }) {
			out = append(out, c)
		}
	}
	return out
}

func sameSet(a, b []condition) bool {
	in := func(c condition, set []condition) bool { return slices.ContainsFunc(set, c.same) }
	return len(a) == len(b) &&
		!slices.ContainsFunc(a, func(c condition) bool { return !in(c, b) }) &&
		!slices.ContainsFunc(b, func(c condition) bool { return !in(c, a) })
}
