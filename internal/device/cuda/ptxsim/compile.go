package ptxsim

import (
	"fmt"
	"slices"
	"strings"
)

// runner does an instruction's work for the given lanes.
type runner func(w *warp, lanes uint32)

// kind is how the schedule treats an instruction.
type kind uint8

const (
	plain      kind = iota
	branch          // to target
	exit            // of the lanes
	collective      // waits for the lanes that need names
	barrier         // waits for the warp, then for other warps
	await           // runs when met says so
)

// instruction is one made ready to run.
type instruction struct {
	kind   kind
	negate bool
	guard  int // predicate, -1 for none
	target int
	run    runner
	need   func(w *warp, lanes uint32) uint32 // lanes that must be here
	arrive func(w *warp) arrival              // of a barrier
	met    func(w *warp, lanes uint32) bool   // of await
	told   func(w *warp, lanes uint32) string // what it waits for
	soft   bool                               // takes unwritten registers and passes them on

	accumulates bool  // a wgmma
	held        []int // registers of wgmma instructions that this other one touches

	sources, results [classes][]int
	reads, writes    []uint32 // the same as places in a warp's list of all registers
	text             string
	line             int
}

// files are the sizes of a kernel's register files and what is in them at the
// start.
type files struct {
	size      [classes]int
	constants map[constant]int
	specials  map[string]int
}

// first is the place of a class's registers among all.
func (f *files) first(c int) int {
	at := 0
	for _, n := range f.size[:c] {
		at += n
	}
	return at
}

// flat turns registers of each class into places among all.
func (f *files) flat(of *[classes][]int) []uint32 {
	var all []uint32
	for c, list := range of {
		for _, r := range list {
			all = append(all, uint32(f.first(c)+r))
		}
	}
	return all
}

// constant is an immediate operand; it takes a register.
type constant struct {
	class class
	bits  uint64
}

// compiler makes a kernel's instructions.
type compiler struct {
	kernel    *Kernel
	variables map[string]*variable // of shared and local memory
	constants map[constant]int
	specials  map[string]int
	size      [classes]int

	raw *raw
	in  *instruction
	err error
}

// builders make an instruction of each base name.
var builders map[string]func(c *compiler)

func init() {
	builders = map[string]func(c *compiler){}
	for _, group := range []map[string]func(c *compiler){flowOps(), integerOps(), floatOps(), moveOps(), memoryOps(), warpOps(), matrixOps(), asyncOps(), wgmmaOps(), mbarrierOps()} {
		for name, build := range group {
			builders[name] = build
		}
	}
}

// layModuleShared places shared variables that the module declares.
func (c *compiler) layModuleShared() {
	names := make([]string, 0, len(c.kernel.module.shared))
	for name := range c.kernel.module.shared {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		v := *c.kernel.module.shared[name]
		if !v.dynamic {
			c.kernel.layShared(&v, 128)
		}
		c.variables[name] = &v
	}
}

// reserved are the bytes at the start of a block's shared memory that belong to the
// system on cards of capability 9.0, whose variables begin behind them: an address
// that was counted from 0 is found here, where it is no variable's.
const reserved = 1024

// layShared places a variable behind those that the kernel declares before it.
func (k *Kernel) layShared(v *variable, align int) {
	v.offset = reserved + (k.SharedBytes+align-1)/align*align
	k.SharedBytes = v.offset + v.size - reserved
}

// layDynamic places dynamic shared memory behind all other. 1024 is the
// alignment that a swizzle of 128 bytes asks for.
func (c *compiler) layDynamic() {
	k := c.kernel
	k.dynamic = reserved + (k.SharedBytes+1023)&^1023
	for _, v := range c.variables {
		if v.dynamic {
			v.offset = k.dynamic
		}
	}
}

func (c *compiler) compile(raws []*raw) error {
	k := c.kernel
	for i := range k.cell {
		k.cell[i] = 2
	}
	k.code = make([]instruction, len(raws)+1)
	for i, r := range raws {
		in := &k.code[i]
		*in = instruction{guard: -1, text: r.text, line: r.line}
		c.raw, c.in = r, in
		if r.guard != "" {
			in.guard = c.register(r.guard, predicate, false)
			in.negate = r.negate
		}
		build := builders[r.base]
		if build == nil {
			c.fail("instruction %q is not simulated", r.base)
		} else if c.err == nil {
			build(c)
		}
		if c.err != nil {
			return fmt.Errorf("line %d: %s: %w", r.line, r.text, c.err)
		}
	}
	k.code[len(raws)] = instruction{guard: -1, kind: exit, text: "end of the kernel"}
	k.files = files{c.size, c.constants, c.specials}
	for i := range k.code {
		in := &k.code[i]
		in.reads, in.writes = k.files.flat(&in.sources), k.files.flat(&in.results)
	}
	k.hold()
	return nil
}

