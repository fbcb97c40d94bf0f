package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/wire"
)

// errSyntax means that a body is no JSON.
var errSyntax = errors.New("the body is not valid JSON")

// decode fills into, a pointer to a struct, from a body. It names every field
// that is not known or does not fit ([*channel.Invalid]).
func decode(r io.Reader, into any) error {
	dec := json.NewDecoder(r)
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("%w: %w", errSyntax, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the object", errSyntax)
	}
	if _, ok := v.(map[string]any); !ok {
		return fmt.Errorf("%w: it must be an object", errSyntax)
	}
	return channel.Misfits(wire.Decode(v, into))
}
