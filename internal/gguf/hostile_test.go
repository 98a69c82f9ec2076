package gguf

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
)

// raw builds files byte by byte.
type raw struct{ bytes.Buffer }

func (r *raw) u32(v uint32) *raw { r.Write(binary.LittleEndian.AppendUint32(nil, v)); return r }
func (r *raw) u64(v uint64) *raw { r.Write(binary.LittleEndian.AppendUint64(nil, v)); return r }
func (r *raw) str(s string) *raw { r.u64(uint64(len(s))).WriteString(s); return r }

// head begins a file.
func head(version uint32, tensors, pairs uint64) *raw {
	r := &raw{}
	r.WriteString(magic)
	return r.u32(version).u64(tensors).u64(pairs)
}

// pair appends a key with a value of four bytes.
func (r *raw) pair(key string, t valueType, v uint32) *raw { return r.str(key).u32(uint32(t)).u32(v) }

// tensor appends a tensor's description.
func (r *raw) tensor(name string, t uint32, offset uint64, shape ...uint64) *raw {
	r.str(name).u32(uint32(len(shape)))
	for _, n := range shape {
		r.u64(n)
	}
	return r.u32(t).u64(offset)
}

// data pads to the alignment and appends n bytes.
func (r *raw) data(alignment, n int) []byte {
	r.Write(make([]byte, -r.Len()&(alignment-1)+n))
	return r.Bytes()
}

const negative = 1<<64 - 1 // -1 as the file holds it

