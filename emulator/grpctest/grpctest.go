// Package grpctest lets the tests of the suite's gRPC services go through a
// network connection, as the official clients do.
package grpctest

import (
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Dial serves what register adds on a free port until the test ends, and
// returns a connection to it.
func Dial(t testing.TB, register func(grpc.ServiceRegistrar)) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(Serve(t, register), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Serve is Dial for who connects by itself: it returns the address.
func Serve(t testing.TB, register func(grpc.ServiceRegistrar), opts ...grpc.ServerOption) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(20<<20))...) // as the suite's
	register(srv)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	return l.Addr().String()
}
