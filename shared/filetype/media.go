package filetype

import (
	"bytes"
	"encoding/binary"
	"slices"
)

func isJPEG(h []byte) bool { return starts(h, "\xff\xd8\xff") }
func isPNG(h []byte) bool  { return starts(h, "\x89PNG\r\n\x1a\n") }
func isGIF(h []byte) bool  { return starts(h, "GIF87a") || starts(h, "GIF89a") }
func isWebP(h []byte) bool { return isRIFF(h, "WEBP") }
func isAVI(h []byte) bool  { return isRIFF(h, "AVI ") }

// isWAV also takes the forms for more than 4 GiB (EBU Tech 3306, ITU-R BS.2088).
func isWAV(h []byte) bool {
	return isRIFF(h, "WAVE") || len(h) >= 12 && (starts(h, "RF64") || starts(h, "BW64")) && string(h[8:12]) == "WAVE"
}

func isRIFF(h []byte, form string) bool {
	return len(h) >= 12 && starts(h, "RIFF") && string(h[8:12]) == form
}

// isTIFF takes either byte order, and BigTIFF.
func isTIFF(h []byte) bool {
	return len(h) >= 8 && (starts(h, "II*\x00") || starts(h, "MM\x00*") || starts(h, "II+\x00\x08\x00") || starts(h, "MM\x00+\x00\x08"))
}

// isASF knows Windows Media by the GUID of its header object.
func isASF(h []byte) bool {
	return starts(h, "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c")
}

// stills are brands of ISO 14496-12 files that are no films.
var stills = []string{"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1", "avif", "avis", "crx ", "jp2 ", "jpx "}

// isFilm takes MP4 and QuickTime, which before 2001 had no brand.
func isFilm(h []byte) bool {
	if len(h) < 12 {
		return false
	}
	switch string(h[4:8]) {
	case "ftyp":
		return !slices.Contains(stills, string(h[8:12]))
	case "moov", "mdat", "wide", "skip", "free", "pnot":
		size := binary.BigEndian.Uint32(h)
		return size <= 1 || size >= 8 // to the end, of 64 bits, or a size with its own header
	}
	return false
}

// isWebM finds the document type in the header (RFC 8794 11.2.6).
func isWebM(h []byte) bool {
	if !starts(h, "\x1a\x45\xdf\xa3") {
		return false
	}
	_, rest, ok := bytes.Cut(h[:min(len(h), 128)], []byte("\x42\x82"))
	return ok && bytes.Contains(rest[:min(len(rest), 12)], []byte("webm"))
}

// isMP3 takes an ID3 tag or a frame of MPEG audio layer III.
func isMP3(h []byte) bool {
	if starts(h, "ID3") {
		return true
	}
	if len(h) < 4 || h[0] != 0xff || h[1]&0xe0 != 0xe0 {
		return false
	}
	version, layer, rate, sampling := h[1]>>3&3, h[1]>>1&3, h[2]>>4, h[2]>>2&3
	return version != 1 && layer == 1 && rate != 15 && rate != 0 && sampling != 3
}

// isPDF finds the header within the first 1,024 bytes. What stands before it
// must not be the beginning of something else, which another program would
// take the file for.
func isPDF(h []byte) bool {
	i := bytes.Index(h, []byte("%PDF-"))
	return i == 0 || i > 0 && i < 1024 && looks(h) == ""
}

// raws are the extensions of cameras' own pictures with their media types.
var raws = map[string]string{
	"raw": "image/x-dcraw", "dng": "image/x-adobe-dng",
	"cr2": "image/x-canon-cr2", "cr3": "image/x-canon-cr3", "crw": "image/x-canon-crw",
	"nef": "image/x-nikon-nef", "nrw": "image/x-nikon-nrw",
	"arw": "image/x-sony-arw", "srf": "image/x-sony-srf", "sr2": "image/x-sony-sr2",
	"orf": "image/x-olympus-orf", "raf": "image/x-fuji-raf", "rw2": "image/x-panasonic-rw2", "rwl": "image/x-dcraw",
	"pef": "image/x-pentax-pef", "srw": "image/x-dcraw", "x3f": "image/x-sigma-x3f", "mrw": "image/x-minolta-mrw",
	"kdc": "image/x-kodak-kdc", "dcr": "image/x-kodak-dcr", "erf": "image/x-dcraw", "3fr": "image/x-dcraw", "mef": "image/x-dcraw", "iiq": "image/x-dcraw",
}

// isRAW takes what cameras write: TIFF with fields of their own, or a variation
// of it (Panasonic, Olympus), or a form of the maker (Canon's CIFF and CR3,
// Fujifilm, Minolta, Sigma).
func isRAW(h []byte) bool {
	return isTIFF(h) || starts(h, "IIU\x00") || starts(h, "IIRO") || starts(h, "IIRS") || starts(h, "MMOR") ||
		len(h) >= 14 && string(h[6:14]) == "HEAPCCDR" || len(h) >= 12 && string(h[4:12]) == "ftypcrx " ||
		starts(h, "FUJIFILMCCD-RAW ") || starts(h, "\x00MRM") || starts(h, "FOVb")
}