// The kinds of llama.cpp's tests/test-gguf.cpp, one for one, under its names.
// Those that it takes are taken, with the data that a whole file has.
func TestKindsOfLlamaCpp(t *testing.T) {
	i8, i64 := uint32(I8), uint32(I64)
	tests := []struct {
		name string
		file []byte
		want string // empty: the file is good
	}{
		{"HEADER_BAD_MAGIC", append([]byte("FUGG"), head(3, 0, 0).Bytes()[4:]...), `begins with "FUGG", want "GGUF"`},
		{"HEADER_BAD_VERSION_0", head(0, 0, 0).Bytes(), "version 0 does not exist"},
		{"HEADER_BAD_VERSION_1", head(1, 0, 0).Bytes(), "version 1 is not read"},
		{"HEADER_BAD_VERSION_FUTURE", head(4, 0, 0).Bytes(), "version 4 is newer than 3"},
		{"HEADER_BAD_N_TENSORS", head(3, negative, 0).Bytes(), "number of tensors 18446744073709551615 is above the limit"},
		{"HEADER_BAD_N_KV", head(3, 0, negative).Bytes(), "number of keys 18446744073709551615 is above the limit"},
		{"HEADER_EMPTY", head(3, 0, 0).Bytes(), ""},

		{"KV_BAD_KEY_SIZE", head(3, 0, 1).u64(negative).u64(0).u64(0).Bytes(), "length of key 18446744073709551615 is above the limit"},
		{"KV_EMPTY_KEY", head(3, 0, 1).pair("", typeUint32, 1).Bytes(), "key 0 is empty"},
		{"KV_BAD_TYPE", head(3, 0, 1).pair("my_key_0", 13, 1).Bytes(), `"my_key_0": value type 13 is not known`},
		{"KV_DUPLICATE_KEY", head(3, 0, 2).pair("my_key_0", typeUint32, 1).pair("my_key_0", typeUint32, 1).Bytes(), `"my_key_0" occurs twice`},
		{"KV_BAD_ALIGN", head(3, 0, 1).pair(alignmentKey, typeUint32, 13).Bytes(), "is 13, want a power of two"},
		{"KV_WRONG_TYPE_ALIGN", head(3, 0, 1).pair(alignmentKey, typeInt32, 13).Bytes(), "has type int32, want uint32"},
		{"KV_SUCCESS", head(3, 0, 2).pair("a", typeInt32, 1).pair("b", typeFloat32, 1).Bytes(), ""},

		{"TENSORS_BAD_NAME_SIZE", head(3, 1, 0).tensor(strings.Repeat("n", 64), i8, 0, 32).data(32, 32), "name has 64 bytes, the limit is 63"},
		{"TENSORS_BAD_N_DIMS", head(3, 1, 0).tensor("t", i8, 0, 1, 1, 1, 1, 1).data(32, 32), "5 dimensions, the limit is 4"},
		{"TENSORS_BAD_SHAPE", head(3, 1, 0).tensor("t", i8, 0, negative).data(32, 32), "dimension 0 is -1"},
		{"TENSORS_ZERO_DIM", head(3, 1, 0).tensor("t", i8, 0, 32, 0).data(32, 0), ""},
		{"TENSORS_NE_TOO_BIG", head(3, 1, 0).tensor("t", i8, 0, 4*(1<<31-1), 4*(1<<31-1)).data(32, 32), "number of elements of shape [8589934588 8589934588] overflows"},
		{"TENSORS_NBYTES_TOO_BIG", head(3, 1, 0).tensor("t", i64, 0, 1533916890, 1533916890).data(32, 32), "size of shape [1533916890 1533916890] of I64 overflows"},
		{"TENSORS_BAD_TYPE", head(3, 1, 0).tensor("t", 40, 0, 32).data(32, 32), "type 40 is not known"},
		{"TENSORS_BAD_OFFSET", head(3, 1, 0).tensor("t", i8, negative, 32).data(32, 32), "offset 18446744073709551615 is too large"},
		{"TENSORS_DUPLICATE_NAME", head(3, 2, 0).tensor("t", i8, 0, 32).tensor("t", i8, 32, 32).data(32, 64), `"t" occurs twice`},
		{"TENSORS_BAD_ALIGN", head(3, 1, 1).pair(alignmentKey, typeUint32, 13).tensor("t", i8, 0, 32).data(32, 32), "is 13, want a power of two"},
		{"TENSORS_INCONSISTENT_ALIGN", head(3, 2, 0).tensor("t", i8, 0, 1).tensor("u", i8, 1, 1).data(32, 64), `"u" has offset 1, want 32 with an alignment of 32`},
		{"TENSORS_SUCCESS", head(3, 2, 0).tensor("t", i8, 0, 1).tensor("u", i8, 32, 1).data(32, 64), ""},
		{"TENSORS_CUSTOM_ALIGN", head(3, 2, 1).pair(alignmentKey, typeUint32, 1).tensor("t", i8, 0, 1).tensor("u", i8, 1, 1).data(1, 2), ""},

		{"DATA_NOT_ENOUGH_DATA", head(3, 1, 0).tensor("t", i8, 0, 32).data(32, 31), `"t" has 32 bytes at 0, the file has 31 bytes of data`},
		{"DATA_BAD_ALIGN", head(3, 1, 1).pair(alignmentKey, typeUint32, 13).tensor("t", i8, 0, 32).data(32, 32), "is 13, want a power of two"},
		{"DATA_INCONSISTENT_ALIGN", head(3, 2, 0).tensor("t", i8, 0, 33).tensor("u", i8, 33, 33).data(32, 128), `"u" has offset 33, want 64`},
		{"DATA_MEM_SIZE_OVERFLOW", head(3, 2, 0).tensor("t", i8, 0, 0x7fffffffffffffc0).tensor("u", i8, 0x7fffffffffffffc0, 0x7fffffffffffffc0).data(32, 32), `"t" has 9223372036854775744 bytes at 0, the file has 32`},
		{"DATA_SUCCESS", head(3, 1, 0).tensor("t", i8, 0, 32).data(32, 32), ""},
		{"DATA_CUSTOM_ALIGN", head(3, 1, 1).pair(alignmentKey, typeUint32, 1).tensor("t", i8, 0, 3).data(1, 3), ""},
	}
	for _, tt := range tests {
		checkFile(t, tt.name, tt.file, tt.want)
	}
}

// checkFile reads a file and compares the error with want; empty: none.
func checkFile(t *testing.T, name string, file []byte, want string) {
	t.Helper()
	_, err := New(bytes.NewReader(file), int64(len(file)))
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got %v, want %q", name, err, want)
	case err != nil && len(err.Error()) > 500:
		t.Errorf("%s: message has %d bytes", name, len(err.Error()))
	}
}

