package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line of input, in bytes: a text of this length is no
// prompt, and a file without line ends must not fill the memory.
const maxLine = 64 << 20

// byteOrderMark stands at the beginning of texts that Windows writes.
var byteOrderMark = []byte("\ufeff")

// filterLines answers each line of in with a line that answer appends to its
// argument; blank lines are passed over. An error of answer gets the line's
// number. What is answered is written when no more input is waiting, so that a
// program on the other end of two pipes can ask line by line.
func filterLines(in io.Reader, out io.Writer, answer func(dst, line []byte) ([]byte, error)) error {
	r, w := bufio.NewReaderSize(in, 64<<10), bufio.NewWriter(out)
	var reply []byte
	for n := 1; ; n++ {
		line, err := readLine(r)
		if n == 1 {
			line = bytes.TrimPrefix(line, byteOrderMark)
		}
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err == nil && len(line) > 0 {
			reply, err = answer(reply[:0], line)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("line %d: %w", n, err), w.Flush())
		}
		if len(line) > 0 {
			if _, err := w.Write(append(reply, '\n')); err != nil {
				return err
			}
		}
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
}

// readLine reads a line without the space around it. The last one may lack its
// end. A line longer than the reader's buffer is put together.
func readLine(r *bufio.Reader) ([]byte, error) {
	var whole []byte
	for {
		part, err := r.ReadSlice('\n')
		whole = append(whole, part...)
		switch {
		case len(whole) > maxLine:
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		case err == nil || errors.Is(err, io.EOF) && len(whole) > 0:
			return bytes.TrimSpace(whole), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
