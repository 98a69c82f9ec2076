package safetensors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"align/internal/tensorfile"

	"github.com/go-json-experiment/json"
)

// Source is a File or a Model.
type Source interface {
	Tensor(name string) (Info, bool)
	ReadInto(name string, dst []byte) error
}

// The names that bitsandbytes adds to that of a weight.
const (
	nf4StateSuffix  = ".quant_state.bitsandbytes__nf4"
	absMaxSuffix    = ".absmax"
	mapSuffix       = ".quant_map"
	nestedSuffix    = ".nested_absmax"
	nestedMapSuffix = ".nested_quant_map"
)

// maxState bounds the JSON of a quantisation state; real ones have 200 bytes.
const maxState = 1 << 16

// nf4State is that JSON.
type nf4State struct {
	Type         string  `json:"quant_type"`
	Block        int     `json:"blocksize"`
	DType        string  `json:"dtype"` // PyTorch's name
	Shape        []int   `json:"shape"`
	NestedBlock  int     `json:"nested_blocksize"`
	NestedDType  string  `json:"nested_dtype"`
	NestedOffset float32 `json:"nested_offset"`
}

// HasNF4 reports whether the weight called name is stored as NF4.
func HasNF4(s Source, name string) bool {
	_, ok := s.Tensor(name + nf4StateSuffix)
	return ok
}

// ReadNF4 reads the weight called name of a model that bitsandbytes quantised
// to NF4, with scales in float32 or doubly quantised.
func ReadNF4(s Source, name string) (NF4, error) {
	q, err := readNF4(s, name)
	if err != nil {
		return NF4{}, fmt.Errorf("safetensors: NF4 weight %s: %w", tensorfile.Quote(name), err)
	}
	return q, nil
}

func readNF4(s Source, name string) (NF4, error) {
	state, n, err := readState(s, name+nf4StateSuffix)
	if err != nil {
		return NF4{}, err
	}
	q := NF4{Shape: state.Shape, DType: state.dtype(), Block: state.Block}
	if q.Packed, err = readBytes(s, name, (n+1)/2); err != nil {
		return NF4{}, err
	}
	code, err := readFloats(s, name+mapSuffix, 16)
	if err != nil {
		return NF4{}, err
	}
	if want := NF4Code(); !slices.Equal(code, want[:]) {
		return NF4{}, errors.New("its quant_map is not that of NF4")
	}
	q.AbsMax, err = readScales(s, name, state, (n+state.Block-1)/state.Block)
	return q, err
}

// readState reads and checks the state, and returns the number of elements.
func readState(s Source, name string) (state nf4State, n int, err error) {
	info, ok := s.Tensor(name)
	if !ok {
		return state, 0, fmt.Errorf("no tensor %s", tensorfile.Quote(name))
	}
	if info.DType != U8 || info.Bytes > maxState {
		return state, 0, fmt.Errorf("state is %d bytes of %s, want U8 and at most %d", info.Bytes, info.DType, maxState)
	}
	raw := make([]byte, info.Bytes)
	if err := s.ReadInto(name, raw); err != nil {
		return state, 0, err
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		return state, 0, fmt.Errorf("state: %w", err)
	}
	size, err := bytesOf(U8, state.Shape)
	switch {
	case state.Type != "nf4":
		err = fmt.Errorf("quant_type is %q, want nf4", state.Type)
	case state.Block < 1 || state.Block > 4096:
		err = fmt.Errorf("blocksize is %d, want 1 to 4096", state.Block)
	case state.dtype() == "":
		err = fmt.Errorf("dtype %q is not float32, float16 or bfloat16", state.DType)
	case state.NestedBlock < 0:
		err = fmt.Errorf("nested_blocksize is %d", state.NestedBlock)
	}
	return state, int(size), err
}

func (s nf4State) dtype() DType {
	switch s.DType {
	case "float32":
		return F32
	case "float16":
		return F16
	case "bfloat16":
		return BF16
	}
	return ""
}

// readScales reads count scales, plain or doubly quantised.
func readScales(s Source, name string, state nf4State, count int) ([]float32, error) {
	info, _ := s.Tensor(name + absMaxSuffix)
	if info.DType == F32 {
		return readFloats(s, name+absMaxSuffix, count)
	}
	if state.NestedBlock == 0 || state.NestedDType != "float32" {
		return nil, fmt.Errorf("scales are %s, nested_blocksize %d and nested_dtype %q", info.DType, state.NestedBlock, state.NestedDType)
	}
	codes, err := readBytes(s, name+absMaxSuffix, count)
	if err != nil {
		return nil, err
	}
	nested, err := readFloats(s, name+nestedSuffix, (count+state.NestedBlock-1)/state.NestedBlock)
	if err != nil {
		return nil, err
	}
	values, err := readFloats(s, name+nestedMapSuffix, 256)
	if err != nil {
		return nil, err
	}
	scales := Scales{Codes: codes, Map: [256]float32(values), Nested: nested, Offset: state.NestedOffset, Block: state.NestedBlock}
	return scales.Expand(), nil
}

// readBytes reads a tensor of n elements of U8.
func readBytes(s Source, name string, n int) ([]byte, error) {
	if err := checkTensor(s, name, U8, n); err != nil {
		return nil, err
	}
	raw := make([]byte, n)
	return raw, s.ReadInto(name, raw)
}

// readFloats reads a tensor of n elements of F32.
func readFloats(s Source, name string, n int) ([]float32, error) {
	if err := checkTensor(s, name, F32, n); err != nil {
		return nil, err
	}
	raw := make([]byte, 4*n)
	if err := s.ReadInto(name, raw); err != nil {
		return nil, err
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out, nil
}

// checkTensor compares type and size before anything is allocated.
func checkTensor(s Source, name string, d DType, n int) error {
	info, ok := s.Tensor(name)
	if !ok {
		return fmt.Errorf("no tensor %s", tensorfile.Quote(name))
	}
	if info.DType != d || info.Bytes/int64(d.Bits()/8) != int64(n) {
		return fmt.Errorf("tensor %s is %s %v, want %d elements of %s", tensorfile.Quote(name), info.DType, info.Shape, n, d)
	}
	return nil
}
