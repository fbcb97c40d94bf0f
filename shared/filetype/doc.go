// Package filetype decides whether a file may go out with a mail, by its name
// and by its content (AR-2): JPEG JPG PNG GIF TIFF RAW WebP; MP4 MOV AVI WMV
// WebM; MP3 WAV; PDF DOC XLS PPT CSV TXT.
//
// The extension says what a file wants to be, and its content must agree; what
// it is called on the way, its declared media type, must not contradict. What
// goes out is declared as the extension says and never as anything that a
// program would run: a page of HTML called .txt is text and stays so.
//
//   - Pictures, films and sound are known by how they begin. RAW is what cameras
//     write (DNG, CR2, CR3, NEF, ARW, ORF, RAF, RW2 and the like): a TIFF file
//     or one of the makers' own forms, whatever of their extensions it has.
//   - MP4 and MOV are one container (ISO 14496-12), and each passes as the other;
//     still pictures in it (HEIC, AVIF) do not.
//   - DOC, XLS and PPT are OLE2 compound files with the stream of their program
//     in it, so that an installer (.msi) is none. DOCX, XLSX and PPTX are the
//     same kinds in the form of today: a ZIP archive with [Content_Types].xml and
//     the program's folder, without macros; or, with a password, an OLE2 file
//     with an encrypted package.
//   - A PDF may have up to 1,024 bytes before its header (PDF 1.7, annex H.3),
//     unless they are the beginning of something else.
//   - CSV and TXT are text to the last byte: UTF-8, UTF-16 with its mark, or any
//     code page of eight bits, without the bytes that text does not have.
//   - The rest is refused by name: with its extension, or with what it looks like.
//
// It reads nothing but what a program reads to recognise a file: it looks for no
// virus, and what follows a complete picture or document is not looked at.
package filetype
