package datasets

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"align/internal/fixture"
	"align/internal/tokenizer"
)

func loadTokenizer(t testing.TB, parts ...string) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load(fixture.Path(t, parts...))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestGoldenChat(t *testing.T) {
	data, err := os.ReadFile(fixture.Path(t, "golden", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Chat []json.RawMessage }
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Chat) != 24 {
		t.Fatalf("%d cases, want 24", len(golden.Chat))
	}
	tok := loadTokenizer(t, "data", "llama3-tokenizer", "hf-3.1-instruct")
	for i, raw := range golden.Chat {
		var want struct {
			Text string
			IDs  []int32
		}
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		request, err := ParseChatRequest(raw)
		if err != nil {
			t.Fatal(err)
		}
		template, err := NewTemplate(request.Template, tok)
		if err != nil {
			t.Fatal(err)
		}
		got, err := template.Render(request.Messages, request.Options)
		if err != nil {
			t.Errorf("case %d: %v", i, err)
		}
		if !slices.Equal(got.IDs, want.IDs) {
			t.Errorf("case %d, %s:\ngot  %q\nwant %q", i, request.Template, tok.Decode(got.IDs), want.Text)
		}
	}
}

// Ensure that the official chat templates are recognised by their texts, and
// that the 256 special strings stay text in every place of a conversation.
func TestOfficialTemplates(t *testing.T) {
	for folder, name := range map[string]string{"hf-3.1-instruct": "llama3.1", "hf-3.2-instruct": "llama3.2"} {
		data, err := os.ReadFile(fixture.Path(t, "data", "llama3-tokenizer", folder, "tokenizer_config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			ChatTemplate string `json:"chat_template"`
		}
		if err := json.Unmarshal(data, &config); err != nil {
			t.Fatal(err)
		}
		if got, ok := recognise(config.ChatTemplate); got != name {
			t.Errorf("%s: recognise() = %q, %v, want %q; hash %s", folder, got, ok, name, hashText(canonicalJinja(config.ChatTemplate)))
		}
		if got, ok := recognise(config.ChatTemplate + "x"); ok {
			t.Errorf("%s with another ending: recognised as %q", folder, got)
		}
	}
}

// Ensure that no content becomes a control token, in any role and template
// that the tokenizer has.
func TestContentsYieldNoControlIDs(t *testing.T) {
	tok := loadTokenizer(t, "data", "llama3-tokenizer", "hf-3.1-instruct")
	for _, name := range []string{"llama3", "llama3.1", "llama3.2", "zephyr", "plain", "raw"} {
		template, err := NewTemplate(name, tok)
		if err != nil {
			t.Fatal(err)
		}
		conversation := func(text string) []Message {
			return []Message{{Role: "system", Content: text}, {Role: "user", Content: text}, {Role: "assistant", Content: text}}
		}
		control := func(text string) (n int) {
			got, err := template.Render(conversation(text), RenderOptions{DateString: text})
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range got.IDs {
				if tok.IsControl(id) {
					n++
				}
			}
			return n
		}
		want := control("x")
		for id := int32(128000); id < 128256; id++ {
			if got := control(tok.Text(id)); got != want {
				t.Errorf("%s: contents %q give %d control ids, want %d", name, tok.Text(id), got, want)
			}
		}
	}
}

// Ensure that plain encodes a prompt together with its newline, as a base
// model has seen it: Llama 3 has a token for ".\n".
func TestPlainPromptOfLlama3(t *testing.T) {
	tok := loadTokenizer(t, "data", "llama3-tokenizer", "tokenizer.model")
	template, _, err := ChooseTemplate("plain", tok)
	if err != nil {
		t.Fatal(err)
	}
	prompt, err := template.Prompt([]Message{{Role: "user", Content: "Say hi."}})
	if err != nil {
		t.Fatal(err)
	}
	if want := tok.Encode("Say hi.\n", true, false); !slices.Equal(prompt, want) {
		t.Errorf("prompt %v, want %v", prompt, want)
	}
	if last := tok.Text(prompt[len(prompt)-1]); last != ".\n" {
		t.Errorf("prompt ends with the token %q", last)
	}
}

// Ensure that raw is how TRL 1.16 makes tokens of a data set of plain texts: the
// prompt, the completion and EOS as one text. Its SFTTrainer and DPOTrainer were
// run on such records with a model of this layout; the losses of 6 steps agree to
// 4e-6. The two ways differ only where a token crosses the border.
func TestRawIsTRLs(t *testing.T) {
	tok := loadTokenizer(t, "data", "llama3-tokenizer", "hf-3.1-instruct")
	template, _, err := ChooseTemplate("raw", tok)
	if err != nil {
		t.Fatal(err)
	}
	eos, _ := tok.EOS()
	for _, tt := range [][2]string{
		{"What is the food of a bear?", " Berries and fish."},
		{"SUBREDDIT: r/AskReddit\n\nTL;DR:", " I lost my keys"},
		{"\n\nHuman: Hi\n\nAssistant:", " Hello! How can I help?\n"},
	} {
		got, err := template.Prompt([]Message{{Role: "user", Content: tt[0]}})
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := template.Response(tt[1])
		got = append(got, answer...)
		if want := tok.Encode(tt[0]+tt[1]+tok.Text(eos), true, true); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", tt, got, want)
		}
	}
}
