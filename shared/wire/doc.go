// Package wire is how values look outside of the program: in the database, in
// the API, in the configuration file and in the audit log.
//
// A field has one name everywhere ([Fields]). A value becomes a tree ([Encode])
// of what JSON and YAML have, and is made from one ([Decode]), strictly: what
// has no place is named by its path, not ignored. Times are RFC 3339 and left
// out when they are not known; lists are never null; durations, dates and times
// of day are the words that people write: "3h0m0s", "2026-11-21", "09:30".
// (The database keeps times as times, so that it can compare them; it uses the
// names only.)
//
// Trees are compared field by field ([Compare]), and written and read as YAML
// ([FormatYAML], [ParseYAML]) within bounds that hostile input does not get around.
package wire
