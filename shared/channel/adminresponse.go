package channel

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/reply"
)

// Limits of what goes out with a mail (AR-1).
const (
	maxFiles     = 10
	maxFileBytes = 25 << 20 // of all inline images together, and of all files
)

// Extensions that may be sent (AR-2), with how their media type begins.
var (
	imageTypes = map[string][]string{
		"jpeg": {"image/jpeg"}, "jpg": {"image/jpeg"}, "png": {"image/png"}, "gif": {"image/gif"}, "tiff": {"image/tiff"},
		"raw": {"image/", "application/octet-stream"}, "webp": {"image/webp"},
	}
	otherTypes = map[string][]string{
		"mp4": {"video/mp4"}, "mov": {"video/quicktime"}, "avi": {"video/"}, "wmv": {"video/"}, "webm": {"video/webm"},
		"mp3": {"audio/"}, "wav": {"audio/"}, "pdf": {"application/pdf"}, "doc": {"application/msword"},
		"xls": {"application/vnd.ms-excel"}, "ppt": {"application/vnd.ms-powerpoint"}, "csv": {"text/csv", "application/csv"}, "txt": {"text/plain"},
	}
)

// response names what is wrong with an auto-response.
func (e *Invalid) response(r AutoResponse) {
	e.template("response.html", reply.Validate(r.HTML))
	if r.On && strings.TrimSpace(r.HTML) == "" {
		e.add("response.html", "missing")
	}
	e.files("response.inline", r.Inline, imageTypes)
	for i, f := range r.Inline {
		if f.ContentID == "" {
			e.add(fmt.Sprintf("response.inline[%d].content_id", i), "missing")
		}
	}
	e.files("response.files", r.Files, imageTypes, otherTypes)
}

func (e *Invalid) files(field string, files []File, allowed ...map[string][]string) {
	if len(files) > maxFiles {
		e.add(field, "%d files, at most %d", len(files), maxFiles)
	}
	var size int64
	for i, f := range files {
		size += f.Size
		at := fmt.Sprintf("%s[%d]", field, i)
		if !allowedType(f, allowed) {
			e.add(at+".type", "%q as %q may not be sent", f.Name, f.Type)
		}
		if f.Object == "" || strings.Contains(f.Object, "..") {
			e.add(at+".object", "%q is no object of the archive", f.Object)
		}
		e.line(at+".name", f.Name, 255)
	}
	if size > maxFileBytes {
		e.add(field, "%d bytes together, at most %d", size, maxFileBytes)
	}
}

// allowedType tells whether name and type are a pair of the list.
func allowedType(f File, allowed []map[string][]string) bool {
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(f.Name), "."))
	mediaType := strings.ToLower(f.Type)
	for _, types := range allowed {
		if slices.ContainsFunc(types[ext], func(begin string) bool { return strings.HasPrefix(mediaType, begin) }) {
			return true
		}
	}
	return false
}
