package align

import (
	"align/internal/compute"
)

// openDevice opens the device that the settings name for the model.
func (s *stage) openDevice() (err error) {
	open := s.compute().Open
	if s.env.planning {
		open = s.compute().OpenPlanned
	}
	s.backend, s.act, err = open(s.env.Note, s.env.Threads)
	return err
}

// compute is what the settings ask for, with the precision settled.
func (s *stage) compute() compute.Settings {
	return compute.Settings{Device: s.settings.Device, Precision: s.settings.Precision, Memory: s.settings.Memory, Threads: s.settings.Threads}.For(s.config)
}
