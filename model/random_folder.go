package model

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"align/internal/atomicfile"
	"align/internal/device"
	"align/internal/safetensors"
)

// RandomFolder says what WriteRandom writes.
type RandomFolder struct {
	Config Config
	// Tokenizer is a folder whose tokenizer's files are copied.
	Tokenizer string
	// ShardBytes is the size above which the weights are cut into files; 0 is
	// Hugging Face's 5 GB.
	ShardBytes int64
	Seed       uint64
}

// Outlier channels: of every outlierEvery input columns of a linear weight one
// is outlierScale times as large, as a few channels of trained models are
// (https://arxiv.org/abs/2208.07339, section 4), so that quantising meets
// blocks with one large value.
const (
	outlierEvery = 509
	outlierScale = 4 // steps of the exponent: 16 times
)

// WriteRandom writes the new Hugging Face folder dir: bfloat16 weights as those
// of Random, with outlier channels, in shards. It serves tests and measurements
// of sizes that no file at hand has; a row at a time is in memory.
func WriteRandom(dir string, o RandomFolder) error {
	if err := o.Config.validate(); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("model: %s exists: want the name of a new folder", dir)
	}
	if o.ShardBytes == 0 {
		o.ShardBytes = shardBytes
	}
	config, err := o.Config.json("bfloat16")
	if err != nil {
		return err
	}
	d, err := atomicfile.Stage(filepath.Dir(dir), filepath.Base(dir))
	if err != nil {
		return err
	}
	defer d.Abort()
	if err := errors.Join(d.WriteFile("config.json", atomicfile.Bytes(config)), o.copyTokenizer(d), writeShards(d, o.shards())); err != nil {
		return err
	}
	return d.Commit()
}

func (o RandomFolder) copyTokenizer(d *atomicfile.Dir) error {
	for _, name := range []string{"tokenizer.json", "tokenizer.model", "tokenizer_config.json"} {
		data, err := os.ReadFile(filepath.Join(o.Tokenizer, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := errors.Join(err, d.WriteFile(name, atomicfile.Bytes(data))); err != nil {
			return err
		}
	}
	return nil
}

// shards deals the weights out in their order.
func (o RandomFolder) shards() []shard {
	bits, shards := normalBits(device.BF16), []shard{{}}
	for _, w := range o.Config.weights() {
		rows, cols := w.shape()
		bytes := 2 * int64(rows) * int64(cols)
		last := &shards[len(shards)-1]
		if last.bytes > 0 && last.bytes+bytes > o.ShardBytes {
			shards = append(shards, shard{})
			last = &shards[len(shards)-1]
		}
		shape := []int{rows, cols}
		if w.cols == 0 {
			shape = shape[1:]
		}
		last.bytes += bytes
		last.tensors = append(last.tensors, safetensors.Tensor{Name: w.name, DType: safetensors.BF16, Shape: shape, Data: func(out io.Writer) error {
			return o.write(out, w, bits)
		}})
	}
	return shards
}

// one is 1 in bfloat16.
const one = 0x3f80

func (o RandomFolder) write(out io.Writer, w weightInfo, bits []uint32) error {
	rows, cols := w.shape()
	line := make([]byte, 2*cols)
	if w.cols == 0 {
		if _, module := w.module(); module == "" {
			for i := range cols {
				line[2*i], line[2*i+1] = one&0xff, one>>8
			}
		}
		_, err := out.Write(line)
		return err
	}
	name := fnv.New64a()
	name.Write([]byte(w.name))
	for row := range rows {
		fillBits(line, bits, 2, rand.NewPCG(o.Seed^name.Sum64(), uint64(row)))
		for i := outlierEvery / 2; w.isLinear() && i < cols; i += outlierEvery {
			x := uint16(line[2*i]) | uint16(line[2*i+1])<<8
			x += outlierScale << 7 // the exponent's last bit
			line[2*i], line[2*i+1] = byte(x), byte(x>>8)
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return nil
}
