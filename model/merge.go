package model

import (
	"io"
	"math"
	"slices"
	"strings"

	"align/internal/device"
)

// Merge is a base model and the adapter to be merged into it: the weights
//
//	W + scale B A, of DoRA with each row brought to its magnitude,
//
// are summed in float64 and rounded to float32, row by row as they are written,
// so that the model is never in memory as a whole. Modules that were trained whole
// take the place of the base's; a tied base comes apart then. An adapter with a score
// head makes a sequence classifier, of which a folder holds the head.
type Merge struct {
	// Base is a Hugging Face folder or a GGUF file.
	Base string
	// Adapter with its Values is nil to write the base as it is.
	Adapter *Adapter
	Values  []float32
	// Progress, if not nil, is called with the weights written so far and in all.
	Progress func(done, total int)
}

// merger is a Merge with its files open.
type merger struct {
	Merge
	files  source
	config Config
	// untied: the base ties head and embedding, and the merged model does not.
	untied bool
	done   int
	total  int
}

func (m Merge) open() (*merger, error) {
	files, config, err := openSource(m.Base)
	if err != nil {
		return nil, err
	}
	list := config.weights()
	if _, err := checkWeights(files, list); err != nil {
		files.Close()
		return nil, err
	}
	g := &merger{Merge: m, files: files, config: config}
	if m.Adapter != nil && (len(m.Adapter.Saved) > 0 || m.scores()) && config.TieWordEmbeddings {
		g.untied, g.config.TieWordEmbeddings = true, false
	}
	if m.scores() {
		g.config.Architecture = classifierArchitecture
	}
	g.total = len(g.config.weights())
	return g, nil
}

// tensor finds a weight in the base's files.
func (m *merger) tensor(w weightInfo) (stored, error) {
	if m.untied && w.name == headName {
		w.name = embedName
	}
	return m.files.tensor(w)
}

// mergeElements is about how many elements are in memory at a time.
const mergeElements = 4 << 20

// rowForm is how rows are written: which row of Hugging Face's order stands at
// one of the file, and its bytes.
type rowForm struct {
	at    func(row int) int
	bytes int
	put   func(dst []byte, x []float32) error
}

// write writes a merged weight.
func (m *merger) write(out io.Writer, w weightInfo, form rowForm) error {
	t, err := m.tensor(w)
	if err != nil {
		return err
	}
	step := max(1, mergeElements/t.cols)
	buffer := make([]byte, min(step, t.rows)*form.bytes)
	for row := 0; row < t.rows; row += step {
		n := min(step, t.rows-row)
		err := overRows(n, func(lo, hi int) error {
			values, raw, sum := make([]float32, t.cols), make([]byte, t.rowBytes()), make([]float64, t.cols)
			for i := lo; i < hi; i++ {
				from := form.at(row + i)
				if err := t.floats(values, raw, from, 1); err != nil {
					return err
				}
				m.add(values, sum, w, from)
				if err := form.put(buffer[i*form.bytes:][:form.bytes], values); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if _, err := out.Write(buffer[:n*form.bytes]); err != nil {
			return err
		}
	}
	if m.done++; m.Progress != nil {
		m.Progress(m.done, m.total)
	}
	return nil
}

// add makes a row x of the base one of the merged model.
func (m *merger) add(x []float32, sum []float64, w weightInfo, row int) {
	if saved, ok := m.Adapter.savedAt(w.name); ok {
		copy(x, m.Values[saved.Offset+row*saved.Cols:])
		return
	}
	layer, module := w.module()
	f, ok := m.Adapter.At(layer, module)
	if !ok || w.cols == 0 {
		return
	}
	clear(sum)
	for k := range f.Rank {
		b := f.Scale * float64(m.Values[f.OffsetB+row*f.Rank+k])
		for j, a := range m.Values[f.OffsetA+k*f.In:][:f.In] {
			sum[j] += b * float64(a)
		}
	}
	square := 0.0
	for j := range sum {
		sum[j] += float64(x[j])
		square += sum[j] * sum[j]
	}
	length := 1.0
	if f.DoRA && square > 0 {
		length = float64(m.Values[f.OffsetM+row]) / math.Sqrt(square)
	}
	for j, s := range sum {
		x[j] = float32(length * s)
	}
}

// inOrder is for a file whose rows stand as Hugging Face's do.
func inOrder(row int) int { return row }

// typeOf is the type that a weight is stored in.
func (m *merger) typeOf(w weightInfo) (device.Type, error) {
	t, err := m.tensor(w)
	return t.typ, err
}

// isQuantised says whether some weight of the base is of a type of blocks.
func (m *merger) isQuantised() (bool, error) {
	var err error
	found := slices.ContainsFunc(m.config.weights(), func(w weightInfo) bool {
		typ, e := m.typeOf(w)
		if e != nil {
			err = e
		}
		return typ.IsBlock()
	})
	return found, err
}

// StoredType names the type that most of a base model's files hold its linear
// weights in, one of GGUFTypes where it is one of them, and says whether it is
// one of blocks.
func StoredType(path string) (name string, quantised bool, err error) {
	m, err := Merge{Base: path}.open()
	if err != nil {
		return "", false, err
	}
	defer m.files.Close()
	counts := map[device.Type]int{}
	var most device.Type
	for _, w := range m.config.weights() {
		if !w.isLinear() {
			continue
		}
		typ, err := m.typeOf(w)
		if err != nil {
			return "", false, err
		}
		if counts[typ] += w.rows * w.cols; counts[typ] > counts[most] {
			most = typ
		}
	}
	return strings.ToLower(most.String()), most.IsBlock(), nil
}
