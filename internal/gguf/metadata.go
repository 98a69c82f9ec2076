package gguf

import (
	"errors"
	"fmt"
	"slices"

	"align/internal/tensorfile"
)

// ErrMissing is returned when a key is not in the file, so that a caller can
// take a default.
var ErrMissing = errors.New("key is missing")

// KV is a key and its value, one of uint8, int8, uint16, int16, uint32, int32,
// uint64, int64, float32, float64, bool, string, or a slice of one of them.
type KV struct {
	Key   string
	Value any
}

// Metadata is the keys of a file in their order.
type Metadata struct {
	pairs []KV
	index map[string]int
}

// All lists the pairs in the order of the file.
func (m *Metadata) All() []KV { return slices.Clone(m.pairs) }

// Get returns the value of key as it is in the file.
func (m *Metadata) Get(key string) (any, bool) {
	i, ok := m.index[key]
	if !ok {
		return nil, false
	}
	return m.pairs[i].Value, true
}

// Int returns an integer of any width. It is an error (ErrMissing, or one that
// names the types) if key is missing, is no integer or overflows int.
func (m *Metadata) Int(key string) (int, error) {
	v, ok := m.Get(key)
	if !ok {
		return 0, missing(key)
	}
	switch v := v.(type) {
	case uint8:
		return int(v), nil
	case int8:
		return int(v), nil
	case uint16:
		return int(v), nil
	case int16:
		return int(v), nil
	case uint32:
		return int(v), nil
	case int32:
		return int(v), nil
	case int64:
		return int(v), nil
	case uint64:
		if v > 1<<63-1 {
			return 0, fmt.Errorf("gguf: key %s is %d: too large", tensorfile.Quote(key), v)
		}
		return int(v), nil
	}
	return 0, wrongType(key, v, "an integer")
}

// Float returns a float32 or float64.
func (m *Metadata) Float(key string) (float64, error) {
	v, ok := m.Get(key)
	if !ok {
		return 0, missing(key)
	}
	switch v := v.(type) {
	case float32:
		return float64(v), nil
	case float64:
		return v, nil
	}
	return 0, wrongType(key, v, "a float")
}

// Bool returns a bool.
func (m *Metadata) Bool(key string) (bool, error) { return as[bool](m, key, "a bool") }

// String returns a string.
func (m *Metadata) String(key string) (string, error) { return as[string](m, key, "a string") }

// Strings returns an array of strings. The caller must not change it.
func (m *Metadata) Strings(key string) ([]string, error) {
	return as[[]string](m, key, "an array of strings")
}

// Int32s returns an array of int32. The caller must not change it.
func (m *Metadata) Int32s(key string) ([]int32, error) {
	return as[[]int32](m, key, "an array of int32")
}

// Float32s returns an array of float32. The caller must not change it.
func (m *Metadata) Float32s(key string) ([]float32, error) {
	return as[[]float32](m, key, "an array of float32")
}

func as[T any](m *Metadata, key, want string) (T, error) {
	var none T
	v, ok := m.Get(key)
	if !ok {
		return none, missing(key)
	}
	value, ok := v.(T)
	if !ok {
		return none, wrongType(key, v, want)
	}
	return value, nil
}

func missing(key string) error { return fmt.Errorf("gguf: %s: %w", tensorfile.Quote(key), ErrMissing) }

func wrongType(key string, v any, want string) error {
	return fmt.Errorf("gguf: key %s has type %T, want %s", tensorfile.Quote(key), v, want)
}

// add appends a pair. It is an error if the key is empty, too long or taken.
func (m *Metadata) add(key string, value any) error {
	if key == "" {
		return fmt.Errorf("key %d is empty", len(m.pairs))
	}
	if len(key) > maxKey {
		return fmt.Errorf("key %s has %d bytes, the limit is %d", tensorfile.Quote(key), len(key), maxKey)
	}
	if _, taken := m.index[key]; taken {
		return fmt.Errorf("key %s occurs twice", tensorfile.Quote(key))
	}
	if m.index == nil {
		m.index = map[string]int{}
	}
	m.index[key] = len(m.pairs)
	m.pairs = append(m.pairs, KV{key, value})
	return nil
}

// The key that sets the alignment of the data, and its default (GGUF
// specification).
const (
	alignmentKey     = "general.alignment"
	defaultAlignment = 32
	maxAlignment     = 1 << 20
)

// alignment returns what general.alignment says.
func (m *Metadata) alignment() (int64, error) {
	v, ok := m.Get(alignmentKey)
	if !ok {
		return defaultAlignment, nil
	}
	n, ok := v.(uint32)
	if !ok {
		return 0, fmt.Errorf("key %q has type %T, want uint32", alignmentKey, v)
	}
	if n == 0 || n&(n-1) != 0 || n > maxAlignment {
		return 0, fmt.Errorf("key %q is %d, want a power of two up to %d", alignmentKey, n, maxAlignment)
	}
	return int64(n), nil
}

// padded rounds n up to the alignment. n is at most 2^62.
func padded(n, alignment int64) int64 { return (n + alignment - 1) &^ (alignment - 1) }
