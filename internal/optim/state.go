package optim

import (
	"context"
	"fmt"
	"io"

	"align/internal/device"
	"align/internal/safetensors"
)

// The names of the moments in a state file, as in PyTorch's optimizer state.
// Each is one vector of all elements, in the Flat's order and type: what a
// resumed run needs to go on to the last bit.
const (
	firstMoment  = "exp_avg"
	secondMoment = "exp_avg_sq"
)

// chunkElements is how much of a moment is on the host at a time.
const chunkElements = 1 << 18

// WriteMoments writes the moments as a safetensors file. Updates is not in it.
func (o *AdamW) WriteMoments(w io.Writer) error {
	return safetensors.Write(w, []safetensors.Tensor{
		o.tensor(firstMoment, o.flat.M),
		o.tensor(secondMoment, o.flat.V),
	}, nil)
}

func (o *AdamW) tensor(name string, v device.View) safetensors.Tensor {
	return safetensors.Tensor{Name: name, DType: dtypeOf(v), Shape: []int{v.Len()}, Data: func(w io.Writer) error {
		return inChunks(v, func(part device.View, buffer []byte) error {
			if err := o.backend.Download(buffer, part); err != nil {
				return err
			}
			_, err := w.Write(buffer)
			return err
		})
	}}
}

// ReadMoments reads what WriteMoments wrote for buffers of the same length and
// type. It ends with ctx; on an error the moments may be half read.
func (o *AdamW) ReadMoments(ctx context.Context, path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for name, v := range map[string]device.View{firstMoment: o.flat.M, secondMoment: o.flat.V} {
		if err := o.readMoment(ctx, f, name, v); err != nil {
			return fmt.Errorf("optim: %s: %w", path, err)
		}
	}
	return nil
}

func (o *AdamW) readMoment(ctx context.Context, f *safetensors.File, name string, v device.View) error {
	r, err := f.Reader(name)
	if err != nil {
		return err
	}
	if info, _ := f.Tensor(name); info.DType != dtypeOf(v) || r.Size() != v.Bytes() {
		return fmt.Errorf("tensor %q has %d bytes of %s, the optimizer %d of %s", name, r.Size(), info.DType, v.Bytes(), dtypeOf(v))
	}
	return inChunks(v, func(part device.View, buffer []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, buffer); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		return o.backend.Upload(part, buffer)
	})
}

func dtypeOf(v device.View) safetensors.DType {
	if v.Type == device.F64 {
		return safetensors.F64
	}
	return safetensors.F32
}

// inChunks calls do with one part of the vector after the other, and a host
// buffer of its size.
func inChunks(v device.View, do func(part device.View, buffer []byte) error) error {
	buffer := make([]byte, min(v.Len(), chunkElements)*v.Type.Size())
	for at := 0; at < v.Len(); at += chunkElements {
		part := v.Row(at, min(chunkElements, v.Len()-at))
		if err := do(part, buffer[:part.Bytes()]); err != nil {
			return err
		}
	}
	return nil
}
