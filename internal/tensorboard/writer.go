// Package tensorboard writes scalars as TensorBoard reads them: a file of
// framed records, each an Event of tensorflow/core/util/event.proto. The few
// fields in use are encoded here by hand
// (https://protobuf.dev/programming-guides/encoding).
package tensorboard

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"time"
)

// Writer appends to one event file.
type Writer struct {
	file  *os.File
	clock func() time.Time
	buf   []byte
}

// Scalar is one value of a step under its tag.
type Scalar struct {
	Tag   string
	Value float64
}

// Create starts a new event file in dir, which is made where it is missing. A
// run that goes on after a step gives it as from: TensorBoard then drops what
// older files have beyond it; 0 is a new run.
func Create(dir string, from int) (*Writer, error) { return create(dir, from, time.Now) }

func create(dir string, from int, clock func() time.Time) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	// TensorBoard reads the files of a folder by name, and wants "tfevents" in it.
	name := fmt.Sprintf("events.out.tfevents.%d.align.%d", clock().UnixNano(), os.Getpid())
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	w := &Writer{file: f, clock: clock}
	err = w.write(appendBytes(w.event(0), eventFileVersion, []byte("brain.Event:2")))
	if err == nil && from > 0 {
		start := binary.AppendUvarint(appendTag(nil, sessionStatus, wireVarint), sessionStart)
		err = w.write(appendBytes(w.event(from+1), eventSessionLog, start))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

// Add appends the scalars of a step, as 32-bit numbers.
func (w *Writer) Add(step int, scalars []Scalar) error {
	var summary []byte
	for _, s := range scalars {
		value := appendBytes(nil, valueTag, []byte(s.Tag))
		value = binary.LittleEndian.AppendUint32(appendTag(value, valueSimple, wireFixed32), math.Float32bits(float32(s.Value)))
		summary = appendBytes(summary, summaryValue, value)
	}
	return w.write(appendBytes(w.event(step), eventSummary, summary))
}

// Close closes the file.
func (w *Writer) Close() error {
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("tensorboard: %w", err)
	}
	return nil
}

// Field numbers of event.proto and summary.proto.
const (
	eventWallTime    = 1 // double, seconds since 1970
	eventStep        = 2 // int64
	eventFileVersion = 3 // string
	eventSummary     = 5 // Summary
	eventSessionLog  = 7 // SessionLog
	summaryValue     = 1 // repeated Value
	valueTag         = 1 // string
	valueSimple      = 2 // float
	sessionStatus    = 1 // SessionStatus
	sessionStart     = 1 // its START
)

// Wire types.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// event begins an Event; a field of 0 is left out, as proto3 does.
func (w *Writer) event(step int) []byte {
	seconds := float64(w.clock().UnixMicro()) / 1e6
	b := binary.LittleEndian.AppendUint64(appendTag(nil, eventWallTime, wireFixed64), math.Float64bits(seconds))
	if step != 0 {
		b = binary.AppendUvarint(appendTag(b, eventStep, wireVarint), uint64(step))
	}
	return b
}

func appendTag(b []byte, field, wire uint64) []byte {
	return binary.AppendUvarint(b, field<<3|wire)
}

func appendBytes(b []byte, field uint64, data []byte) []byte {
	b = binary.AppendUvarint(appendTag(b, field, wireBytes), uint64(len(data)))
	return append(b, data...)
}

// write appends one record: length, its checksum, data, their checksum
// (tensorflow/core/lib/io/record_writer.h).
func (w *Writer) write(data []byte) error {
	w.buf = binary.LittleEndian.AppendUint64(w.buf[:0], uint64(len(data)))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, masked(w.buf))
	w.buf = append(w.buf, data...)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, masked(data))
	if _, err := w.file.Write(w.buf); err != nil {
		return fmt.Errorf("tensorboard: %w", err)
	}
	return nil
}

// masked is the checksum of a record: CRC-32C, rotated and shifted so that the
// checksum of data with checksums in it stays good.
func masked(data []byte) uint32 {
	crc := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return (crc>>15 | crc<<17) + 0xa282ead8
}
