package pubsub

import (
	"regexp"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

var resourceName = regexp.MustCompile(`^projects/[^/]+/(topics|subscriptions)/[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`)

// checkName holds a name against projects/{project}/{kind}/{id}.
func checkName(name, kind string) error {
	m := resourceName.FindStringSubmatch(name)
	if m == nil || m[1] != kind || strings.HasPrefix(shortName(name), "goog") {
		return invalid("invalid name %q: want projects/{project}/%s/{id}", name, kind)
	}
	return nil
}

// shortName is the last element of a resource name.
func shortName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// projectOf is the project of a resource name.
func projectOf(name string) string {
	parts := strings.SplitN(name, "/", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func unsupported(field string) error {
	return status.Errorf(codes.Unimplemented, "%s is not part of the emulator", field)
}

// applyMask copies the masked top-level fields of src to dst, apart from those that cannot change.
func applyMask(dst, src proto.Message, mask *fieldmaskpb.FieldMask, immutable ...string) error {
	if len(mask.GetPaths()) == 0 {
		return invalid("update_mask must name a field")
	}
	to, from := dst.ProtoReflect(), src.ProtoReflect()
	for _, path := range mask.Paths {
		field := to.Descriptor().Fields().ByName(protoreflect.Name(path))
		if field == nil {
			return invalid("update_mask: no field %q", path)
		}
		for _, name := range immutable {
			if path == name {
				return invalid("update_mask: %q cannot be changed", path)
			}
		}
		if from.Has(field) {
			to.Set(field, from.Get(field))
		} else {
			to.Clear(field)
		}
	}
	return nil
}
