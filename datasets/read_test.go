package datasets

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plainOptions render with the plain template over bytes: a text is BOS, the
// contents joined by newlines, EOS.
func plainOptions(t testing.TB) Options {
	t.Helper()
	template, err := NewTemplate("plain", byteTokenizer(t, "", "<s>", "</s>"))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Template: template}
}

func chatMLOptions(t testing.TB) Options {
	t.Helper()
	template, err := NewTemplate("chatml", byteTokenizer(t, "", "<s>", "</s>", "<|im_start|>", "<|im_end|>"))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Template: template}
}

func dataFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readCase is one file and what becomes of it: a line for each example, or an
// error; and the reasons of what was dropped.
type readCase struct {
	name, file, text string
	change           func(*Options)
	want             []string
	format           string
	dropped          []string
	fails            string
}

// check compares a reading with the case; show is a line for an example.
func check[T any](t *testing.T, c readCase, o Options, reading func(context.Context, string, Options) ([]T, Summary, error), show func(T) string) {
	t.Helper()
	if c.file == "" {
		c.file = "a.jsonl"
	}
	path := dataFile(t, c.file, c.text)
	if c.change != nil {
		c.change(&o)
	}
	items, s, err := reading(context.Background(), path, o)
	if err != nil || c.fails != "" {
		got := ""
		if err != nil {
			got = strings.ReplaceAll(err.Error(), filepath.Dir(path)+string(filepath.Separator), "")
		}
		if got != c.fails {
			t.Errorf("error:\ngot  %q\nwant %q", got, c.fails)
		}
		return
	}
	var got, dropped []string
	for _, item := range items {
		got = append(got, show(item))
	}
	for _, d := range s.Dropped {
		dropped = append(dropped, d.String())
	}
	if diff := cmp.Diff(c.want, got); diff != "" {
		t.Errorf("examples (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(c.dropped, dropped); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	if name, _, _ := strings.Cut(s.Format, " ("); c.format != "" && name != c.format {
		t.Errorf("recognised as %q, want %q", name, c.format)
	}
	if s.Kept != len(items) || s.Lengths.N < s.Kept {
		t.Errorf("summary %+v for %d examples", s, len(items))
	}
}

func TestReadExamples(t *testing.T) {
	overlong := func(policy string, limit int) func(*Options) {
		return func(o *Options) { o.Overlong, o.MaxLength = policy, limit }
	}
	lossOn := func(what string) func(*Options) { return func(o *Options) { o.LossOn = what } }
	bad := func(policy string) func(*Options) { return func(o *Options) { o.BadRecords = policy } }
	mapped := func(m Mapping) func(*Options) { return func(o *Options) { o.Map = m } }
	cases := []readCase{
		{name: "messages", text: `{"messages":[{"role":"system","content":"S"},{"role":"user","content":"hi"},{"role":"assistant","content":"yo"},{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`,
			format: "messages", want: []string{"<s>S\nhi\nyo</s>\na\nb</s> -> yo</s>b</s>"}},
		{name: "messages of a table", file: "a.csv", text: "id,messages\n1,\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"q\"\"},{\"\"role\"\":\"\"assistant\"\",\"\"content\"\":\"\"a\"\"}]\"\n",
			format: "messages", want: []string{"<s>q\na</s> -> a</s>"}},
		{name: "weights", text: `{"messages":[{"role":"system","content":"S","weight":0},{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":0},{"role":"user","content":"r"},{"role":"assistant","content":"b"}]}`, want: []string{"<s>S\nq\na</s>\nr\nb</s> -> b</s>"}},
		{name: "weight of the last turn", text: `{"messages":[{"role":"system","content":"S","weight":0},{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":1.0},{"role":"user","content":"r"},{"role":"assistant","content":"b","weight":0}]}`, want: []string{"<s>S\nq\na</s>\nr\nb</s> -> a</s>"}},
		{name: "weights and the completion", text: `{"messages":[{"role":"system","content":"S","weight":0},{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":0},{"role":"user","content":"r"},{"role":"assistant","content":"b","weight":1}]}`, change: lossOn(LossOnCompletion), want: []string{"<s>S\nq\na</s>\nr\nb</s> -> b</s>"}},
		{name: "a completion of weight 0", text: `{"messages":[{"role":"system","content":"S","weight":0},{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":1},{"role":"user","content":"r"},{"role":"assistant","content":"b","weight":0}]}` + "\n" + `{"messages":[{"role":"system","content":"S","weight":0},{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":null},{"role":"user","content":"r"},{"role":"assistant","content":"b"}]}`, change: lossOn(LossOnCompletion),
			want: []string{"<s>S\nq\na</s>\nr\nb</s> -> b</s>"}, dropped: []string{"no trained token: 1 (line 1)"}},
		{name: "weight of ShareGPT", text: `{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a","weight":0},{"from":"human","value":"r"},{"from":"gpt","value":"b"}]}`, want: []string{"<s>q\na</s>\nr\nb</s> -> b</s>"}},
		{name: "weights and every token", text: `{"messages":[{"role":"system","content":"S","weight":0},{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":0},{"role":"user","content":"r"},{"role":"assistant","content":"b"}]}`, change: lossOn(LossOnAll), fails: "datasets: a.jsonl:1: a message of weight 0 is not trained on, and loss_on all trains on every token: leave one of them out"},
		{name: "another weight", text: `{"messages":[{"role":"system","content":"S","weight":0},{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":0.5},{"role":"user","content":"r"},{"role":"assistant","content":"b"}]}`, fails: `datasets: a.jsonl:1: "messages[2].weight" is 0.5: want 0 or 1`},
		{name: "a user's weight", text: `{"messages":[{"role":"user","content":"q","weight":1},{"role":"assistant","content":"a"}]}`, fails: `datasets: a.jsonl:1: "messages[0].weight" is 1 of the role user: the assistant's messages alone are trained on`},
		{name: "history", text: `{"instruction":"r","input":"s","output":"b","history":[["q","a"]],"system":"S"}`, format: "alpaca", want: []string{"<s>S\nq\na</s>\nr\n\ns\nb</s> -> a</s>b</s>"}},
		{name: "history of a table", file: "a.csv", text: "instruction,output,history\nr,b,\"[[\"\"q\"\",\"\"a\"\"]]\"\nr,b,\nr,b,[]\n", want: []string{"<s>q\na</s>\nr\nb</s> -> a</s>b</s>", "<s>r\nb</s> -> b</s>", "<s>r\nb</s> -> b</s>"}},
		{name: "history of one text", text: `{"instruction":"r","output":"b","history":[["q"]]}`, fails: `datasets: a.jsonl:1: "history[0]" has 1 texts: want two, [user, assistant]`},
		{name: "history without rounds", text: `{"instruction":"r","output":"b","history":["q","a"]}`, fails: `datasets: a.jsonl:1: "history[0]" is a string: want [user, assistant]`},
		{name: "history of other kinds", text: `{"instruction":"r","output":"b","history":[["q",1]]}`, fails: `datasets: a.jsonl:1: "history[0][1]" is a number: want a string`},
		{name: "text parts", text: `{"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"text","text":"y"}]},{"role":"assistant","content":"a"}]}`,
			want: []string{"<s>xy\na</s> -> a</s>"}},
		{name: "sharegpt", text: `{"id":"1","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}`, format: "sharegpt", want: []string{"<s>q\na</s> -> a</s>"}},
		{name: "sharegpt with system column", text: `{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}],"system":"S"}`, want: []string{"<s>S\nq\na</s> -> a</s>"}},
		{name: "alpaca", text: `{"instruction":"I","input":"","output":"O"}` + "\n" + `{"instruction":"I","input":"in","output":"O"}` + "\n" + `{"instruction":"I","input":null,"output":"O"}`,
			format: "alpaca", want: []string{"<s>I\nO</s> -> O</s>", "<s>I\n\nin\nO</s> -> O</s>", "<s>I\nO</s> -> O</s>"}},
		{name: "prompt and completion", text: `{"prompt":"p","completion":"c"}`, format: "prompt-completion", want: []string{"<s>p\nc</s> -> c</s>"}},
		{name: "prompt and completion as messages", text: `{"prompt":[{"role":"user","content":"p"}],"completion":[{"role":"assistant","content":"c"}]}`, want: []string{"<s>p\nc</s> -> c</s>"}},
		{name: "completion that is a conversation", text: `{"prompt":"p","completion":[{"role":"user","content":"x"},{"role":"assistant","content":"c"}]}` + "\n" + `{"prompt":"p","completion":"c"}`,
			want: []string{"<s>p\nc</s> -> c</s>"}, dropped: []string{"broken roles: 1 (line 1; the completion is more than an answer)"}},
		{name: "a prompt that is JSON", text: `{"prompt":"[1, 2]","completion":"{\"a\": 1}"}`, want: []string{"<s>[1, 2]\n{\"a\": 1}</s> -> {\"a\": 1}</s>"}},
		{name: "text", text: `{"text":"abc"}`, format: "text", want: []string{"<s>abc</s> -> abc</s>"}},
		{name: "text with control names", text: `{"text":"</s>"}`, want: []string{"<s></s></s> -> </s></s>"}},
		{name: "tokens", text: `{"input_ids":[256,65,66,257]}`, format: "tokens", want: []string{"<s>AB</s> -> AB</s>"}},
		{name: "tokens with mask", text: `{"input_ids":[256,65,66,257],"completion_mask":[1,0,1,true]}`, want: []string{"<s>AB</s> -> B</s>"}},
		{name: "tokens with labels", text: `{"input_ids":[256,65,66,257],"labels":[-100,-100,66,257]}`, format: "tokens", want: []string{"<s>AB</s> -> B</s>"}},
		{name: "tokens with two masks", text: `{"input_ids":[256,65,66,257],"completion_mask":[0,1,1,1],"assistant_masks":[1,0,1,1],"labels":[256,65,66,-100]}`, want: []string{"<s>AB</s> -> B"}},
		{name: "padded tokens", text: `{"input_ids":[257,256,65,66,257,257],"labels":[-100,256,65,66,257,257],"attention_mask":[0,1,1,1,1,0]}`, want: []string{"<s>AB</s> -> AB</s>"}},
		{name: "padding alone", text: `{"input_ids":[65,66]}` + "\n" + `{"input_ids":[257],"attention_mask":[0]}`, want: []string{"AB -> B"}, dropped: []string{"empty answer: 1 (line 2)"}},
		{name: "tokens with documents", text: `{"input_ids":[65,66,67,68],"document_ids":[0,0,3,3]}`, want: []string{"ABCD -> BD"}},
		{name: "tokens of a table", file: "a.csv", text: "input_ids;completion_mask\n[65, 66];[0, 1]\n", want: []string{"AB -> B"}},
		{name: "mapped", file: "a.tsv", text: "Question\tprompt\tBest\nq\tother\ta\n", change: mapped(Mapping{"prompt": "Question", "completion": "Best"}), want: []string{"<s>q\na</s> -> a</s>"}},

		{name: "loss on the completion", change: lossOn("completion"), text: `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"yo"},{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`,
			want: []string{"<s>q\nyo</s>\na\nb</s> -> b</s>"}},
		{name: "loss on all", change: lossOn("all"), text: `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"yo"},{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`,
			want: []string{"<s>q\nyo</s>\na\nb</s> -> q\nyo</s>\na\nb</s>"}},
		{name: "loss on all, with a prompt that is cut", text: `{"prompt":"pqrst","completion":"c"}`,
			change: func(o *Options) { o.LossOn, o.Overlong, o.MaxLength = "all", "truncate-prompt", 6 }, want: []string{"<s>st\nc</s> -> st\nc</s>"}},
		{name: "loss on the completion, with earlier turns that are cut", change: func(o *Options) { o.LossOn, o.Overlong, o.MaxLength = "completion", "truncate-prompt", 6 },
			text: `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"yo"},{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`,
			want: []string{"<s>\na\nb</s> -> b</s>"}},
		{name: "loss on all of a text", change: lossOn("all"), text: `{"text":"abc"}`, want: []string{"<s>abc</s> -> abc</s>"}},
		{name: "loss on all of masked tokens", change: lossOn("all"), text: `{"input_ids":[256,65,66,257],"completion_mask":[0,0,1,1]}`, want: []string{"<s>AB</s> -> AB</s>"}},
		{name: "loss on the completion of masked tokens", change: lossOn("completion"), text: `{"input_ids":[256,65,66,257],"completion_mask":[0,0,1,1]}`, want: []string{"<s>AB</s> -> B</s>"}},
		{name: "loss on the completion of a text", change: func(o *Options) { o.LossOn, o.BadRecords = "completion", "skip" }, text: `{"text":"abc"}`,
			fails: `datasets: a.jsonl:1: a text has no completion for loss_on completion: all of it is trained on with assistant or all`},
		{name: "loss on the completion of tokens without a mask", change: lossOn("completion"), text: `{"input_ids":[256,65]}`,
			fails: `datasets: a.jsonl:1: a record of tokens without completion_mask has no completion for loss_on completion: all of it is trained on with assistant or all`},
		{name: "loss on something else", change: lossOn("prompt"), text: `{"text":"abc"}`, fails: `datasets: loss_on is "prompt": want one of assistant, completion, all`},

		{name: "map to nothing", text: `{"Question":"q","answer":"a"}`, change: mapped(Mapping{"prompt": "Questoin", "completion": "answer"}),
			fails: `datasets: a.jsonl:1: map prompt=Questoin: there is no column "Questoin" (did you mean "Question"?): the columns are Question, answer`},
		{name: "mistyped column", text: `{"promt":"q","completion":"a"}`,
			fails: `datasets: a.jsonl:1: the columns promt, completion are no fine-tuning format: want input_ids; or messages; or conversations; or instruction + output; or prompt + completion; or text; use the map prompt=promt`},
		{name: "missing field", text: `{"prompt":"p","completion":"c"}` + "\n\n" + `{"prompt":"p"}`, fails: `datasets: a.jsonl:3: "completion" is missing: the record has prompt`},
		{name: "number for text", text: `{"prompt":5,"completion":"b"}`, fails: `datasets: a.jsonl:1: "prompt" is a number: want a string or messages`},
		{name: "null field", text: `{"prompt":"p","completion":null}`, fails: `datasets: a.jsonl:1: "completion" is null: want a string or messages`},
		{name: "number for text", text: `{"text":3}`, fails: `datasets: a.jsonl:1: "text" is a number: want a string`},
		{name: "string for messages", text: `{"messages":"x"}`, fails: `datasets: a.jsonl:1: "messages" is a string: want a list`},
		{name: "string for a message", text: `{"messages":["x"]}`, fails: `datasets: a.jsonl:1: "messages[0]" is a string: want a message`},
		{name: "message without role", text: `{"messages":[{"content":"x"}]}`, fails: `datasets: a.jsonl:1: "messages[0]" has no "role"`},
		{name: "message without content", text: `{"messages":[{"role":"user"}]}`, fails: `datasets: a.jsonl:1: "messages[0]" has no "content"`},
		{name: "unknown role", text: `{"messages":[{"role":"assistant<|end|>","content":"x"}]}`, fails: `datasets: a.jsonl:1: "messages[0].role" is "assistant<|end|>": want system, user, assistant or tool`},
		{name: "image part", text: `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, fails: `datasets: a.jsonl:1: "messages[0].content[0]" is of type "image_url": only text can be read`},
		{name: "number for content", text: `{"messages":[{"role":"user","content":7}]}`, fails: `datasets: a.jsonl:1: "messages[0].content" is a number: want a string`},
		{name: "tool in a template without", text: `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"c"},{"role":"tool","content":"t"},{"role":"assistant","content":"a"}]}`,
			fails: `datasets: a.jsonl:1: message 3: role "tool": template plain has system, user, assistant`},
		{name: "id beyond the vocabulary", text: `{"input_ids":[258]}`, fails: `datasets: a.jsonl:1: "input_ids" has the token id 258 at 0: the vocabulary has 258`},
		{name: "id that is no integer", text: `{"input_ids":[1,2.5]}`, fails: `datasets: a.jsonl:1: "input_ids" has 2.5 at 1: want a token id`},
		{name: "id beyond int32", text: `{"input_ids":[4294967297]}`, fails: `datasets: a.jsonl:1: "input_ids" has 4294967297 at 0: want a token id`},
		{name: "mask of another length", text: `{"input_ids":[1,2],"completion_mask":[1]}`, fails: `datasets: a.jsonl:1: "completion_mask" has 1 entries for 2 tokens`},
		{name: "labels of another length", text: `{"input_ids":[1,2],"labels":[1]}`, fails: `datasets: a.jsonl:1: "labels" has 1 entries for 2 tokens`},
		{name: "labels that are shifted", text: `{"input_ids":[1,2],"labels":[2,-100]}`, fails: `datasets: a.jsonl:1: "labels" has 2 at 0: want 1, the token there, or -100`},
		{name: "attention mask with a hole", text: `{"input_ids":[1,2,3],"attention_mask":[1,0,1]}`, fails: `datasets: a.jsonl:1: "attention_mask" has 0 at 1, between tokens: want it at the ends alone`},
		{name: "attention mask of another length", text: `{"input_ids":[1,2],"attention_mask":[1]}`, fails: `datasets: a.jsonl:1: "attention_mask" has 1 entries for 2 tokens`},
		{name: "documents out of order", text: `{"input_ids":[1,2],"document_ids":[1,0]}`, fails: `datasets: a.jsonl:1: "document_ids" goes down: want the documents one after another`},
		{name: "BOS twice", text: `{"input_ids":[256,256,1]}`, fails: `datasets: a.jsonl:1: "input_ids" begins with BOS (256) twice`},
		{name: "bad JSON", text: `{"text":"a"}` + "\n" + `{"text":`, fails: `datasets: a.jsonl:2: bad JSON: it ends early`},
		{name: "record of an array", file: "a.json", text: `[{"text":"a"},{"text":1}]`, fails: `datasets: a.json: record 2: "text" is a number: want a string`},
		{name: "empty file", text: "", fails: `datasets: a.jsonl: the file has no records`},
		{name: "empty array", file: "a.json", text: "[]", fails: `datasets: a.json: the file has no records`},
		{name: "header alone", file: "a.csv", text: "text\n", fails: `datasets: a.csv: the file has no records`},
		{name: "nothing left", text: `{"text":""}`, fails: `datasets: a.jsonl: none of 1 records is left: empty answer: 1 (line 1)`},

		{name: "degenerate", text: strings.Join([]string{
			`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":" \n"}]}`,
			`{"messages":[{"role":"user","content":"q"}]}`,
			`{"messages":[{"role":"assistant","content":"q"}]}`,
			`{"messages":[{"role":"user","content":"q"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}`,
			`{"messages":[{"role":"user","content":"q"},{"role":"system","content":"q"},{"role":"assistant","content":"a"}]}`,
			`{"messages":[]}`,
			`{"messages":[{"role":"user","content":""},{"role":"assistant","content":"a"}]}`,
			`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}`}, "\n"),
			want: []string{"<s>q\na</s> -> a</s>"}, dropped: []string{"empty answer: 1 (line 1)", "broken roles: 5 (lines 2, 3, 4, 5, 6; first: it ends with user: want assistant)", "empty prompt: 1 (line 7)"}},
		{name: "no target", text: `{"input_ids":[1,2],"completion_mask":[1,0]}` + "\n" + `{"input_ids":[65,66]}`, want: []string{"AB -> B"}, dropped: []string{"no trained token: 1 (line 1)"}},
		{name: "strict", text: `{"text":"a"}` + "\n" + `{"text":""}`, change: bad(BadStrict), fails: `datasets: a.jsonl:2: empty answer: the text is empty`},
		{name: "skip", text: "{\"text\":\"a\"}\n{\"text\":\n{\"text\":\"\xff\"}\n{\"tex\":1}\n{\"text\":\"\"}\n{\"text\":\"b\"}", change: bad(BadSkip),
			want: []string{"<s>a</s> -> a</s>", "<s>b</s> -> b</s>"}, dropped: []string{"malformed: 3 (lines 2, 3, 4; first: bad JSON: it ends early)", "empty answer: 1 (line 5)"}},
		{name: "skip does not skip a broken array", file: "a.json", text: `[{"text":"a"},{"text"`, change: bad(BadSkip), fails: `datasets: a.json: record 2: bad JSON: it ends early`},

		{name: "an empty conversation", text: `{"messages":[]}`, fails: `datasets: a.jsonl: none of 1 records is left: broken roles: 1 (line 1; it has no messages)`},
		{name: "drop", text: `{"prompt":"pppp","completion":"c"}` + "\n" + `{"prompt":"p","completion":"c"}`, change: overlong(OverlongDrop, 5), want: []string{"<s>p\nc</s> -> c</s>"}, dropped: []string{"overlong: 1 (line 1)"}},
		{name: "drop and strict", text: `{"prompt":"pppp","completion":"c"}`, change: func(o *Options) { o.MaxLength, o.BadRecords = 5, BadStrict }, fails: `datasets: a.jsonl:1: overlong: 8 tokens: the limit is 5`},
		{name: "error", text: `{"prompt":"pppp","completion":"c"}`, change: func(o *Options) { o.Overlong, o.MaxLength, o.BadRecords = OverlongError, 5, BadSkip }, fails: `datasets: a.jsonl:1: the record has 8 tokens: the limit is 5`},
		{name: "truncate the prompt", text: `{"prompt":"0123","completion":"c"}` + "\n" + `{"prompt":"p","completion":"cccc"}`, change: overlong(OverlongTruncatePrompt, 6), want: []string{"<s>23\nc</s> -> c</s>"}, dropped: []string{"overlong: 1 (line 2)"}},
		{name: "truncate", text: `{"prompt":"p","completion":"0123"}` + "\n" + `{"prompt":"0123456","completion":"c"}`, change: overlong(OverlongTruncate, 6), want: []string{"<s>p\n012 -> 012"}, dropped: []string{"no trained token: 1 (line 2)"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := plainOptions(t)
			check(t, c, o, ReadExamples, func(e Example) string {
				var targets []int32
				for i := range e.IDs {
					if e.isTarget(i) {
						targets = append(targets, e.IDs[i])
					}
				}
				return o.Template.tok.Decode(e.IDs) + " -> " + o.Template.tok.Decode(targets)
			})
		})
	}
}

