package email

import (
	"bufio"
	"encoding/binary"
	"io"
	"strconv"
	"strings"
)

// MAPI property types, [MS-OXCDATA] section 2.11.1, and the properties that matter, [MS-OXPROPS].
const (
	typeObject  = 0x000d
	typeString8 = 0x001e
	typeUnicode = 0x001f
	typeBinary  = 0x0102
	typeMulti   = 0x1000

	propSubject       = 0x0037
	propBody          = 0x1000
	propRTF           = 0x1009
	propHTML          = 0x1013
	propDisplayName   = 0x3001
	propAttachData    = 0x3701
	propAttachName    = 0x3704
	propAttachLong    = 0x3707
	propAttachMIME    = 0x370e
	propAttachContent = 0x3712
	propInternetCPID  = 0x3fde
)

// property is one value of a property list; its bytes are read from data, or left.
type property struct {
	id, kind uint16
	size     int64
	data     io.Reader
	fixed    uint32 // the value of a fixed size, its lower half
}

// properties calls f for each property of a list ([MS-OXTNEF] section 2.1.3.4). A list that is cut ends early.
func (t *tnef) properties(data io.Reader, f func(property)) {
	in := bufio.NewReaderSize(data, 512)
	for n := readUint32(in); n > 0; n-- {
		head, err := in.Peek(4)
		if err != nil || t.p.err != nil {
			return
		}
		kind, id := binary.LittleEndian.Uint16(head), binary.LittleEndian.Uint16(head[2:])
		_, _ = in.Discard(4)
		if id >= 0x8000 && !skipPropertyName(in) {
			return
		}
		if !t.values(in, property{id: id, kind: kind}, f) {
			return
		}
	}
}

// skipPropertyName: properties above 0x8000 carry their name, a GUID with a number or a text.
func skipPropertyName(in *bufio.Reader) bool {
	if n, _ := in.Discard(16); n < 16 {
		return false
	}
	if readUint32(in) == 0 {
		_, err := in.Discard(4)
		return err == nil
	}
	return skip(in, padded(int64(readUint32(in))))
}

func padded(n int64) int64 { return (n + 3) &^ 3 }

func skip(in io.Reader, n int64) bool {
	done, _ := io.CopyN(io.Discard, in, n)
	return done == n
}

func readUint32(in *bufio.Reader) uint32 {
	b, err := in.Peek(4)
	if err != nil {
		return 0
	}
	_, _ = in.Discard(4)
	return binary.LittleEndian.Uint32(b)
}

// values reads the value of a property, or its several values, and returns false at the end of the data.
func (t *tnef) values(in *bufio.Reader, p property, f func(property)) bool {
	variable := false
	switch p.kind &^ typeMulti {
	case typeObject, typeString8, typeUnicode, typeBinary:
		variable = true
	}
	count := uint32(1)
	if variable || p.kind&typeMulti != 0 {
		if _, err := in.Peek(4); err != nil {
			return false
		}
		count = readUint32(in)
	}
	for ; count > 0; count-- {
		if _, err := in.Peek(4); err != nil {
			return false
		}
		if !variable {
			p.fixed = readUint32(in)
			if !skip(in, fixedSize(p.kind&^typeMulti)-4) {
				return false
			}
			f(p)
			continue
		}
		p.size = int64(readUint32(in))
		value := &io.LimitedReader{R: in, N: p.size}
		p.data = value
		f(p)
		if t.p.err != nil || !skip(in, value.N+padded(p.size)-p.size) {
			return false
		}
	}
	return true
}

func fixedSize(kind uint16) int64 {
	switch kind {
	case 0x0005, 0x0006, 0x0007, 0x0014, 0x0040: // double, currency, application time, integer, time
		return 8
	case 0x0048: // GUID
		return 16
	}
	return 4
}

// string reads a text property.
func (t *tnef) string(p property, limit int) string {
	switch p.kind {
	case typeUnicode:
		b := t.read(p.data, 2*limit)
		s, _ := toUTF8(b[:len(b)&^1], "utf-16le")
		s, _, _ = strings.Cut(s, "\x00")
		return unixLines(s)
	case typeString8, typeBinary:
		return t.text(p.data, limit)
	}
	return ""
}

// message takes the properties of the message itself.
func (t *tnef) message(p property) {
	switch p.id {
	case propInternetCPID:
		t.body.charset = codepageCharset(p.fixed)
	case propSubject:
		t.subject = t.string(p, maxMessageID)
	case propBody:
		t.body.plain = t.string(p, t.p.lim.TextBytes)
	case propHTML:
		t.body.setHTML(t, p)
	case propRTF:
		if p.kind == typeBinary {
			t.body.rtf = t.read(p.data, t.p.lim.TextBytes)
		}
	}
}

// attachment takes the properties of a file.
func (t *tnef) attachment(p property) {
	f := t.current()
	switch p.id {
	case propDisplayName:
		f.display = t.string(p, maxMessageID)
	case propAttachName:
		f.short = t.string(p, maxMessageID)
	case propAttachLong:
		f.long = t.string(p, maxMessageID)
	case propAttachMIME:
		f.mediaType = strings.ToLower(t.string(p, 200))
	case propAttachContent:
		f.contentID = t.string(p, maxMessageID)
	case propAttachData:
		switch p.kind {
		case typeObject:
			t.object(p)
		case typeBinary:
			t.content(p.data, p.size)
		}
	}
}

// codepageCharset names the charset of a Windows code page.
func codepageCharset(n uint32) string {
	switch {
	case n >= 1250 && n <= 1258 || n == 874:
		return "windows-" + strconv.Itoa(int(n))
	case n > 28590 && n <= 28606:
		return "iso-8859-" + strconv.Itoa(int(n-28590))
	}
	switch n {
	case 932:
		return "shift_jis"
	case 936:
		return "gbk"
	case 949, 51949:
		return "euc-kr"
	case 950:
		return "big5"
	case 1200:
		return "utf-16le"
	case 20866:
		return "koi8-r"
	case 21866:
		return "koi8-u"
	case 50220, 50221, 50222:
		return "iso-2022-jp"
	case 51932:
		return "euc-jp"
	case 54936:
		return "gb18030"
	case 65000:
		return "utf-7"
	case 65001:
		return "utf-8"
	case 437, 850, 852, 855, 860, 862, 863, 865, 866:
		return "ibm" + strconv.Itoa(int(n))
	}
	return "windows-1252"
}
