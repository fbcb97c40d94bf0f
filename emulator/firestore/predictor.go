package firestore

import (
	"hash/maphash"
	"sync/atomic"
)

// predictor guesses, from what happened before, whether a transaction that reads a document will write it, like
// a processor predicts branches. It only chooses between a shared and an update lock: a wrong guess costs time,
// never correctness. Shared locks alone make every contended counter deadlock once and back off for a second;
// update locks alone would queue all transactions up at a settings document that each of them only reads.
type predictor struct {
	seed  maphash.Seed
	slots [1 << 12]atomic.Uint32
}

const certain = 3

func (p *predictor) slot(name string) *atomic.Uint32 {
	return &p.slots[maphash.String(p.seed, name)%uint64(len(p.slots))]
}

func (p *predictor) expects(name string) bool { return p.slot(name).Load() > 0 }

// wrote records that a reader wrote.
func (p *predictor) wrote(name string) { p.slot(name).Store(certain) }

// onlyRead records that an expected writer did not write.
func (p *predictor) onlyRead(name string) {
	s := p.slot(name)
	if n := s.Load(); n > 0 {
		s.CompareAndSwap(n, n-1)
	}
}
