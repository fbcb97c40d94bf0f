package api

import (
	"encoding/json"
	"errors"

	"emailchannel.dev/emailchannel/shared/archive"
	"emailchannel.dev/emailchannel/shared/channel"
)

func (s *server) getStorage(c *call) (any, error) {
	v, err := s.Storage.Storage(c.ctx())
	return thing(channel.ThingStorage, v, err)
}

// storageBody are the settings of storage with the credentials of S3, which are
// only written. The earlier destinations are the channel's own, and not read.
type storageBody struct {
	channel.Storage
	Credentials *archive.S3Key
}

func (c *call) storage() (set channel.Storage, credentials string, err error) {
	var in storageBody
	if err := c.body(&in); err != nil {
		return set, "", err
	}
	if in.Credentials != nil {
		b, err := json.Marshal(in.Credentials)
		return in.Storage, string(b), err
	}
	return in.Storage, "", nil
}

func (s *server) putStorage(c *call) (any, error) {
	set, credentials, err := c.storage()
	if err != nil {
		return nil, err
	}
	p, err := c.precondition()
	if err != nil {
		return nil, err
	}
	v, err := s.Storage.As(c.who).If(p).PutStorage(c.ctx(), set, credentials)
	return thing(channel.ThingStorage, v, err)
}

// storageTest is what a probe found. That it failed is no failure of the
// request: the server's answer is what was asked for.
type storageTest struct {
	OK     bool   `json:"ok"`
	Step   string `json:"step,omitempty"`
	Answer string `json:"answer,omitempty"`
}

func (s *server) testStorage(c *call) (any, error) {
	set, credentials, err := c.storage()
	if err != nil {
		return nil, err
	}
	err = s.Storage.TestStorage(c.ctx(), set, credentials)
	var failed *archive.ProbeError
	if errors.As(err, &failed) {
		return storageTest{Step: failed.Step, Answer: failed.Err.Error()}, nil
	}
	return storageTest{OK: true}, err
}

// because reads why a hold begins or ends.
func (c *call) because() (string, error) {
	var in struct{ Reason string }
	err := c.body(&in)
	return in.Reason, err
}

func (s *server) hold(c *call) (any, error) {
	reason, err := c.because()
	if err != nil {
		return nil, err
	}
	return s.act(c, func(d *channel.Desk) (*channel.Session, error) { return d.Hold(c.ctx(), c.who, c.id(), reason) })
}

func (s *server) release(c *call) (any, error) {
	reason, err := c.because()
	if err != nil {
		return nil, err
	}
	return s.act(c, func(d *channel.Desk) (*channel.Session, error) { return d.Release(c.ctx(), c.who, c.id(), reason) })
}

func (s *server) erase(c *call) (any, error) {
	var in struct{ Address string }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return s.Erase.Handle(c.ctx(), c.who, in.Address)
}

func (s *server) getErasure(c *call) (any, error) { return s.Erase.Receipt(c.ctx(), c.id()) }

func (s *server) replayMail(c *call) (any, error) {
	var in struct {
		Mail   string
		DryRun bool
	}
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return s.Remail.Replay(c.ctx(), in.Mail, in.DryRun)
}
