package firestore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	fs "cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/iterator"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// TestSortedIsAnOrderedMap compares with a map, across several block splits.
func TestSortedIsAnOrderedMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s sorted[int]
		model := map[string]int{}
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("%04d", rapid.IntRange(0, 3000).Draw(t, "key")) })
		if rapid.Bool().Draw(t, "filled") {
			var entries []entry[int]
			for k := 2999; k >= 0; k -= 2 {
				entries = append(entries, entry[int]{fmt.Sprintf("%04d", k), -1})
				model[fmt.Sprintf("%04d", k)] = -1
			}
			s.fill(entries)
		}
		for i := range rapid.IntRange(0, 40).Draw(t, "rounds") {
			from := rapid.IntRange(0, 3000).Draw(t, "from")
			if rapid.Bool().Draw(t, "insert a run") {
				for k := from; k < min(from+200, 3000); k++ {
					s.put(fmt.Sprintf("%04d", k), i)
					model[fmt.Sprintf("%04d", k)] = i
				}
			} else {
				for k := from; k < min(from+150, 3000); k++ {
					s.remove(fmt.Sprintf("%04d", k))
					delete(model, fmt.Sprintf("%04d", k))
				}
			}
		}
		lo, hi, reverse := key.Draw(t, "lo"), key.Draw(t, "hi"), rapid.Bool().Draw(t, "reverse")
		var want, got []string
		for _, k := range slices.Sorted(maps.Keys(model)) {
			if lo <= k && k < hi {
				want = append(want, fmt.Sprint(k, model[k]))
			}
		}
		if reverse {
			slices.Reverse(want)
		}
		for k, v := range s.scan(lo, hi, reverse) {
			got = append(got, fmt.Sprint(k, v))
		}
		if !slices.Equal(got, want) || s.size != len(model) {
			t.Fatalf("size %d of %d, got %v, want %v", s.size, len(model), got, want)
		}
	})
}

// TestOrderKeyOrdersValues compares with a direct implementation of the documented order, and checks that keys are
// self-delimiting.
func TestOrderKeyOrdersValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRandom(rapid.Uint64().Draw(t, "seed"))
		a, b, tail := r.value(), r.value(), r.scalar()
		ka, kb := orderKey(a), orderKey(b)
		want := compareValues(a, b)
		if got := bytes.Compare(ka, kb); got != want {
			t.Fatalf("%v and %v: keys compare %d, values %d", a, b, got, want)
		}
		if raw, err := proto.Marshal(a); err != nil || !bytes.Equal(wireKey(raw), ka) {
			t.Fatalf("%v: the key made of the encoded value is %v, want %v", a, wireKey(raw), ka)
		}
		if want != 0 && (bytes.HasPrefix(ka, kb) || bytes.HasPrefix(kb, ka)) {
			t.Fatalf("%v and %v: one key is a prefix of the other", a, b)
		}
		if want != 0 && bytes.Compare(appendKey(ka, tail), appendKey(kb, tail)) != want {
			t.Fatalf("%v and %v: what follows changes the order", a, b)
		}
	})
}

func wireKey(raw []byte) []byte {
	k, _ := appendWireKey(nil, raw)
	return k
}

func compareValues(a, b *pb.Value) int {
	rank := func(v *pb.Value) byte { return orderKey(v)[0] }
	if r := cmp.Compare(rank(a), rank(b)); r != 0 {
		return r
	}
	switch x := a.ValueType.(type) {
	case *pb.Value_BooleanValue:
		return cmp.Compare(fmt.Sprint(x.BooleanValue), fmt.Sprint(b.GetBooleanValue()))
	case *pb.Value_IntegerValue, *pb.Value_DoubleValue:
		return exact(a).Cmp(exact(b))
	case *pb.Value_TimestampValue:
		return x.TimestampValue.AsTime().Compare(b.GetTimestampValue().AsTime())
	case *pb.Value_StringValue:
		return strings.Compare(x.StringValue, b.GetStringValue())
	case *pb.Value_BytesValue:
		return bytes.Compare(x.BytesValue, b.GetBytesValue())
	case *pb.Value_ReferenceValue:
		return slices.Compare(strings.Split(x.ReferenceValue, "/"), strings.Split(b.GetReferenceValue(), "/"))
	case *pb.Value_GeoPointValue:
		g, h := x.GeoPointValue, b.GetGeoPointValue()
		return cmp.Or(cmp.Compare(g.Latitude, h.Latitude), cmp.Compare(g.Longitude, h.Longitude))
	case *pb.Value_ArrayValue:
		return slices.CompareFunc(x.ArrayValue.Values, b.GetArrayValue().Values, compareValues)
	case *pb.Value_MapValue:
		f, g := x.MapValue.Fields, b.GetMapValue().Fields
		return slices.CompareFunc(sortedKeys(f), sortedKeys(g), func(i, j string) int {
			if r := strings.Compare(i, j); r != 0 {
				return r
			}
			return compareValues(f[i], g[j])
		})
	}
	return 0
}

