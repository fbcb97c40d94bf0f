package filetype_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"emailchannel.dev/emailchannel/shared/filetype"
)

// check looks at a content that comes in pieces of n bytes.
func check(name, declared, content string, n int) (filetype.Type, error) {
	c, err := filetype.New(name, declared)
	if err != nil {
		return filetype.Type{}, err
	}
	for rest := content; rest != ""; rest = rest[min(n, len(rest)):] {
		if _, err := io.WriteString(c, rest[:min(n, len(rest))]); err != nil {
			break // Done says the same
		}
	}
	return c.Done()
}

// compound is an OLE2 file with a directory after some sectors.
func compound(streams ...string) string {
	var b bytes.Buffer
	b.WriteString("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	b.Write(make([]byte, 512-8+3*512))
	for i, name := range append([]string{"Root Entry"}, streams...) {
		var e [128]byte
		units := utf16.Encode([]rune(name + "\x00"))
		for j, u := range units {
			binary.LittleEndian.PutUint16(e[2*j:], u)
		}
		binary.LittleEndian.PutUint16(e[64:], uint16(2*len(units)))
		e[66] = 2
		if i == 0 {
			e[66] = 5
		}
		b.Write(e[:])
	}
	b.Write(make([]byte, 2048))
	return b.String()
}

// archive is a ZIP archive with these names, the first of the given size.
func archive(size int, names ...string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, name := range names {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			panic(err)
		}
		if i == 0 {
			w.Write(bytes.Repeat([]byte("x"), size))
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

func box(brand string) string { return "\x00\x00\x00\x18ftyp" + brand + "\x00\x00\x02\x00isommp41" }

var (
	exe  = "MZ\x90\x00\x03\x00\x00\x00" + strings.Repeat("\x00", 2000)
	jpeg = "\xff\xd8\xff\xe0\x00\x10JFIF\x00" + strings.Repeat("\x00", 100)
	png  = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
	pdf  = "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
	asf  = "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c\x00"
	webm = "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm\x42\x87"
	mkv  = strings.Replace(webm, "\x84webm", "\x88matroska", 1)
	tiff = "II*\x00\x08\x00\x00\x00"
	docx = archive(400<<10, "word/media/image1.png", "[Content_Types].xml", "_rels/.rels", "word/document.xml")
	page = "<!DOCTYPE html>\n<script>alert(1)</script>"
)

func TestTakes(t *testing.T) {
	for name, c := range map[string]struct{ name, declared, content, want string }{
		"jpeg":                   {"a.jpeg", "image/jpeg", jpeg, "image/jpeg"},
		"jpg in capitals":        {"IMG_1.JPG", "", jpeg, "image/jpeg"},
		"jpg as old browsers":    {"a.jpg", "image/pjpeg", jpeg, "image/jpeg"},
		"png":                    {"a.png", "image/png", png, "image/png"},
		"gif":                    {"a.gif", "image/gif", "GIF89a\x01\x00\x01\x00", "image/gif"},
		"tiff":                   {"a.tiff", "image/tiff", tiff, "image/tiff"},
		"tif, other byte order":  {"a.tif", "", "MM\x00*\x00\x00\x00\x08", "image/tiff"},
		"webp":                   {"a.webp", "image/webp", "RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"},
		"raw of Panasonic":       {"a.raw", "", "IIU\x00\x18\x00\x00\x00", "image/x-dcraw"},
		"Canon, old":             {"a.crw", "", "II\x1a\x00\x00\x00HEAPCCDR", "image/x-canon-crw"},
		"Canon":                  {"a.cr2", "image/x-canon-cr2", "II*\x00\x10\x00\x00\x00CR\x02\x00", "image/x-canon-cr2"},
		"Canon, new":             {"a.cr3", "", "\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom", "image/x-canon-cr3"},
		"Nikon":                  {"a.nef", "image/tiff", "MM\x00*\x00\x00\x00\x08", "image/x-nikon-nef"},
		"Sony":                   {"a.arw", "", tiff, "image/x-sony-arw"},
		"Adobe":                  {"a.dng", "application/octet-stream", tiff, "image/x-adobe-dng"},
		"Olympus":                {"a.orf", "", "IIRO\x08\x00\x00\x00", "image/x-olympus-orf"},
		"Fujifilm":               {"a.raf", "", "FUJIFILMCCD-RAW 0201FF", "image/x-fuji-raf"},
		"mp4":                    {"a.mp4", "video/mp4", box("isom"), "video/mp4"},
		"mp4 of a camera":        {"a.mp4", "", box("qt  "), "video/mp4"},
		"mov":                    {"a.mov", "video/quicktime", box("qt  "), "video/quicktime"},
		"mov without a brand":    {"a.mov", "", "\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", "video/quicktime"},
		"avi":                    {"a.avi", "video/avi", "RIFF\x24\x00\x00\x00AVI LIST", "video/x-msvideo"},
		"wmv":                    {"a.wmv", "video/x-ms-wmv", asf, "video/x-ms-wmv"},
		"webm":                   {"a.webm", "video/webm", webm, "video/webm"},
		"mp3 with a tag":         {"a.mp3", "audio/mpeg", "ID3\x04\x00\x00\x00\x00\x00\x00", "audio/mpeg"},
		"mp3 without":            {"a.mp3", "audio/mp3", "\xff\xfb\x90\x64\x00\x00", "audio/mpeg"},
		"wav":                    {"a.wav", "audio/x-wav", "RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav"},
		"pdf":                    {"a.pdf", "application/pdf", pdf, "application/pdf"},
		"pdf after other bytes":  {"a.pdf", "", "\r\n" + strings.Repeat("-", 1000) + pdf, "application/pdf"},
		"two extensions":         {"a.exe.pdf", "", pdf, "application/pdf"},
		"name of any script":     {"報告 №1.pdf", "", pdf, "application/pdf"},
		"doc":                    {"a.doc", "application/msword", compound("1Table", "WordDocument"), "application/msword"},
		"xls":                    {"a.xls", "", compound("Workbook"), "application/vnd.ms-excel"},
		"xls of Excel 95":        {"a.xls", "", compound("Book"), "application/vnd.ms-excel"},
		"doc cut short":          {"a.doc", "", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 600), "application/msword"},
		"ppt":                    {"a.ppt", "", compound("Current User", "PowerPoint Document"), "application/vnd.ms-powerpoint"},
		"docx, types in between": {"a.docx", "", docx, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
		"xlsx":                   {"a.xlsx", "application/zip", archive(9, "[Content_Types].xml", "xl/workbook.xml"), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
		"pptx with a password":   {"a.pptx", "", compound("EncryptionInfo", "EncryptedPackage"), "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
		"csv":                    {"a.csv", "text/csv; charset=utf-8", "\xef\xbb\xbfa;b\r\n1;\"x\vy\"\r\n\x1a", "text/csv"},
		"csv as Windows has it":  {"a.csv", "application/vnd.ms-excel", "a;b\r\n", "text/csv"},
		"txt of eight bits":      {"a.txt", "text/plain", "Gr\xfc\xdfe\r\n", "text/plain"},
		"txt in UTF-16":          {"a.txt", "", "\xff\xfeh\x00i\x00", "text/plain"},
		"txt in UTF-16, big":     {"a.txt", "", "\xfe\xff\x00h\x00i", "text/plain"},
		"html called txt":        {"a.txt", "", page, "text/plain"},
		"text that begins so":    {"a.txt", "", "MZ is short for Marsala Zone.\n", "text/plain"},
	} {
		for _, n := range []int{1, 7, 1 << 20} {
			if got, err := check(c.name, c.declared, c.content, n); err != nil || got.Media != c.want || got.Image != strings.HasPrefix(c.want, "image/") {
				t.Errorf("%s in pieces of %d: %+v, %v, want %s", name, n, got, err, c.want)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct{ name, declared, content, part, says string }{
		"program":                {"a.exe", "", exe, "name", ".exe is none of JPEG"},
		"program called pdf":     {"invoice.pdf", "application/pdf", exe, "content", `"invoice.pdf" is no PDF: it looks like a Windows program`},
		"program called txt":     {"a.txt", "", exe, "content", "bytes that text does not have"},
		"program called jpg":     {"a.jpg", "", exe, "content", "Windows program"},
		"another picture":        {"a.jpg", "image/jpeg", png, "content", "is no JPEG: it looks like a PNG picture"},
		"svg":                    {"a.svg", "image/svg+xml", "<svg/>", "name", ".svg"},
		"svg called png":         {"a.png", "", "<?xml version='1.0'?><svg/>", "content", "an SVG picture"},
		"html":                   {"a.html", "text/html", page, "name", ".html"},
		"text declared as html":  {"a.txt", "text/html", page, "type", "is declared as text/html, and a TXT is text/plain"},
		"declared as a program":  {"a.png", "application/x-msdownload", png, "type", "x-msdownload"},
		"a type that is none":    {"a.png", "png", png, "type", "png"},
		"program with a pdf":     {"a.pdf", "", "MZ" + strings.Repeat("\x00", 500) + pdf, "content", "Windows program"},
		"page with a pdf":        {"a.pdf", "", page + pdf, "content", "HTML"},
		"archive with a pdf":     {"a.pdf", "", "PK\x03\x04" + pdf, "content", "ZIP"},
		"pdf too late":           {"a.pdf", "", strings.Repeat(" ", 1024) + pdf, "content", "is no PDF"},
		"pdf called txt":         {"a.txt", "", "%PDF-1.4\n%plain\n", "content", "is no TXT: it looks like a PDF"},
		"heic called mp4":        {"a.mp4", "", box("heic"), "content", "HEIF"},
		"matroska":               {"a.webm", "", mkv, "content", "Matroska"},
		"sound called avi":       {"a.avi", "", "RIFF\x24\x00\x00\x00WAVEfmt ", "content", "WAV"},
		"MPEG layer II":          {"a.mp3", "", "\xff\xfd\x90\x64\x00\x00", "content", "is no MP3"},
		"installer called doc":   {"a.doc", "", compound("Property", "Binary.Icon"), "content", "OLE2"},
		"workbook called doc":    {"a.doc", "", compound("Workbook"), "content", "is no file of Word"},
		"docx called doc":        {"a.doc", "", docx, "content", "ZIP"},
		"archive":                {"a.zip", "", archive(1, "a.txt"), "name", ".zip"},
		"archive called docx":    {"a.docx", "", archive(1, "word/document.xml"), "content", "ZIP"},
		"workbook called docx":   {"a.docx", "", archive(1, "[Content_Types].xml", "xl/workbook.xml"), "content", "ZIP"},
		"docx within an archive": {"a.docx", "", strings.Replace(archive(len(docx), "a"), strings.Repeat("x", len(docx)), docx, 1), "content", "is no DOCX"},
		"macros":                 {"a.docx", "", archive(1, "[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"), "content", "macros"},
		"cut archive":            {"a.docx", "", docx[:len(docx)-30], "content", "damaged"},
		"late zero":              {"a.csv", "", strings.Repeat("a;b\n", 5000) + "\x00", "content", "text does not have"},
		"half a unit":            {"a.txt", "", "\xff\xfeh\x00i", "content", "text does not have"},
		"UTF-32":                 {"a.txt", "", "\xff\xfe\x00\x00h\x00\x00\x00", "content", "text does not have"},
		"empty":                  {"a.txt", "", "", "content", "is empty"},
		"no extension":           {"README", "", "hi", "name", "has no extension"},
		"turned name":            {"photo\u202egnp.jpg", "", jpeg, "name", "characters"},
		"path":                   {"../a.png", "", png, "name", "path"},
		"two lines":              {"a\r\nb.png", "", png, "name", "characters"},
		"long":                   {strings.Repeat("a", 300) + ".png", "", png, "name", "longer"},
		"no name":                {"", "", png, "name", "no name"},
	} {
		for _, n := range []int{1, 1000, 1 << 20} {
			_, err := check(c.name, c.declared, c.content, n)
			var refused *filetype.Refused
			if !errors.As(err, &refused) || refused.Part != c.part || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s in pieces of %d: %v, want %q about its %s", name, n, err, c.says, c.part)
			}
		}
	}
}

// What cannot be any more is refused before all of it came.
func TestRefusesEarly(t *testing.T) {
	c, err := filetype.New("a.mp4", "")
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(c, iotest.OneByteReader(strings.NewReader(strings.Repeat(exe, 100))))
	if err == nil || n > 2000 {
		t.Errorf("%d bytes were taken: %v", n, err)
	}
}

// FuzzCheck holds that the verdict does not depend on how the content comes,
// that a verdict names the file, and that what is taken is declared as its
// extension says.
func FuzzCheck(f *testing.F) {
	for _, content := range []string{jpeg, png, pdf, exe, asf, webm, tiff, page, box("isom"), compound("WordDocument"), archive(9, "[Content_Types].xml", "word/document.xml"), "\xff\xfeh\x00"} {
		for _, name := range []string{"a.pdf", "a.txt", "a.doc", "a.docx", "a.png"} {
			f.Add(name, content)
		}
	}
	f.Fuzz(func(t *testing.T, name, content string) {
		got, err := check(name, "", content, len(content)+1)
		for _, n := range []int{1, 127, 129} {
			if again, err2 := check(name, "", content, n); again != got || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
				t.Errorf("in pieces of %d: %+v, %v; whole: %+v, %v", n, again, err2, got, err)
			}
		}
		var refused *filetype.Refused
		if err != nil && (!errors.As(err, &refused) || refused.Name != name || refused.Problem == "") {
			t.Errorf("%v", err)
		}
		if promised, _ := filetype.ByName(name, ""); err == nil && promised != got {
			t.Errorf("%+v, by its name %+v", got, promised)
		}
		for _, never := range []string{"html", "javascript", "svg", "xml+"} {
			if strings.Contains(got.Media, never) {
				t.Errorf("sent as %s", got.Media)
			}
		}
	})
}
