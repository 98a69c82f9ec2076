package ptxsim

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Module is PTX text made ready to run.
type Module struct {
	// Target is the architecture that the text asks for, e.g. sm_80.
	Target string

	kernels   map[string]*Kernel
	variables map[string]*variable // .global and .const
	data      []byte               // of the variables, from variablesAt on
	shared    map[string]*variable // declared outside kernels
}

// Kernel is an entry of a module.
type Kernel struct {
	Name string
	// Params are the sizes of the parameters in bytes.
	Params []int
	// Threads is what .reqntid or .maxntid say of a block, 0 for nothing.
	Threads [3]int
	// SharedBytes are the shared memory that the kernel declares, without the
	// dynamic part.
	SharedBytes int
	// LocalBytes are the local memory of a thread.
	LocalBytes int

	module   *Module
	required bool // Threads is exact
	params   map[string]*variable
	code     []instruction
	files    files
	dynamic  int // where dynamic shared memory starts
	cell     [spaces]uint

	proxies      bool  // wgmma reads shared memory beside the threads
	accumulators []int // registers of wgmma
}

// variable is a named piece of memory at an offset in its space.
type variable struct {
	space  space
	offset int
	size   int
	// dynamic shared memory has no size of its own
	dynamic bool
}

// mostBytes is the largest variable and the largest alignment.
const mostBytes = 1 << 24

// variablesAt is the address of a module's variables.
const variablesAt = 0xf << 48

// statement is text up to a semicolon or brace, with its line.
type statement struct {
	text string
	line int
}

// Parse reads PTX. Errors name the line.
func Parse(ptx string) (m *Module, err error) {
	// The parser takes the shape of a statement for granted once its first word
	// is known, as texts come from a compiler; what has another is refused here.
	defer func() {
		if f := recover(); f != nil {
			m, err = nil, fmt.Errorf("ptxsim: malformed text: %v", f)
		}
	}()
	return parse(ptx)
}

func parse(ptx string) (*Module, error) {
	m := &Module{kernels: map[string]*Kernel{}, variables: map[string]*variable{}, shared: map[string]*variable{}}
	all, err := statements(ptx)
	if err != nil {
		return nil, err
	}
	for len(all) > 0 {
		s := all[0]
		all = all[1:]
		if !isHeader(s.text) {
			if err := m.declare(s); err != nil {
				return nil, fmt.Errorf("ptxsim: line %d: %w", s.line, err)
			}
			continue
		}
		if strings.HasSuffix(s.text, ";") { // a prototype
			continue
		}
		end := closing(all)
		if end < 0 {
			return nil, fmt.Errorf("ptxsim: line %d: %q has no end", s.line, s.text)
		}
		body := all[1:end]
		all = all[end+1:]
		if hasWord(s.text, ".func") {
			continue // the translator has inlined its calls; a call left over is refused
		}
		if err := m.entry(s, body); err != nil {
			return nil, fmt.Errorf("ptxsim: %w", err)
		}
	}
	return m, nil
}

// Fresh is the module as it was parsed, for another load of one text: it shares the
// kernels' code and has variables of its own, with their initial values while m has
// run no kernel.
func (m *Module) Fresh() *Module {
	fresh := *m
	fresh.data, fresh.kernels = bytes.Clone(m.data), map[string]*Kernel{}
	for name, k := range m.kernels {
		of := *k
		of.module = &fresh
		fresh.kernels[name] = &of
	}
	return &fresh
}

// Kernel returns an entry, nil where there is none of the name.
func (m *Module) Kernel(name string) *Kernel { return m.kernels[name] }

func isHeader(text string) bool { return hasWord(text, ".entry") || hasWord(text, ".func") }

func hasWord(text, word string) bool {
	for _, f := range strings.Fields(text) {
		if f == word {
			return true
		}
	}
	return false
}

