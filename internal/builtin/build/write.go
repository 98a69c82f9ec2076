package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"align/internal/atomicfile"
	"align/internal/builtin/corpus"
	"align/internal/safetensors"
	"align/model"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// tokenizerConfig is tokenizer_config.json.
type tokenizerConfig struct {
	TokenizerClass string `json:"tokenizer_class"`
	BOSToken       string `json:"bos_token"`
	EOSToken       string `json:"eos_token"`
	PadToken       string `json:"pad_token"`
	MaxLength      int    `json:"model_max_length"`
	ChatTemplate   string `json:"chat_template"`
}

// maxBytes bounds what is embedded into the program.
const maxBytes = 4 << 20

// write puts the model's four files into the folder.
func (b *builder) write() error {
	config, err := b.model.Config.JSON("bfloat16")
	if err != nil {
		return err
	}
	vocabulary, err := b.spec.JSON()
	if err != nil {
		return err
	}
	side, err := json.Marshal(tokenizerConfig{
		TokenizerClass: "PreTrainedTokenizerFast", BOSToken: "<|begin_of_text|>", EOSToken: "<|eot_id|>",
		PadToken: "<|finetune_right_pad_id|>", MaxLength: b.model.Config.ContextLength, ChatTemplate: chatTemplate,
	}, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	var weights bytes.Buffer
	if err := b.full.WriteWeights(&weights, model.OnDevice(b.model.Backend(), b.full.Value), safetensors.BF16); err != nil {
		return err
	}
	return b.writeFiles(map[string][]byte{
		"config.json": config, "tokenizer.json": vocabulary, "tokenizer_config.json": append(side, '\n'),
		"model.safetensors": weights.Bytes(),
	})
}

func (b *builder) writeFiles(files map[string][]byte) error {
	total := 0
	for _, data := range files {
		total += len(data)
	}
	if total > maxBytes {
		return fmt.Errorf("the model has %d bytes, the limit is %d", total, maxBytes)
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	for name, data := range files {
		err := atomicfile.WriteFile(filepath.Join(b.out, name), atomicfile.Bytes(data))
		if err != nil {
			return err
		}
	}
	fmt.Printf("%s: %d bytes in %d files\n", b.out, total, len(files))
	return nil
}

// pairLine is a line of the file of pairs.
type pairLine struct {
	Prompt   string `json:"prompt"`
	Chosen   string `json:"chosen"`
	Rejected string `json:"rejected"`
}

func writePairs(path string, pairs []corpus.Pair) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		for _, p := range pairs {
			line, err := json.Marshal(pairLine(p))
			if err != nil {
				return err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}
