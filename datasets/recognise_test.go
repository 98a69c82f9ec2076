package datasets

import (
	"strings"
	"testing"

	"align/internal/records"

	"github.com/go-json-experiment/json/jsontext"
)

func recordOf(columns ...string) records.Record {
	var r records.Record
	for _, name := range columns {
		name, value, valued := strings.Cut(name, "=")
		if !valued {
			value = `"x"`
		}
		r.Fields = append(r.Fields, records.Field{Name: name, Value: jsontext.Value(value)})
	}
	return r
}

func TestFormatHint(t *testing.T) {
	for _, c := range []struct {
		what    string
		formats []Format
		columns []string
		want    string
	}{
		{"preference", PairFormats(), []string{"Prompt", "Chosen", "Rejected"}, "; use the map prompt=Prompt,chosen=Chosen,rejected=Rejected"},
		{"preference", PairFormats(), []string{"chosen", "Rejected"}, "; use the map rejected=Rejected"},
		{"preference", PairFormats(), []string{"question", "response_j", "response_k", "id"}, "; the setting map names foreign columns, as prompt=question,chosen=response_j,rejected=response_k"},
		{"preference", PairFormats(), []string{"prompt", "better", "worse"}, "; the setting map names foreign columns, as chosen=better,rejected=worse"},
		{"preference", PairFormats(), []string{"prompt", "answers"}, ""},
		{"preference", PairFormats(), []string{"messages"}, "; these are examples, which align sft takes"},
		{"preference", PairFormats(), []string{"prompt", "completion", "label"}, "; these are labelled answers, which align dpo --loss kto takes"},
		{"preference", PairFormats(), []string{"prompt", "responses", "ranks"}, "; these are ranked answers, which align reward takes"},
		{"preference", PairFormats(), []string{`data=[{"prompt":"p","chosen":"c","rejected":"r"}]`}, `; "data" holds a list: want the records themselves, in one list or one a line`},
		{"fine-tuning", ExampleFormats(), []string{`conversation=[{"role":"user","content":"q"}]`}, "; use the map conversations=conversation"},
		{"fine-tuning", ExampleFormats(), []string{"prompt", "chosen", "rejected"}, "; these are preference pairs, which align dpo, reward and score --pairs take"},
		{"fine-tuning", ExampleFormats(), []string{"question", "answer"}, "; the setting map names foreign columns, as prompt=question,completion=answer"},
		{"fine-tuning", ExampleFormats(), []string{"Instruction", "Output"}, "; use the map instruction=Instruction,output=Output"},
		{"fine-tuning", ExampleFormats(), []string{"Prompt", "Chosen", "Rejected"}, "; with the map prompt=Prompt,chosen=Chosen,rejected=Rejected these are preference pairs, which align dpo, reward and score --pairs take"},
		{"fine-tuning", ExampleFormats(), nil, ""},
		{"prompt", PromptFormats(), []string{"question"}, "; the setting map names foreign columns, as prompt=question"},
	} {
		if got := formatHint(c.what, c.formats, recordOf(c.columns...)); got != c.want {
			t.Errorf("%s of %v:\ngot  %q\nwant %q", c.what, c.columns, got, c.want)
		}
	}
}
