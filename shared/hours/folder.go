package hours

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// A folder groups holidays, such as those of a country and a year, so that they are shown, replaced and removed
// as one. A date may be in several: the queue is closed while it is in any.

// maxFolder bounds a folder's name, in bytes.
const maxFolder = 100

// ValidateFolder refuses what is no name of a folder: nothing, more than a line, blanks around it, more than 100
// bytes.
func ValidateFolder(name string) error {
	switch {
	case name == "":
		return errors.New("missing")
	case len(name) > maxFolder:
		return fmt.Errorf("%d bytes, at most %d", len(name), maxFolder)
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%q must be one line without blanks around it", name)
	}
	return nil
}

// Folder returns the holidays of a folder in their order; those of "" are in none.
func (h Hours) Folder(name string) []Holiday {
	var out []Holiday
	for _, d := range h.Holidays {
		if d.Folder == name {
			out = append(out, d)
		}
	}
	return out
}

// Replace returns the hours with these holidays in a folder and no others. Those that it had stay where they
// are; added and removed are the changes, present what it had already.
func (h Hours) Replace(folder string, holidays []Holiday) (out Hours, added, present, removed []Holiday) {
	out = h
	out.Holidays = nil
	wanted := map[Holiday]bool{}
	for _, d := range holidays {
		d.Folder = folder
		wanted[d] = true
	}
	have := map[Holiday]bool{}
	for _, d := range h.Holidays {
		switch {
		case d.Folder == folder && !wanted[d]:
			removed = append(removed, d)
			continue
		case d.Folder == folder && !have[d]:
			present = append(present, d)
		}
		have[d] = true
		out.Holidays = append(out.Holidays, d)
	}
	for _, d := range holidays {
		d.Folder = folder
		if !have[d] {
			added = append(added, d)
			out.Holidays = append(out.Holidays, d)
		}
		have[d] = true
	}
	return out, added, present, removed
}