func (c *compiler) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// keep keeps the first error.
func (c *compiler) keep(err error) {
	if c.err == nil {
		c.err = err
	}
}

// has tells whether a modifier is there.
func (c *compiler) has(mod string) bool { return slices.Contains(c.raw.mods, mod) }

// types returns the modifiers that are types.
func (c *compiler) types() []typ {
	var all []typ
	for _, m := range c.raw.mods {
		if t, ok := parseType(m); ok {
			all = append(all, t)
		}
	}
	return all
}

// last returns the last type, that of the instruction.
func (c *compiler) last() typ {
	all := c.types()
	if len(all) == 0 {
		c.fail("want a type")
		return typ{kind: 'b', bits: 32}
	}
	return all[len(all)-1]
}

// only refuses modifiers that are neither types nor on the list.
func (c *compiler) only(mods ...string) {
	for _, m := range c.raw.mods {
		if _, ok := parseType(m); !ok && !slices.Contains(mods, m) {
			c.fail("modifier .%s is not simulated", m)
		}
	}
}

// count checks the number of operands.
func (c *compiler) count(least, most int) bool {
	if n := len(c.raw.operands); n < least || n > most {
		c.fail("%d operands: want %d to %d", n, least, most)
	}
	return c.err == nil
}

func (c *compiler) operand(i int) string {
	if i >= len(c.raw.operands) {
		c.fail("operand %d is missing", i)
		return "_"
	}
	return c.raw.operands[i]
}

// source returns the register that holds an operand of a type.
func (c *compiler) source(i int, t typ) int { return c.sourceText(c.operand(i), t) }

func (c *compiler) sourceText(text string, t typ) int {
	if s, is := special(text); is {
		return c.special(text, s)
	}
	if d, _ := c.raw.scope.find(text); d != nil {
		return c.register(text, t.class(), false)
	}
	bits, err := c.immediate(text, t)
	c.keep(err)
	return c.constant(t.class(), bits)
}

func (c *compiler) immediate(text string, t typ) (uint64, error) {
	if text == "WARP_SZ" {
		return 32, nil
	}
	name, offset, _ := strings.Cut(text, "+")
	if v := c.variable(name); v != nil {
		plus := uint64(0)
		if offset != "" {
			n, err := parseNumber(offset, 64)
			if err != nil {
				return 0, err
			}
			plus = n
		}
		return v.address() + plus, nil
	}
	return parseNumber(text, max(t.bits, 8))
}

// address is a variable's in its own space.
func (v *variable) address() uint64 {
	if v.space == global {
		return variablesAt + uint64(v.offset)
	}
	return uint64(v.offset)
}

func (c *compiler) variable(name string) *variable {
	if v := c.variables[name]; v != nil {
		return v
	}
	return c.kernel.module.variables[name]
}

// result returns the register that an operand names to be written; "_" names
// one that nobody reads.
func (c *compiler) result(i int, t typ) int { return c.resultText(c.operand(i), t) }

func (c *compiler) resultText(text string, t typ) int {
	if text == "_" {
		c.size[t.class()]++
		return c.size[t.class()] - 1
	}
	return c.register(text, t.class(), true)
}

func (c *compiler) register(name string, want class, write bool) int {
	d, number := c.raw.scope.find(name)
	if d == nil {
		c.fail("%q is not declared", name)
		return 0
	}
	if d.class != want {
		c.fail("register %s has another width than the instruction", name)
		return 0
	}
	at, known := d.index[number]
	if !known {
		at = c.size[want]
		c.size[want]++
		d.index[number] = at
	}
	if write {
		c.in.results[want] = append(c.in.results[want], at)
	} else {
		c.in.sources[want] = append(c.in.sources[want], at)
	}
	return at
}

// bitsOf returns the bits of the register that an operand names.
func (c *compiler) bitsOf(text string, t typ) int {
	if d, _ := c.raw.scope.find(text); d != nil {
		return d.bits
	}
	return max(t.bits, 16)
}

// classOf returns the class of the register that an operand names.
func (c *compiler) classOf(text string, otherwise class) class {
	if d, _ := c.raw.scope.find(text); d != nil {
		return d.class
	}
	return otherwise
}

func (c *compiler) constant(of class, bits uint64) int {
	if of == word32 {
		bits &= 1<<32 - 1
	}
	key := constant{of, bits}
	at, known := c.constants[key]
	if !known {
		at = c.size[of]
		c.size[of]++
		c.constants[key] = at
	}
	return at
}

// vector returns the members of "{a, b}", or the one operand.
func vector(text string) []string {
	if strings.HasPrefix(text, "{") {
		return splitOperands(strings.Trim(text, "{} "))
	}
	return []string{text}
}
