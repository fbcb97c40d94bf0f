package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/protobuf/encoding/protojson"

	"emailchannel.dev/emailchannel/emulator/atomicfile"
)

func (s *Server) file() string { return filepath.Join(s.opt.Dir, "scheduler.json") }

// save replaces the file. The server's mu is held.
func (s *Server) save() error {
	if s.opt.Dir == "" {
		return nil
	}
	jobs := []json.RawMessage{}
	for _, name := range slices.Sorted(maps.Keys(s.jobs)) {
		one, err := protojson.Marshal(s.jobs[name].pb)
		if err != nil {
			return fmt.Errorf("encode %s: %w", name, err)
		}
		jobs = append(jobs, one)
	}
	data, err := json.MarshalIndent(jobs, "", "  ")
	if err != nil {
		return fmt.Errorf("encode jobs: %w", err)
	}
	if err := atomicfile.Write(s.file(), data, 0o600); err != nil {
		return fmt.Errorf("save jobs: %w", err)
	}
	return nil
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
	var jobs []json.RawMessage
	if err := json.Unmarshal(data, &jobs); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range jobs {
		pb := &schedulerpb.Job{}
		if err := protojson.Unmarshal(one, pb); err != nil {
			return err
		}
		j, err := newJob(pb)
		if err != nil {
			return err
		}
		s.jobs[pb.Name] = j
		s.arm(j, s.opt.Clock.Now())
	}
	return nil
}
