package records

import (
	"os"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// fuzzEnding reads data under a name's ending: whatever the bytes, no panic,
// every record valid JSON of our strict kind, and places that only grow.
func fuzzEnding(f *testing.F, ending string) {
	path := write(f, "fuzz"+ending, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path)
		if err != nil {
			return
		}
		defer r.Close()
		last := 0
		for range len(data) + 1 {
			record, err := r.Next()
			if _, bad := err.(*RecordError); err != nil && !bad {
				return
			} else if bad {
				continue
			}
			if raw := record.AppendJSON(nil); !jsontext.Value(raw).IsValid() {
				t.Fatalf("%s is not valid JSON: %q", record.Place, raw)
			}
			if record.Place.Number() <= last {
				t.Fatalf("place %v after %d", record.Place, last)
			}
			last = record.Place.Number()
		}
		t.Fatalf("more records than bytes")
	})
}

func FuzzJSONLines(f *testing.F) {
	for _, seed := range []string{"", "{\"a\":1}\n{}", "[{\"a\":[1,{\"b\":null}]}]", "\xef\xbb\xbf{\"a\":\"\\ud83d\\ude00\"}", "{\"a\":1,\"a\":2}", "\x1f\x8b\x08"} {
		f.Add([]byte(seed))
	}
	fuzzEnding(f, ".jsonl")
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{"[]", "[{\"a\":1},{}]", "{\n\"a\":1}{\"b\":2}", "[[{}]]", "{\"a\":\"\\ud800\"}"} {
		f.Add([]byte(seed))
	}
	fuzzEnding(f, ".json")
}

func FuzzCSV(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "sep=;\na;b\n\"x\ny\";2\n", "a\tb\r\n1\t\r\n", "a,a\n", "a,\n\",\n"} {
		f.Add([]byte(seed))
	}
	fuzzEnding(f, ".csv")
}

func FuzzParquet(f *testing.F) {
	f.Add(parquetFile(f, []parquetRow{{Prompt: "a", IDs: []int32{1, 2}, Messages: []turn{{"user", "x"}}}}))
	f.Add([]byte("PAR1\x00\x00\x00\x00PAR1"))
	fuzzEnding(f, ".parquet")
}
