package main

import (
	"fmt"
	"slices"

	"align/align"
	"align/internal/runfolder"

	"github.com/spf13/cobra"
)

// addCheckpointFlag adds --checkpoint to a command that takes runs.
func addCheckpointFlag(c *cobra.Command, which *string) {
	c.Flags().StringVar(which, "checkpoint", "", "`which` of a run's checkpoints: last, best (by its evaluations) or a step; none takes the last, or the best of a run that ended early")
}

// chosen is the folder that is taken of each path; what is to be told of the
// choice goes to note.
func chosen(which string, note func(string), paths ...*string) error {
	named := slices.ContainsFunc(paths, func(path *string) bool { return *path != "" && *path != align.BaseAlone })
	if which != "" && !named {
		return fmt.Errorf("--checkpoint %s is of a run, and none is named", which)
	}
	for _, path := range paths {
		if *path == "" || *path == align.BaseAlone {
			continue
		}
		folder, reason, err := runfolder.ChooseCheckpoint(*path, which)
		if err != nil {
			return err
		}
		if reason != "" {
			note(reason)
		}
		*path = folder
	}
	return nil
}
