package filetype

import "bytes"

// kind is one row of the list.
type kind struct {
	Type
	also   []string               // how other names of its media type begin
	begins func(head []byte) bool // whether a content may begin so
	scan   func() scanner         // for kinds that the beginning does not tell; nil for others
}

const office = "application/vnd.openxmlformats-officedocument."

// kinds by extension. The media types are those that mail programs know, of IANA
// or else of shared-mime-info.
var kinds = func() map[string]kind {
	zipped := []string{"application/zip", "application/x-zip-compressed"}
	word := kind{Type{"DOC", "application/msword", false}, nil, isCompound, program("Word", "WordDocument")}
	excel := kind{Type{"XLS", "application/vnd.ms-excel", false}, nil, isCompound, program("Excel", "Workbook", "Book")}
	slides := kind{Type{"PPT", "application/vnd.ms-powerpoint", false}, nil, isCompound, program("PowerPoint", "PowerPoint Document")}
	jpeg := kind{Type{"JPEG", "image/jpeg", true}, []string{"image/jpg", "image/pjpeg"}, isJPEG, nil}
	tiff := kind{Type{"TIFF", "image/tiff", true}, nil, isTIFF, nil}
	m := map[string]kind{
		"jpeg": jpeg, "jpg": jpeg, "tiff": tiff, "tif": tiff,
		"png":  {Type{"PNG", "image/png", true}, []string{"image/x-png"}, isPNG, nil},
		"gif":  {Type{"GIF", "image/gif", true}, nil, isGIF, nil},
		"webp": {Type{"WebP", "image/webp", true}, nil, isWebP, nil},
		"mp4":  {Type{"MP4", "video/mp4", false}, []string{"video/quicktime", "application/mp4", "audio/mp4"}, isFilm, nil},
		"mov":  {Type{"MOV", "video/quicktime", false}, []string{"video/mp4"}, isFilm, nil},
		"avi":  {Type{"AVI", "video/x-msvideo", false}, []string{"video/"}, isAVI, nil},
		"wmv":  {Type{"WMV", "video/x-ms-wmv", false}, []string{"video/"}, isASF, nil},
		"webm": {Type{"WebM", "video/webm", false}, []string{"audio/webm"}, isWebM, nil},
		"mp3":  {Type{"MP3", "audio/mpeg", false}, []string{"audio/"}, isMP3, nil},
		"wav":  {Type{"WAV", "audio/wav", false}, []string{"audio/"}, isWAV, nil},
		"pdf":  {Type{"PDF", "application/pdf", false}, []string{"application/x-pdf"}, isPDF, nil},
		"doc":  word, "xls": excel, "ppt": slides,
		"docx": {Type{"DOCX", office + "wordprocessingml.document", false}, zipped, isPackage, newPackage("DOCX", "word/")},
		"xlsx": {Type{"XLSX", office + "spreadsheetml.sheet", false}, zipped, isPackage, newPackage("XLSX", "xl/")},
		"pptx": {Type{"PPTX", office + "presentationml.presentation", false}, zipped, isPackage, newPackage("PPTX", "ppt/")},
		// Windows declares CSV as what opens it.
		"csv": {Type{"CSV", "text/csv", false}, []string{"application/csv", "text/plain", "text/comma-separated-values", "application/vnd.ms-excel"}, isText, newText("CSV")},
		"txt": {Type{"TXT", "text/plain", false}, nil, isText, newText("TXT")},
	}
	for ext, media := range raws {
		m[ext] = kind{Type{"RAW", media, true}, []string{"image/"}, isRAW, nil}
	}
	return m
}()

// listed are the kinds of the list that looks tells apart, in a sentence.
var listed = []struct {
	begins func(head []byte) bool
	what   string
}{
	{isJPEG, "a JPEG picture"}, {isPNG, "a PNG picture"}, {isGIF, "a GIF picture"}, {isWebP, "a WebP picture"}, {isTIFF, "a TIFF picture"},
	{isRAW, "a camera's RAW picture"}, {isAVI, "an AVI film"}, {isWAV, "WAV sound"}, {isFilm, "an MP4 or MOV film"},
	{isASF, "a Windows Media file"}, {isWebM, "a WebM film"}, {isMP3, "MP3 sound"},
}

// foreign are the beginnings of what is not in the list.
var foreign = []struct{ begin, what string }{
	{"MZ", "a Windows program"},
	{"\x7fELF", "a Linux program"},
	{"\xcf\xfa\xed\xfe", "a macOS program"}, {"\xce\xfa\xed\xfe", "a macOS program"},
	{"\xca\xfe\xba\xbe", "a macOS or Java program"},
	{"\x4c\x00\x00\x00\x01\x14\x02\x00", "a Windows shortcut"},
	{"dex\n", "an Android program"},
	{"#!", "a script"},
	{"MSCF", "a Windows cabinet"},
	{"PK\x03\x04", "a ZIP archive"}, {"PK\x05\x06", "a ZIP archive"},
	{"Rar!", "a RAR archive"}, {"7z\xbc\xaf\x27\x1c", "a 7z archive"}, {"\x1f\x8b", "a gzip archive"}, {"BZh", "a bzip2 archive"}, {"\xfd7zXZ\x00", "an xz archive"},
	{compoundMagic, "an OLE2 compound file, such as an older Office document or an installer"},
	{`{\rtf`, "RTF"},
	{"%PDF-", "a PDF"}, {"%!PS", "PostScript"},
	{"BM", "a BMP picture"}, {"8BPS", "a Photoshop picture"},
	{"OggS", "an Ogg file"}, {"fLaC", "FLAC sound"}, {"FLV\x01", "a Flash film"}, {"\x1a\x45\xdf\xa3", "a Matroska film"},
	{"SQLite format 3\x00", "a database"},
}

// looks is what a content looks like by its beginning, "" when it is nothing
// that is known.
func looks(head []byte) string {
	for _, k := range listed {
		if k.begins(head) {
			return k.what
		}
	}
	for _, f := range foreign {
		if starts(head, f.begin) {
			return f.what
		}
	}
	if len(head) > 12 && string(head[4:8]) == "ftyp" {
		return "a picture of HEIF's family"
	}
	return markup(head)
}

// markup tells HTML, SVG and XML.
func markup(head []byte) string {
	low := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n\f"))
	switch {
	case bytes.Contains(low, []byte("<svg")):
		return "an SVG picture"
	case starts(low, "<!doctype html"), starts(low, "<html"), starts(low, "<script"), starts(low, "<head"), starts(low, "<body"), starts(low, "<!--"):
		return "a page of HTML"
	case starts(low, "<?xml"):
		return "XML"
	}
	return ""
}
