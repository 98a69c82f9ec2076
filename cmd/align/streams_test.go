package main

import (
	"bytes"
	"strings"
)

// testStreams are streams that read text and write to buffers, as pipes do.
func testStreams(text string) (s *streams, out, err *bytes.Buffer) {
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	return &streams{in: strings.NewReader(text), out: out, err: err, width: pipeWidth}, out, err
}
