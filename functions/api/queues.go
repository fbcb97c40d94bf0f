package api

import (
	"fmt"

	"emailchannel.dev/emailchannel/shared/channel"
)

// queueView is a queue with the number of agents who serve it (QU-3). What
// comes in as that number is not read.
type queueView struct {
	channel.Queue
	Serving int
}

func (s *server) count(c *call, q channel.Queue) (queueView, error) {
	n, err := s.Admin.Serving(c.ctx(), q.ID)
	return queueView{q, n}, err
}

func (s *server) listQueues(c *call) (any, error) {
	all, err := s.Admin.Queues(c.ctx())
	if err != nil {
		return nil, err
	}
	out := make([]queueView, len(all))
	for i, q := range all {
		if out[i], err = s.count(c, q); err != nil {
			return nil, err
		}
	}
	return listed(out, nil)
}

func (s *server) getQueue(c *call) (any, error) {
	q, err := s.Admin.Queue(c.ctx(), c.id())
	return s.staffed(c, q, err)
}

// staffed is the answer that shows a queue, with the queue's tag.
func (s *server) staffed(c *call, q *channel.Queue, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	v, err := s.count(c, *q)
	return tagged{fmt.Sprintf("%s-%d", channel.ThingQueue.Tag(q), v.Serving), v}, err // another number is another answer, and in no save's way
}
