package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

type versionOptions struct {
	output
	io *streams
}

func newVersionCommand(io *streams) *cobra.Command {
	o := &versionOptions{io: io}
	c := &cobra.Command{
		Use:   "version [--json]",
		Short: "Print the version",
		Long: `version prints the module version, the revision it was built from, the Go
version and the platform.`,
		Example: `  align version
  align version --json
  align version | head -1`,
		Args:                  noArguments,
		DisableFlagsInUseLine: true,
		RunE:                  func(*cobra.Command, []string) error { return runVersion(o) },
	}
	addOutputFlags(c, &o.output, "print one JSON object")
	return c
}

// build is what is known of the program's own making.
type build struct {
	V        int    `json:"v"`
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func readBuild() build {
	b := build{V: 1, Version: "(devel)", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func runVersion(o *versionOptions) error {
	b := readBuild()
	if o.json {
		return printJSON(o.io.out, b)
	}
	revision := b.Revision
	switch {
	case revision == "":
		revision = "unknown"
	case b.Modified:
		revision += " with changes"
	}
	_, err := fmt.Fprintf(o.io.out, "align %s\nrevision %s\n%s %s/%s\n", b.Version, revision, b.Go, b.OS, b.Arch)
	return err
}
