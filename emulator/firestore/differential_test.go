package firestore

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// TestDifferential sends the same random requests to the embedded server, once with and once without physical
// indexes, and to Google's emulator, and expects the same answers. The requests are the same in each run, because a gate
// must not fail by chance; FIRESTORE_TEST_SEED=0 makes others and FIRESTORE_TEST_SECONDS makes more.
func TestDifferential(t *testing.T) {
	reference := raw(t, googleAddr(t))
	_, plain := start(t, Options{})
	indexed, indexedAddr := start(t, Options{})
	indexed.store.scanBelow = 0
	seed, seconds := setting(t, "FIRESTORE_TEST_SEED", 1), setting(t, "FIRESTORE_TEST_SECONDS", 15)
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("FIRESTORE_TEST_SEED=%d", seed)
	d := &differential{t: t, random: newRandom(seed),
		sides: []side{{"google", reference}, {"embedded", raw(t, plain)}, {"embedded, indexed", raw(t, indexedAddr)}}}
	d.empty()
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	for time.Now().Before(until) && d.failures < maxFailures {
		d.step()
	}
	t.Logf("%d requests", d.n)
}

func setting(t *testing.T, name string, otherwise uint64) uint64 {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

type side struct {
	name   string
	client pb.FirestoreClient
}

type differential struct {
	t *testing.T
	random
	sides []side
	n     int
	// failures is bounded, because one difference in the documents makes many in the queries.
	failures int
}

const maxFailures = 20

func (d *differential) step() {
	d.n++
	switch d.IntN(10) {
	case 0, 1, 2:
		r := &pb.CommitRequest{Database: testDatabase}
		r.Writes = d.writes()
		d.compare(r, func(c pb.FirestoreClient) (string, error) { return commitAnswer(c, r) })
	case 3:
		parent, q := d.query()
		r := &pb.RunAggregationQueryRequest{Parent: parent, QueryType: &pb.RunAggregationQueryRequest_StructuredAggregationQuery{
			StructuredAggregationQuery: &pb.StructuredAggregationQuery{Aggregations: d.aggregations(),
				QueryType: &pb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: q}}}}
		q.Select = nil
		d.compare(r, func(c pb.FirestoreClient) (string, error) { return aggregationAnswer(c, r) })
	default:
		parent, q := d.query()
		r := &pb.RunQueryRequest{Parent: parent, QueryType: &pb.RunQueryRequest_StructuredQuery{StructuredQuery: q}}
		d.compare(r, func(c pb.FirestoreClient) (string, error) { return queryAnswer(c, r) })
	}
}

// compare expects the same answer, or the same kind of error, from all sides.
func (d *differential) compare(request proto.Message, answer func(pb.FirestoreClient) (string, error)) {
	var want, reason, previous string
	for i, s := range d.sides {
		got, err := answer(s.client)
		message := status.Convert(err).Message()
		if err != nil {
			got = status.Code(err).String()
		}
		if i == 0 {
			want, reason = got, message
			continue
		}
		if got != want {
			d.failures++
			got, want := got+" "+message, want+" "+reason
			if i == 2 && d.t.Failed() && got == previous {
				continue
			}
			previous = got
			d.t.Errorf("request %d:\n%s\n%s:\n%s\n%s:\n%s", d.n, prototext.MarshalOptions{}.Format(request), d.sides[0].name, want, s.name, got)
		}
	}
}

// empty deletes what an earlier run left in Google's emulator.
func (d *differential) empty() {
	r := &pb.CommitRequest{Database: testDatabase}
	for i := range 12 {
		name := fmt.Sprintf("%s/c/d%d", testRoot, i)
		r.Writes = append(r.Writes, &pb.Write{Operation: &pb.Write_Delete{Delete: name}})
		for j := range 3 {
			r.Writes = append(r.Writes, &pb.Write{Operation: &pb.Write_Delete{Delete: fmt.Sprintf("%s/s/e%d", name, j)}})
		}
	}
	for _, s := range d.sides {
		if _, err := s.client.Commit(context.Background(), r); err != nil {
			d.t.Fatal(err)
		}
	}
}

func commitAnswer(c pb.FirestoreClient, r *pb.CommitRequest) (string, error) {
	ctx := context.Background()
	res, err := c.Commit(ctx, r)
	if err != nil {
		return "", err
	}
	out := ""
	for _, w := range res.WriteResults {
		now := w.UpdateTime.AsTime().Equal(res.CommitTime.AsTime())
		out += fmt.Sprintf("written now: %v, results: %s\n", now, canonical(w.TransformResults...))
	}
	for _, w := range r.Writes {
		d, err := c.GetDocument(ctx, &pb.GetDocumentRequest{Name: writeTarget(w)})
		if err != nil {
			out += status.Code(err).String() + "\n"
			continue
		}
		out += canonicalDocument(d)
	}
	return out, nil
}

func queryAnswer(c pb.FirestoreClient, r *pb.RunQueryRequest) (string, error) {
	stream, err := c.RunQuery(context.Background(), r)
	if err != nil {
		return "", err
	}
	out := ""
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return "", err
		}
		if m.Document != nil {
			out += canonicalDocument(m.Document)
		}
	}
}

func aggregationAnswer(c pb.FirestoreClient, r *pb.RunAggregationQueryRequest) (string, error) {
	stream, err := c.RunAggregationQuery(context.Background(), r)
	if err != nil {
		return "", err
	}
	m, err := stream.Recv()
	if err != nil {
		return "", err
	}
	out := ""
	for _, k := range sortedKeys(m.Result.AggregateFields) {
		v := m.Result.AggregateFields[k]
		if f, ok := v.ValueType.(*pb.Value_DoubleValue); ok && !math.IsInf(f.DoubleValue, 0) {
			out += fmt.Sprintf("%s %.6g\n", k, f.DoubleValue) // the order of additions is not defined
			continue
		}
		out += k + " " + canonical(v) + "\n"
	}
	return out, nil
}

func canonicalDocument(d *pb.Document) string {
	out := d.Name[len(testRoot):] + " {"
	for _, k := range sortedKeys(d.Fields) {
		out += " " + k + ":" + canonical(d.Fields[k])
	}
	return out + " }\n"
}

// canonical prints values with their types and map entries in order.
func canonical(values ...*pb.Value) string {
	out := ""
	for _, v := range values {
		switch x := v.ValueType.(type) {
		case *pb.Value_MapValue:
			out += "{"
			for _, k := range sortedKeys(x.MapValue.Fields) {
				out += fmt.Sprintf("%q:%s", k, canonical(x.MapValue.Fields[k]))
			}
			out += "}"
		case *pb.Value_ArrayValue:
			out += "[" + canonical(x.ArrayValue.Values...) + "]"
		case *pb.Value_DoubleValue:
			out += fmt.Sprintf("double %v,", x.DoubleValue)
		case *pb.Value_TimestampValue:
			out += x.TimestampValue.AsTime().Format(time.RFC3339Nano) + ","
		case *pb.Value_NullValue:
			out += "null,"
		default:
			out += fmt.Sprintf("%T %v,", x, orderKey(v))
		}
	}
	return out
}
