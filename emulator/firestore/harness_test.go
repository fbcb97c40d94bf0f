package firestore

import (
	"context"
	"testing"

	fs "cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/emulator/grpctest"
)

const testProject = "demo"

// start opens a server on a free port and returns it with its address.
func start(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, s)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, addr
}

func serve(t testing.TB, s *Server) string {
	t.Helper()
	return grpctest.Serve(t, s.Register)
}

// emulatorCredentials is what the official client sends to whatever FIRESTORE_EMULATOR_HOST names; Google's emulator
// refuses BatchWrite and lists without it.
type emulatorCredentials struct{}

func (emulatorCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (emulatorCredentials) RequireTransportSecurity() bool { return false }

func dial(t testing.TB, addr string, extra ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, append(extra, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(emulatorCredentials{}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// client returns the official client for the server at addr.
func client(t testing.TB, addr, project string) *fs.Client {
	t.Helper()
	c, err := fs.NewClient(context.Background(), project, option.WithGRPCConn(dial(t, addr)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// raw returns the generated client for the server at addr.
func raw(t testing.TB, addr string) pb.FirestoreClient { return pb.NewFirestoreClient(dial(t, addr)) }
