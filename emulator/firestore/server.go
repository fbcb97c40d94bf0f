package firestore

import (
	"fmt"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
)

// Options configures a Server.
type Options struct {
	// Dir holds the snapshot and the log; it is made if missing. Empty: memory only.
	Dir string
	// Indexes is the content of a firestore.indexes.json: composite indexes, single-field overrides and TTL
	// policies. Nil: every query is served, as if all indexes existed.
	Indexes []byte
	// Now is the clock of commit, read and server timestamps; nil: time.Now.
	Now func() time.Time
}

// Server is an embedded Firestore. Its methods may be called concurrently.
type Server struct {
	pb.UnimplementedFirestoreServer

	store        *store
	locks        *lockTable
	transactions *transactions
	listeners    listeners
	indexes      *declared // nil: not enforced
	meter        meter
	disk         *disk // nil: memory only
}

// Open makes a server and loads what Dir holds. A log whose last record is torn loses that record, which was never
// acknowledged; damage anywhere else is an error that names file and offset.
func Open(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{store: newStore(), locks: newLockTable()}
	s.store.clock.now = o.Now
	s.transactions = newTransactions(s.locks)
	if o.Indexes != nil {
		d, err := parseIndexes(o.Indexes)
		if err != nil {
			return nil, fmt.Errorf("read the index file: %w", err)
		}
		s.indexes = d
	}
	if o.Dir != "" {
		d, err := openDisk(o.Dir, s.store)
		if err != nil {
			return nil, fmt.Errorf("open firestore data: %w", err)
		}
		s.disk = d
		s.store.journal = d.append
	}
	return s, nil
}

// Register makes the server answer google.firestore.v1.Firestore on r. Requests may be 10 MiB large, more than gRPC
// accepts by default: make r with grpc.MaxRecvMsgSize(16 << 20) or so.
func (s *Server) Register(r grpc.ServiceRegistrar) { pb.RegisterFirestoreServer(r, s) }

// Close writes a snapshot and releases the directory. Commits after it fail; stop the gRPC server first.
func (s *Server) Close() error {
	if s.disk == nil {
		return nil
	}
	if err := s.disk.close(); err != nil {
		return fmt.Errorf("close firestore data: %w", err)
	}
	return nil
}
