package suite

import (
	"context"
	"errors"
	"net/http"
	"path"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"emailchannel.dev/emailchannel/emulator/faults"
)

func lastSlash(s string) int { return strings.LastIndexByte(s, '/') }

// service is the name by which faults call a gRPC method's service.
func service(part, method string) string {
	if strings.Contains(method, "SecretManager") {
		return "secrets"
	}
	return part
}

func (s *Suite) unaryFault(part string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if err := s.Faults.Fail(service(part, info.FullMethod), path.Base(info.FullMethod)); err != nil {
			return nil, status.Error(codes.Unavailable, err.Error())
		}
		return next(ctx, req)
	}
}

func (s *Suite) streamFault(part string) grpc.StreamServerInterceptor {
	return func(srv any, st grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if err := s.Faults.Fail(service(part, info.FullMethod), path.Base(info.FullMethod)); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		return next(srv, st)
	}
}

func (s *Suite) faulty(part string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := s.Faults.Fail(part, r.Method+" "+r.URL.Path)
		switch {
		case errors.Is(err, faults.ErrDrop):
			panic(http.ErrAbortHandler)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			h.ServeHTTP(w, r)
		}
	})
}
