// Package secrets is the suite's Secret Manager: secrets and their versions, managed and read by the official
// client over gRPC.
//
// What holds:
//
//   - Versions count from 1 and never change. "latest" is the one with the highest number, whatever its state.
//   - Only an enabled version can be read; a destroyed one has lost its payload for good.
//   - A payload has 1 byte to 64 KiB. Its CRC-32C is checked when the caller sends one, and always returned.
//   - With a directory everything is in one file of mode 0600, replaced at once: a kill leaves the old or the new
//     one, and what was answered is in it. Payloads are in it unencrypted. They are never logged.
//
// Replication is stored and has no effect. Rotation, expiry, aliases, IAM and regional secrets are refused or not
// implemented; an etag is returned and compared.
package secrets

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Options configure a Server.
type Options struct {
	Dir string           // keeps the secrets across restarts; empty keeps them in memory
	Now func() time.Time // the suite's clock; required
}

// Server is google.cloud.secretmanager.v1.SecretManagerService. It is safe for concurrent use.
type Server struct {
	secretmanagerpb.UnimplementedSecretManagerServiceServer
	opt Options

	mu      sync.Mutex
	secrets map[string]*secret // by resource name
}

// Open starts a server and, with a directory, reads what it holds.
func Open(opt Options) (*Server, error) {
	if opt.Now == nil {
		return nil, errors.New("secrets: Options.Now is missing")
	}
	s := &Server{opt: opt, secrets: map[string]*secret{}}
	if opt.Dir != "" {
		if err := s.load(); err != nil {
			return nil, fmt.Errorf("secrets: restore %s: %w", s.file(), err)
		}
	}
	return s, nil
}

// Register adds the service.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	secretmanagerpb.RegisterSecretManagerServiceServer(r, s)
}

// Close ends the use of the directory. Everything is saved already.
func (s *Server) Close() error { return nil }

// The project may be a name or a number, as in the cloud; here they are different projects.
var (
	parentName = regexp.MustCompile(`^projects/[^/]+$`)
	secretID   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
)

// secret finds a secret. s.mu is held, as for what follows.
func (s *Server) secret(name string) (*secret, error) {
	sec := s.secrets[name]
	if sec == nil {
		return nil, status.Errorf(codes.NotFound, "Secret [%s] not found.", name)
	}
	return sec, nil
}

// change runs f on a copy of a secret and keeps the copy if it could be saved.
func (s *Server) change(name string, f func(*secret) error) error {
	old, err := s.secret(name)
	if err != nil {
		return err
	}
	fresh := old.clone()
	if err := f(fresh); err != nil {
		return err
	}
	s.secrets[name] = fresh
	if err := s.save(); err != nil {
		s.secrets[name] = old
		return status.Errorf(codes.Unavailable, "%v", err)
	}
	return nil
}

// CreateSecret implements the RPC.
func (s *Server) CreateSecret(_ context.Context, req *secretmanagerpb.CreateSecretRequest) (*secretmanagerpb.Secret, error) {
	if !parentName.MatchString(req.GetParent()) || !secretID.MatchString(req.GetSecretId()) {
		return nil, invalid("want parent projects/{project} and a secret_id of 1 to 255 letters, digits, - and _, have %q and %q", req.GetParent(), req.GetSecretId())
	}
	pb := proto.CloneOf(req.Secret)
	if err := checkSecret(pb); err != nil {
		return nil, err
	}
	pb.Name = req.Parent + "/secrets/" + req.SecretId
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets[pb.Name] != nil {
		return nil, status.Errorf(codes.AlreadyExists, "Secret [%s] already exists.", pb.Name)
	}
	pb.CreateTime = timestamppb.New(s.opt.Now())
	pb.Etag = etag(1)
	s.secrets[pb.Name] = &secret{pb: pb}
	if err := s.save(); err != nil {
		delete(s.secrets, pb.Name)
		return nil, status.Errorf(codes.Unavailable, "%v", err)
	}
	return proto.CloneOf(pb), nil
}

func checkSecret(pb *secretmanagerpb.Secret) error {
	switch {
	case pb.GetReplication().GetReplication() == nil:
		return invalid("the secret needs a replication")
	case pb.Rotation != nil, pb.Expiration != nil, len(pb.VersionAliases) > 0, pb.VersionDestroyTtl != nil:
		return status.Error(codes.Unimplemented, "rotation, expiry, aliases and delayed destruction are not part of the emulator")
	}
	return nil
}

// GetSecret implements the RPC.
func (s *Server) GetSecret(_ context.Context, req *secretmanagerpb.GetSecretRequest) (*secretmanagerpb.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.secret(req.GetName())
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(sec.pb), nil
}

// UpdateSecret implements the RPC for labels and annotations.
func (s *Server) UpdateSecret(_ context.Context, req *secretmanagerpb.UpdateSecretRequest) (*secretmanagerpb.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := req.GetSecret().GetName()
	err := s.change(name, func(sec *secret) error {
		if err := sec.checkEtag(req.Secret.Etag, sec.pb.Etag); err != nil {
			return err
		}
		for _, path := range req.GetUpdateMask().GetPaths() {
			switch path {
			case "labels":
				sec.pb.Labels = req.Secret.Labels
			case "annotations":
				sec.pb.Annotations = req.Secret.Annotations
			default:
				return invalid("update_mask: only labels and annotations can be changed, not %q", path)
			}
		}
		sec.revise()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(s.secrets[name].pb), nil
}

// DeleteSecret implements the RPC; the versions go with it.
func (s *Server) DeleteSecret(_ context.Context, req *secretmanagerpb.DeleteSecretRequest) (*emptypb.Empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.secret(req.GetName())
	if err != nil {
		return nil, err
	}
	if err := sec.checkEtag(req.Etag, sec.pb.Etag); err != nil {
		return nil, err
	}
	delete(s.secrets, sec.pb.Name)
	if err := s.save(); err != nil {
		s.secrets[sec.pb.Name] = sec
		return nil, status.Errorf(codes.Unavailable, "%v", err)
	}
	return &emptypb.Empty{}, nil
}

// ListSecrets implements the RPC, without its filter.
func (s *Server) ListSecrets(_ context.Context, req *secretmanagerpb.ListSecretsRequest) (*secretmanagerpb.ListSecretsResponse, error) {
	if req.GetFilter() != "" {
		return nil, status.Error(codes.Unimplemented, "filter is not part of the emulator")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.secrets {
		if strings.HasPrefix(name, req.GetParent()+"/secrets/") {
			names = append(names, name)
		}
	}
	shown, next := page(names, strings.Compare, req.GetPageSize(), req.GetPageToken())
	resp := &secretmanagerpb.ListSecretsResponse{NextPageToken: next, TotalSize: int32(len(names))}
	for _, name := range shown {
		resp.Secrets = append(resp.Secrets, proto.CloneOf(s.secrets[name].pb))
	}
	return resp, nil
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}
