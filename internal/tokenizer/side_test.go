package tokenizer

import "testing"

// The files beside a tokenizer, whatever they say, make it a tokenizer that works or
// an error.
func FuzzSideFiles(f *testing.F) {
	for _, s := range []string{
		`{"bos_token":"<s>","eos_token":{"content":"</s>"},"chat_template":"{{ x }}"}`,
		`{"chat_template":[{"name":"default","template":"a"},{"name":"tool_use","template":"b"}]}`,
		`{"bos_token_id":1,"eos_token_id":[2,3],"added_tokens_decoder":{"5":{"content":"<x>"}}}`,
		`{"eos_token_id":1e9,"added_tokens_decoder":{"-1":{"content":""}}}`, `{"bos_token":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		side := &sideFiles{names: map[int32]string{}}
		if side.read(data) != nil {
			return
		}
		for _, parse := range []func() (Spec, error){
			func() (Spec, error) { return parseJSON([]byte(jsonOf(`["a b"]`, ""))) },
			func() (Spec, error) { return parseModel([]byte(modelOf("ab", "abc")), side.names) },
		} {
			if spec, err := parse(); err == nil {
				side.complete(&spec)
				checkUse(t, spec)
			}
		}
	})
}
