package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"align/internal/jsonfile"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxFileBytes bounds a tokenizer file: Llama 3's tokenizer.json has 9 MB,
// the same with merges as arrays and indented 17 MB.
const maxFileBytes = 256 << 20

// Load reads the tokenizer of a folder with tokenizer.json or, failing that,
// tokenizer.model, or of one such file. Beside it, where they are there:
// chat_template.jinja or tokenizer_config.json name the chat template;
// tokenizer_config.json, special_tokens_map.json, generation_config.json and
// config.json, in this order, name BOS and EOS.
func Load(path string) (*Tokenizer, error) {
	file, err := tokenizerFile(path)
	if err != nil {
		return nil, err
	}
	data, err := readFile(file)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if bytes.HasPrefix(data, []byte("version https://git-lfs")) {
		return nil, fmt.Errorf("tokenizer: %s: it is a Git LFS pointer in the file's place: git lfs pull, or align pull, fetches the file", file)
	}
	side, err := readSideFiles(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	var spec Spec
	if isJSON(data) {
		spec, err = parseJSON(data)
	} else {
		spec, err = parseModel(data, side.names)
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", file, err)
	}
	side.complete(&spec)
	t, err := New(spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// tokenizerFile is the file that path means.
func tokenizerFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("tokenizer: %w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range []string{"tokenizer.json", "tokenizer.model"} {
		file := filepath.Join(path, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("tokenizer: %s holds neither tokenizer.json nor tokenizer.model", path)
}

// readFile reads a whole file within the limit.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(data) > maxFileBytes {
		err = fmt.Errorf("%s: more than %d bytes", path, maxFileBytes)
	}
	return data, err
}

// isJSON tells tokenizer.json from tokenizer.model by the first byte, of whatever kind of
// JSON: base64 has no bracket and no quote.
func isJSON(data []byte) bool {
	start := bytes.TrimLeft(data, " \t\r\n")
	return len(start) > 0 && bytes.IndexByte([]byte(`{["`), start[0]) >= 0
}

// sideFiles is what the files beside the tokenizer say.
type sideFiles struct {
	chatTemplate   string
	bos, eos       string
	bosIDs, eosIDs []int32
	names          map[int32]string // added_tokens_decoder
}

// configFile holds the keys that matter of the files beside the tokenizer.
type configFile struct {
	ChatTemplate jsontext.Value `json:"chat_template"`
	BOSToken     jsontext.Value `json:"bos_token"`
	EOSToken     jsontext.Value `json:"eos_token"`
	BOSTokenID   jsontext.Value `json:"bos_token_id"`
	EOSTokenID   jsontext.Value `json:"eos_token_id"`
	AddedTokens  map[int32]struct {
		Content string `json:"content"`
	} `json:"added_tokens_decoder"`
}

// readSideFiles reads the files beside the tokenizer; none has to be there.
func readSideFiles(dir string) (*sideFiles, error) {
	side := &sideFiles{names: map[int32]string{}}
	for _, name := range []string{"tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "config.json"} {
		path := filepath.Join(dir, name)
		data, err := readFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = side.read(data)
		}
		if err != nil {
			return nil, fmt.Errorf("tokenizer: %s: %w", path, err)
		}
	}
	jinja, err := readFile(filepath.Join(dir, "chat_template.jinja"))
	switch {
	case err == nil:
		side.chatTemplate = string(jinja)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return side, nil
}

// read takes from one file what the files before did not say.
func (s *sideFiles) read(data []byte) error {
	var f configFile
	if err := jsonfile.Unmarshal(data, &f); err != nil {
		return err
	}
	for id, a := range f.AddedTokens {
		s.names[id] = a.Content
	}
	var errs [5]error
	s.chatTemplate, errs[0] = first(s.chatTemplate, f.ChatTemplate, templateText)
	s.bos, errs[1] = first(s.bos, f.BOSToken, tokenName)
	s.eos, errs[2] = first(s.eos, f.EOSToken, tokenName)
	if len(s.bosIDs) == 0 {
		s.bosIDs, errs[3] = idList(f.BOSTokenID)
	}
	if len(s.eosIDs) == 0 {
		s.eosIDs, errs[4] = idList(f.EOSTokenID)
	}
	return errors.Join(errs[:]...)
}

// first is old, or what read makes of raw if old is empty.
func first(old string, raw jsontext.Value, read func(jsontext.Value) (string, error)) (string, error) {
	if old != "" || isNull(raw) {
		return old, nil
	}
	return read(raw)
}

// tokenName reads a token's name, a string or an object with content.
func tokenName(raw jsontext.Value) (string, error) {
	var name string
	if raw.Kind() == '"' {
		return name, json.Unmarshal(raw, &name)
	}
	var object struct {
		Content string `json:"content"`
	}
	err := json.Unmarshal(raw, &object)
	return object.Content, err
}

// templateText reads a chat template: a string, or a list of named ones, of
// which the one named default is taken.
func templateText(raw jsontext.Value) (string, error) {
	var text string
	if raw.Kind() == '"' {
		return text, json.Unmarshal(raw, &text)
	}
	if raw.Kind() != '[' {
		return "", fmt.Errorf("chat_template is a %s: want a text, or a list of named ones", raw.Kind())
	}
	var named []struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	if err := json.Unmarshal(raw, &named); err != nil {
		return "", err
	}
	for _, n := range named {
		if n.Name == "default" {
			return n.Template, nil
		}
	}
	return "", errors.New("chat_template has several entries and none is named default")
}

// idList reads an id or a list of ids.
func idList(raw jsontext.Value) ([]int32, error) {
	if isNull(raw) {
		return nil, nil
	}
	if raw.Kind() == '[' {
		var ids []int32
		return ids, json.Unmarshal(raw, &ids)
	}
	ids := make([]int32, 1)
	return ids, json.Unmarshal(raw, &ids[0])
}

// complete fills in what the tokenizer file leaves open.
func (s *sideFiles) complete(spec *Spec) {
	spec.ChatTemplate = s.chatTemplate
	if s.bos != "" {
		spec.BOS = s.bos
	}
	if spec.BOS == "" {
		spec.BOS = addedName(spec, s.bosIDs)
	}
	if spec.EOS = s.eos; spec.EOS == "" {
		spec.EOS = addedName(spec, s.eosIDs)
	}
}

// addedName is the name of the first of ids that is an added token.
func addedName(spec *Spec, ids []int32) string {
	for _, id := range ids {
		if id >= 0 && int(id) < len(spec.Types) && (spec.Types[id] == Control || spec.Types[id] == UserDefined) {
			return spec.Tokens[id]
		}
	}
	return ""
}
