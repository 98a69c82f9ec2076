package dpo

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"align/datasets"
	"align/internal/atomicfile"
	"align/model"
)

// Referee computes the reference's log-probabilities of pairs, and keeps them
// in a cache that is keyed by the reference and by each pair's content: another
// order, other rows, another beta or loss find them again.
type Referee struct {
	Model *model.Model
	// Adapter is the reference's adapter, or nil for the base model.
	Adapter *model.Adapter
	// Batch is the number of pairs of one pack.
	Batch int
	// MaskFormat leaves format tokens out of the sums.
	MaskFormat bool
	// PerToken has means over the answers' tokens in place of sums. A cache holds sums.
	PerToken bool
	// Cache is the file; "" keeps none.
	Cache string
	// Progress, if not nil, is called with the pairs done and in all.
	Progress func(done, total int)
	// Stopped, if not nil, says after each pack whether to end with [ErrStopped].
	Stopped func() bool

	// Hits and Misses count the pairs found and computed.
	Hits, Misses int
	// Unkept is why the cache could not be read or written, nil where it could: a
	// cache on a full disk or in a folder of another user ends no run.
	Unkept error
}

// ErrStopped is a pass that was asked to end. What it computed is in the cache.
var ErrStopped = errors.New("dpo: stopped while the reference's log-probabilities were computed")

// CacheFile names the cache of a reference in a folder: the identity is made of
// everything that the numbers depend on.
func CacheFile(folder string, identity ...string) string {
	return filepath.Join(folder, "reference-"+strings.Join(identity, "-")+".tsv")
}

// LogProbs are the reference's log-probabilities of the pairs. What is computed
// is kept every minute and when the pass ends, for whatever reason.
func (r *Referee) LogProbs(ctx context.Context, pairs []datasets.Pair) ([]Reference, error) {
	if r.PerToken && r.Cache != "" {
		return nil, errors.New("dpo: a cache of references holds sums, not means")
	}
	known, err := r.read()
	if err != nil {
		r.Unkept = err
	}
	refs := make([]Reference, len(pairs))
	var missing []int
	for i, p := range pairs {
		var ok bool
		if refs[i], ok = known[p.Hash()]; !ok {
			missing = append(missing, i)
		}
	}
	r.Hits, r.Misses = r.Hits+len(pairs)-len(missing), r.Misses+len(missing)
	if len(missing) == 0 {
		return refs, nil
	}
	keep := func(done []int) {
		for _, i := range done {
			known[pairs[i].Hash()] = refs[i]
		}
		if err := r.write(known); err != nil {
			r.Unkept = err
		}
	}
	if err := r.compute(ctx, pairs, missing, refs, keep); err != nil {
		return nil, err
	}
	return refs, nil
}

// keepEvery is how much work at most is lost with the process.
const keepEvery = time.Minute

// compute runs the missing pairs in packs; keep is given those that are done.
func (r *Referee) compute(ctx context.Context, pairs []datasets.Pair, missing []int, refs []Reference, keep func(done []int)) error {
	done, kept := 0, time.Now()
	defer func() { keep(missing[:done]) }()
	var pack datasets.Pack
	var p *program
	defer func() {
		if p != nil {
			p.session.Close()
		}
	}()
	for from := 0; from < len(missing); from += r.Batch {
		if err := r.ended(ctx); err != nil {
			return err
		}
		if time.Since(kept) >= keepEvery {
			keep(missing[:done])
			kept = time.Now()
		}
		part := missing[from:min(from+r.Batch, len(missing))]
		pack.Reset()
		for _, i := range part {
			r.lay(&pack, pairs[i])
		}
		if err := model.Grow(&p, model.SizeOf(&pack, 0), r.open); err != nil {
			return err
		}
		if err := r.sums(p, &pack, pairs, part, refs); err != nil {
			return err
		}
		done = from + len(part)
		if r.Progress != nil {
			r.Progress(done, len(missing))
		}
	}
	return nil
}

// ended is why the pass is to end, or nil.
func (r *Referee) ended(ctx context.Context) error {
	if r.Stopped != nil && r.Stopped() {
		return ErrStopped
	}
	return ctx.Err()
}

