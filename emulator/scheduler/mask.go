package scheduler

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// copyField copies the field that a mask path such as http_target.uri names from src to dst.
func copyField(dst, src protoreflect.Message, path string) error {
	name, rest, nested := strings.Cut(path, ".")
	field := dst.Descriptor().Fields().ByName(protoreflect.Name(name))
	switch {
	case field == nil:
		return invalid("update_mask: no field %q", name)
	case nested && (field.Message() == nil || field.IsMap() || field.IsList()):
		return invalid("update_mask: %q has no fields", name)
	case nested:
		return copyField(dst.Mutable(field).Message(), src.Get(field).Message(), rest)
	case src.Has(field):
		dst.Set(field, src.Get(field))
	default:
		dst.Clear(field)
	}
	return nil
}
