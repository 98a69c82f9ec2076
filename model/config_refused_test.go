package model

import (
	"strings"
	"testing"
)

func TestParseConfigRefuses(t *testing.T) {
	good := `{"model_type":"llama","hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,"num_attention_heads":2,"vocab_size":32}`
	if _, err := ParseConfig([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"text for a number", `"num_attention_heads":2`, `"num_attention_heads":"2"`, "num_attention_heads is a string: want a whole number"},
		{"number for truth", `"vocab_size":32`, `"vocab_size":32,"tie_word_embeddings":1`, "tie_word_embeddings is a number: want true or false"},
		{"GPTQ", `"vocab_size":32`, `"vocab_size":32,"quantization_config":{"quant_method":"gptq","bits":4}`, `weights of "gptq" are not read, bitsandbytes' nf4 is`},
		{"no JSON", `"vocab_size":32}`, `"vocab_size":`, "the JSON ends early"},
	} {
		_, err := ParseConfig([]byte(strings.Replace(good, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	held := strings.Replace(good, `"vocab_size":32`, `"vocab_size":32,"quantization_config":{"quant_method":"bitsandbytes","load_in_4bit":true}`, 1)
	if _, err := ParseConfig([]byte(held)); err != nil {
		t.Errorf("bitsandbytes: %v", err)
	}
}
