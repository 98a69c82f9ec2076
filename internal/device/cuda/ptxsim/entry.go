package ptxsim

import (
	"fmt"
	"strconv"
	"strings"
)

// scope is what names mean between two braces.
type scope struct {
	outer  *scope
	names  map[string]*declared
	labels map[string]int
}

// declared are the registers of one declaration: a name, or a prefix with a
// number of registers.
type declared struct {
	class class
	bits  int
	count int // -1 for a single name
	index map[int]int
}

// entry makes a kernel of a header and its body.
func (m *Module) entry(header statement, body []statement) error {
	_, rest, _ := strings.Cut(header.text, ".entry")
	name, list, _ := strings.Cut(strings.TrimSpace(rest), "(")
	name = strings.Fields(name)[0]
	k := &Kernel{Name: name, module: m, params: map[string]*variable{}}
	list, after, _ := strings.Cut(list, ")")
	if err := k.parameters(list); err != nil {
		return fmt.Errorf("line %d: kernel %s: %w", header.line, name, err)
	}
	k.limits(rest + " " + after)
	c := &compiler{kernel: k, variables: map[string]*variable{}, constants: map[constant]int{}, specials: map[string]int{}}
	c.layModuleShared()
	raws, err := c.read(body)
	if err != nil {
		return fmt.Errorf("kernel %s: %w", name, err)
	}
	c.layDynamic()
	if err := c.compile(raws); err != nil {
		return fmt.Errorf("kernel %s: %w", name, err)
	}
	m.kernels[name] = k
	return nil
}

func (k *Kernel) parameters(list string) error {
	offset := 0
	for _, p := range strings.Split(list, ",") {
		if strings.TrimSpace(p) == "" {
			continue
		}
		v, name, _, err := parseVariable(p)
		if err != nil {
			return err
		}
		// Every parameter has a slot of 8 bytes, as its argument has.
		v.offset = offset
		offset += (v.size + 7) &^ 7
		k.params[name] = v
		k.Params = append(k.Params, v.size)
	}
	return nil
}

// limits reads .maxntid and .reqntid.
func (k *Kernel) limits(text string) {
	for _, d := range []string{".maxntid", ".reqntid"} {
		_, after, found := strings.Cut(text, d+" ")
		if !found {
			continue
		}
		k.required = d == ".reqntid"
		k.Threads = [3]int{1, 1, 1}
		for i, n := range strings.SplitN(after, ",", 3) {
			k.Threads[i], _ = strconv.Atoi(strings.Fields(n)[0])
		}
	}
}

// raw is an instruction before its names are resolved.
type raw struct {
	statement
	scope    *scope
	guard    string
	negate   bool
	base     string
	mods     []string
	operands []string
}

// read takes declarations and labels of a body and returns its instructions.
func (c *compiler) read(body []statement) ([]*raw, error) {
	var raws []*raw
	at := &scope{names: map[string]*declared{}, labels: map[string]int{}}
	for _, s := range body {
		switch {
		case s.text == "{":
			at = &scope{outer: at, names: map[string]*declared{}, labels: map[string]int{}}
		case s.text == "}":
			at = at.outer
		case strings.HasSuffix(s.text, ":"):
			at.labels[strings.TrimSuffix(s.text, ":")] = len(raws)
		case strings.HasPrefix(s.text, "."):
			if err := c.declare(at, s.text); err != nil {
				return nil, fmt.Errorf("line %d: %w", s.line, err)
			}
		default:
			r, err := split(s)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", s.line, err)
			}
			r.scope = at
			raws = append(raws, r)
		}
	}
	return raws, nil
}

