package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// appendValue appends the type and the value.
func appendValue(b []byte, value any) ([]byte, error) {
	if t, ok := scalarType(value); ok {
		b = binary.LittleEndian.AppendUint32(b, uint32(t))
		return appendScalar(b, value), checkString(value)
	}
	switch v := value.(type) {
	case []uint8:
		return appendArray(b, typeUint8, v)
	case []int8:
		return appendArray(b, typeInt8, v)
	case []uint16:
		return appendArray(b, typeUint16, v)
	case []int16:
		return appendArray(b, typeInt16, v)
	case []uint32:
		return appendArray(b, typeUint32, v)
	case []int32:
		return appendArray(b, typeInt32, v)
	case []uint64:
		return appendArray(b, typeUint64, v)
	case []int64:
		return appendArray(b, typeInt64, v)
	case []float32:
		return appendArray(b, typeFloat32, v)
	case []float64:
		return appendArray(b, typeFloat64, v)
	case []bool:
		return appendArray(b, typeBool, v)
	case []string:
		return appendArray(b, typeString, v)
	}
	return b, fmt.Errorf("a value of type %T cannot be stored", value)
}

func appendArray[T any](b []byte, t valueType, values []T) ([]byte, error) {
	if len(values) > maxArray {
		return b, fmt.Errorf("%d elements, the limit is %d", len(values), maxArray)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(typeArray))
	b = binary.LittleEndian.AppendUint32(b, uint32(t))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(values)))
	for _, v := range values {
		if err := checkString(v); err != nil {
			return b, err
		}
		b = appendScalar(b, v)
	}
	return b, nil
}

func checkString(value any) error {
	if s, ok := value.(string); ok && len(s) > maxString {
		return fmt.Errorf("string of %d bytes, the limit is %d", len(s), maxString)
	}
	return nil
}

func scalarType(value any) (valueType, bool) {
	switch value.(type) {
	case uint8:
		return typeUint8, true
	case int8:
		return typeInt8, true
	case uint16:
		return typeUint16, true
	case int16:
		return typeInt16, true
	case uint32:
		return typeUint32, true
	case int32:
		return typeInt32, true
	case uint64:
		return typeUint64, true
	case int64:
		return typeInt64, true
	case float32:
		return typeFloat32, true
	case float64:
		return typeFloat64, true
	case bool:
		return typeBool, true
	case string:
		return typeString, true
	}
	return 0, false
}

// appendScalar appends one of the types of scalarType.
func appendScalar(b []byte, value any) []byte {
	switch v := value.(type) {
	case uint8:
		return append(b, v)
	case int8:
		return append(b, byte(v))
	case bool:
		if v {
			return append(b, 1)
		}
		return append(b, 0)
	case uint16:
		return binary.LittleEndian.AppendUint16(b, v)
	case int16:
		return binary.LittleEndian.AppendUint16(b, uint16(v))
	case uint32:
		return binary.LittleEndian.AppendUint32(b, v)
	case int32:
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	case uint64:
		return binary.LittleEndian.AppendUint64(b, v)
	case int64:
		return binary.LittleEndian.AppendUint64(b, uint64(v))
	case float32:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	case float64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	s, _ := value.(string)
	return appendString(b, s)
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}
