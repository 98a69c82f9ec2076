package model

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"align/internal/atomicfile"
	"align/internal/device"
	"align/internal/safetensors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// shardBytes is Hugging Face's default for the size of a shard, 5 GB.
const shardBytes = 5e9

// besides are the files of a model folder that are not its weights.
var besides = []string{
	"generation_config.json", "tokenizer.json", "tokenizer.model", tokenizerConfigFile, specialTokensFile,
	"added_tokens.json", chatTemplateFile, "chat_template.json", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt", "USE_POLICY.md",
}

// FolderOptions say how to write a merged Hugging Face folder.
type FolderOptions struct {
	// ShardBytes is the size above which the weights are cut into files; 0 is
	// Hugging Face's 5 GB.
	ShardBytes int64
	// ChatTemplate is Jinja source to take the place of the base's; "" keeps
	// that.
	ChatTemplate string
	// Card is the README.md to write beside the weights; nil writes none.
	Card []byte
	// Pad is the token that fills up batches of a sequence classifier. The zero
	// value is none.
	Pad PadToken
}

// MergeFolder writes a model with its adapter merged as the new Hugging Face
// folder dir: each weight in the type that the base stores it in, or BF16 where
// the base is quantised; config.json and the tokenizer's files beside them.
func MergeFolder(dir string, m Merge, o FolderOptions) error {
	if o.ShardBytes == 0 {
		o.ShardBytes = shardBytes
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("model: %s exists: want the name of a new folder", dir)
	}
	g, err := m.open()
	if err != nil {
		return err
	}
	defer g.files.Close()
	config, err := g.folderConfig()
	if err == nil && m.scores() {
		config, err = classifierConfig(config, o.Pad)
	}
	if err != nil {
		return err
	}
	shards, err := g.shards(o.ShardBytes)
	if err != nil {
		return err
	}
	d, err := atomicfile.Stage(filepath.Dir(dir), filepath.Base(dir))
	if err != nil {
		return err
	}
	defer d.Abort()
	if err := errors.Join(d.WriteFile("config.json", atomicfile.Bytes(config)), g.copyBesides(d, o), o.write(d), writeShards(d, shards)); err != nil {
		return err
	}
	return d.Commit()
}

// chatTemplateFile comes before the chat_template of tokenizer_config.json
// (Transformers, tokenization_utils_base.py).
const chatTemplateFile = "chat_template.jinja"

// write writes the files that the options hold.
func (o FolderOptions) write(d *atomicfile.Dir) error {
	var errs []error
	if o.ChatTemplate != "" {
		errs = append(errs, d.WriteFile(chatTemplateFile, atomicfile.Bytes([]byte(o.ChatTemplate))))
	}
	if o.Card != nil {
		errs = append(errs, d.WriteFile("README.md", atomicfile.Bytes(o.Card)))
	}
	return errors.Join(errs...)
}

// shard is a file's tensors and their bytes.
type shard struct {
	tensors []safetensors.Tensor
	bytes   int64
}

// shards deals the weights out in their order.
func (m *merger) shards(limit int64) ([]shard, error) {
	shards := []shard{{}}
	for _, w := range m.config.weights() {
		typ, err := m.typeOf(w)
		if err != nil {
			return nil, err
		}
		dtype, ok := keyOf(elementTypes, typ)
		if !ok {
			dtype = safetensors.BF16
		}
		rows, cols := w.shape()
		form := rowForm{at: inOrder, bytes: cols * dtype.Bits() / 8, put: func(dst []byte, x []float32) error {
			return safetensors.FromFloat32(dst, x, dtype)
		}}
		shape := []int{rows, cols}
		if w.cols == 0 {
			shape = shape[1:]
		}
		last, bytes := &shards[len(shards)-1], int64(rows)*int64(form.bytes)
		if last.bytes > 0 && last.bytes+bytes > limit {
			shards = append(shards, shard{})
			last = &shards[len(shards)-1]
		}
		last.bytes += bytes
		last.tensors = append(last.tensors, safetensors.Tensor{Name: w.name, DType: dtype, Shape: shape, Data: func(out io.Writer) error {
			return m.write(out, w, form)
		}})
	}
	if m.scores() {
		last := &shards[len(shards)-1]
		last.tensors, last.bytes = append(last.tensors, m.scoreTensor()), last.bytes+int64(4*m.Adapter.Head.Len)
	}
	return shards, nil
}

// writeShards writes one file, or several with their index.
func writeShards(d *atomicfile.Dir, shards []shard) error {
	var index struct {
		Metadata struct {
			TotalSize int64 `json:"total_size"`
		} `json:"metadata"`
		WeightMap map[string]string `json:"weight_map"`
	}
	index.WeightMap = map[string]string{}
	for i, s := range shards {
		name := "model.safetensors"
		if len(shards) > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		}
		err := d.WriteFile(name, func(w io.Writer) error { return safetensors.Write(w, s.tensors, nil) })
		if err != nil {
			return err
		}
		index.Metadata.TotalSize += s.bytes
		for _, t := range s.tensors {
			index.WeightMap[t.Name] = name
		}
	}
	if len(shards) == 1 {
		return nil
	}
	data, err := json.Marshal(index, jsontext.WithIndent("  "), json.Deterministic(true))
	return errors.Join(err, d.WriteFile("model.safetensors.index.json", atomicfile.Bytes(append(data, '\n'))))
}