func (r *Referee) lay(pack *datasets.Pack, pair datasets.Pair) {
	if r.MaskFormat {
		pack.AddPairWithoutFormat(pair, 0)
		return
	}
	pack.AddPair(pair, 0)
}

// open compiles the reference's forward pass.
func (r *Referee) open(size model.Capacity) (*program, error) {
	d, err := r.Model.NewDecoder(model.DecoderOptions{Capacity: size, Adapter: r.Adapter})
	if err != nil {
		return nil, err
	}
	s, err := d.Compile(r.Model, nil, d.SequenceLogProbs)
	return &program{session: s, decoder: d}, err
}

func (r *Referee) sums(p *program, pack *datasets.Pack, pairs []datasets.Pair, part []int, refs []Reference) error {
	if err := p.session.Load(pack, 0); err != nil {
		return err
	}
	if err := p.session.Run(); err != nil {
		return err
	}
	sums, err := p.session.Float64s(nil, p.decoder.SequenceLogProbs)
	if err != nil {
		return err
	}
	perPair := len(sums) / len(part)
	for k, i := range part {
		refs[i] = Reference{Chosen: r.of(sums, pack, perPair*k), Rejected: r.of(sums, pack, perPair*k+1)}
		if x := refs[i].Chosen + refs[i].Rejected; math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("dpo: %s: the log-probabilities of chosen and rejected are %v and %v, from weights that are no numbers or activations too large for the precision", pairs[i].Place, refs[i].Chosen, refs[i].Rejected)
		}
	}
	return nil
}

// of is what the referee tells of a sequence.
func (r *Referee) of(sums []float64, pack *datasets.Pack, sequence int) float64 {
	if r.PerToken {
		return sums[sequence] / float64(pack.Tokens[sequence])
	}
	return sums[sequence]
}

// read loads the cache; a line that does not parse is not used.
func (r *Referee) read() (map[[32]byte]Reference, error) {
	known := map[[32]byte]Reference{}
	if r.Cache == "" {
		return known, nil
	}
	data, err := os.ReadFile(r.Cache)
	if errors.Is(err, os.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return known, fmt.Errorf("dpo: reference cache: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if key, ref, ok := parseCached(line); ok {
			known[key] = ref
		}
	}
	return known, nil
}

// parseCached reads "hash<TAB>chosen<TAB>rejected"; the numbers are exact.
func parseCached(line string) (key [32]byte, ref Reference, ok bool) {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	if len(fields) != 3 || !strings.HasSuffix(line, "\n") {
		return key, ref, false
	}
	raw, err := hex.DecodeString(fields[0])
	if err != nil || len(raw) != len(key) {
		return key, ref, false
	}
	chosen, err1 := strconv.ParseFloat(fields[1], 64)
	rejected, err2 := strconv.ParseFloat(fields[2], 64)
	return [32]byte(raw), Reference{chosen, rejected}, err1 == nil && err2 == nil && isLogProb(chosen) && isLogProb(rejected)
}

// isLogProb holds of what an answer's log-probability can be: a sum of roundings may
// be above 0 by a little.
func isLogProb(x float64) bool { return x <= 1e-3 && x >= -math.MaxFloat64 }

// write replaces the cache.
func (r *Referee) write(known map[[32]byte]Reference) error {
	if r.Cache == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(r.Cache), 0o755); err != nil {
		return fmt.Errorf("dpo: reference cache: %w", err)
	}
	return atomicfile.WriteFile(r.Cache, func(w io.Writer) error {
		var line []byte
		for _, key := range sortedKeys(known) {
			ref := known[key]
			line = hex.AppendEncode(line[:0], key[:])
			line = strconv.AppendFloat(append(line, '\t'), ref.Chosen, 'g', -1, 64)
			line = strconv.AppendFloat(append(line, '\t'), ref.Rejected, 'g', -1, 64)
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

// sortedKeys makes the file's bytes a function of its content.
func sortedKeys(known map[[32]byte]Reference) [][32]byte {
	keys := slices.Collect(maps.Keys(known))
	slices.SortFunc(keys, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	return keys
}
