package model

import (
	"fmt"
	"slices"
	"strings"

	"align/internal/device"
	"align/internal/graph"
)

// SavedModules are the modules that can be trained whole beside an adapter, in
// PEFT's words (modules_to_save): the embedding and the head. The base's own
// stay as they are and serve a run without the adapter.
//
// Where the base ties the two, each copy stands alone, as in PEFT: a trained
// embedding leaves the head as it was, and the other way round. A merged model
// is then no longer tied.
var SavedModules = []string{"embed_tokens", "lm_head"}

// savedWeights are the weights of SavedModules.
var savedWeights = map[string]string{"embed_tokens": embedName, "lm_head": headName}

// ParseSaved reads names of SavedModules separated by commas; "" is none.
func ParseSaved(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	var names []string
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(SavedModules, name) || slices.Contains(names, name) {
			return nil, fmt.Errorf("modules_to_save must be some of %s, each once, got %q", strings.Join(SavedModules, ", "), s)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// savedModule is the module whose weight a tensor of an adapter's file is.
func savedModule(tensor string) (name string, ok bool) {
	return keyOf(savedWeights, strings.TrimPrefix(tensor, peftPrefix))
}

// addSaved lays out the weights that are trained whole.
func (a *Adapter) addSaved(base Config) {
	for _, name := range a.Config.Save {
		w := FullWeight{Name: savedWeights[name], Rows: base.VocabSize, Cols: base.HiddenSize}
		w.Offset = a.reserve(w.len())
		a.Saved = append(a.Saved, w)
	}
}

// saves says whether the weight is trained whole.
func (a *Adapter) saves(weight string) bool {
	_, ok := a.savedAt(weight)
	return ok
}

func (a *Adapter) savedAt(weight string) (FullWeight, bool) {
	if a == nil {
		return FullWeight{}, false
	}
	for _, w := range a.Saved {
		if w.Name == weight {
			return w, true
		}
	}
	return FullWeight{}, false
}

// savedInputs adds the inputs of the weights that are trained whole.
func (d *Decoder) savedInputs() {
	if d.options.Adapter == nil {
		return
	}
	for _, w := range d.options.Adapter.Saved {
		info := graph.Matrix(d.act.Wide(), graph.Size(w.Rows), w.Cols)
		info.Trained = d.options.Train
		d.saved = append(d.saved, d.Input("saved "+w.Name, info))
	}
}

// savedNode is the input of a weight that is trained whole, or nil.
func (d *Decoder) savedNode(weight string) *graph.Node {
	if d.options.Adapter == nil {
		return nil
	}
	for i, w := range d.options.Adapter.Saved {
		if w.Name == weight {
			return d.saved[i]
		}
	}
	return nil
}

// embedNode is the embedding that the tokens are looked up in.
func (d *Decoder) embedNode() *graph.Node {
	if n := d.savedNode(embedName); n != nil {
		return n
	}
	return d.weights[embedName]
}

// headNode is the weight that turns states into logits.
func (d *Decoder) headNode() *graph.Node {
	if n := d.savedNode(headName); n != nil {
		return n
	}
	if d.config.TieWordEmbeddings {
		return d.weights[embedName]
	}
	return d.weights[headName]
}

// InitialAdapter is Adapter.Initial with what starts from the base's weights:
// the magnitudes of DoRA, which are the lengths of the rows, and the modules
// that are trained whole. With a head it is InitialWithHead.
func (m *Model) InitialAdapter(a *Adapter, seed uint64) ([]float32, error) {
	flat := a.Initial(seed)
	if a.Head.Len > 0 {
		a.fillHead(flat, seed)
	}
	if err := m.fillMagnitudes(a, flat); err != nil {
		return nil, err
	}
	for _, w := range a.Saved {
		from, ok := m.weights[w.Name]
		if !ok {
			from = m.weights[embedName] // a tied head
		}
		err := m.eachRow(from, func(row int, values []float64) {
			into := flat[w.Offset+row*w.Cols:][:w.Cols]
			for i, v := range values {
				into[i] = float32(v)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return flat, nil
}

// rowsAtOnce is how many rows of a placed weight are read back at a time.
const rowsAtOnce = 256

// eachRow reads a placed weight of any type back, row by row.
func (m *Model) eachRow(w device.View, use func(row int, values []float64)) error {
	ids := make([]int32, w.Rows)
	for i := range ids {
		ids[i] = int32(i)
	}
	return m.someRows(w, ids, use)
}

// someRows reads rows of a placed weight back, some at a time; use is told which
// of the ids it is.
func (m *Model) someRows(w device.View, ids []int32, use func(i int, values []float64)) error {
	kernel, err := m.backend.Bind("embed", nil)
	if err != nil {
		return err
	}
	n := min(rowsAtOnce, len(ids))
	idBytes := padded(int64(4 * n))
	memory, err := m.backend.Alloc(idBytes + int64(n*w.Cols*m.act.Wide().Size()))
	if err != nil {
		return err
	}
	defer m.backend.Free(memory)
	var host []float64
	for from := 0; from < len(ids); from += n {
		part := ids[from:min(from+n, len(ids))]
		list, out := memory.At(0, device.I32, len(part), 1), memory.At(idBytes, m.act.Wide(), len(part), w.Cols)
		if err := m.backend.Upload(list, int32Bytes(part)); err != nil {
			return err
		}
		if err := kernel(&device.Call{Out: []device.View{out}, In: []device.View{w, list}}); err != nil {
			return err
		}
		if host, err = ReadFloats(m.backend, host, out); err != nil {
			return err
		}
		for i := range part {
			use(from+i, host[i*w.Cols:][:w.Cols])
		}
	}
	return nil
}
