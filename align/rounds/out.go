package rounds

import (
	"fmt"

	"align/internal/runfolder"
)

// CheckOut tries the folder that a new job would write to, as the job itself does;
// nothing stays behind.
func CheckOut(out string) error {
	if isThere(out, SettingsFile) {
		return fmt.Errorf("%s holds a job of rounds already: take another folder", out)
	}
	return runfolder.CheckFree(out)
}
