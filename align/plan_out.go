package align

import (
	"errors"

	"align/internal/place"
	"align/internal/runfolder"
	"align/rejection"
)

// CheckOut tries the folder that a new run of a method would write to, as the run itself
// does before anything is read; nothing stays behind.
func CheckOut(method, out string) error {
	if method == "rejection" {
		return errors.Join(place.CheckName(out), rejection.CheckFolder(out, false), runfolder.CheckWritable(out))
	}
	return runfolder.CheckFree(out)
}
