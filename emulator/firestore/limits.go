package firestore

import (
	"strings"
	"unicode/utf8"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Limits of the Standard edition, https://firebase.google.com/docs/firestore/quotas.
const (
	maxDocument     = 1 << 20
	maxRequest      = 10 << 20
	maxIDBytes      = 1500
	maxNameBytes    = 6 << 10
	maxPathDepth    = 100
	maxFieldName    = 1500
	maxFieldPath    = 1500
	maxNesting      = 20
	maxTransforms   = 500
	maxBatchWrites  = 500
	maxDisjunctions = 30
	maxNotIn        = 10
	maxInequalities = 10
	maxQueryParts   = 100
	maxAggregations = 5
)

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// checkFields verifies names, nesting and text encoding, and rounds timestamps down to the microsecond that
// Firestore stores. It changes the values in place.
func checkFields(fields map[string]*pb.Value, depth int) error {
	if depth > maxNesting {
		return invalid("maps and arrays nest deeper than %d levels", maxNesting)
	}
	_, isVector := vector(fields)
	for name, v := range fields {
		switch {
		case name == "":
			return invalid("a field name is empty")
		case len(name) > maxFieldName:
			return invalid("a field name is longer than %d bytes", maxFieldName)
		case reserved(name) && !(isVector && name == "__type__"):
			return invalid("field name %q is reserved", name)
		}
		if err := checkValue(v, depth); err != nil {
			return err
		}
	}
	return nil
}

func checkValue(v *pb.Value, depth int) error {
	switch x := v.GetValueType().(type) {
	case nil:
		return invalid("a value has no type")
	case *pb.Value_StringValue:
		if !utf8.ValidString(x.StringValue) {
			return invalid("a string is not valid UTF-8")
		}
	case *pb.Value_TimestampValue:
		if err := x.TimestampValue.CheckValid(); err != nil {
			return invalid("a timestamp is out of range: %v", err)
		}
		x.TimestampValue.Nanos -= x.TimestampValue.Nanos % 1000
	case *pb.Value_ReferenceValue:
		return checkDocumentName(x.ReferenceValue)
	case *pb.Value_ArrayValue:
		for _, e := range x.ArrayValue.GetValues() {
			if _, nested := e.GetValueType().(*pb.Value_ArrayValue); nested {
				return invalid("an array contains an array directly")
			}
			if err := checkValue(e, depth+1); err != nil {
				return err
			}
		}
		if depth+1 > maxNesting {
			return invalid("maps and arrays nest deeper than %d levels", maxNesting)
		}
	case *pb.Value_MapValue:
		return checkFields(x.MapValue.GetFields(), depth+1)
	case *pb.Value_FieldReferenceValue, *pb.Value_VariableReferenceValue, *pb.Value_FunctionValue, *pb.Value_PipelineValue:
		return invalid("pipeline values cannot be stored")
	}
	return nil
}

// storageSize computes a document's size in bytes as https://firebase.google.com/docs/firestore/storage-size does.
func storageSize(name string, fields map[string]*pb.Value) int {
	return nameSize(name) + 32 + fieldsSize(fields)
}

func nameSize(name string) int {
	_, path, err := splitName(name)
	if err != nil {
		return len(name)
	}
	return len(path) + 1 + 16
}

func fieldsSize(fields map[string]*pb.Value) int {
	n := 0
	for k, v := range fields {
		n += len(k) + 1 + valueSize(v)
	}
	return n
}

func valueSize(v *pb.Value) int {
	switch x := v.GetValueType().(type) {
	case *pb.Value_IntegerValue, *pb.Value_DoubleValue, *pb.Value_TimestampValue:
		return 8
	case *pb.Value_StringValue:
		return len(x.StringValue) + 1
	case *pb.Value_BytesValue:
		return len(x.BytesValue)
	case *pb.Value_ReferenceValue:
		return nameSize(x.ReferenceValue)
	case *pb.Value_GeoPointValue:
		return 16
	case *pb.Value_ArrayValue:
		n := 0
		for _, e := range x.ArrayValue.GetValues() {
			n += valueSize(e)
		}
		return n
	case *pb.Value_MapValue:
		return fieldsSize(x.MapValue.GetFields())
	}
	return 1
}

// relativePath is the path below the root, without validation of its parts.
func relativePath(name string) string {
	_, path, _ := strings.Cut(name, documentsPart+"/")
	return path
}
