package align

import (
	"errors"
	"fmt"

	"align/rejection"
)

// CheckOut tries the folder that a new run of a method would write to, as the run itself
// does before anything is read; nothing stays behind.
func CheckOut(method, out string) error {
	switch {
	case method == "rejection":
		return errors.Join(checkName(out), rejection.CheckFolder(out, false), folderError(checkWritable(out)))
	case method == "rounds" && has(out, RoundsFile):
		return fmt.Errorf("%s holds a job of rounds already: take another folder", out)
	}
	return checkFree(out)
}
