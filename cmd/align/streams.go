package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// streams are what a command reads and writes, and what is known of them. A
// command touches no other stream, so that a test can give it buffers.
type streams struct {
	in       io.Reader
	out, err io.Writer
	// inTTY, outTTY and errTTY: the stream is a terminal.
	inTTY, outTTY, errTTY bool
	// colour allows colours on those of out and err that are terminals.
	colour bool
	// width is the terminal's width in cells.
	width int
}

// pipeWidth is the width where there is no terminal to ask: that of the
// classic one.
const pipeWidth = 80

// systemStreams are the process's own. NO_COLOR (https://no-color.org) and
// TERM=dumb turn colours off.
func systemStreams() *streams {
	return &streams{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		inTTY: isTerminal(os.Stdin), outTTY: isTerminal(os.Stdout), errTTY: isTerminal(os.Stderr),
		colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		width:  terminalWidth(),
	}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func terminalWidth() int {
	for _, f := range []*os.File{os.Stderr, os.Stdout} {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return pipeWidth
}

// outStyle and errStyle are the styles of the two streams.
func (s *streams) outStyle() style { return style{on: s.colour && s.outTTY} }
func (s *streams) errStyle() style { return style{on: s.colour && s.errTTY} }

// keptError keeps the first error of a stream: a result that could not be written, as on
// a full disk, is a failure wherever it was printed. One that nobody reads any more is
// told elsewhere.
type keptError struct {
	io.Writer
	err error
}

func (k *keptError) Write(b []byte) (int, error) {
	n, err := k.Writer.Write(b)
	if err != nil && k.err == nil && !isUnread(err) {
		k.err = err
	}
	return n, err
}