// Published faults of other readers, by their numbers, and their neighbours.
func TestPublishedFaults(t *testing.T) {
	array := func(elem valueType, n uint64) *raw {
		return head(3, 0, 1).str("k").u32(uint32(typeArray)).u32(uint32(elem)).u64(n)
	}
	i8 := uint32(I8)
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"CVE-2024-21802, more dimensions than fit", head(3, 1, 0).tensor("t", i8, 0, 1, 1, 1, 1, 1, 1, 1, 1).data(32, 32), "8 dimensions"},
		{"CVE-2025-53630, sum of the sizes wraps", head(3, 2, 0).tensor("a", i8, 0, 1<<63-64).tensor("b", i8, 1<<63-64, 1<<63-64).data(32, 64), "the file has 64 bytes"},
		{"GHSA-vgg9-87g3-85w8, the same with an offset that wraps", head(3, 3, 0).tensor("a", i8, 0, 1<<63-64).tensor("b", i8, 1<<63-64, 64).tensor("c", i8, 1<<63, 64).data(32, 64), "is too large"},
		{"CVE-2026-27940, padded sum wraps to a small one", head(3, 3, 0).tensor("a", i8, 0, 1<<63-1).tensor("b", i8, 1<<62, 1<<63-1).tensor("c", i8, 0, 64).data(32, 64), "the file has 64 bytes"},
		{"CVE-2026-33298, bytes of a tensor wrap", head(3, 1, 0).tensor("a", uint32(F64), 0, 1<<61, 1).data(32, 64), "overflows"},
		{"CVE-2026-33298, product of the dimensions wraps", head(3, 1, 0).tensor("a", i8, 0, 1<<32, 1<<32, 1, 1).data(32, 64), "overflows"},
		{"zackshen/gguf 15, product wraps to 2", head(3, 1, 0).tensor("a", uint32(F32), 0, negative, 2).data(32, 64), "dimension 0 is -1"},
		{"gguf-tools 28, alignment of zero", head(3, 0, 1).pair(alignmentKey, typeUint32, 0).Bytes(), "is 0, want a power of two"},
		{"gguf-tools 28, nine dimensions", head(3, 1, 0).tensor("t", i8, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1).data(32, 32), "9 dimensions"},
		{"ollama CVE-2026-7482, tensor beyond the end", head(3, 1, 0).tensor("a", uint32(F32), 0, 1<<20, 1<<10).data(32, 64), "the file has 64 bytes"},
		{"ollama 17032, huge string length", head(3, 0, 1).str("k").u32(uint32(typeString)).u64(1 << 50).Bytes(), "length of string"},
		{"ollama 17032, negative string length", head(3, 0, 1).str("k").u32(uint32(typeString)).u64(1 << 63).Bytes(), "length of string"},
		{"ollama 17033, empty string in version 1", head(1, 0, 1).u64(0).Bytes(), "version 1 is not read"},
		{"ollama 16189, array length of -1", array(typeFloat32, negative).u64(0).Bytes(), "array length"},
		{"ollama 16136, array length that the file cannot hold", array(typeUint8, 1<<20).u64(0).Bytes(), "array length 1048576 needs more than the 8 bytes"},
		{"ollama 14175, number of dimensions", head(3, 1, 0).str("t").u32(4294967295).u64(0).u64(0).Bytes(), "4294967295 dimensions"},
		{"llama.cpp 27188, array length of 2^63", array(typeString, 1<<63).u64(0).Bytes(), "array length"},
		{"array length times element size wraps", array(typeUint64, 1<<61+1).u64(0).Bytes(), "array length 2305843009213693953 is above"},
		{"number of tensors times their size wraps", head(3, 1<<61, 0).Bytes(), "number of tensors"},
		{"number of keys times their size wraps", head(3, 0, 1<<59).Bytes(), "number of keys"},
		{"number of keys without bytes", head(3, 0, 1<<16).Bytes(), "number of keys 65536 needs more than the 0 bytes"},
		{"length of a key plus one wraps", head(3, 0, 1).u64(negative).u32(8).u64(0).Bytes(), "length of key"},
		{"array of strings longer than the file", array(typeString, 1<<20).str("").Bytes(), "array length 1048576 needs more than the"},
		{"wrap hidden by a zero", head(3, 1, 0).tensor("a", i8, 0, 1<<32, 1<<32, 0).data(32, 64), "overflows"},
		{"element type unknown", array(77, 1).u64(0).Bytes(), "element type 77 is not known"},
		{"alignment of 2^31", head(3, 0, 1).pair(alignmentKey, typeUint32, 1<<31).Bytes(), "want a power of two up to 1048576"},
		{"array of arrays", array(typeArray, 1).u64(0).u64(0).Bytes(), "array of arrays"},
		{"key of 1 MiB", head(3, 0, 1).str(strings.Repeat("k", 1<<20)).u32(0).u64(0).Bytes(), "length of key 1048576 is above the limit 65536"},
		{"row that is no whole number of blocks", head(3, 1, 0).tensor("t", uint32(Q4_K), 0, 255).data(32, 256), "not a multiple of the 256"},
		{"removed type", head(3, 1, 0).tensor("t", 4, 0, 32).data(32, 256), "type 4 is not known"},
		{"big-endian", append([]byte("GGUF\x00\x00\x00\x03"), make([]byte, 16)...), "big-endian"},
		{"empty file", nil, "too short"},
		{"magic alone", []byte(magic), "4 bytes are needed at byte 4"},
		{"pointer", []byte("version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"},
		{"safetensors", []byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"), "begins with"},
		{"empty name", head(3, 1, 0).tensor("", i8, 0, 32).data(32, 32), "name is empty"},
		{"hole", head(3, 1, 0).tensor("t", i8, 32, 32).data(32, 64), "has offset 32, want 0"},
		{"shared data", head(3, 2, 0).tensor("t", i8, 0, 32).tensor("u", i8, 0, 32).data(32, 64), `"u" has offset 0, want 32`},
	}
	for _, tt := range tests {
		checkFile(t, tt.name, tt.file, tt.want)
	}
}