func exact(v *pb.Value) *big.Float {
	if i, ok := v.ValueType.(*pb.Value_IntegerValue); ok {
		return new(big.Float).SetPrec(128).SetInt64(i.IntegerValue)
	}
	f := v.GetDoubleValue()
	if math.IsInf(f, 0) {
		return new(big.Float).SetInf(f < 0)
	}
	return new(big.Float).SetPrec(128).SetFloat64(f)
}

// TestTransactionsAreSerializable moves money between accounts in transactions that read by name, by query and by
// aggregation, while read-only transactions and listeners look on: nobody ever sees another total.
func TestTransactionsAreSerializable(t *testing.T) {
	s, addr := start(t, Options{Dir: t.TempDir()})
	s.store.scanBelow = 0
	const accounts, total = 6, 600
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := client(t, addr, testProject)
	col := c.Collection("accounts")
	batch := c.BulkWriter(ctx)
	for i := range accounts {
		_, err := batch.Set(col.Doc(fmt.Sprint(i)), map[string]any{"money": total / accounts, "open": true})
		must(t, nil, err)
	}
	batch.End()

	var movers sync.WaitGroup
	for g := range 4 {
		movers.Go(func() {
			r := newRandom(uint64(g))
			for range 30 {
				if err := c.RunTransaction(ctx, r.move(col), fs.MaxAttempts(50)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var watchers sync.WaitGroup
	snapshots, reads := 0, 0
	watchers.Go(func() { // a listener's snapshots are consistent
		it := col.Where("open", "==", true).Snapshots(ctx)
		defer it.Stop()
		for {
			snapshot, err := it.Next()
			if err != nil {
				return // cancelled at the end
			}
			snapshots++
			checkTotal(t, "listener", snapshot.Documents, total)
		}
	})
	watchers.Go(func() { // so are read-only transactions
		for ctx.Err() == nil {
			_ = c.RunTransaction(ctx, func(_ context.Context, tx *fs.Transaction) error {
				reads++
				checkTotal(t, "read-only transaction", tx.Documents(col.Where("open", "==", true)), total)
				return nil
			}, fs.ReadOnly)
		}
	})
	movers.Wait()
	cancel()
	watchers.Wait()
	if snapshots == 0 || reads == 0 {
		t.Errorf("%d snapshots and %d read-only transactions looked on", snapshots, reads)
	}
	checkTotal(t, "at the end", col.Documents(context.Background()), total)
}

// move splits accounts or joins them: it closes one for good and opens another with a part of the money.
func (r random) move(col *fs.CollectionRef) func(context.Context, *fs.Transaction) error {
	return func(_ context.Context, tx *fs.Transaction) error {
		docs, err := tx.Documents(col.Where("open", "==", true).OrderBy("money", fs.Desc).Limit(3)).GetAll()
		if err != nil {
			return err
		}
		from := docs[r.IntN(len(docs))]
		money := from.Data()["money"].(int64)
		part := int64(r.IntN(int(money) + 1))
		if r.chance(50) || len(docs) == 1 {
			if err := tx.Update(from.Ref, []fs.Update{{Path: "money", Value: money - part}}); err != nil {
				return err
			}
			return tx.Create(col.NewDoc(), map[string]any{"money": part, "open": true})
		}
		to := docs[(slices.Index(docs, from)+1)%len(docs)]
		if err := tx.Delete(from.Ref); err != nil {
			return err
		}
		return tx.Update(to.Ref, []fs.Update{{Path: "money", Value: to.Data()["money"].(int64) + money}})
	}
}

func checkTotal(t *testing.T, who string, it *fs.DocumentIterator, want int64) {
	var sum int64
	for {
		d, err := it.Next()
		if err == iterator.Done {
			break
		}
		if err != nil {
			return // cancelled
		}
		sum += d.Data()["money"].(int64)
	}
	if sum != want {
		t.Errorf("%s: total %d, want %d", who, sum, want)
	}
}
