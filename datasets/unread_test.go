package datasets

import (
	"slices"
	"testing"
)

func TestUnread(t *testing.T) {
	pair, messages := PairFormats()[1], ExampleFormats()[1]
	for _, c := range []struct {
		format  Format
		columns []string
		want    []string
	}{
		{pair, []string{"prompt", "chosen", "rejected", "system", "id"}, nil},
		{pair, []string{"prompt", "chosen", "rejected", "score_chosen", "source"}, []string{"score_chosen", "source"}},
		{messages, []string{`messages=[{"role":"user","content":"a","name":"b"},{"role":"assistant","content":"c","weight":0,"reasoning_content":"d","tool_calls":null,"train":null}]`}, []string{"messages.reasoning_content", "messages.weight"}},
		{messages, []string{`messages="[{\"role\":\"user\",\"content\":\"a\",\"train\":false}]"`}, []string{"messages.train"}},
		{messages, []string{`messages="text"`}, nil},
	} {
		if got := unread(c.format, recordOf(c.columns...)); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.columns, got, c.want)
		}
	}
}