func TestVersion2(t *testing.T) {
	file := head(2, 1, 1).pair("k", typeUint32, 5).tensor("t", uint32(I8), 0, 3).data(32, 3)
	f := read(t, file)
	if v, err := f.Metadata.Int("k"); f.Version != 2 || v != 5 || err != nil {
		t.Errorf("got version %d, %d, %v", f.Version, v, err)
	}
}

// A header costs memory in proportion to the file, whatever it announces.
func TestAllocation(t *testing.T) {
	files := map[string][]byte{
		"empty strings": head(3, 0, 1).str("k").u32(uint32(typeArray)).u32(uint32(typeString)).u64(1<<18).data(1, 8<<18),
		"long array":    head(3, 0, 1).str("k").u32(uint32(typeArray)).u32(uint32(typeUint64)).u64(4<<20).data(1, 1<<20),
		"long string":   head(3, 0, 1).str("k").u32(uint32(typeString)).u64(16<<20).data(1, 1<<20),
	}
	for name, file := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		New(bytes.NewReader(file), int64(len(file)))
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(4*len(file)+16<<20); got > limit {
			t.Errorf("%s: %d bytes for a file of %d, want at most %d", name, got, len(file), limit)
		}
	}
}

func FuzzNew(f *testing.F) {
	f.Add(encode(f, referencePairs(), referenceTensors(f)))
	f.Add(head(3, 0, 0).Bytes())
	f.Add(head(2, 1, 1).pair(alignmentKey, typeUint32, 1).tensor("t", uint32(I8), 0, 3).data(1, 3))
	f.Add(head(3, 1, 0).tensor("t", uint32(Q8_0), 0, 32, 2).data(32, 68))
	f.Add(head(3, 2, 0).tensor("t", uint32(I8), 0, 1<<63-64).tensor("u", uint32(I8), 1<<63-64, 32).data(32, 32))
	f.Fuzz(func(t *testing.T, file []byte) {
		g, err := New(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		total := 0
		for _, info := range g.Tensors() {
			data := make([]byte, info.Size)
			if err := g.ReadTensor(info, data); err != nil {
				t.Error(err)
			}
			total += len(data)
		}
		if total > len(file) {
			t.Errorf("tensors of %d bytes in a file of %d", total, len(file))
		}
	})
}

// FuzzDequantize reads any bytes as blocks of any type.
func FuzzDequantize(f *testing.F) {
	for _, kind := range oracleTypes {
		f.Add(uint32(kind), make([]byte, 2*kind.BlockBytes()))
	}
	f.Fuzz(func(t *testing.T, number uint32, src []byte) {
		kind := Type(number)
		if kind.BlockBytes() == 0 {
			return
		}
		blocks := len(src) / kind.BlockBytes()
		dst := make([]float32, blocks*kind.BlockSize())
		if err := Dequantize(kind, dst, src[:blocks*kind.BlockBytes()]); err == nil && CanQuantize(kind) {
			// Values that came out of blocks go back in, unless they are not finite.
			_ = Quantize(kind, make([]byte, blocks*kind.BlockBytes()), dst)
		}
	})
}
