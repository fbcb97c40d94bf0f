package scheduler

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"

	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// job finds a job. The server's mu is held.
func (s *Server) job(name string) (*job, error) {
	j := s.jobs[name]
	if j == nil {
		return nil, status.Errorf(codes.NotFound, "Job not found: %s", name)
	}
	return j, nil
}

// put replaces the job of pb's name, saves and arms it. The server's mu is held.
func (s *Server) put(pb *schedulerpb.Job) (*schedulerpb.Job, error) {
	j, err := newJob(pb)
	if err != nil {
		return nil, err
	}
	pb.UserUpdateTime = timestamppb.New(s.opt.Clock.Now())
	old := s.jobs[pb.Name]
	s.jobs[pb.Name] = j
	if err := s.save(); err != nil {
		if s.jobs[pb.Name] = old; old == nil {
			delete(s.jobs, pb.Name)
		}
		return nil, err
	}
	if old != nil {
		old.stop()
		j.firing = old.firing // one that still runs is waited for
	}
	s.arm(j, s.opt.Clock.Now())
	return proto.CloneOf(pb), nil
}

// EnsureJob creates the job, or gives the existing one this configuration; whether that one is paused stays.
func (s *Server) EnsureJob(pb *schedulerpb.Job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pb = proto.CloneOf(pb)
	if old := s.jobs[pb.Name]; old != nil {
		pb.State = old.pb.State
	}
	_, err := s.put(pb)
	return err
}

// CreateJob implements the RPC.
func (s *Server) CreateJob(_ context.Context, req *schedulerpb.CreateJobRequest) (*schedulerpb.Job, error) {
	pb := proto.CloneOf(req.GetJob())
	if pb == nil {
		return nil, invalid("the job is missing")
	}
	if pb.Name == "" {
		pb.Name = req.Parent + "/jobs/" + rand.Text()
	}
	if !strings.HasPrefix(pb.Name, req.GetParent()+"/jobs/") {
		return nil, invalid("job %q is not in %q", pb.Name, req.GetParent())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs[pb.Name] != nil {
		return nil, status.Errorf(codes.AlreadyExists, "Job already exists: %s", pb.Name)
	}
	outputOnly(pb, &schedulerpb.Job{})
	return s.put(pb)
}

// outputOnly gives pb the fields that callers cannot set, from another version of the job.
func outputOnly(pb, from *schedulerpb.Job) {
	pb.State, pb.Status = from.State, from.Status
	pb.ScheduleTime, pb.LastAttemptTime, pb.UserUpdateTime = from.ScheduleTime, from.LastAttemptTime, from.UserUpdateTime
}

// GetJob implements the RPC.
func (s *Server) GetJob(_ context.Context, req *schedulerpb.GetJobRequest) (*schedulerpb.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.job(req.GetName())
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(j.pb), nil
}

// ListJobs implements the RPC; the page token is the last name of the page before.
func (s *Server) ListJobs(_ context.Context, req *schedulerpb.ListJobsRequest) (*schedulerpb.ListJobsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := int(req.GetPageSize())
	if size <= 0 || size > 500 {
		size = 500
	}
	resp := &schedulerpb.ListJobsResponse{}
	for _, name := range slices.Sorted(maps.Keys(s.jobs)) {
		if !strings.HasPrefix(name, req.GetParent()+"/jobs/") || name <= req.GetPageToken() {
			continue
		}
		if len(resp.Jobs) == size {
			resp.NextPageToken = resp.Jobs[size-1].Name
			break
		}
		resp.Jobs = append(resp.Jobs, proto.CloneOf(s.jobs[name].pb))
	}
	return resp, nil
}

// UpdateJob implements the RPC. Without a mask it replaces everything that a caller can set.
func (s *Server) UpdateJob(_ context.Context, req *schedulerpb.UpdateJobRequest) (*schedulerpb.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.job(req.GetJob().GetName())
	if err != nil {
		return nil, err
	}
	pb := proto.CloneOf(req.Job)
	if paths := req.GetUpdateMask().GetPaths(); len(paths) > 0 {
		pb = proto.CloneOf(j.pb)
		for _, path := range paths {
			if err := copyField(pb.ProtoReflect(), proto.CloneOf(req.Job).ProtoReflect(), path); err != nil {
				return nil, err
			}
		}
	}
	outputOnly(pb, j.pb)
	pb.Name = j.pb.Name
	return s.put(pb)
}

// DeleteJob implements the RPC.
func (s *Server) DeleteJob(_ context.Context, req *schedulerpb.DeleteJobRequest) (*emptypb.Empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.job(req.GetName())
	if err != nil {
		return nil, err
	}
	delete(s.jobs, j.pb.Name)
	if err := s.save(); err != nil {
		s.jobs[j.pb.Name] = j
		return nil, err
	}
	j.stop()
	return &emptypb.Empty{}, nil
}

// PauseJob implements the RPC; only an enabled job can be paused.
func (s *Server) PauseJob(_ context.Context, req *schedulerpb.PauseJobRequest) (*schedulerpb.Job, error) {
	return s.turn(req.GetName(), schedulerpb.Job_ENABLED, schedulerpb.Job_PAUSED)
}

// ResumeJob implements the RPC; only a paused job can be resumed. Ticks that it missed do not fire.
func (s *Server) ResumeJob(_ context.Context, req *schedulerpb.ResumeJobRequest) (*schedulerpb.Job, error) {
	return s.turn(req.GetName(), schedulerpb.Job_PAUSED, schedulerpb.Job_ENABLED)
}

func (s *Server) turn(name string, from, to schedulerpb.Job_State) (*schedulerpb.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.job(name)
	if err != nil {
		return nil, err
	}
	if j.pb.State != from {
		return nil, status.Errorf(codes.FailedPrecondition, "Job is %v, not %v: %s", j.pb.State, from, name)
	}
	j.pb.State = to
	if err := s.save(); err != nil {
		j.pb.State = from
		return nil, err
	}
	s.arm(j, s.opt.Clock.Now())
	return proto.CloneOf(j.pb), nil
}

// RunJob fires the job now, paused or not, and answers when that has ended; its outcome is in Status.
func (s *Server) RunJob(ctx context.Context, req *schedulerpb.RunJobRequest) (*schedulerpb.Job, error) {
	s.mu.Lock()
	j, err := s.job(req.GetName())
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	_ = s.fire(ctx, j, s.opt.Clock.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	return proto.CloneOf(j.pb), nil
}