func TestReadPairs(t *testing.T) {
	limit := func(policy string, n int) func(*Options) {
		return func(o *Options) { o.Overlong, o.MaxLength = policy, n }
	}
	const hh = `\n\nHuman: q\n\nAssistant: a\n\nHuman: r\n\nAssistant:`
	good := "\n" + `{"prompt":"p","chosen":"c","rejected":"r"}`
	p := "<s>p\n | c</s> | r</s>"
	cases := []readCase{
		{name: "strings", text: `{"prompt":"p","chosen":"c","rejected":"r"}`, format: "preference", want: []string{p}},
		{name: "system column", text: `{"system":"S","prompt":"p","chosen":"c","rejected":"r"}`, want: []string{"<s>S\np\n | c</s> | r</s>"}},
		{name: "messages", text: `{"prompt":[{"role":"user","content":"p"}],"chosen":[{"role":"assistant","content":"c"}],"rejected":[{"role":"assistant","content":"r"}]}`, want: []string{p}},
		{name: "prompt as messages, answers as strings", text: `{"prompt":[{"role":"user","content":"p"}],"chosen":"c","rejected":"r"}`, want: []string{p}},
		{name: "one message each", text: `{"conversations":[{"from":"human","value":"p"}],"chosen":{"from":"gpt","value":"c"},"rejected":{"from":"gpt","value":"r"}}`, format: "preference, sharegpt", want: []string{p}},
		{name: "UltraFeedback: the prompt is not doubled", text: `{"prompt":"p","prompt_id":"x","chosen":[{"role":"user","content":"p"},{"role":"assistant","content":"c"}],"rejected":[{"role":"user","content":"p"},{"role":"assistant","content":"r"}],"messages":[],"score_chosen":8.0}`, format: "preference", want: []string{p}},
		{name: "UltraFeedback with messages", text: `{"prompt":[{"role":"system","content":"S"},{"role":"user","content":"p"}],"chosen":[{"role":"system","content":"S"},{"role":"user","content":"p"},{"role":"assistant","content":"c"}],"rejected":[{"role":"system","content":"S"},{"role":"user","content":"p"},{"role":"assistant","content":"r"}]}`, want: []string{"<s>S\np\n | c</s> | r</s>"}},
		{name: "UltraFeedback, several turns", text: `{"prompt":"p","chosen":[{"role":"user","content":"p"},{"role":"assistant","content":"a"},{"role":"user","content":"q"},{"role":"assistant","content":"c"}],"rejected":[{"role":"user","content":"p"},{"role":"assistant","content":"a"},{"role":"user","content":"q"},{"role":"assistant","content":"r"}]}`, want: []string{"<s>p\na</s>\nq\n | c</s> | r</s>"}},
		{name: "answers that begin like the prompt", text: `{"prompt":"Hi","chosen":"Hi there","rejected":"Hi!"}`, want: []string{"<s>Hi\n | Hi there</s> | Hi!</s>"}},
		{name: "transcripts", text: `{"chosen":"` + hh + ` c","rejected":"` + hh + ` r "}`, format: "preference, implicit prompt", want: []string{"<s>q\na</s>\nr\n | c</s> | r</s>"}},
		{name: "transcript without the first newlines", text: `{"chosen":"Human: q\n\nAssistant: c","rejected":"Human: q\n\nAssistant: r"}`, want: []string{"<s>q\n | c</s> | r</s>"}},
		{name: "transcript as explicit prompt", text: `{"prompt":"` + hh + `","chosen":"c","rejected":"r"}`, want: []string{"<s>q\na</s>\nr\n | c</s> | r</s>"}},
		{name: "transcript as explicit prompt and in the answers", text: `{"prompt":"` + hh + ` ","chosen":"` + hh + `c","rejected":"` + hh + `r"}`, want: []string{"<s>q\na</s>\nr\n | c</s> | r</s>"}},
		{name: "implicit in messages", text: `{"chosen":[{"role":"user","content":"p"},{"role":"assistant","content":"c"}],"rejected":[{"role":"user","content":"p"},{"role":"assistant","content":"r"}]}`, format: "preference, implicit prompt", want: []string{p}},
		{name: "alpaca", text: `{"instruction":"i","input":"x","chosen":"c","rejected":"r","history":[["q","a"]],"system":"S"}`, format: "preference, alpaca", want: []string{"<s>S\nq\na</s>\ni\n\nx\n | c</s> | r</s>"}},
		{name: "an answer of weight 0", text: `{"prompt":"p","chosen":[{"role":"assistant","content":"c","weight":0}],"rejected":"r"}` + good, want: []string{p}, dropped: []string{"no trained token: 1 (line 1)"}},
		{name: "tokens", text: `{"prompt_ids":[256,65],"chosen_ids":[66,257],"rejected_ids":[67]}`, format: "preference, tokens", want: []string{"<s>A | B</s> | C"}},
		{name: "a table", file: "a.csv", text: "prompt,chosen,rejected\n\"two\nlines\",c,r\n", want: []string{"<s>two\nlines\n | c</s> | r</s>"}},

		{name: "prompts differ", text: `{"chosen":"` + hh + ` c","rejected":"\n\nHuman: x\n\nAssistant: r"}` + "\n" + `{"chosen":"` + hh + ` c","rejected":"` + hh + ` r"}`, want: []string{"<s>q\na</s>\nr\n | c</s> | r</s>"}, dropped: []string{"prompts differ: 1 (line 1)"}},
		{name: "conversations of another prompt", text: `{"prompt":"x","chosen":[{"role":"user","content":"p"},{"role":"assistant","content":"c"}],"rejected":[{"role":"user","content":"p"},{"role":"assistant","content":"r"}]}` + good, want: []string{p}, dropped: []string{"prompts differ: 1 (line 1)"}},
		{name: "equal answers", text: `{"prompt":"p","chosen":"c","rejected":"c"}` + good, want: []string{p}, dropped: []string{"chosen equals rejected: 1 (line 1)"}},
		{name: "empty answers", text: `{"prompt":"p","chosen":" ","rejected":"c"}` + "\n" + `{"prompt":"p","chosen":"c","rejected":""}` + good, want: []string{p}, dropped: []string{"empty answer: 2 (lines 1, 2)"}},
		{name: "empty prompt", text: `{"prompt":"","chosen":"c","rejected":"d"}` + good, want: []string{p}, dropped: []string{"empty prompt: 1 (line 1)"}},
		{name: "broken roles", text: `{"prompt":[{"role":"assistant","content":"p"}],"chosen":"c","rejected":"r"}` + "\n" + `{"prompt":"p","chosen":[{"role":"user","content":"c"}],"rejected":"r"}` + good, want: []string{p}, dropped: []string{"broken roles: 2 (lines 1, 2; first: message 1: assistant follows the beginning)"}},
		{name: "transcript that ends with the user", text: `{"chosen":"` + hh + ` c\n\nHuman: x","rejected":"` + hh + ` r"}` + "\n" + `{"chosen":"` + hh + ` c","rejected":"` + hh + ` r"}`, want: []string{"<s>q\na</s>\nr\n | c</s> | r</s>"}, dropped: []string{"broken roles: 1 (line 1; chosen ends with a turn of the user)"}},

		{name: "no prompt anywhere", text: `{"chosen":"c","rejected":"r"}`, fails: `datasets: a.jsonl:1: "chosen" holds no prompt: want messages, a transcript that begins with "\n\nHuman:", or a column prompt`},
		{name: "wrong kind", text: `{"prompt":"p","chosen":"c","rejected":[1]}`, fails: `datasets: a.jsonl:1: "rejected[0]" is a number: want a message`},
		{name: "prompt of another name", text: `{"question":"q","chosen":"c","rejected":"r","system":"s"}`, fails: `datasets: a.jsonl:1: "chosen" holds no prompt: want messages, a transcript that begins with "\n\nHuman:", or a column prompt (is it "question"? the map prompt=question says so)`},
		{name: "not for preferences", text: `{"prompt":"p","completion":"c"}`, fails: `datasets: a.jsonl:1: the columns prompt, completion are no preference format: want prompt_ids + chosen_ids + rejected_ids; or prompt + chosen + rejected; or conversations + chosen + rejected; or instruction + chosen + rejected; or chosen + rejected; these are examples, which align sft takes`},
		{name: "answer with BOS", text: `{"prompt_ids":[256,65],"chosen_ids":[256,66],"rejected_ids":[67]}`, fails: `datasets: a.jsonl:1: "chosen_ids" begins with BOS (256): want the answer alone`},

		{name: "drop", text: `{"prompt":"p","chosen":"cccc","rejected":"r"}` + good, change: limit(OverlongDrop, 6), want: []string{p}, dropped: []string{"overlong: 1 (line 1)"}},
		{name: "truncate the prompt", text: `{"prompt":"0123","chosen":"cc","rejected":"r"}` + "\n" + `{"prompt":"0","chosen":"cccccc","rejected":"r"}`, change: limit(OverlongTruncatePrompt, 6), want: []string{"<s>3\n | cc</s> | r</s>"}, dropped: []string{"overlong: 1 (line 2)"}},
		{name: "truncate", text: `{"prompt":"0","chosen":"abcdef","rejected":"r"}` + "\n" + `{"prompt":"0","chosen":"xxxx","rejected":"xxxy"}` + "\n" + `{"prompt":"012345","chosen":"x","rejected":"y"}`, change: limit(OverlongTruncate, 6), want: []string{"<s>0\n | abc | r</s>"}, dropped: []string{"chosen equals rejected: 1 (line 2)", "overlong: 1 (line 3)"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := plainOptions(t)
			check(t, c, o, ReadPairs, func(p Pair) string {
				tok := o.Template.tok
				return tok.Decode(p.Prompt) + " | " + tok.Decode(p.Chosen) + " | " + tok.Decode(p.Rejected)
			})
		})
	}
}

