package align

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"

	"align/datasets"
	"align/internal/atomicfile"
	"align/internal/place"
	"align/internal/records"
	"align/internal/tokenizer"
	"align/model"

	"github.com/go-json-experiment/json/jsontext"
)

// TokenizerOptions say what to learn a vocabulary from.
type TokenizerOptions struct {
	// Data are files of records. Every text in a record counts, whatever its key.
	Data []string
	// VocabSize is the number of tokens, special ones among them.
	VocabSize int
	// Out is the new folder for the tokenizer's files.
	Out string
}

// TrainedTokenizer says what was learnt.
type TrainedTokenizer struct {
	Path string
	// Tokens is the size of the vocabulary, Special how many of it are special.
	Tokens, Special int
	// Texts is the number of texts that it was learnt from, of Bytes in all.
	Texts, Bytes int64
}

// madeContext is the model_max_length of a tokenizer that has no model yet:
// Llama 3.1's.
const madeContext = 131072

// Validate returns all faults of the options at once.
func (o TokenizerOptions) Validate() error {
	var errs []error
	if len(o.Data) == 0 {
		errs = append(errs, errors.New("data is missing: the files of texts"))
	}
	if o.VocabSize < 1 {
		errs = append(errs, fmt.Errorf("vocab_size must be at least 1, got %d", o.VocabSize))
	}
	if o.Out == "" {
		errs = append(errs, errors.New("out is missing: the new folder to write"))
	}
	return errors.Join(errs...)
}

// TrainTokenizer learns a byte-level BPE vocabulary with Llama 3's splitter and
// special tokens from the texts of files, and writes it as a tokenizer folder.
func TrainTokenizer(ctx context.Context, o TokenizerOptions, env Environment) (TrainedTokenizer, error) {
	if err := o.Validate(); err != nil {
		return TrainedTokenizer{}, err
	}
	out, err := place.Folder(o.Out)
	if err != nil {
		return TrainedTokenizer{}, err
	}
	texts := &textReader{ctx: ctx, env: env}
	spec, err := tokenizer.Train(texts.all(o.Data), o.VocabSize)
	if texts.err != nil {
		return TrainedTokenizer{}, texts.err
	}
	if err != nil {
		return TrainedTokenizer{}, err
	}
	if err := writeTokenizer(out, spec); err != nil {
		return TrainedTokenizer{}, err
	}
	if n := len(spec.Tokens); n < o.VocabSize {
		env.note(fmt.Sprintf("vocab_size: %d, not %d: the texts have no more pairs that occur twice", n, o.VocabSize))
	}
	return TrainedTokenizer{
		Path: out, Tokens: len(spec.Tokens), Special: len(tokenizer.SpecialNames(o.VocabSize)), Texts: texts.count, Bytes: texts.bytes,
	}, nil
}

// writeTokenizer writes the folder, with the template that the special tokens
// call for.
func writeTokenizer(out string, spec tokenizer.Spec) error {
	t, err := tokenizer.New(spec)
	if err != nil {
		return err
	}
	template, _, err := datasets.ChooseTemplate("llama3", t)
	if err != nil {
		return err
	}
	spec.ChatTemplate = template.Jinja()
	if t, err = tokenizer.New(spec); err != nil {
		return err
	}
	tokens, config, err := model.TokenizerFiles(t, model.Config{VocabSize: t.VocabSize(), ContextLength: madeContext})
	if err != nil {
		return err
	}
	made, err := place.MakeAbove(out)
	if err != nil {
		return err
	}
	defer made.Remove()
	d, err := atomicfile.Stage(filepath.Dir(out), filepath.Base(out))
	if err != nil {
		return err
	}
	defer d.Abort()
	if err := d.WriteFiles(atomicfile.Part{Name: "tokenizer.json", Write: atomicfile.Bytes(tokens)}, atomicfile.Part{Name: "tokenizer_config.json", Write: atomicfile.Bytes(config)}); err != nil {
		return err
	}
	return d.Commit()
}

// textReader yields the texts of files and keeps the first error.
type textReader struct {
	ctx          context.Context
	env          Environment
	count, bytes int64
	err          error
}

func (t *textReader) all(files []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, file := range files {
			if !t.file(file, yield) {
				return
			}
		}
	}
}

// file yields the texts of a file; false ends all reading.
func (t *textReader) file(path string, yield func(string) bool) bool {
	r, err := records.Open(path)
	if err != nil {
		t.err = err
		return false
	}
	defer r.Close()
	progress := t.env.progress("reading " + path)
	for {
		texts, err := t.next(r)
		if errors.Is(err, io.EOF) {
			return true
		}
		if t.err = err; err != nil {
			return false
		}
		for _, text := range texts {
			t.count, t.bytes = t.count+1, t.bytes+int64(len(text))
			if !yield(text) {
				return false
			}
		}
		progress(r.Progress())
	}
}

// next are the texts of the next record.
func (t *textReader) next(r *records.Reader) (texts []string, err error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	record, err := r.Next()
	if err != nil {
		return nil, err
	}
	for _, f := range record.Fields {
		if texts, err = appendTexts(texts, f.Value); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", record.Place, f.Name, err)
		}
	}
	return texts, nil
}

// appendTexts appends the texts in a value, at any depth; the names of an
// object's members are no text.
func appendTexts(texts []string, v jsontext.Value) ([]string, error) {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	for {
		token, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return texts, nil
		}
		if err != nil {
			return nil, err
		}
		kind, n := d.StackIndex(d.StackDepth())
		if name := kind == '{' && n%2 == 1; token.Kind() == '"' && !name {
			texts = append(texts, token.String())
		}
	}
}
