package model

import (
	"io"
	"path/filepath"
	"slices"

	"align/internal/safetensors"
)

// sequenceClassifier is the task_type of an adapter with a score head, as TRL's
// RewardTrainer writes it.
const sequenceClassifier = "SEQ_CLS"

// scoreModule is the head of a Llama's sequence classifier, in PEFT's words.
const scoreModule = "score"

// scores says whether the adapter is a reward model.
func (c peftConfig) scores() bool { return c.TaskType == sequenceClassifier }

// saved is modules_to_save without the heads that PEFT adds to a sequence
// classifier's, of which a Llama has score.
func (c peftConfig) saved() []string {
	if !c.scores() {
		return c.ModulesToSave
	}
	return slices.DeleteFunc(slices.Clone(c.ModulesToSave), func(name string) bool { return name == scoreModule || name == "classifier" })
}

// AdapterScores says whether PEFT's folder is a reward model: a sequence classifier,
// whose head lies among the factors.
func AdapterScores(dir string) (bool, error) {
	if IsGGUF(dir) {
		return false, nil
	}
	c, err := readPEFTConfig(filepath.Join(dir, AdapterConfigFile))
	return c.scores(), err
}

// PEFTScorerConfig is PEFTConfig of a reward model, whose head is among the weights:
// a sequence classifier's with score in modules_to_save, as PEFT saves it.
func (a *Adapter) PEFTScorerConfig(base string) ([]byte, error) {
	return a.peftJSON(base, sequenceClassifier, append(slices.Clone(a.Config.Save), scoreModule))
}

// WriteScorerWeights is WriteWeights of a reward model, with the head [1,C].
func (a *Adapter) WriteScorerWeights(w io.Writer, values Values) error {
	head := values.tensor(peftPrefix+ScoreHead, safetensors.F32, []int{1, a.Head.Len}, a.Head.Offset, a.Head.Len)
	return safetensors.Write(w, append(a.peftTensors(values), head), map[string]string{"format": "pt"})
}
