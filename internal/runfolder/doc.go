// Package runfolder is the folder that a run leaves behind: what lies in it and
// under which names (folder.go), who is at work in it (claim.go), the settings that it
// began with and which of them a run that goes on may change (resume.go), and which of
// its checkpoints a path stands for (trained.go, checkpoint.go).
//
// Other packages write what the names say: internal/train the log and the
// checkpoints, internal/report the page.
package runfolder
