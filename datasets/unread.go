package datasets

import (
	"maps"
	"slices"

	"align/internal/records"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// notMissed are columns that no format reads and nobody misses: what rules compare
// with, names of records, and the scores that align rejection leaves.
var notMissed = []string{"reference", "answer", "id", "prompt_id", "score", "chosen_score", "rejected_score"}

// ofMessages are the keys of messages that are read, or that say nothing of what is
// to be learnt.
var ofMessages = []string{"role", "content", "from", "value", "tool_calls", "name", "tool_call_id", "id", "weight"}

// unread lists what of a record a format leaves out: columns, and keys of the
// messages in the columns that it reads. A foreign column that m names is read.
func unread(f Format, r records.Record, m Mapping) []string {
	foreign := slices.Collect(maps.Values(m))
	var names []string
	for _, field := range r.Fields {
		switch {
		case slices.Contains(foreign, field.Name):
		case slices.Contains(f.Columns, field.Name) || slices.Contains(f.Optional, field.Name):
			for _, key := range messageKeys(field.Value) {
				names = append(names, field.Name+"."+key)
			}
		case !slices.Contains(notMissed, field.Name):
			names = append(names, field.Name)
		}
	}
	return names
}

// messageKeys are the keys that messages have beside those that are read; none where
// a value is no list of messages.
func messageKeys(v jsontext.Value) []string {
	if inner := nested(v); inner != nil {
		v = inner
	}
	var messages []map[string]jsontext.Value
	if _, err := messagesOf("", v); err != nil || json.Unmarshal(v, &messages) != nil {
		return nil
	}
	var keys []string
	for _, m := range messages {
		for key, value := range m {
			if value.Kind() != jsontext.KindNull && !slices.Contains(ofMessages, key) && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return keys
}
