package datasets

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"align/internal/records"

	"github.com/go-json-experiment/json/jsontext"
)

// quarantine writes one line of JSON for a record that is left out:
//
//	{"place":"prefs.jsonl:17","reason":"empty answer","detail":"...","record":{...}}
//
// with "raw" in place of "record" where it could not be parsed.
func quarantine(w io.Writer, r records.Record, place records.Place, reason Reason, detail string, raw []byte) error {
	if w == nil {
		return nil
	}
	line := member([]byte{'{'}, "place", place.String())
	line = member(line, "reason", string(reason))
	if detail != "" {
		line = member(line, "detail", detail)
	}
	if r.Fields != nil {
		line = r.AppendJSON(append(line, `"record":`...))
	} else {
		line = bytes.TrimSuffix(member(line, "raw", string(raw)), []byte(","))
	}
	if _, err := w.Write(append(line, "}\n"...)); err != nil {
		return fmt.Errorf("datasets: quarantine: %w", err)
	}
	return nil
}

// member appends "key":"value", to an object.
func member(dst []byte, key, value string) []byte {
	dst, _ = jsontext.AppendQuote(dst, key)
	dst = append(dst, ':')
	dst, _ = jsontext.AppendQuote(dst, strings.ToValidUTF8(value, "\ufffd"))
	return append(dst, ',')
}