func TestReadPrompts(t *testing.T) {
	cases := []readCase{
		{name: "string", text: `{"prompt":"p","answer":"4"}`, format: "prompts", want: []string{`<s>p` + "\n" + ` {"prompt":"p","answer":"4"}`}},
		{name: "messages", text: `{"messages":[{"role":"user","content":"p"},{"role":"assistant","content":"gone"}]}`, format: "prompts, messages",
			want: []string{"<s>p\n" + ` {"messages":[{"role":"user","content":"p"},{"role":"assistant","content":"gone"}]}`}},
		{name: "history", text: `{"instruction":"i","history":[["q","a"]]}`, want: []string{"<s>q\na</s>\ni\n" + ` {"instruction":"i","history":[["q","a"]]}`}},
		{name: "alpaca", text: `{"instruction":"i","input":"x"}`, want: []string{"<s>i\n\nx\n" + ` {"instruction":"i","input":"x"}`}},
		{name: "text", text: `{"text":"p"}`, want: []string{"<s>p\n" + ` {"text":"p"}`}},
		{name: "cut", text: `{"text":"0123"}`, change: func(o *Options) { o.Overlong, o.MaxLength = OverlongTruncatePrompt, 4 }, want: []string{"<s>23\n" + ` {"text":"0123"}`}},
		{name: "overlong", text: `{"text":"0123"}`, change: func(o *Options) { o.MaxLength = 4 }, fails: "datasets: a.jsonl: none of 1 records is left: overlong: 1 (line 1)"},
		{name: "empty", text: `{"text":" "}` + "\n" + `{"text":"p"}`, want: []string{"<s>p\n" + ` {"text":"p"}`}, dropped: []string{"empty prompt: 1 (line 1)"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := plainOptions(t)
			check(t, c, o, ReadPrompts, func(p Prompt) string {
				return o.Template.tok.Decode(p.IDs) + " " + string(p.Record.AppendJSON(nil))
			})
		})
	}
}

