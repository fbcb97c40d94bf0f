package firestore

import (
	"strings"
	"unicode/utf8"
)

const documentsPart = "/documents"

// splitName cuts a resource name into the root ("projects/P/databases/D/documents") and the path below it,
// which is empty for the root itself.
func splitName(name string) (root, path string, err error) {
	rest := name
	for i, want := range [...]string{"projects", "", "databases", "", "documents"} {
		segment, tail, more := strings.Cut(rest, "/")
		if segment == "" || want != "" && segment != want || !more && i < 4 {
			return "", "", invalid("name %q is not of the form projects/P/databases/D/documents/...", name)
		}
		if i == 4 {
			root = name[:len(name)-len(rest)+len(segment)]
			if more && tail == "" {
				return "", "", invalid("name %q ends with a slash", name)
			}
			return root, tail, nil
		}
		rest = tail
	}
	return root, rest, nil
}

// checkDocumentName verifies the name of a document: pairs of collection and document IDs.
func checkDocumentName(name string) error {
	_, path, err := splitName(name)
	if err != nil {
		return err
	}
	return checkPath(name, path, 0)
}

// checkParent verifies a parent: a document's name or the root.
func checkParent(name string) error {
	_, path, err := splitName(name)
	if err != nil || path == "" {
		return err
	}
	return checkPath(name, path, 0)
}

func checkPath(name, path string, odd int) error {
	n := 0
	if path != "" {
		for id := range strings.SplitSeq(path, "/") {
			if err := checkID(id); err != nil {
				return err
			}
			n++
		}
	}
	if n == 0 || n%2 != odd {
		return invalid("name %q has %d segments, an even number is expected", name, n)
	}
	if n > 2*maxPathDepth {
		return invalid("name %q has more than %d levels of collections", name, maxPathDepth)
	}
	if len(path) > maxNameBytes {
		return invalid("name is longer than %d bytes", maxNameBytes)
	}
	return nil
}

// checkID applies https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields.
func checkID(id string) error {
	switch {
	case id == "":
		return invalid("an ID in the name is empty")
	case len(id) > maxIDBytes:
		return invalid("an ID is longer than %d bytes", maxIDBytes)
	case id == "." || id == "..":
		return invalid("%q is no valid ID", id)
	case reserved(id):
		return invalid("ID %q is reserved", id)
	case !utf8.ValidString(id):
		return invalid("ID %q is not valid UTF-8", id)
	case strings.Contains(id, "/"):
		return invalid("ID %q contains a slash", id)
	}
	return nil
}

// cutLast splits a document's name into its collection's path and its ID, or a collection's path into parent and ID.
func cutLast(name string) (before, id string) {
	i := strings.LastIndexByte(name, '/')
	return name[:i], name[i+1:]
}

// inDatabase verifies that a document's name is well-formed and lies in the request's database.
func inDatabase(database, name string) error {
	if err := checkDocumentName(name); err != nil {
		return err
	}
	if !strings.HasPrefix(name, database+documentsPart+"/") {
		return invalid("document %q is not in database %q", name, database)
	}
	return nil
}
