package firestore

import (
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

// fieldPath is a parsed field path; text is its canonical form and serves as map key.
type fieldPath struct {
	text     string
	segments []string
}

const nameField = "__name__"

func (p fieldPath) isName() bool { return p.text == nameField }

// parseFieldPath follows the syntax of StructuredQuery.FieldReference: dot-separated segments, each a plain
// identifier or anything between backquotes with \` and \\ as escapes.
func parseFieldPath(s string) (fieldPath, error) {
	if len(s) > maxFieldPath {
		return fieldPath{}, invalid("property path is longer than %d bytes", maxFieldPath)
	}
	var p fieldPath
	for rest := s; ; {
		segment, tail, ok := nextSegment(rest)
		if !ok {
			return fieldPath{}, invalid("invalid property path %q", s)
		}
		p.segments = append(p.segments, segment)
		if tail == "" {
			break
		}
		rest = tail[1:]
	}
	p.text = joinPath(p.segments)
	if reserved(p.segments[0]) && !p.isName() {
		return fieldPath{}, invalid("property name %q is reserved", p.segments[0])
	}
	return p, nil
}

// nextSegment cuts the first segment off; tail is empty or starts with the dot.
func nextSegment(s string) (segment, tail string, ok bool) {
	if strings.HasPrefix(s, "`") {
		return quotedSegment(s[1:])
	}
	i := 0
	for i < len(s) && s[i] != '.' {
		c := s[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return "", "", false
		}
		i++
	}
	return s[:i], s[i:], i > 0
}

func quotedSegment(s string) (segment, tail string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
			if i == len(s) {
				return "", "", false
			}
			b.WriteByte(s[i])
		case '`':
			tail = s[i+1:]
			return b.String(), tail, b.Len() > 0 && (tail == "" || tail[0] == '.')
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

var pathEscapes = strings.NewReplacer("\\", "\\\\", "`", "\\`")

func joinPath(segments []string) string {
	var b strings.Builder
	for i, s := range segments {
		if i > 0 {
			b.WriteByte('.')
		}
		if seg, tail, ok := nextSegment(s); ok && tail == "" && seg == s {
			b.WriteString(s)
			continue
		}
		b.WriteString("`" + pathEscapes.Replace(s) + "`")
	}
	return b.String()
}

// reserved tells names of the form __.*__, which belong to Firestore.
func reserved(s string) bool {
	return len(s) >= 4 && strings.HasPrefix(s, "__") && strings.HasSuffix(s, "__")
}

func parseMask(m *pb.DocumentMask) ([]fieldPath, error) {
	paths := make([]fieldPath, 0, len(m.GetFieldPaths()))
	for _, s := range m.GetFieldPaths() {
		p, err := parseFieldPath(s)
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// getField returns the value at path, nil when there is none.
func getField(fields map[string]*pb.Value, path []string) *pb.Value {
	v := fields[path[0]]
	for _, s := range path[1:] {
		v = v.GetMapValue().GetFields()[s]
	}
	return v
}

// setField stores v at path, replacing what is in the way, and returns the map (a new one if it was nil).
func setField(fields map[string]*pb.Value, path []string, v *pb.Value) map[string]*pb.Value {
	if fields == nil {
		fields = map[string]*pb.Value{}
	}
	if len(path) == 1 {
		fields[path[0]] = v
		return fields
	}
	inner := setField(fields[path[0]].GetMapValue().GetFields(), path[1:], v)
	fields[path[0]] = &pb.Value{ValueType: &pb.Value_MapValue{MapValue: &pb.MapValue{Fields: inner}}}
	return fields
}

// deleteField removes the value at path; maps left empty stay.
func deleteField(fields map[string]*pb.Value, path []string) {
	for _, s := range path[:len(path)-1] {
		fields = fields[s].GetMapValue().GetFields()
	}
	delete(fields, path[len(path)-1])
}