// declare takes a directive inside a kernel.
func (c *compiler) declare(at *scope, text string) error {
	fields := strings.Fields(text)
	switch fields[0] {
	case ".pragma", ".loc", ".file", ".maxntid":
		return nil
	case ".reg":
		return at.registers(strings.TrimPrefix(strings.TrimSuffix(text, ";"), ".reg"))
	case ".branchtargets", ".callprototype":
		return fmt.Errorf("%s is not simulated", fields[0])
	}
	v, name, _, err := parseVariable(text)
	if err != nil {
		return err
	}
	align := alignment(text)
	switch v.space {
	case shared:
		c.kernel.layShared(v, align)
	case local:
		v.offset = (c.kernel.LocalBytes + align - 1) / align * align
		c.kernel.LocalBytes = v.offset + v.size
	default:
		return fmt.Errorf("%q: a variable of this kind inside a kernel is not simulated", text)
	}
	c.variables[name] = v
	return nil
}

// registers takes ".b32 %r<10>" and ".pred p, q".
func (s *scope) registers(text string) error {
	fields := strings.Fields(strings.ReplaceAll(text, ",", " "))
	if len(fields) < 2 {
		return fmt.Errorf(".reg%s: want a type and names", text)
	}
	t, ok := parseType(strings.TrimPrefix(fields[0], "."))
	if !ok {
		return fmt.Errorf("register type %q is not simulated", fields[0])
	}
	for _, name := range fields[1:] {
		d := &declared{class: t.class(), bits: max(t.bits, 16), count: -1, index: map[int]int{}}
		if prefix, count, many := strings.Cut(name, "<"); many {
			n, err := strconv.Atoi(strings.TrimSuffix(count, ">"))
			if err != nil {
				return fmt.Errorf("%q: want a number of registers", name)
			}
			name, d.count = prefix, n
		}
		s.names[name] = d
	}
	return nil
}

// find resolves a register's name.
func (s *scope) find(name string) (d *declared, number int) {
	digits := len(name)
	for digits > 0 && name[digits-1] >= '0' && name[digits-1] <= '9' {
		digits--
	}
	for ; s != nil; s = s.outer {
		if d := s.names[name]; d != nil && d.count < 0 {
			return d, 0
		}
		// A prefix may itself end in digits: %rd1 of %rd<2>, %r12 of %r1<4>.
		for cut := digits; cut < len(name); cut++ {
			if d := s.names[name[:cut]]; d != nil && d.count > 0 {
				if n, err := strconv.Atoi(name[cut:]); err == nil && n < d.count {
					return d, n
				}
			}
		}
	}
	return nil, 0
}

func (s *scope) label(name string) (int, bool) {
	for ; s != nil; s = s.outer {
		if pc, found := s.labels[name]; found {
			return pc, true
		}
	}
	return 0, false
}

// split takes "@!%p1 ld.global.v2.f32 {%f1, %f2}, [%rd1+8];" apart.
func split(s statement) (*raw, error) {
	text := strings.TrimSpace(strings.TrimSuffix(s.text, ";"))
	r := &raw{statement: s}
	if strings.HasPrefix(text, "@") {
		guard, rest, found := strings.Cut(text[1:], " ")
		if !found {
			return nil, fmt.Errorf("%q: want an instruction", text)
		}
		r.guard, r.negate = strings.CutPrefix(guard, "!")
		if r.negate {
			r.guard = guard[1:]
		} else {
			r.guard = guard
		}
		text = strings.TrimSpace(rest)
	}
	code, rest, _ := strings.Cut(text, " ")
	parts := strings.Split(code, ".")
	r.base, r.mods = parts[0], parts[1:]
	r.operands = splitOperands(rest)
	return r, nil
}

// splitOperands cuts at commas outside braces, brackets and parentheses.
func splitOperands(text string) []string {
	var all []string
	depth, start := 0, 0
	for i, c := range text {
		switch {
		case strings.ContainsRune("{[(", c):
			depth++
		case strings.ContainsRune("}])", c):
			depth--
		case c == ',' && depth == 0:
			all = append(all, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	if last := strings.TrimSpace(text[start:]); last != "" {
		all = append(all, last)
	}
	return all
}
