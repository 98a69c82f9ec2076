package rounds

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"align/internal/atomicfile"
	"align/internal/jsonfile"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Lineage is lineage.json: the stages that are done, in order.
type Lineage struct {
	Version int `json:"version"`
	// Config is a hash of the settings that the stages depend on.
	Config string `json:"config"`
	// Held are hashes of the adapter and the reward model that the job was given.
	Held   map[string]string `json:"held,omitempty"`
	Stages []LineageStep     `json:"stages"`
}

// LineageStep is one stage that is done. Paths are as the stage was given them.
type LineageStep struct {
	Round int    `json:"round"`
	Stage string `json:"stage"`
	// Run is its folder, Hash of the adapter's weights or of the samples; both
	// are empty where the stage was left out, for the Reason.
	Run    string `json:"run,omitzero"`
	Hash   string `json:"hash,omitzero"`
	Reason string `json:"reason,omitzero"`
	// Checkpoint is the run's best one, which what follows begins from, where its
	// evaluations ended it early; "" is the last.
	Checkpoint string `json:"checkpoint,omitzero"`
	// From is the run that it began from, Judge what scored for it.
	From  string `json:"from,omitzero"`
	Judge string `json:"judge,omitzero"`
	// MeanScore and BestScore are of rejection's samples.
	MeanScore float64 `json:"mean_score,omitzero"`
	BestScore float64 `json:"best_score,omitzero"`
}

// find is the place of a stage in it, -1 where it does not tell of that.
func (l Lineage) find(round int, stage string) int {
	return slices.IndexFunc(l.Stages, func(s LineageStep) bool { return s.Round == round && s.Stage == stage })
}

// lineageVersion is the format of lineage.json.
const lineageVersion = 1

// unchanged holds a stage that is done to what the lineage says of it.
func (j *job) unchanged(round int, name, hash string) error {
	for _, s := range j.before.Stages {
		if s.Round == round && s.Stage == name && s.Hash != "" && s.Hash != hash {
			return fmt.Errorf("%s has changed since it was done: its hash is %.12s, the lineage has %.12s", s.Run, hash, s.Hash)
		}
	}
	return nil
}

// record adds a stage that is done to the lineage.
func (j *job) record(s LineageStep) error {
	j.done.Stages = append(j.done.Stages, s)
	if len(j.done.Stages) < len(j.before.Stages) {
		return nil // the file tells of more
	}
	return j.save(j.done)
}

func (j *job) save(l Lineage) error {
	data, err := json.Marshal(l, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(j.config.Out, LineageFile), atomicfile.Bytes(append(data, '\n')))
}

// ReadLineage reads a job's lineage.
func ReadLineage(out string) (Lineage, error) {
	path := filepath.Join(out, LineageFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return Lineage{}, fmt.Errorf("rounds: %w", err)
	}
	var l Lineage
	if err := jsonfile.Unmarshal(data, &l); err != nil {
		return l, fmt.Errorf("rounds: %s: %w", path, err)
	}
	if l.Version != lineageVersion {
		return l, fmt.Errorf("rounds: %s: version %d: this program reads %d", path, l.Version, lineageVersion)
	}
	return l, nil
}
