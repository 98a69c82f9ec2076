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
		m       Mapping
		want    []string
	}{
		{pair, []string{"prompt", "chosen", "rejected", "system", "id"}, nil, nil},
		{pair, []string{"prompt", "chosen", "rejected", "score_chosen", "source"}, nil, []string{"score_chosen", "source"}},
		{messages, []string{`messages=[{"role":"user","content":"a","name":"b"},{"role":"assistant","content":"c","weight":0,"reasoning_content":"d","tool_calls":null,"train":null}]`}, nil, []string{"messages.reasoning_content"}},
		{messages, []string{`messages="[{\"role\":\"user\",\"content\":\"a\",\"train\":false}]"`}, nil, []string{"messages.train"}},
		{messages, []string{`messages="text"`}, nil, nil},
		{pair, []string{"prompt", "Better", "Worse", "chosen", "rejected", "source"}, Mapping{"chosen": "Better", "rejected": "Worse"}, []string{"source"}},
	} {
		if got := unread(c.format, recordOf(c.columns...), c.m); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.columns, got, c.want)
		}
	}
}
