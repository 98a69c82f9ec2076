package model

import (
	"slices"
	"strings"

	"align/internal/exec"
	"align/internal/graph"
)

// mlpTile is the rows for which values as wide as F exist at a time: a
// multiple of the 2,048 elements at which the CPU's machine code cuts a sum
// over tokens (gemm, blockWords words of two), so that tiles move no bit.
const mlpTile = 2048

// mlpModules are those of the feed-forward part.
var mlpModules = []string{"gate_proj", "up_proj", "down_proj"}

// tilesMLP says whether layers of the kind run their feed-forward part tile by
// tile: under the policy that keeps least, and where nothing is trained, as it
// then costs nothing. DoRA's row lengths would be computed once for each tile
// and a bias's gradient be summed in another order: there it is not done.
func (c Config) tilesMLP(k layerKind, rows int, train bool, save exec.SavePolicy) bool {
	dora := slices.ContainsFunc(k.factors, func(f kindFactor) bool { return f.dora && slices.Contains(mlpModules, f.module) })
	return rows > mlpTile && (save == exec.SaveTiled || !train) && !dora && !(k.full && c.MLPBias)
}

// tiledLayer is layer with the feed-forward part as a program of its own.
func (c Config) tiledLayer(b *graph.Builder, k layerKind, x *graph.Node, in layerNodes) (y *graph.Node, err error) {
	l := layerBuilder{Builder: b, config: c, kind: k, in: in, attend: c.overPack(b, in)}
	y = l.build(x, func(l layerBuilder, h *graph.Node) (y *graph.Node) {
		y, err = l.tiledMLP(h)
		return y
	})
	return y, err
}

// tiledMLP is mlp over tiles of mlpTile rows.
func (l layerBuilder) tiledMLP(h *graph.Node) (*graph.Node, error) {
	if err := l.Err(); err != nil {
		return nil, err
	}
	names := l.mlpInputs()
	sub, err := exec.NewTiled(graph.Options{Activations: l.Activations(), Rounded: l.Rounded(), RoundedCols: l.RoundedCols()}, mlpTile, func(b *graph.Builder) exec.Body {
		body := exec.Body{X: b.Input("x", l.infoOf(h))}
		in := layerNodes{}
		for _, name := range names {
			in[name] = b.Input(name, l.infoOf(l.in[name]))
			body.Params = append(body.Params, in[name])
		}
		body.Y = layerBuilder{Builder: b, config: l.config, kind: l.kind, in: in}.mlp(body.X)
		return body
	})
	if err != nil {
		return nil, err
	}
	params := make([]*graph.Node, len(names))
	for i, name := range names {
		params[i] = l.in[name]
	}
	return sub.Apply(l.Builder, h, params...)
}

// infoOf is the info of a node as the input of an inner graph.
func (l layerBuilder) infoOf(n *graph.Node) graph.Info {
	info := l.Info(n)
	info.Trained = l.NeedsGrad(n)
	return info
}

// mlpInputs are the names of the inputs that mlp reads, in a fixed order.
func (l layerBuilder) mlpInputs() []string {
	var names []string
	for name := range l.in {
		module := name[strings.LastIndexAny(name, " /")+1:]
		if strings.HasPrefix(name, "mlp.") || slices.Contains(mlpModules, module) || name == inDropoutKey || name == inSeed {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