// closing returns the place of the brace that ends the one at the start.
func closing(all []statement) int {
	depth := 0
	for i, s := range all {
		switch s.text {
		case "{":
			depth++
		case "}":
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return -1
}

// statements cuts the text, and makes one space of many. A brace at the start of
// a statement and a label are statements of their own.
func statements(ptx string) ([]statement, error) {
	var all []statement
	var text []byte
	line, start := 1, 1
	so := func() string { return string(bytes.TrimSuffix(text, []byte(" "))) }
	add := func() {
		if len(text) > 0 {
			all = append(all, statement{so(), start})
		}
		text = text[:0]
	}
	space := func() {
		if len(text) > 0 && text[len(text)-1] != ' ' {
			text = append(text, ' ')
		}
	}
	nested := 0
	for i := 0; i < len(ptx); i++ {
		c := ptx[i]
		switch {
		case c == '\n':
			line++
			if space(); len(text) > 0 && text[0] == '.' && isLineDirective(string(text)) {
				add()
			}
		case c == ' ' || c-'\t' < 5:
			space()
		case c == '/' && strings.HasPrefix(ptx[i:], "//"):
			for i+1 < len(ptx) && ptx[i+1] != '\n' {
				i++
			}
		case c == '/' && strings.HasPrefix(ptx[i:], "/*"):
			end := strings.Index(ptx[i:], "*/")
			if end < 0 {
				return nil, fmt.Errorf("ptxsim: line %d: a comment has no end", line)
			}
			line += strings.Count(ptx[i:i+end], "\n")
			i += end + 1
		case c == ';':
			text = append(text, c)
			add()
		case c == '{' || c == '}':
			if before := so(); nested == 0 && (before == "" || isHeader(before)) {
				add()
				all = append(all, statement{string(c), line})
				break
			}
			if c == '{' {
				nested++
			} else {
				nested--
			}
			text = append(text, c)
		case c == ':' && nested == 0 && isLabel(so()) && !strings.HasPrefix(ptx[i:], "::"):
			text = append(text, c)
			add()
		default:
			if len(text) == 0 {
				start = line
			}
			text = append(text, c)
		}
	}
	add()
	return all, nil
}

// isLineDirective tells the directives that end with their line.
func isLineDirective(t string) bool {
	for _, d := range []string{".version ", ".target ", ".address_size ", ".file ", ".loc "} {
		if strings.HasPrefix(t, d) {
			return true
		}
	}
	return false
}

func isLabel(t string) bool {
	return t != "" && !strings.ContainsAny(t, " \t.@,") && (t[0] == '$' || t[0] == '_' || t[0] == '%' || letter(t[0]))
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// declare takes a statement outside kernels.
func (m *Module) declare(s statement) error {
	fields := strings.Fields(s.text)
	switch fields[0] {
	case ".target":
		m.Target = strings.TrimRight(fields[1], ",;")
		return nil
	case ".version", ".address_size", ".file", ".loc", ".pragma", ".alias", ".section":
		return nil
	}
	v, name, initial, err := parseVariable(s.text)
	if err != nil {
		return err
	}
	if v.space == shared {
		m.shared[name] = v
		return nil
	}
	align := alignment(s.text)
	v.offset = (len(m.data) + align - 1) / align * align
	m.data = append(m.data, make([]byte, v.offset+v.size-len(m.data))...)
	copy(m.data[v.offset:], initial)
	m.variables[name] = v
	return nil
}

func alignment(text string) int {
	if _, after, found := strings.Cut(text, ".align "); found {
		if n, err := strconv.Atoi(strings.Fields(after)[0]); err == nil && n > 0 && n <= mostBytes {
			return n
		}
	}
	return 8
}

// parseVariable reads ".visible .const .align 4 .b8 name[16] = {0, 1}".
func parseVariable(text string) (v *variable, name string, initial []byte, err error) {
	text = strings.TrimSuffix(text, ";")
	text, values, _ := strings.Cut(text, "=")
	v = &variable{}
	element := 0
	fields := strings.Fields(text)
	for i := 0; i < len(fields); i++ {
		f := fields[i]
		switch {
		case f == ".align":
			i++
		case f == ".global" || f == ".const":
			v.space = global
		case f == ".shared":
			v.space = shared
		case f == ".local":
			v.space = local
		case f == ".param":
			v.space = param
		case f == ".ptr":
			// ".ptr .global .align 4" tells of the pointer's target
			for i+1 < len(fields) && (strings.HasPrefix(fields[i+1], ".") || fields[i] == ".align") {
				i++
			}
		case f[0] == '.':
			if t, ok := parseType(f[1:]); ok {
				element = t.bits / 8
			}
		default:
			name += f
		}
	}
	if element == 0 || name == "" {
		return nil, "", nil, fmt.Errorf("%q: want a variable", text)
	}
	v.size = element
	name, dimensions, array := strings.Cut(name, "[")
	if array {
		for _, d := range strings.Split(strings.TrimSuffix(dimensions, "]"), "][") {
			n, err := strconv.Atoi(d)
			if d == "" {
				v.dynamic = true
			} else if err != nil {
				return nil, "", nil, fmt.Errorf("%q: want a number of elements", text)
			}
			if v.size *= n; n < 0 || v.size > mostBytes {
				return nil, "", nil, fmt.Errorf("%q: want at most %d bytes", text, mostBytes)
			}
		}
	}
	initial, err = initialValue(values, element)
	return v, name, initial, err
}

func initialValue(text string, element int) ([]byte, error) {
	var data []byte
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("{}, ", r) }) {
		bits, err := parseNumber(w, element*8)
		if err != nil {
			return nil, err
		}
		for i := range element {
			data = append(data, byte(bits>>(8*i)))
		}
	}
	return data, nil
}

// parseNumber reads an integer or a float in PTX's notation as bits.
func parseNumber(w string, bits int) (uint64, error) {
	digits, negative := strings.CutPrefix(w, "-")
	var v uint64
	var err error
	switch {
	case strings.HasPrefix(digits, "0f"), strings.HasPrefix(digits, "0F"), strings.HasPrefix(digits, "0d"), strings.HasPrefix(digits, "0D"):
		v, err = strconv.ParseUint(digits[2:], 16, 64)
		if negative {
			v ^= 1 << (bits - 1)
			negative = false
		}
	default:
		v, err = strconv.ParseUint(strings.TrimRight(digits, "uU"), 0, 64)
	}
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", w)
	}
	if negative {
		v = -v
	}
	if bits < 64 {
		v &= 1<<bits - 1
	}
	return v, nil
}
