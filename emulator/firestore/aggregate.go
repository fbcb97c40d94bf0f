package firestore

import (
	"math/bits"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

// RunAggregationQuery implements google.firestore.v1.Firestore: count, sum and avg.
func (s *Server) RunAggregationQuery(r *pb.RunAggregationQueryRequest, out pb.Firestore_RunAggregationQueryServer) error {
	request := r.GetStructuredAggregationQuery()
	q, err := compileQuery(r.Parent, request.GetStructuredQuery())
	if err != nil {
		return err
	}
	aggregates, err := compileAggregates(request.GetAggregations())
	if err != nil {
		return err
	}
	if err := q.aggregate(aggregatedFields(aggregates)); err != nil {
		return err
	}
	if s.indexes != nil {
		if err := s.indexes.check(q); err != nil {
			return err
		}
	}
	rd, done, err := s.open(out.Context(), consistency{databaseOf(q.root), r.GetTransaction(), r.GetNewTransaction(), r.GetReadTime()})
	if err != nil {
		return err
	}
	defer done()
	res, err := s.query(out.Context(), rd, q)
	if err != nil {
		return err
	}
	s.meter.of(out.Context()).reads.Add(max(1, (int64(len(res.docs)+res.skipped)+999)/1000))
	return out.Send(&pb.RunAggregationQueryResponse{
		Result:      &pb.AggregationResult{AggregateFields: aggregate(aggregates, res.docs)},
		Transaction: rd.begun,
		ReadTime:    timestamp(res.time),
	})
}

type aggregateKind int

const (
	aggregateCount aggregateKind = iota
	aggregateSum
	aggregateAverage
)

type aggregation struct {
	alias string
	kind  aggregateKind
	path  fieldPath
	upTo  int64 // 0: no limit
}

func compileAggregates(in []*pb.StructuredAggregationQuery_Aggregation) ([]aggregation, error) {
	if len(in) == 0 || len(in) > maxAggregations {
		return nil, invalid("a query has 1 to %d aggregations", maxAggregations)
	}
	var out []aggregation
	for _, a := range in {
		c := aggregation{alias: a.Alias}
		var field *pb.StructuredQuery_FieldReference
		switch op := a.Operator.(type) {
		case *pb.StructuredAggregationQuery_Aggregation_Count_:
			if c.upTo = op.Count.GetUpTo().GetValue(); op.Count.GetUpTo() != nil && c.upTo <= 0 {
				return nil, invalid("count's up_to must be positive")
			}
		case *pb.StructuredAggregationQuery_Aggregation_Sum_:
			c.kind, field = aggregateSum, op.Sum.GetField()
		case *pb.StructuredAggregationQuery_Aggregation_Avg_:
			c.kind, field = aggregateAverage, op.Avg.GetField()
		default:
			return nil, invalid("an aggregation has no operator")
		}
		if c.kind != aggregateCount {
			var err error
			if c.path, err = parseFieldPath(field.GetFieldPath()); err != nil {
				return nil, err
			}
		}
		out = append(out, c)
	}
	return out, nil
}

func aggregatedFields(in []aggregation) []fieldPath {
	var out []fieldPath
	for _, a := range in {
		if a.kind != aggregateCount {
			out = append(out, a.path)
		}
	}
	return out
}

func aggregate(in []aggregation, docs []*document) map[string]*pb.Value {
	sums := make([]total, len(in))
	for _, d := range docs {
		for i, a := range in {
			if a.kind != aggregateCount {
				sums[i].add(d.field(a.path))
			}
		}
	}
	out := make(map[string]*pb.Value, len(in))
	for i, a := range in {
		switch a.kind {
		case aggregateCount:
			n := int64(len(docs))
			if a.upTo > 0 {
				n = min(n, a.upTo)
			}
			out[a.alias] = integerValue(n)
		case aggregateSum:
			out[a.alias] = sums[i].sum()
		case aggregateAverage:
			out[a.alias] = sums[i].average()
		}
	}
	return out
}

// total adds numbers: integers exactly in 128 bits as long as there are only integers, doubles otherwise.
type total struct {
	n       int64
	high    int64
	low     uint64
	double  float64 // sum of the doubles
	doubles bool
}

func (t *total) add(v *pb.Value) {
	switch x := v.GetValueType().(type) {
	case *pb.Value_IntegerValue:
		var carry uint64
		t.low, carry = bits.Add64(t.low, uint64(x.IntegerValue), 0)
		t.high += x.IntegerValue>>63 + int64(carry)
	case *pb.Value_DoubleValue:
		t.double += x.DoubleValue
		t.doubles = true
	default:
		return // what is no number does not count
	}
	t.n++
}

func (t *total) fits() bool { return t.high == int64(t.low)>>63 }

// sum is an integer if all addends are and it fits, else a double.
func (t *total) sum() *pb.Value {
	if !t.doubles && t.fits() {
		return integerValue(int64(t.low))
	}
	return doubleValue(t.float())
}

func (t *total) float() float64 {
	if t.fits() {
		return float64(int64(t.low)) + t.double
	}
	return float64(t.high)*(1<<64) + float64(t.low) + t.double
}

func (t *total) average() *pb.Value {
	if t.n == 0 {
		return nullValue
	}
	return doubleValue(t.float() / float64(t.n))
}
