package secrets

import (
	"cmp"
	"context"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// maxPayload is the cloud's limit: https://cloud.google.com/secret-manager/quotas.
const maxPayload = 64 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// secret is a secret with its versions, oldest first. It is replaced, not changed: see Server.change.
type secret struct {
	pb       *secretmanagerpb.Secret
	versions []*version
}

// version has no payload once it is destroyed.
type version struct {
	pb      *secretmanagerpb.SecretVersion
	payload []byte
}

func (sec *secret) clone() *secret {
	fresh := &secret{pb: proto.CloneOf(sec.pb)}
	for _, v := range sec.versions {
		fresh.versions = append(fresh.versions, &version{proto.CloneOf(v.pb), v.payload})
	}
	return fresh
}

// etag is opaque to callers; here it is a revision.
func etag(revision uint64) string { return fmt.Sprintf("%q", strconv.FormatUint(revision, 16)) }

func nextEtag(old string) string {
	n, _ := strconv.ParseUint(strings.Trim(old, `"`), 16, 64)
	return etag(n + 1)
}

func (sec *secret) revise() { sec.pb.Etag = nextEtag(sec.pb.Etag) }

func (sec *secret) checkEtag(sent, have string) error {
	if sent != "" && sent != have {
		return status.Errorf(codes.FailedPrecondition, "the etag of %s does not match", sec.pb.Name)
	}
	return nil
}

// add makes the next version. data is kept.
func (sec *secret) add(data []byte, checked bool, now *timestamppb.Timestamp) *version {
	v := &version{
		pb: &secretmanagerpb.SecretVersion{
			Name:                           fmt.Sprintf("%s/versions/%d", sec.pb.Name, len(sec.versions)+1),
			CreateTime:                     now,
			State:                          secretmanagerpb.SecretVersion_ENABLED,
			Etag:                           etag(1),
			ClientSpecifiedPayloadChecksum: checked,
			ReplicationStatus: &secretmanagerpb.ReplicationStatus{ReplicationStatus: &secretmanagerpb.ReplicationStatus_Automatic{
				Automatic: &secretmanagerpb.ReplicationStatus_AutomaticStatus{},
			}},
		},
		payload: data,
	}
	sec.versions = append(sec.versions, v)
	return v
}

// version finds a version by its number or "latest".
func (sec *secret) version(id string) (*version, error) {
	if id == "latest" && len(sec.versions) > 0 {
		return sec.versions[len(sec.versions)-1], nil
	}
	n, err := strconv.Atoi(id)
	if err != nil || n < 1 || n > len(sec.versions) || strconv.Itoa(n) != id {
		return nil, status.Errorf(codes.NotFound, "Secret Version [%s/versions/%s] not found.", sec.pb.Name, id)
	}
	return sec.versions[n-1], nil
}

func splitVersion(name string) (secretName, id string, err error) {
	secretName, id, ok := strings.Cut(name, "/versions/")
	if !ok {
		return "", "", invalid("invalid name %q: want projects/{project}/secrets/{secret}/versions/{version}", name)
	}
	return secretName, id, nil
}

// find is version by its full name. s.mu is held.
func (s *Server) find(name string) (*version, error) {
	secretName, id, err := splitVersion(name)
	if err != nil {
		return nil, err
	}
	sec, err := s.secret(secretName)
	if err != nil {
		return nil, err
	}
	return sec.version(id)
}

// AddSecretVersion implements the RPC.
func (s *Server) AddSecretVersion(_ context.Context, req *secretmanagerpb.AddSecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	data := req.GetPayload().GetData()
	if len(data) == 0 || len(data) > maxPayload {
		return nil, invalid("a payload has 1 to %d bytes, not %d", maxPayload, len(data))
	}
	sum := req.Payload.DataCrc32C
	if sum != nil && *sum != checksum(data) {
		return nil, invalid("data_crc32c does not match the payload")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var added *version
	err := s.change(req.GetParent(), func(sec *secret) error {
		added = sec.add(data, sum != nil, timestamppb.New(s.opt.Now()))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(added.pb), nil
}

func checksum(data []byte) int64 { return int64(crc32.Checksum(data, castagnoli)) }

// GetSecretVersion implements the RPC.
func (s *Server) GetSecretVersion(_ context.Context, req *secretmanagerpb.GetSecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.find(req.GetName())
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(v.pb), nil
}

// AccessSecretVersion implements the RPC; a version that is not enabled is a FAILED_PRECONDITION.
func (s *Server) AccessSecretVersion(_ context.Context, req *secretmanagerpb.AccessSecretVersionRequest) (*secretmanagerpb.AccessSecretVersionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.find(req.GetName())
	if err != nil {
		return nil, err
	}
	if v.pb.State != secretmanagerpb.SecretVersion_ENABLED {
		return nil, status.Errorf(codes.FailedPrecondition, "Secret Version [%s] is in %v state.", v.pb.Name, v.pb.State)
	}
	return &secretmanagerpb.AccessSecretVersionResponse{
		Name:    v.pb.Name,
		Payload: &secretmanagerpb.SecretPayload{Data: v.payload, DataCrc32C: proto.Int64(checksum(v.payload))},
	}, nil
}

// ListSecretVersions implements the RPC, newest first, without its filter.
func (s *Server) ListSecretVersions(_ context.Context, req *secretmanagerpb.ListSecretVersionsRequest) (*secretmanagerpb.ListSecretVersionsResponse, error) {
	if req.GetFilter() != "" {
		return nil, status.Error(codes.Unimplemented, "filter is not part of the emulator")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.secret(req.GetParent())
	if err != nil {
		return nil, err
	}
	var ids []string
	for i := range sec.versions {
		ids = append(ids, strconv.Itoa(i+1))
	}
	newest := func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(b, a)) }
	shown, next := page(ids, newest, req.GetPageSize(), req.GetPageToken())
	resp := &secretmanagerpb.ListSecretVersionsResponse{NextPageToken: next, TotalSize: int32(len(ids))}
	for _, id := range shown {
		v, err := sec.version(id)
		if err != nil {
			return nil, err
		}
		resp.Versions = append(resp.Versions, proto.CloneOf(v.pb))
	}
	return resp, nil
}

// DisableSecretVersion implements the RPC.
func (s *Server) DisableSecretVersion(_ context.Context, req *secretmanagerpb.DisableSecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	return s.turn(req.GetName(), req.GetEtag(), secretmanagerpb.SecretVersion_DISABLED)
}

// EnableSecretVersion implements the RPC.
func (s *Server) EnableSecretVersion(_ context.Context, req *secretmanagerpb.EnableSecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	return s.turn(req.GetName(), req.GetEtag(), secretmanagerpb.SecretVersion_ENABLED)
}

// DestroySecretVersion implements the RPC: the payload is gone at once, from the file too.
func (s *Server) DestroySecretVersion(_ context.Context, req *secretmanagerpb.DestroySecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	return s.turn(req.GetName(), req.GetEtag(), secretmanagerpb.SecretVersion_DESTROYED)
}

func (s *Server) turn(name, tag string, to secretmanagerpb.SecretVersion_State) (*secretmanagerpb.SecretVersion, error) {
	secretName, id, err := splitVersion(name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var v *version
	err = s.change(secretName, func(sec *secret) error {
		if v, err = sec.version(id); err != nil {
			return err
		}
		if err := sec.checkEtag(tag, v.pb.Etag); err != nil {
			return err
		}
		if v.pb.State == secretmanagerpb.SecretVersion_DESTROYED {
			return status.Errorf(codes.FailedPrecondition, "Secret Version [%s] is in DESTROYED state.", v.pb.Name)
		}
		v.pb.State, v.pb.Etag = to, nextEtag(v.pb.Etag)
		if to == secretmanagerpb.SecretVersion_DESTROYED {
			v.payload, v.pb.DestroyTime = nil, timestamppb.New(s.opt.Now())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(v.pb), nil
}
