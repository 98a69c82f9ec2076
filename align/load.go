package align

import (
	"align/internal/basemodel"
	"align/internal/device"
	"align/model"
)

// loadBase reads the weights of a base model and says what is held of them.
func loadBase(path, quantize string, b device.Backend, act device.Type, env Environment) (*model.Model, error) {
	return loadHeld(path, model.LoadOptions{Quantize: quantize}, b, act, env)
}

// loadHeld is loadBase for a base that a run holds in a way of its own.
func loadHeld(path string, held model.LoadOptions, b device.Backend, act device.Type, env Environment) (*model.Model, error) {
	held.Progress = env.progress("loading the model")
	return basemodel.Load(path, held, b, act, env.note)
}
