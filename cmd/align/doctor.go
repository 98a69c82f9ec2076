package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"align/internal/compute"
	"align/internal/doctor"
	"align/internal/host"

	"github.com/spf13/cobra"
)

type doctorOptions struct {
	compute compute.Settings
	output
	io *streams
}

func newDoctorCommand(io *streams) *cobra.Command {
	o := &doctorOptions{io: io}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine",
		Long: `doctor tells what of this machine align uses: the processor's instructions and
the kernels chosen for them, each run once and compared with its portable twin;
threads, memory and its limit, the GPU or why there is none, free disk, and the
cache folder. It fails where a run would. Each NVIDIA card has all its kernels
compared with the processor's; the driver translates them for the card before, which
takes some seconds the first time, and keeps that for the runs that follow.`,
		Example: `  align doctor
  ALIGN_CPU=avx2 align doctor
  align doctor --json`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return runDoctor(o) },
	}
	addComputeFlags(c, &o.compute)
	addOutputFlags(c, &o.output, "print one JSON object")
	return c
}

func runDoctor(o *doctorOptions) error {
	findings, err := doctor.Examine(o.compute, host.CacheDir())
	if o.json {
		if printed := printJSON(o.io.out, findings); printed != nil {
			return printed
		}
		return err
	}
	if !o.quiet {
		if printed := printFindings(o.io.out, findings); printed != nil {
			return printed
		}
	}
	return err
}

func printFindings(w io.Writer, f *doctor.Findings) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("processor", "%s, %s/%s", orUnknown(f.Processor), f.OS, f.Arch)
	line("level", "%s of %s%s", f.Level, f.Highest, f.Reason)
	for _, k := range f.Kernels {
		result := "ok"
		if k.Fault != "" {
			result = k.Fault
		}
		line("kernels", "%s: %s", k.Name, result)
	}
	line("threads", "%d of %d", f.Threads, f.Processors)
	if f.MemoryTotal > 0 {
		limit := ""
		if f.MemoryLimit > 0 {
			limit = fmt.Sprintf(", limited to %s by the control group", size(f.MemoryLimit))
		}
		line("memory", "%s, %s available%s", size(f.MemoryTotal), size(f.MemoryAvailable), limit)
	} else {
		line("memory", "unknown on this system")
	}
	line("gpu", "%s", f.GPU)
	for _, c := range f.Cards {
		line("card", "%s", describeCard(c))
		describeProofs(c, line)
		for _, p := range c.Products {
			line("product", "%d: %dx%dx%d by %s: %s", c.Ordinal, p.Rows, p.Out, p.In, p.Kernel, p.Reason)
		}
	}
	line("disk", "%s free in this folder", size(f.DiskFree))
	line("cache", "%s (%s), %s free", orUnknown(f.CacheDir), f.CacheState, size(f.CacheFree))
	for _, problem := range f.Problems {
		line("problem", "%s", problem)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func describeCard(c doctor.Card) string {
	text := fmt.Sprintf("%d: %s, compute capability %s, %s", c.Ordinal, c.Name, c.Capability, size(int64(c.MemoryTotal)))
	if c.Fault != "" {
		return text + ": " + c.Fault
	}
	return fmt.Sprintf("%s, %s free", text, size(int64(c.MemoryFree)))
}

// describeProofs tells what of a card's kernels was proven.
func describeProofs(c doctor.Card, line func(name, format string, args ...any)) {
	if len(c.Proven) > 0 {
		line("proven", "%d: %s", c.Ordinal, strings.Join(families(c.Proven), ", "))
	}
	for _, wrong := range c.Wrong {
		line("wrong", "%d: %s", c.Ordinal, wrong)
	}
	if c.Instead != "" {
		line("wrong", "%d: %s", c.Ordinal, c.Instead)
	}
}

// families are files of kernels, those for several instructions as one.
func families(files []string) (names []string) {
	for _, name := range files {
		switch {
		case strings.HasSuffix(name, "_sm90") || strings.HasSuffix(name, "_tma"):
			continue
		case slices.Contains(files, name+"_tma"):
			name += " (mma, wgmma, tma)"
		case slices.Contains(files, name+"_sm90"):
			name += " (mma, wgmma)"
		}
		names = append(names, name)
	}
	return names
}

func orUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}
