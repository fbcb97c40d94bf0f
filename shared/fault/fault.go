// Package fault names the two ways in which work can fail and the places at
// which a test may interrupt it.
//
// A permanent failure will fail again however often it is tried: the caller
// stores it where people see it and acknowledges the message. Everything else
// is retryable, because losing a mail is worse than trying once more. Only
// package trigger turns the difference into an acknowledgement or a retry.
package fault

import (
	"context"
	"errors"
	"fmt"
)

type permanent struct{ err error }

func (p permanent) Error() string { return p.err.Error() }
func (p permanent) Unwrap() error { return p.err }

// Permanent marks err as one that no retry can cure. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// Permanentf is Permanent of fmt.Errorf.
func Permanentf(format string, args ...any) error {
	return permanent{fmt.Errorf(format, args...)}
}

// IsPermanent tells whether err, or an error that it wraps, is permanent.
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}

type stepKey struct{}

// WithSteps returns a context whose named steps call at. The emulator uses it
// to end a function between two steps; in production nothing listens.
func WithSteps(ctx context.Context, at func(step string)) context.Context {
	return context.WithValue(ctx, stepKey{}, at)
}

// Step marks a place between two effects at which a crash must do no harm.
// Its name is "use-case.step", such as "receive.committed".
func Step(ctx context.Context, name string) {
	if at, ok := ctx.Value(stepKey{}).(func(string)); ok {
		at(name)
	}
}
