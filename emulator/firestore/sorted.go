package firestore

import (
	"iter"
	"slices"
	"sort"
	"strings"
)

// sorted is an ordered map from byte strings to V: a list of blocks of entries. Finding is two binary searches;
// inserting moves at most one block. At a million entries it takes the memory of the entries and little more,
// and scans run through contiguous memory in either direction.
type sorted[V any] struct {
	blocks [][]entry[V] // none is empty
	size   int
}

type entry[V any] struct {
	key   string
	value V
}

const blockSize = 512

// find returns where key is, or where it would be inserted.
func (s *sorted[V]) find(key string) (block, pos int, found bool) {
	block = sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i][0].key > key }) - 1
	if block < 0 {
		return 0, 0, false
	}
	b := s.blocks[block]
	pos = sort.Search(len(b), func(i int) bool { return b[i].key >= key })
	return block, pos, pos < len(b) && b[pos].key == key
}

func (s *sorted[V]) put(key string, value V) {
	if len(s.blocks) == 0 {
		s.blocks = [][]entry[V]{append(make([]entry[V], 0, 8), entry[V]{key, value})}
		s.size = 1
		return
	}
	block, pos, found := s.find(key)
	if found {
		s.blocks[block][pos].value = value
		return
	}
	s.size++
	b := slices.Insert(s.blocks[block], pos, entry[V]{key, value})
	s.blocks[block] = b
	if len(b) > blockSize {
		s.split(block, pos)
	}
}

// split halves a full block; ascending insertion keeps the left one almost full instead of half empty.
func (s *sorted[V]) split(block, pos int) {
	b := s.blocks[block]
	at := len(b) / 2
	if pos == len(b)-1 && block == len(s.blocks)-1 {
		at = len(b) * 15 / 16
	}
	right := slices.Clone(b[at:])
	clear(b[at:])
	s.blocks[block] = slices.Clone(b[:at])
	s.blocks = slices.Insert(s.blocks, block+1, right)
}

func (s *sorted[V]) remove(key string) {
	block, pos, found := s.find(key)
	if !found {
		return
	}
	s.size--
	b := slices.Delete(s.blocks[block], pos, pos+1)
	s.blocks[block] = b
	if len(b) == 0 {
		s.blocks = slices.Delete(s.blocks, block, block+1)
	}
}

// fill replaces the content by entries with distinct keys in any order; it is many times faster than put one by one.
func (s *sorted[V]) fill(entries []entry[V]) {
	slices.SortFunc(entries, func(a, b entry[V]) int { return strings.Compare(a.key, b.key) })
	s.size, s.blocks = len(entries), nil
	for block := range slices.Chunk(entries, blockSize*3/4) {
		s.blocks = append(s.blocks, slices.Clone(block))
	}
}

// scan yields the entries with lo <= key < hi in order, or in reverse order.
func (s *sorted[V]) scan(lo, hi string, reverse bool) iter.Seq2[string, V] {
	if reverse {
		return func(yield func(string, V) bool) { s.descend(lo, hi, yield) }
	}
	return func(yield func(string, V) bool) { s.ascend(lo, hi, yield) }
}

func (s *sorted[V]) ascend(lo, hi string, yield func(string, V) bool) {
	block, pos, _ := s.find(lo)
	for ; block < len(s.blocks); block, pos = block+1, 0 {
		for _, e := range s.blocks[block][pos:] {
			if e.key >= hi || !yield(e.key, e.value) {
				return
			}
		}
	}
}

func (s *sorted[V]) descend(lo, hi string, yield func(string, V) bool) {
	if len(s.blocks) == 0 {
		return
	}
	block, pos, _ := s.find(hi)
	for {
		b := s.blocks[block]
		for i := pos - 1; i >= 0; i-- {
			if b[i].key < lo || !yield(b[i].key, b[i].value) {
				return
			}
		}
		if block--; block < 0 {
			return
		}
		pos = len(s.blocks[block])
	}
}
