package plan

import (
	"time"

	"align/datasets"
	"align/internal/compute"
	"align/internal/device"
	"align/internal/train"
	"align/model"
)

// Stage is a run, or a job that samples, before its weights are read: what its
// memory and its time hang on.
type Stage struct {
	Method   string
	Settings *train.Settings
	// Compute is what the settings ask for, with the precision settled; Backend
	// and Act are the device and the type of activations that it opened.
	Compute compute.Settings
	Backend compute.Backend
	Act     device.Type
	// Base is the path of the base model, "" for a model from nothing.
	Base   string
	Config model.Config
	// Head is the name of the head that is trained with the adapter, or "".
	Head string
	// Noise is sft's neftune_noise_alpha.
	Noise float64
	// Shares are those of a mixture; none is one set of data.
	Shares []datasets.Share
	// EvalEvery is that of the settings in steps.
	EvalEvery int
	// Calibration is how long this machine is measured; 0 takes two seconds.
	Calibration time.Duration
	// Note gets one line for every derived setting, with its reason.
	Note func(string)

	// allRows says that sft and pretrain compute the last layer at every row.
	allRows bool
}
