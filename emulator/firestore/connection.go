package firestore

import (
	"context"
	"net"

	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
)

// A client that dies leaves its transactions open. The cloud rolls them back after their idle time; a local suite
// knows better: when the connection on which a transaction began has ended, nobody will commit it, and the locks of
// a killed process need not stop the next one for a minute.

// Connections returns the handler that a gRPC server has to be made with for that (grpc.StatsHandler).
func (s *Server) Connections() stats.Handler { return connections{s.transactions} }

type connections struct{ open *transactions }

type connKey struct{}

func (connections) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	return context.WithValue(ctx, connKey{}, info.RemoteAddr)
}

func (c connections) HandleConn(ctx context.Context, s stats.ConnStats) {
	addr, ok := ctx.Value(connKey{}).(net.Addr)
	if _, ended := s.(*stats.ConnEnd); ended && ok {
		c.open.abandon(addr.String())
	}
}

func (connections) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }
func (connections) HandleRPC(context.Context, stats.RPCStats)                       {}

// connection names the connection of a request, "" when there is none.
func connection(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}

// abandon ends the transactions that began on a connection.
func (r *transactions) abandon(conn string) {
	var ids []string
	r.mu.Lock()
	for id, tx := range r.open {
		if tx.conn == conn && conn != "" {
			ids = append(ids, id)
		}
	}
	r.mu.Unlock()
	for _, id := range ids {
		r.drop([]byte(id), expired())
	}
}
