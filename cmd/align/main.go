// Command align fine-tunes and aligns Llama models. One file per command:
// flags become a config, events become lines and bars. It does no maths.
//
// The rules of its output:
//
//   - stdout carries the result and nothing else; progress, notes and errors
//     go to stderr.
//   - An error is "align: <message>", then, where one step would help,
//     "align: hint: <that step>". Messages are lower case without a full stop.
//   - A terminal gets colours and a bar; a pipe gets one line per event, with
//     the same fields in the same order and no escape codes.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], systemStreams()))
}

// run runs one command line and returns the exit code.
func run(args []string, io *streams) int {
	out := &keptError{Writer: io.out}
	io.out = out
	root := newRootCommand(io)
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		err = out.err
	}
	return report(io, err)
}