func TestReadUnpairedAndRanked(t *testing.T) {
	o := plainOptions(t)
	tok := o.Template.tok
	for _, c := range []readCase{
		{name: "labels", text: `{"prompt":"p","completion":"c","label":true}` + "\n" + `{"prompt":"p","completion":"c","label":"False"}` + "\n" + `{"prompt":"p","completion":"","label":1}`,
			want: []string{"<s>p\n | c</s> true", "<s>p\n | c</s> false"}, dropped: []string{"empty answer: 1 (line 3)"}},
		{name: "LLaMA-Factory's Alpaca", text: `{"instruction":"i","input":"x","output":"c","kto_tag":true,"history":[["q","a"]]}` + "\n" + `{"instruction":"i","output":"c","kto_tag":false}`, format: "unpaired, alpaca",
			want: []string{"<s>q\na</s>\ni\n\nx\n | c</s> true", "<s>i\n | c</s> false"}},
		{name: "LLaMA-Factory's ShareGPT", text: `{"conversations":[{"from":"human","value":"p"},{"from":"gpt","value":"c"}],"kto_tag":true}` + "\n" + `{"conversations":[{"from":"gpt","value":"c"}],"kto_tag":true}`, format: "unpaired, sharegpt",
			want: []string{"<s>p\n | c</s> true"}, dropped: []string{"empty prompt: 1 (line 2)"}},
		{name: "LLaMA-Factory's messages", text: `{"messages":[{"role":"user","content":"p"},{"role":"assistant","content":"c"}],"kto_tag":false}`, format: "unpaired, messages", want: []string{"<s>p\n | c</s> false"}},
		{name: "a tag that is none", text: `{"instruction":"i","output":"c","kto_tag":2}`, fails: `datasets: a.jsonl:1: "kto_tag" is 2: want true or false`},
		{name: "bad label", text: `{"prompt":"p","completion":"c","label":"yes"}`, fails: `datasets: a.jsonl:1: "label" is "yes": want true or false`},
	} {
		t.Run(c.name, func(t *testing.T) {
			check(t, c, o, ReadUnpaired, func(u Unpaired) string {
				return tok.Decode(u.Prompt) + " | " + tok.Decode(u.Response) + map[bool]string{true: " true", false: " false"}[u.Desirable]
			})
		})
	}
	for _, c := range []readCase{
		{name: "scores", text: `{"prompt":"p","responses":["a","b"],"scores":[0.5,2]}`, format: "ranked, scores", want: []string{"<s>p\n | a</s> | b</s> better"}},
		{name: "ranks", text: `{"prompt":"p","responses":["a","b"],"ranks":[2,1]}`, format: "ranked", want: []string{"<s>p\n | a</s> | b</s> better"}},
		{name: "another length", text: `{"prompt":"p","responses":["a","b"],"ranks":[2]}`, fails: `datasets: a.jsonl:1: "ranks" has 1 entries for 2 responses`},
		{name: "infinite", text: `{"prompt":"p","responses":["a","b"],"scores":[1e400,1]}`, fails: `datasets: a.jsonl:1: "scores" has 1e400 at 0: want a finite number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			check(t, c, o, ReadRanked, func(x Ranked) string {
				s := tok.Decode(x.Prompt)
				for _, ids := range x.Responses {
					s += " | " + tok.Decode(ids)
				}
				if x.Scores[1] > x.Scores[0] {
					s += " better"
				}
				return s
			})
		})
	}
}

// With a chat template the format marks and the headers come along.
func TestReadPairsChat(t *testing.T) {
	o := chatMLOptions(t)
	path := dataFile(t, "a.jsonl", `{"prompt":"p","chosen":"c","rejected":"rr"}`)
	pairs, s, err := ReadPairs(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	p := pairs[0]
	if got, want := o.Template.tok.Decode(p.Prompt), "<|im_start|>user\np<|im_end|>\n<|im_start|>assistant\n"; got != want {
		t.Errorf("prompt %q, want %q", got, want)
	}
	if diff := cmp.Diff([][]bool{{false, true}, {false, false, true}}, [][]bool{p.ChosenFormat, p.RejectedFormat}); diff != "" {
		t.Errorf("format (-want +got):\n%s", diff)
	}
	if s.Tokens != int64(p.Tokens()) || s.Targets != 5 || p.Place != path+":1" {
		t.Errorf("summary %+v, place %s", s, p.Place)
	}
}

func TestQuarantine(t *testing.T) {
	var left bytes.Buffer
	o := plainOptions(t)
	o.BadRecords, o.Quarantine = BadSkip, &left
	path := dataFile(t, "a.jsonl", "{\"text\":\"a\"}\n{\"text\": \xff\n{\"text\":\"\"}\n{\"text\":5}\n")
	if _, _, err := ReadExamples(context.Background(), path, o); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(left.String(), path, "a.jsonl")
	want := `{"place":"a.jsonl:2","reason":"malformed","detail":"invalid UTF-8 at byte 10","raw":"{\"text\": ` + "\ufffd" + `"}
{"place":"a.jsonl:3","reason":"empty answer","detail":"the text is empty","record":{"text":""}}
{"place":"a.jsonl:4","reason":"malformed","detail":"\"text\" is a number: want a string","record":{"text":5}}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := ReadExamples(ctx, dataFile(t, "a.jsonl", `{"text":"a"}`), plainOptions(t))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOptionsCheck(t *testing.T) {
	_, _, err := ReadExamples(context.Background(), "none", Options{MaxLength: -1, Overlong: "cut", BadRecords: "maybe"})
	want := `datasets: options have no template
datasets: max_length is -1: want at least 0
datasets: overlong is "cut": want one of drop, truncate-prompt, truncate, error
datasets: bad_records is "maybe": want one of default, strict, skip`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestParseMapping(t *testing.T) {
	got, err := ParseMapping("prompt=Question, chosen = a=b")
	if diff := cmp.Diff(Mapping{"prompt": "Question", "chosen": "a=b"}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for text, want := range map[string]string{
		"prompt":            `datasets: map "prompt": want OURS=THEIRS, such as prompt=Question`,
		"prompt=a,prompt=b": `datasets: map names "prompt" twice`,
		"q=prompt":          `datasets: map q=prompt: want OURS=THEIRS, did you mean prompt=q`,
		"promt=a":           `datasets: map: "promt" is no column of ours (did you mean "prompt"?): want one of `,
	} {
		if _, err := ParseMapping(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	if m, err := ParseMapping(""); m != nil || err != nil {
		t.Errorf("nothing: got %v, %v", m, err)
	}
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, n := range []int{0, 1, 2, 3, 4, 5, 8, 9} {
		h.add(n)
	}
	want := Histogram{Counts: []int{2, 1, 2, 2, 1}, Min: 0, Max: 9, Sum: 32, N: 8}
	if diff := cmp.Diff(want, h); diff != "" || h.Mean() != 4 {
		t.Errorf("mean %v (-want +got):\n%s", h.Mean(), diff)
	}
}

// FuzzRead reads any bytes as each kind of data: no panic, and what is kept
// keeps its promises.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"prompt":"p","chosen":"c","rejected":"r"}`, `{"chosen":"\n\nHuman: q\n\nAssistant: a","rejected":"\n\nHuman: q\n\nAssistant: b"}`,
		`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}`, `{"input_ids":[1,2],"document_ids":[0,1],"completion_mask":[1,1]}`,
		`{"prompt":"p","completion":"c","label":true}`, `{"prompt":"p","responses":["a","b"],"ranks":[2,1]}`,
		`{"messages":[{"role":"user","content":"q"},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}]}`,
		`{"prompt":[{"role":"user","content":"q"}],"tools":[{"name":"f"}],"chosen":"a","rejected":"b"}`, `{"prompt":"q","tools":"[{}]"}`,
		`{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}`, `{"instruction":"i","input":null,"output":"o"}`,
	} {
		f.Add([]byte(seed), uint8(12))
	}
	path := dataFile(f, "fuzz.jsonl", "")
	o := plainOptions(f)
	o.BadRecords = BadSkip
	policies := []string{OverlongDrop, OverlongTruncate, OverlongTruncatePrompt}
	f.Fuzz(func(t *testing.T, data []byte, limit uint8) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		o.MaxLength, o.Overlong = int(limit), policies[int(limit)%len(policies)]
		ctx := context.Background()
		examples, _, _ := ReadExamples(ctx, path, o)
		for _, e := range examples {
			if e.Targets() == 0 || len(e.LossMask) != len(e.IDs) || limit > 0 && len(e.IDs) > o.MaxLength || e.Document != nil && len(e.Document) != len(e.IDs) {
				t.Fatalf("bad example %+v", e)
			}
		}
		pairs, _, _ := ReadPairs(ctx, path, o)
		for _, p := range pairs {
			if len(p.Prompt) == 0 || len(p.Chosen) == 0 || len(p.Rejected) == 0 || limit > 0 && len(p.Prompt)+max(len(p.Chosen), len(p.Rejected)) > o.MaxLength {
				t.Fatalf("bad pair %+v", p)
			}
		}
		ReadPrompts(ctx, path, o)
		ReadUnpaired(ctx, path, o)
		ReadRanked(ctx, path, o)
	})
}
