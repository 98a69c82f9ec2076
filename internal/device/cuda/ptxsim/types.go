package ptxsim

import (
	"strconv"
	"strings"
)

// typ is a type of PTX: kind u, s, b, f (float), h (bfloat16), t (tf32) or p
// (predicate), its bits, and whether it is a pair.
type typ struct {
	kind byte
	bits int
	pair bool
}

func parseType(s string) (typ, bool) {
	switch s {
	case "pred":
		return typ{kind: 'p', bits: 1}, true
	case "bf16":
		return typ{kind: 'h', bits: 16}, true
	case "bf16x2":
		return typ{kind: 'h', bits: 32, pair: true}, true
	case "f16x2":
		return typ{kind: 'f', bits: 32, pair: true}, true
	case "tf32":
		return typ{kind: 't', bits: 32}, true
	}
	if len(s) < 2 || !strings.ContainsRune("usbf", rune(s[0])) {
		return typ{}, false
	}
	n, err := strconv.Atoi(s[1:])
	if err != nil || n != 8 && n != 16 && n != 32 && n != 64 {
		return typ{}, false
	}
	return typ{kind: s[0], bits: n}, true
}

func (t typ) signed() bool { return t.kind == 's' }
func (t typ) float() bool  { return t.kind == 'f' || t.kind == 'h' || t.kind == 't' }

// class is the register file of a type. Registers of 8 and 16 bits lie in the
// file of 32, their upper bits 0.
type class uint8

const (
	word32 class = iota
	word64
	predicate
	classes
)

func (t typ) class() class {
	switch {
	case t.kind == 'p':
		return predicate
	case t.bits == 64:
		return word64
	}
	return word32
}

// space is a kind of memory.
type space uint8

const (
	generic space = iota
	global
	shared
	local
	param
	spaces
)

// Addresses of shared and local memory in the generic space start here.
const (
	sharedAt = 1 << 56
	localAt  = 2 << 56
)

func (s space) String() string {
	return [...]string{"generic", "global", "shared", "local", "param"}[s]
}
