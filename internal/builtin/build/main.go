// Command build makes the embedded model from nothing: it writes the text
// (internal/builtin/corpus), trains the tokenizer, pretrains on running text,
// fine-tunes on conversations, and writes the folder that internal/builtin
// embeds, and examples/prefs.jsonl. Its output depends on the seed and the
// processor's kernels alone.
//
//	go run ./internal/builtin/build [-out internal/builtin/tiny] [-pretrain STEPS] [-sft STEPS]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"align/datasets"
	"align/internal/builtin/corpus"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/tokenizer"
	"align/model"
)

// seed of all random numbers; the streams keep them apart.
const seed = 20

// Sizes of the training data. Evaluation texts are of another seed.
const (
	numTokenizerTexts = 20000
	numTexts          = 40000
	numConversations  = 60000
	numHeld           = 200
	numPairs          = 300
)

// vocabSize covers every word of the corpus; smaller ones make longer texts.
const vocabSize = 1536

// shape of the model: 1.4 million weights.
func shape(vocab int, bos int32, eos []int32) model.Config {
	return model.Config{
		Architecture: "LlamaForCausalLM", HiddenSize: 128, IntermediateSize: 384, NumLayers: 6,
		NumHeads: 4, NumKVHeads: 2, HeadDim: 32, VocabSize: vocab, ContextLength: 512,
		RMSNormEps: 1e-5, RopeTheta: 10000, TieWordEmbeddings: true, BOS: bos, EOS: eos, DType: "bfloat16",
	}
}

func main() {
	b := builder{}
	flag.StringVar(&b.out, "out", filepath.Join("internal", "builtin", "tiny"), "folder of the model")
	flag.StringVar(&b.pairs, "pairs", filepath.Join("examples", "prefs.jsonl"), "file of the preference pairs")
	flag.IntVar(&b.pretrainSteps, "pretrain", 500, "optimizer steps on running text")
	flag.IntVar(&b.sftSteps, "sft", 4000, "optimizer steps on conversations")
	flag.Parse()
	if err := b.build(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

// builder is a build under way.
type builder struct {
	out, pairs              string
	pretrainSteps, sftSteps int

	spec     tokenizer.Spec
	tok      *tokenizer.Tokenizer
	template *datasets.Template
	model    *model.Model
	full     *model.Full
}

func (b *builder) build(ctx context.Context) error {
	start := time.Now()
	if err := writePairs(b.pairs, corpus.Pairs(seed, numPairs)); err != nil {
		return err
	}
	if err := b.trainTokenizer(); err != nil {
		return err
	}
	backend, err := cpu.New(cpu.Options{Threads: runtime.NumCPU(), Activations: device.F32})
	if err != nil {
		return err
	}
	defer backend.Close()
	if err := b.untrained(backend); err != nil {
		return err
	}
	texts, err := b.textExamples(corpus.Texts(seed), numTexts)
	if err != nil {
		return err
	}
	if err := b.stage(ctx, "pretrain", texts, nil, b.pretrainSteps, 3e-3); err != nil {
		return err
	}
	talks, err := b.conversationExamples(corpus.Conversations(seed), numConversations)
	if err != nil {
		return err
	}
	held, err := b.conversationExamples(corpus.Conversations(seed+1), numHeld)
	if err != nil {
		return err
	}
	if err := b.stage(ctx, "sft", talks, held, b.sftSteps, 2e-3); err != nil {
		return err
	}
	fmt.Printf("built in %v\n", time.Since(start).Round(time.Second))
	return b.write()
}

func (b *builder) untrained(backend device.Backend) (err error) {
	bos, _ := b.tok.BOS()
	eos, _ := b.tok.EOS()
	c := shape(b.tok.VocabSize(), bos, append([]int32{eos}, b.template.StopIDs()...))
	b.model, b.full, err = model.NewRandom(c, backend, device.F32, seed, 0.02)
	if err == nil {
		fmt.Printf("model: %d weights, vocabulary %d\n", b.full.Parameters(), b.tok.VocabSize())
	}
	return err
}
