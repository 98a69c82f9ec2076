package align

import (
	"context"
	"errors"
	"fmt"

	"align/internal/basemodel"
	"align/internal/compute"
	"align/internal/device"
	"align/internal/runfolder"
	"align/internal/train"
	"align/model"
)

// openDevice opens the device that a base runs on, whose precision is settled by it.
func openDevice(o compute.Settings, base string, env Environment) (compute.Backend, device.Type, error) {
	c, err := model.ReadConfig(base)
	if err != nil {
		return nil, 0, err
	}
	return o.For(c).Open(env.Note, env.Threads)
}

// loadBase reads the weights of a base model and says what is held of them.
func loadBase(path, quantize string, b device.Backend, act device.Type, env Environment) (*model.Model, error) {
	return loadHeld(path, model.LoadOptions{Quantize: quantize}, b, act, env)
}

// loadHeld is loadBase for a base that a run holds in a way of its own.
func loadHeld(path string, held model.LoadOptions, b device.Backend, act device.Type, env Environment) (*model.Model, error) {
	held.Progress = env.progress("loading the model")
	held.Stopped = func() bool { return env.Stop.Asked() > train.SaveNow }
	return basemodel.Load(path, held, b, act, env.note)
}

// openModel loads a model and, where one is named, an adapter on it. One that does
// not fit shows before the model is read.
func openModel(path, quantize, adapter string, b device.Backend, act device.Type, env Environment) (*model.Model, *model.Adapter, error) {
	if adapter == "" {
		m, err := loadBase(path, quantize, b, act, env)
		return m, nil, err
	}
	c, err := model.ReadConfig(path)
	if err != nil {
		return nil, nil, err
	}
	a, values, err := readFitting(adapter, c)
	if err != nil {
		return nil, nil, err
	}
	noteOtherBase(adapter, path, env)
	noteOtherForm(adapter, quantize, env)
	if folder, err := runfolder.AdapterFolder(adapter); err == nil {
		if scores, err := givesScores(folder); err == nil && scores {
			env.note(notAPolicy(adapter))
		}
	}
	m, err := loadBase(path, quantize, b, act, env)
	if err != nil {
		return nil, nil, err
	}
	return m, a, m.AllocAdapter(a, values)
}

// noteOtherBase tells where an adapter that fits was trained on another model, which
// is here too.
func noteOtherBase(adapter, base string, env Environment) {
	folder, err := runfolder.AdapterFolder(adapter)
	if err != nil {
		return
	}
	if own, err := model.AdapterBase(folder); err == nil && own != "" && has(own, "config.json") && !basemodel.Same(own, base) {
		env.note(fmt.Sprintf("adapter: %s was trained on %s, and is put on %s", adapter, own, base))
	}
}

// noteOtherForm tells where an adapter was trained on a base in blocks and is put on
// one in another form, from which its numbers differ.
func noteOtherForm(adapter, quantize string, env Environment) {
	if trained := adapterSetting(context.Background(), adapter, "quantize"); trained != "" && trained != quantize {
		form := "as stored"
		if quantize != "" {
			form = "held as " + quantize
		}
		env.note(fmt.Sprintf("quantize: %s was trained on its base held as %s, which is %s here: --quantize %s holds it so", adapter, trained, form, trained))
	}
}

// readFitting reads the adapter that a path stands for, for a base of the config.
func readFitting(path string, base model.Config) (*model.Adapter, []float32, error) {
	folder, err := runfolder.AdapterFolder(path)
	if err != nil {
		return nil, nil, err
	}
	a, values, err := model.ReadAdapter(folder, base)
	return a, values, prefixed("adapter", misfit(folder, err))
}

// misfit is the error of an adapter's reading with the base that it names, where it
// does not fit the one that it was read for.
func misfit(folder string, err error) error {
	if own, unnamed := model.AdapterBase(folder); errors.Is(err, model.ErrAdapterMisfit) && unnamed == nil && own != "" {
		return fmt.Errorf("%w (it names %s as its base model)", err, own)
	}
	return err
}
