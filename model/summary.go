package model

import "fmt"

// Form is what the linear weights are held as, for eyes; "" is as they are stored.
func (o LoadOptions) Form() string {
	if o.DoubleQuant {
		return o.Quantize + " with double quantisation"
	}
	return o.Quantize
}

// Summary is a line of what was loaded from a path, and what is held of it.
func (m *Model) Summary(path string, o LoadOptions) string {
	line := fmt.Sprintf("model: %s, %d parameters, %d layers, context %d, %.1f MB held",
		path, m.Config.Parameters(), m.Config.NumLayers, m.Config.ContextLength, float64(m.Bytes())/1e6)
	if o.Quantize != "" {
		line += ", linear layers as " + o.Form()
	}
	if len(m.Kept) > 0 {
		line += fmt.Sprintf(" but for %d whose rows are not whole blocks", len(m.Kept))
	}
	return line
}
