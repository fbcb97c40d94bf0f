package pubsub

// fifo is a queue that gives its memory back when it runs empty.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }

func (q *fifo[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	switch {
	case q.head == len(q.items):
		q.items, q.head = nil, 0
	case q.head > 1024 && q.head > len(q.items)/2:
		q.items, q.head = append([]T(nil), q.items[q.head:]...), 0
	}
	return v
}
