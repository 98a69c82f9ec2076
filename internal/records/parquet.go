package records

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// parquetMagic begins and ends a Parquet file.
	parquetMagic = "PAR1"
	// rowsPerRead is how many rows are decoded at once.
	rowsPerRead = 64
)

// rowReader reads the rows of a Parquet file, row group by row group.
type rowReader struct {
	path   string
	source *source
	file   *parquet.File
	groups []parquet.RowGroup
	rows   parquet.Rows
	buffer []parquet.Row
	ready  []parquet.Row // decoded and not yet returned
	record int
	scan   [][]parquet.Value // the values of the row by leaf column
}

func (r *Reader) startParquet() error {
	r.format = "Parquet"
	file, size, err := r.randomAccess()
	if err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	t := &rowReader{path: r.path, source: r.source, buffer: make([]parquet.Row, rowsPerRead)}
	err = t.guard(func() error {
		if err := checkFooter(file, size); err != nil {
			return err
		}
		t.file, err = parquet.OpenFile(file, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
		if err != nil {
			return err
		}
		t.groups = t.file.RowGroups()
		return errors.Join(checkCodecs(t.file), checkGrowth(t.file))
	})
	r.source.closers = append(r.source.closers, t.close)
	r.next = t.next
	return err
}

// randomAccess is the file itself, or an uncompressed copy of it: the footer
// stands at the end.
func (r *Reader) randomAccess() (io.ReaderAt, int64, error) {
	if r.source.compression == "" && r.source.size > 0 {
		return progressAt{r.source}, r.source.size, nil
	}
	copied, err := os.CreateTemp("", "align-*.parquet")
	if err != nil {
		return nil, 0, err
	}
	r.source.closers = append(r.source.closers, func() error {
		return errors.Join(copied.Close(), os.Remove(copied.Name()))
	})
	size, err := io.Copy(copied, r.source.text)
	if err != nil {
		return nil, 0, err
	}
	return copied, size, nil
}

// checkFooter checks the length of the footer before memory is taken for it.
func checkFooter(file io.ReaderAt, size int64) error {
	var tail [8]byte
	if size < int64(len(parquetMagic)+len(tail)) {
		return errTruncatedParquet
	}
	if _, err := file.ReadAt(tail[:], size-int64(len(tail))); err != nil {
		return err
	}
	length := int64(binary.LittleEndian.Uint32(tail[:]))
	if string(tail[4:]) != parquetMagic || length > size-int64(len(parquetMagic)+len(tail)) {
		return errTruncatedParquet
	}
	return nil
}

var errTruncatedParquet = errors.New("it does not end in a footer: the file is truncated")

// codecs are the compressions that are read. LZ4 is not: the library decodes a page of it
// into memory of its own and then reads the page's, which holds zeros or another page;
// of a broken one it makes ever larger memory.
var codecs = []format.CompressionCodec{format.Uncompressed, format.Snappy, format.Gzip, format.Brotli, format.Zstd}

// checkCodecs refuses columns in another compression.
func checkCodecs(file *parquet.File) error {
	for _, group := range file.Metadata().RowGroups {
		for _, c := range group.Columns {
			if !slices.Contains(codecs, c.MetaData.Codec) {
				return fmt.Errorf("column %q is compressed with %v, which is not read: write the file with snappy, gzip, zstd or brotli", strings.Join(c.MetaData.PathInSchema, "."), c.MetaData.Codec)
			}
		}
	}
	return nil
}

// checkGrowth holds the columns to the bounds of compressed data, by what the
// footer says of them.
func checkGrowth(file *parquet.File) error {
	for _, group := range file.Metadata().RowGroups {
		for _, c := range group.Columns {
			if c.MetaData.TotalUncompressedSize > maxRatio*max(c.MetaData.TotalCompressedSize, 0)+ratioSlack {
				return errBomb
			}
		}
	}
	return nil
}

// progressAt counts what is read of the file as progress.
type progressAt struct{ s *source }

func (p progressAt) ReadAt(b []byte, at int64) (int, error) {
	n, err := p.s.file.ReadAt(b, at)
	p.s.raw.n = min(p.s.raw.n+int64(n), p.s.size)
	return n, err
}

// guard turns a panic of the library on a hostile file into an error.
func (t *rowReader) guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: broken Parquet data: %v", t.path, p)
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: bad Parquet data: %w", t.path, err)
	}
	return nil
}

func (t *rowReader) next() (Record, error) {
	for len(t.ready) == 0 {
		if t.rows == nil && len(t.groups) == 0 {
			return Record{}, io.EOF
		}
		if err := t.guard(t.fill); err != nil {
			return Record{}, err
		}
	}
	row := t.ready[0]
	t.ready = t.ready[1:]
	t.record++
	record := Record{Place: Place{File: t.path, Record: t.record}}
	var bad *RecordError
	err := t.guard(func() error {
		var err error
		record.Fields, bad, err = t.fields(row)
		return err
	})
	if err == nil && bad != nil {
		bad.Place = record.Place
		return Record{}, bad
	}
	return record, err
}

// fill reads the next rows, of the open row group or of the next one.
func (t *rowReader) fill() error {
	if t.rows == nil {
		t.rows, t.groups = t.groups[0].Rows(), t.groups[1:]
	}
	n, err := t.rows.ReadRows(t.buffer)
	t.ready = t.buffer[:n]
	if err == nil && n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	if err != io.EOF {
		return err
	}
	err = t.rows.Close()
	t.rows = nil
	return err
}

func (t *rowReader) close() error {
	if t.rows == nil {
		return nil
	}
	return t.guard(t.rows.Close)
}
