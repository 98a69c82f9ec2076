package jsonfile_test

import (
	"testing"

	"align/internal/jsonfile"
)

func TestUnmarshal(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"a whole file", `{"rank": 8, "alpha": 0.5, "names": ["q"], "pattern": {"a": 1}, "on": true}`, ""},
		{"nothing", " \n", "the file is empty: want a JSON object"},
		{"a byte order mark", "\uFEFF{}", "it begins with a byte order mark: save it as UTF-8 without one"},
		{"an early end", "{\n  \"rank\": 8,\n", "line 3, column 1: the JSON ends early"},
		{"a comma too many", "{\n  \"rank\": 8,,\n}", "line 2, column 13: bad JSON: invalid character ',' at start of value"},
		{"behind a wide letter", "{\"é\": x}", "line 1, column 7: bad JSON: invalid character 'x' at start of value"},
		{"single quotes", "{'rank': 8}", "line 1, column 2: bad JSON: invalid character '\\'' at start of value: texts stand in double quotes"},
		{"Python", `{"on": True}`, "line 1, column 8: bad JSON: invalid character 'T' at start of value: JSON has null, true and false"},
		{"a key twice", "{\"rank\": 8,\n\"rank\": 9}", `line 2, column 1: key "rank" stands twice`},
		{"a list", "[]", "the file is a list: want an object"},
		{"a text for a number", `{"rank": "8"}`, "rank is a string: want a whole number"},
		{"half a number", `{"rank": 8.5}`, "rank is 8.5: want a whole number"},
		{"a number for a text", `{"names": ["q", 3]}`, "names.1 is a number: want a text"},
		{"a list for a table", `{"pattern": []}`, "pattern is a list: want an object"},
		{"null for a switch", `{"on": 1}`, "on is a number: want true or false"},
	} {
		var to struct {
			Rank    int            `json:"rank"`
			Alpha   float64        `json:"alpha"`
			Names   []string       `json:"names"`
			Pattern map[string]int `json:"pattern"`
			On      bool           `json:"on"`
		}
		err := jsonfile.Unmarshal([]byte(tc.text), &to)
		if got := text(err); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
