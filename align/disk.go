package align

import (
	"fmt"

	"align/internal/host"
	"align/internal/runfolder"
)

// bytesPerTrained are what a checkpoint has of a trained value: itself and AdamW's
// two moments, in float32. What it has besides is small.
const bytesPerTrained = 3 * 4

// checkDisk refuses a run whose first checkpoint would find the disk full, and notes
// where those that are kept would. A checkpoint is whole before an older one goes.
func (s *stage) checkDisk(free func(dir string) (int64, error)) error {
	left, err := free(s.run)
	if err != nil || left <= 0 { // some file systems do not tell
		return nil
	}
	one := int64(s.trainedValues()) * bytesPerTrained
	if left < one && s.settings.Resume {
		if err := runfolder.MakeRoom(s.run, s.settings.Keep); err != nil {
			return err
		}
		if left, err = free(s.run); err != nil {
			return nil
		}
	}
	switch {
	case left < one:
		return fmt.Errorf("%s: a checkpoint takes about %s, and the disk has %s left", s.run, host.FormatSize(one), host.FormatSize(left))
	case !s.settings.Resume && left < one*int64(s.settings.Keep+1):
		s.env.note(fmt.Sprintf("disk: %s left, and a checkpoint takes about %s: there is no room for %d of them and the next (keep)", host.FormatSize(left), host.FormatSize(one), s.settings.Keep))
	}
	return nil
}

func (s *stage) trainedValues() int {
	if s.full != nil {
		return s.full.Parameters()
	}
	return s.adapter.Parameters()
}
