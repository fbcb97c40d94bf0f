package api

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/wire"
)

// table makes a CSV file (RFC 4180) of rows, with the names of the wire format
// in its first line. Columns of text are only those that are named.
func table[T any](name string, text []string, rows []T) download {
	var columns []wire.Field
	for _, f := range wire.Fields(reflect.TypeFor[T]()) {
		if reflect.TypeFor[T]().FieldByIndex(f.Index).Type.Kind() != reflect.String || slices.Contains(text, f.Name) {
			columns = append(columns, f)
		}
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	line := make([]string, len(columns))
	for i, f := range columns {
		line[i] = f.Name
	}
	_ = w.Write(line) // a buffer takes everything
	for _, row := range rows {
		for i, f := range columns {
			line[i] = cell(reflect.ValueOf(row).FieldByIndex(f.Index).Interface())
		}
		_ = w.Write(line)
	}
	w.Flush()
	return download{name: name, mediaType: "text/csv; charset=utf-8", body: io.NopCloser(&b)}
}

// cell is a value as text that no spreadsheet takes for a formula:
// https://owasp.org/www-community/attacks/CSV_Injection.
func cell(v any) string {
	s := fmt.Sprint(v)
	if s, ok := v.(string); ok && s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
