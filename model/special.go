package model

import (
	"fmt"
	"math"
	"slices"

	"align/internal/device"
)

// Tables are the weights of a model that have a row for each token: its embedding
// and, where it has one of its own, its head, by the names of SavedModules.
func (m *Model) Tables() []string {
	if _, ok := m.weights[headName]; ok {
		return SavedModules
	}
	return SavedModules[:1]
}

// sampledRows is how many rows show how long a trained one is.
const sampledRows = 512

// nearZero is the length, as a share of the median one, below which a row was
// never trained. Those of Llama 3's reserved tokens are around 1e-20 of it.
const nearZero = 1e-3

// Untrained are those of the special tokens, ascending, whose rows in a table
// look as if they had never been trained: next to zero, or equal to the bit to
// another special token's.
func (m *Model) Untrained(table string, special []int32) ([]int32, error) {
	w := m.weights[savedWeights[table]]
	if len(special) == 0 || w.Rows == 0 {
		return nil, nil
	}
	typical, err := m.medianLength(w, special)
	if err != nil {
		return nil, err
	}
	seen := map[string][]int32{}
	var found []int32
	err = m.someRows(w, special, func(i int, values []float64) {
		if length(values) <= nearZero*typical {
			found = append(found, special[i])
			return
		}
		key := fmt.Sprint(values)
		seen[key] = append(seen[key], special[i])
	})
	for _, same := range seen {
		if len(same) > 1 {
			found = append(found, same...)
		}
	}
	slices.Sort(found)
	return found, err
}

// medianLength is that of some rows, spread over the table, of ordinary tokens.
func (m *Model) medianLength(w device.View, special []int32) (float64, error) {
	var ids []int32
	for i := range min(sampledRows, w.Rows) {
		if id := int32(i * w.Rows / min(sampledRows, w.Rows)); !slices.Contains(special, id) {
			ids = append(ids, id)
		}
	}
	var lengths []float64
	if err := m.someRows(w, ids, func(_ int, values []float64) { lengths = append(lengths, length(values)) }); err != nil || len(lengths) == 0 {
		return 0, err
	}
	slices.Sort(lengths)
	return lengths[len(lengths)/2], nil
}

func length(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum)
}

// MeanRow is the mean of a table's rows but for those of some tokens.
func (m *Model) MeanRow(table string, but []int32) ([]float32, error) {
	w := m.weights[savedWeights[table]]
	sums, n := make([]float64, w.Cols), 0
	err := m.eachRow(w, func(row int, values []float64) {
		if slices.Contains(but, int32(row)) {
			return
		}
		n++
		for i, v := range values {
			sums[i] += v
		}
	})
	mean := make([]float32, w.Cols)
	for i, s := range sums {
		mean[i] = float32(s / float64(max(n, 1)))
	}
	return mean, err
}

// SavedRow is the row of a token in the adapter's copy of a table, in the flat
// buffer on the host; nil where the adapter has no such copy.
func (a *Adapter) SavedRow(flat []float32, table string, id int32) []float32 {
	w, ok := a.savedAt(savedWeights[table])
	if !ok {
		return nil
	}
	return flat[w.Offset+int(id)*w.Cols:][:w.Cols]
}

// SetRow overwrites the row of a token in a table of a model whose weights are
// trained themselves.
func (f *Full) SetRow(m *Model, table string, id int32, row []float32) error {
	return WriteFloats(m.backend, m.weights[savedWeights[table]].Row(int(id), 1), row)
}