// copyBesides copies the tokenizer's and the licence's files of a folder.
func (m *merger) copyBesides(d *atomicfile.Dir, o FolderOptions) error {
	if IsGGUF(m.Base) {
		return m.writeTokenizer(d, o)
	}
	for _, name := range besides {
		if name == chatTemplateFile && o.ChatTemplate != "" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(m.Base, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && m.scores() && slices.Contains(namesPad, name) {
			data, err = o.Pad.named(data)
		}
		if err := errors.Join(err, d.WriteFile(name, atomicfile.Bytes(data))); err != nil {
			return fmt.Errorf("model: copy %s: %w", name, err)
		}
	}
	return nil
}

// writeTokenizer writes the tokenizer of a GGUF as a folder has it.
func (m *merger) writeTokenizer(d *atomicfile.Dir, o FolderOptions) error {
	spec, err := GGUFTokenizer(m.Base)
	if err != nil {
		return err
	}
	tokens, config, err := spec.files(m.config.ContextLength)
	if err == nil && m.scores() {
		config, err = o.Pad.named(config)
	}
	if err != nil {
		return err
	}
	return errors.Join(d.WriteFile("tokenizer.json", atomicfile.Bytes(tokens)), d.WriteFile(tokenizerConfigFile, atomicfile.Bytes(config)))
}

// folderConfig is the config.json of the merged model: the base's, without what
// says that it is quantised or tied, or a new one for a GGUF.
func (m *merger) folderConfig() ([]byte, error) {
	quantised, err := m.isQuantised()
	if err != nil {
		return nil, err
	}
	if IsGGUF(m.Base) {
		return m.config.json(m.config.embedDType(m, quantised))
	}
	data, err := os.ReadFile(filepath.Join(m.Base, "config.json"))
	if err != nil || !quantised && !m.untied {
		return data, err
	}
	keys := map[string]jsontext.Value{}
	if err := json.Unmarshal(data, &keys); err != nil {
		return nil, err
	}
	delete(keys, "quantization_config")
	if m.untied {
		keys["tie_word_embeddings"] = jsontext.Value("false")
	}
	return marshalConfig(keys)
}

// embedDType names the element type of most weights, in PyTorch's words.
func (c Config) embedDType(m *merger, quantised bool) string {
	typ, err := m.typeOf(weightInfo{embedName, c.VocabSize, c.HiddenSize})
	switch {
	case err != nil || quantised || typ == device.BF16:
		return "bfloat16"
	case typ == device.F16:
		return "float16"
	}
	return "float32"
}

// json is the config as Transformers writes it.
func (c Config) json(dtype string) ([]byte, error) {
	if c.RopeFactors != nil {
		return nil, errors.New("model: the frequencies of the GGUF follow no rule that a config.json can state")
	}
	keys := map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "hidden_act": "silu", "torch_dtype": dtype,
		"attention_bias": c.AttentionBias, "attention_dropout": 0.0, "mlp_bias": c.MLPBias,
		"bos_token_id": orNull(c.BOS), "eos_token_id": c.EOS,
		"hidden_size": c.HiddenSize, "intermediate_size": c.IntermediateSize, "num_hidden_layers": c.NumLayers,
		"num_attention_heads": c.NumHeads, "num_key_value_heads": c.NumKVHeads, "head_dim": c.HeadDim, "vocab_size": c.VocabSize,
		"max_position_embeddings": c.ContextLength, "rms_norm_eps": c.RMSNormEps, "rope_theta": c.RopeTheta,
		"tie_word_embeddings": c.TieWordEmbeddings, "use_cache": true, "rope_scaling": nil,
	}
	switch s := c.RopeScaling; s.Type {
	case "linear":
		keys["rope_scaling"] = map[string]any{"rope_type": "linear", "factor": s.Factor}
	case "llama3":
		keys["rope_scaling"] = map[string]any{"rope_type": "llama3", "factor": s.Factor, "low_freq_factor": s.LowFreqFactor,
			"high_freq_factor": s.HighFreqFactor, "original_max_position_embeddings": s.OriginalContextLength}
	}
	return marshalConfig(keys)
}

func orNull(id int32) any {
	if id < 0 {
		return nil
	}
	return id
}

func marshalConfig(keys any) ([]byte, error) {
	data, err := json.Marshal(keys, jsontext.WithIndent("  "), json.Deterministic(true))
	return append(data, '\n'), err
}
