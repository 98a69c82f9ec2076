//go:build linux && (amd64 || arm64) && !nogpu

package fakedriver

import (
	"slices"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
)

// at reads the pointer that a caller passed as a number.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// word is a function's argument as it arrives in a register or on the stack.
type word = uintptr

// add registers a function of up to 5 arguments that needs no context.
func (d *Driver) add(name string, f func(a, b, c, e, g word) int) {
	d.addresses[name] = purego.NewCallback(func(a, b, c, e, g word) word {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.calls[name]++
		return word(f(a, b, c, e, g))
	})
}

// outsideCaptures are functions that break a capture under way (cuda.h,
// cuThreadExchangeStreamCaptureMode: "potentially unsafe API calls").
var outsideCaptures = []string{"cuMemAlloc_v2", "cuMemFree_v2", "cuMemHostAlloc", "cuMemFreeHost", "cuModuleLoadDataEx", "cuModuleUnload",
	"cuCtxSynchronize", "cuStreamSynchronize", "cuEventSynchronize"}

// addHere registers a function that needs the thread's context, whole.
func (d *Driver) addHere(name string, f func(s *state, a, b, c, e, g word) int) {
	unsafe := slices.Contains(outsideCaptures, name)
	d.add(name, func(a, b, c, e, g word) int {
		s, code := d.here()
		if code != success {
			return code
		}
		if unsafe && d.capture != nil {
			d.capture.broken = true
			return inCapture
		}
		return f(s, a, b, c, e, g)
	})
}

func (d *Driver) addFunctions() {
	d.addDevices()
	d.addMemory()
	d.addStreams()
	d.addModules()
	d.addTensorMaps()
}

func (d *Driver) addDevices() {
	d.add("cuDriverGetVersion", func(to, _, _, _, _ word) int { *at[int32](to) = d.script.Version; return success })
	d.add("cuInit", func(flags, _, _, _, _ word) int {
		if len(d.script.Cards) == 0 {
			return NoDevice
		}
		return max(int(flags), d.script.Init)
	})
	for i, name := range []string{"cuGetErrorName", "cuGetErrorString"} {
		d.add(name, func(code, to, _, _, _ word) int {
			t, known := d.texts[int(code)]
			if !known {
				*at[uintptr](to) = 0
				return InvalidValue
			}
			*at[*byte](to) = &t[i][0]
			return success
		})
	}
	d.add("cuDeviceGetCount", func(to, _, _, _, _ word) int { *at[int32](to) = int32(len(d.cards)); return success })
	d.add("cuDeviceGet", func(to, ordinal, _, _, _ word) int {
		if int(ordinal) >= len(d.cards) {
			return badDevice
		}
		*at[int32](to) = int32(ordinal)
		return success
	})
	d.add("cuDeviceGetName", func(to, size, card, _, _ word) int {
		name := append([]byte(d.script.Cards[card].Name), 0)
		copy(unsafe.Slice(at[byte](to), size), name)
		return success
	})
	d.add("cuDeviceTotalMem_v2", func(to, card, _, _, _ word) int {
		*at[uint64](to) = d.script.Cards[card].Memory
		return success
	})
	d.add("cuDeviceGetAttribute", d.attribute)
	d.add("cuDevicePrimaryCtxRetain", func(to, card, _, _, _ word) int {
		d.cards[card].holders++
		*at[uintptr](to) = card + 1
		return success
	})
	d.add("cuDevicePrimaryCtxRelease_v2", func(card, _, _, _, _ word) int {
		d.cards[card].holders--
		return success
	})
	d.add("cuCtxSetCurrent", func(context, _, _, _, _ word) int {
		d.current[syscall.Gettid()] = int(context)
		return success
	})
	d.addHere("cuCtxSynchronize", func(*state, word, word, word, word, word) int { return success })
}

// sharedMemory is what a block may have of a card, in bytes (CUDA C++ Programming
// Guide, "Technical Specifications per Compute Capability").
func (c Card) sharedMemory() int32 {
	switch {
	case c.Major == 8 && c.Minor == 0:
		return 163 << 10
	case c.Major == 8, c.Major == 12:
		return 99 << 10
	}
	return 227 << 10
}

func (d *Driver) attribute(to, which, card, _, _ word) int {
	c := d.script.Cards[card]
	value, known := map[word]int32{16: c.Units, 75: c.Major, 76: c.Minor, 97: c.sharedMemory()}[which]
	if !known {
		return InvalidValue
	}
	*at[int32](to) = value
	return success
}
