package secrets

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/protobuf/encoding/protojson"

	"emailchannel.dev/emailchannel/emulator/atomicfile"
)

// record is a secret in the file.
type record struct {
	Secret   json.RawMessage
	Versions []versionRecord
}

type versionRecord struct {
	Version json.RawMessage
	Payload []byte // base64 in JSON
}

func (s *Server) file() string { return filepath.Join(s.opt.Dir, "secrets.json") }

// save replaces the file. s.mu is held.
func (s *Server) save() error {
	if s.opt.Dir == "" {
		return nil
	}
	records := map[string]record{}
	for name, sec := range s.secrets {
		r, err := encode(sec)
		if err != nil {
			return fmt.Errorf("encode %s: %w", name, err)
		}
		records[name] = r
	}
	data, err := json.MarshalIndent(records, "", "  ")
	if err != nil {
		return fmt.Errorf("encode secrets: %w", err)
	}
	if err := atomicfile.Write(s.file(), data, 0o600); err != nil {
		return fmt.Errorf("save secrets: %w", err)
	}
	return nil
}

func encode(sec *secret) (record, error) {
	var r record
	var err error
	if r.Secret, err = protojson.Marshal(sec.pb); err != nil {
		return r, err
	}
	for _, v := range sec.versions {
		body, err := protojson.Marshal(v.pb)
		if err != nil {
			return r, err
		}
		r.Versions = append(r.Versions, versionRecord{body, v.payload})
	}
	return r, nil
}

func (s *Server) load() error {
	if err := os.MkdirAll(s.opt.Dir, 0o700); err != nil {
		return err
	}
	data, err := os.ReadFile(s.file())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var records map[string]record
	if err := json.Unmarshal(data, &records); err != nil {
		return errors.New("the file is damaged") // the decoder's error may quote a payload
	}
	for name, r := range records {
		sec, err := decode(r)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.secrets[name] = sec
	}
	return nil
}

func decode(r record) (*secret, error) {
	sec := &secret{pb: &secretmanagerpb.Secret{}}
	if err := protojson.Unmarshal(r.Secret, sec.pb); err != nil {
		return nil, err
	}
	for _, vr := range r.Versions {
		v := &version{&secretmanagerpb.SecretVersion{}, vr.Payload}
		if err := protojson.Unmarshal(vr.Version, v.pb); err != nil {
			return nil, err
		}
		sec.versions = append(sec.versions, v)
	}
	return sec, nil
}
