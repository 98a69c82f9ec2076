//go:build linux && (amd64 || arm64) && !nogpu

package cudatest_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

var update = flag.Bool("update", false, "write a real card's answers to testdata/forms")

// form is one form of instruction with what it should yield. The operand
// letters are r (32 bits), d (64), h (16), f and g (32 and 64, drawn as floats).
type form struct {
	code string // "add.s32 $0, $1, $2;"; $0 is the result
	out  byte
	in   string
	want func(a, b, c uint64) uint64
	// ulps is the error that the manual allows an approximation.
	ulps int
	// anyNaN: what is no number may have any bits. Quotients, roots and approximations
	// are several instructions of a card, for whose NaN the manual names none.
	anyNaN bool
	// takes tells the inputs for which the manual defines a result.
	takes func(a, b, c uint64) bool
}

type fn = func(a, b, c uint64) uint64

func plain(op string, out byte, in string, want fn) form {
	code := op + " $0"
	for i := range in {
		code += fmt.Sprintf(", $%d", i+1)
	}
	return form{code: code + ";", out: out, in: in, want: want}
}

// ofNumbers is the form without NaN, of whose bits the manual says nothing or that they
// are unspecified; read is the operand as a number.
func (f form) ofNumbers(read func(uint64) float32) form {
	f.takes = func(a, _, _ uint64) bool { return read(a) == read(a) }
	return f
}

// truth makes a form whose predicate becomes 0 or 1.
func truth(op, in string, want func(a, b uint64) bool) form {
	return form{code: op + " %p1, $1, $2; selp.u32 $0, 1, 0, %p1;", out: 'r', in: in, want: func(a, b, _ uint64) uint64 {
		if want(a, b) {
			return 1
		}
		return 0
	}}
}

func integerForms() []form {
	i32 := func(v uint64) int64 { return int64(int32(v)) }
	u32 := func(v uint64) uint64 { return uint64(uint32(v)) }
	signed := func(v int64) uint64 { return uint64(v) }
	nonzero := func(_, b, _ uint64) bool { return uint32(b) != 0 }
	big32 := func(v uint64) uint64 { return min(u32(v), 32) }
	all := []form{
		plain("add.s32", 'r', "rr", func(a, b, _ uint64) uint64 { return a + b }),
		plain("add.sat.s32", 'r', "rr", func(a, b, _ uint64) uint64 { return signed(max(min(i32(a)+i32(b), math.MaxInt32), math.MinInt32)) }),
		plain("sub.s64", 'd', "dd", func(a, b, _ uint64) uint64 { return a - b }),
		plain("add.s16", 'h', "hh", func(a, b, _ uint64) uint64 { return a + b }),
		plain("mul.lo.s32", 'r', "rr", func(a, b, _ uint64) uint64 { return a * b }),
		plain("mul.lo.s16", 'h', "hh", func(a, b, _ uint64) uint64 { return a * b }),
		plain("mul.hi.s32", 'r', "rr", func(a, b, _ uint64) uint64 { return signed(i32(a) * i32(b) >> 32) }),
		plain("mul.hi.u32", 'r', "rr", func(a, b, _ uint64) uint64 { return u32(a) * u32(b) >> 32 }),
		plain("mul.hi.u64", 'd', "dd", func(a, b, _ uint64) uint64 { h, _ := bits.Mul64(a, b); return h }),
		plain("mul.hi.s64", 'd', "dd", func(a, b, _ uint64) uint64 {
			p := new(big.Int).Mul(big.NewInt(int64(a)), big.NewInt(int64(b)))
			return uint64(p.Rsh(p, 64).Int64())
		}),
		plain("mul.wide.s32", 'd', "rr", func(a, b, _ uint64) uint64 { return signed(i32(a) * i32(b)) }),
		plain("mul.wide.u32", 'd', "rr", func(a, b, _ uint64) uint64 { return u32(a) * u32(b) }),
		plain("mul.wide.s16", 'r', "hh", func(a, b, _ uint64) uint64 { return signed(int64(int16(a)) * int64(int16(b))) }),
		plain("mul.wide.u16", 'r', "hh", func(a, b, _ uint64) uint64 { return uint64(uint16(a)) * uint64(uint16(b)) }),
		plain("mad.lo.s32", 'r', "rrr", func(a, b, c uint64) uint64 { return a*b + c }),
		plain("mad.hi.u32", 'r', "rrr", func(a, b, c uint64) uint64 { return u32(a)*u32(b)>>32 + c }),
		plain("mad.wide.s32", 'd', "rrd", func(a, b, c uint64) uint64 { return signed(i32(a)*i32(b)) + c }),
		plain("min.s32", 'r', "rr", func(a, b, _ uint64) uint64 { return signed(min(i32(a), i32(b))) }),
		plain("max.u32", 'r', "rr", func(a, b, _ uint64) uint64 { return max(u32(a), u32(b)) }),
		plain("max.s64", 'd', "dd", func(a, b, _ uint64) uint64 { return signed(max(int64(a), int64(b))) }),
		plain("abs.s32", 'r', "r", func(a, _, _ uint64) uint64 { return signed(max(i32(a), -i32(a))) }),
		plain("neg.s32", 'r', "r", func(a, _, _ uint64) uint64 { return -a }),
		plain("and.b32", 'r', "rr", func(a, b, _ uint64) uint64 { return a & b }),
		plain("or.b64", 'd', "dd", func(a, b, _ uint64) uint64 { return a | b }),
		plain("xor.b16", 'h', "hh", func(a, b, _ uint64) uint64 { return a ^ b }),
		plain("not.b32", 'r', "r", func(a, _, _ uint64) uint64 { return ^a }),
		plain("not.b16", 'h', "h", func(a, _, _ uint64) uint64 { return ^a }),
		plain("shl.b32", 'r', "rr", func(a, b, _ uint64) uint64 { return u32(a) << big32(b) }),
		plain("shr.u32", 'r', "rr", func(a, b, _ uint64) uint64 { return u32(a) >> big32(b) }),
		plain("shr.s32", 'r', "rr", func(a, b, _ uint64) uint64 { return signed(i32(a) >> big32(b)) }),
		plain("shl.b64", 'd', "dr", func(a, b, _ uint64) uint64 { return a << min(u32(b), 64) }),
		plain("shr.s64", 'd', "dr", func(a, b, _ uint64) uint64 { return signed(int64(a) >> min(u32(b), 64)) }),
		plain("shr.s16", 'h', "hr", func(a, b, _ uint64) uint64 { return signed(int64(int16(a)) >> min(u32(b), 16)) }),
		plain("shf.l.wrap.b32", 'r', "rrr", func(a, b, c uint64) uint64 { return (u32(b)<<32 | u32(a)) << (c & 31) >> 32 }),
		plain("shf.r.wrap.b32", 'r', "rrr", func(a, b, c uint64) uint64 { return (u32(b)<<32 | u32(a)) >> (c & 31) }),
		plain("shf.l.clamp.b32", 'r', "rrr", func(a, b, c uint64) uint64 { return (u32(b)<<32 | u32(a)) << big32(c) >> 32 }),
		plain("shf.r.clamp.b32", 'r', "rrr", func(a, b, c uint64) uint64 { return (u32(b)<<32 | u32(a)) >> big32(c) }),
		plain("bfe.u32", 'r', "rrr", func(a, b, c uint64) uint64 { return u32(a) >> (b & 255) & (1<<(c&255) - 1) }),
		plain("bfe.s32", 'r', "rrr", bfeSigned),
		{code: "bfi.b32 $0, $1, $2, $3, 8;", out: 'r', in: "rrr", want: func(a, b, c uint64) uint64 {
			mask := u32(uint64(255) << (c & 255))
			return b&^mask | a<<(c&255)&mask
		}},
		{code: "bfi.b32 $0, $1, $2, 0, $3;", out: 'r', in: "rrr", want: func(a, b, c uint64) uint64 {
			mask := uint64(1)<<min(c&255, 32) - 1
			return b&^mask | a&mask
		}},
		plain("popc.b32", 'r', "r", func(a, _, _ uint64) uint64 { return uint64(bits.OnesCount32(uint32(a))) }),
		plain("clz.b32", 'r', "r", func(a, _, _ uint64) uint64 { return uint64(bits.LeadingZeros32(uint32(a))) }),
		plain("clz.b64", 'r', "d", func(a, _, _ uint64) uint64 { return uint64(bits.LeadingZeros64(a)) }),
		plain("brev.b32", 'r', "r", func(a, _, _ uint64) uint64 { return uint64(bits.Reverse32(uint32(a))) }),
		plain("bfind.u32", 'r', "r", func(a, _, _ uint64) uint64 { return uint64(bits.Len32(uint32(a)) - 1) }),
		plain("sad.s32", 'r', "rrr", func(a, b, c uint64) uint64 { return signed(max(i32(a)-i32(b), i32(b)-i32(a))) + c }),
		plain("prmt.b32", 'r', "rrr", prmt),
		{code: "prmt.b32 $0, $1, $2, 0x5410;", out: 'r', in: "rr", want: func(a, b, _ uint64) uint64 { return b<<16 | a&0xffff }},
		{code: "prmt.b32 $0, $1, $2, 0x7632;", out: 'r', in: "rr", want: func(a, b, _ uint64) uint64 { return b&^0xffff | u32(a)>>16 }},
		{code: "lop3.b32 $0, $1, $2, $3, 0xe8;", out: 'r', in: "rrr", want: func(a, b, c uint64) uint64 { return a&b | a&c | b&c }},
		{code: "lop3.b32 $0, $1, $2, $3, 0xf8;", out: 'r', in: "rrr", want: func(a, b, c uint64) uint64 { return a | b&c }},
		{code: "lop3.b32 $0, $1, $2, $3, 0x3c;", out: 'r', in: "rrr", want: func(a, b, _ uint64) uint64 { return a ^ b }},
		{code: "lop3.b32 $0, $1, $2, $3, 0x1d;", out: 'r', in: "rrr", want: lop3(0x1d)},
		{code: "mov.b64 {$0, %r20}, $1;", out: 'r', in: "d", want: func(a, _, _ uint64) uint64 { return a }},
		{code: "mov.b64 {%r20, $0}, $1;", out: 'r', in: "d", want: func(a, _, _ uint64) uint64 { return a >> 32 }},
		{code: "mov.b32 {%h20, $0}, $1;", out: 'h', in: "r", want: func(a, _, _ uint64) uint64 { return a >> 16 }},
		{code: "mov.b32 $0, {$1, $2};", out: 'r', in: "hh", want: func(a, b, _ uint64) uint64 { return a&0xffff | b<<16 }},
		plain("cvt.u64.u32", 'd', "r", func(a, _, _ uint64) uint64 { return u32(a) }),
		plain("cvt.s64.s32", 'd', "r", func(a, _, _ uint64) uint64 { return signed(i32(a)) }),
		plain("cvt.u32.u64", 'r', "d", func(a, _, _ uint64) uint64 { return a }),
		plain("cvt.s32.s16", 'r', "h", func(a, _, _ uint64) uint64 { return signed(int64(int16(a))) }),
		plain("cvt.s32.s8", 'r', "r", func(a, _, _ uint64) uint64 { return signed(int64(int8(a))) }),
		plain("cvt.s16.s8", 'h', "h", func(a, _, _ uint64) uint64 { return signed(int64(int8(a))) }),
		plain("cvt.u16.u8", 'h', "h", func(a, _, _ uint64) uint64 { return a & 255 }),
		plain("cvt.sat.u8.s32", 'r', "r", func(a, _, _ uint64) uint64 { return signed(max(min(i32(a), 255), 0)) }),
		plain("cvt.sat.s8.s32", 'r', "r", func(a, _, _ uint64) uint64 { return signed(max(min(i32(a), 127), -128)) }),
		{code: "selp.b32 $0, $1, $2, %p2;", out: 'r', in: "rr", want: func(a, _, _ uint64) uint64 { return a }},
	}
	for _, f := range []form{
		plain("div.u32", 'r', "rr", func(a, b, _ uint64) uint64 { return u32(a) / u32(b) }),
		plain("rem.u32", 'r', "rr", func(a, b, _ uint64) uint64 { return u32(a) % u32(b) }),
		plain("div.s32", 'r', "rr", func(a, b, _ uint64) uint64 { return signed(i32(a) / i32(b)) }),
		plain("rem.s32", 'r', "rr", func(a, b, _ uint64) uint64 { return signed(i32(a) % i32(b)) }),
	} {
		f.takes = nonzero
		all = append(all, f)
	}
	for _, name := range []string{"eq", "ne", "lt", "le", "gt", "ge"} {
		all = append(all,
			truth("setp."+name+".s32", "rr", func(a, b uint64) bool { return holds(name, i32(a), i32(b)) }),
			truth("setp."+name+".u32", "rr", func(a, b uint64) bool { return holds(name, u32(a), u32(b)) }),
			truth("setp."+name+".s64", "dd", func(a, b uint64) bool { return holds(name, int64(a), int64(b)) }),
			truth("setp."+name+".s16", "hh", func(a, b uint64) bool { return holds(name, int16(a), int16(b)) }),
			truth("setp."+name+".f32", "ff", func(a, b uint64) bool {
				x, y := number(a), number(b)
				return holds(name, x, y) && (name != "ne" || x == x && y == y)
			}),
			truth("setp."+name+"u.f32", "ff", func(a, b uint64) bool {
				x, y := number(a), number(b)
				return holds(name, x, y) || x != x || y != y
			}))
	}
	return all
}

// doubleForms are those of float64, and the wider integer ones beside them.
func doubleForms() []form {
	f64 := math.Float64frombits
	two := func(op string, f func(x, y float64) float64) form {
		return plain(op, 'g', "gg", func(a, b, _ uint64) uint64 { return math.Float64bits(f(f64(a), f64(b))) })
	}
	all := []form{
		two("add.f64", func(x, y float64) float64 { return x + y }),
		two("sub.f64", func(x, y float64) float64 { return x - y }),
		two("mul.f64", func(x, y float64) float64 { return x * y }),
		two("div.rn.f64", func(x, y float64) float64 { return x / y }),
		plain("rcp.rn.f64", 'g', "g", func(a, _, _ uint64) uint64 { return math.Float64bits(1 / f64(a)) }),
		plain("neg.f64", 'g', "g", func(a, _, _ uint64) uint64 { return a ^ 1<<63 }),
		plain("abs.f64", 'g', "g", func(a, _, _ uint64) uint64 { return a &^ (1 << 63) }),
		plain("fma.rn.f64", 'g', "ggg", func(a, b, c uint64) uint64 {
			x, y, z := f64(a), f64(b), f64(c)
			switch open := math.IsInf(x, 0) || math.IsInf(y, 0); {
			case math.IsInf(z, 0) && !open && x == x && y == y:
				return c // where the product overflows, too
			case open || x != x || y != y || z != z || x == 0 || y == 0:
				return math.Float64bits(x*y + z)
			}
			f := func(v float64) *big.Float { return new(big.Float).SetPrec(5000).SetFloat64(v) }
			p := f(x)
			v, _ := p.Add(p.Mul(p, f(y)), f(z)).Float64()
			return math.Float64bits(v)
		}),
		plain("cvt.rn.f32.f64", 'r', "g", func(a, _, _ uint64) uint64 { return bitsOf(float32(f64(a))) }).ofNumbers(func(a uint64) float32 { return float32(f64(a)) }),
		plain("cvt.rn.f64.s32", 'g', "r", func(a, _, _ uint64) uint64 { return math.Float64bits(float64(int32(a))) }),
		plain("cvt.rn.f64.u32", 'g', "r", func(a, _, _ uint64) uint64 { return math.Float64bits(float64(uint32(a))) }),
		plain("cvt.rn.f32.s16", 'r', "h", func(a, _, _ uint64) uint64 { return bitsOf(float32(int16(a))) }),
		plain("cvt.rn.f32.u16", 'r', "h", func(a, _, _ uint64) uint64 { return bitsOf(float32(uint16(a))) }),
		plain("cvt.s64.s16", 'd', "h", func(a, _, _ uint64) uint64 { return uint64(int64(int16(a))) }),
		plain("cvt.s64.s8", 'd', "d", func(a, _, _ uint64) uint64 { return uint64(int64(int8(a))) }),
		plain("cvt.s8.s32", 'h', "r", func(a, _, _ uint64) uint64 { return uint64(int64(int8(a))) }),
		plain("cvt.u16.u32", 'h', "r", func(a, _, _ uint64) uint64 { return a }),
		plain("cvt.u64.u16", 'd', "h", func(a, _, _ uint64) uint64 { return a }),
		plain("mul.lo.s64", 'd', "dd", func(a, b, _ uint64) uint64 { return a * b }),
		plain("min.s64", 'd', "dd", func(a, b, _ uint64) uint64 { return uint64(min(int64(a), int64(b))) }),
		plain("xor.b64", 'd', "dd", func(a, b, _ uint64) uint64 { return a ^ b }),
		plain("not.b64", 'd', "d", func(a, _, _ uint64) uint64 { return ^a }),
		plain("shr.u64", 'd', "dr", func(a, b, _ uint64) uint64 { return a >> min(b, 64) }),
		plain("shr.u16", 'h', "hr", func(a, b, _ uint64) uint64 { return a >> min(b, 16) }),
		plain("popc.b64", 'r', "d", func(a, _, _ uint64) uint64 { return uint64(bits.OnesCount64(a)) }),
		truth("setp.nan.f32", "ff", func(a, b uint64) bool { return number(a) != number(a) || number(b) != number(b) }),
		truth("setp.ge.u64", "dd", func(a, b uint64) bool { return a >= b }),
		{code: "setp.lt.u32 %p1, $1, $2; setp.eq.u32 %p3, $1, 0; not.pred %p4, %p3; and.pred %p5, %p1, %p4; or.pred %p6, %p5, %p3; mov.pred %p7, %p6; selp.b64 $0, 1, 0, %p7;",
			out: 'd', in: "rr", want: func(a, b, _ uint64) uint64 {
				if a == 0 || a < b {
					return 1
				}
				return 0
			}},
	}
	div := plain("div.s64", 'd', "dd", func(a, b, _ uint64) uint64 { return uint64(int64(a) / int64(b)) })
	div.takes = func(_, b, _ uint64) bool { return b != 0 }
	// Near 1 the manual bounds the absolute error.
	lg2 := plain("lg2.approx.f32", 'r', "f", func(a, _, _ uint64) uint64 { return bitsOf(float32(math.Log2(float64(number(a))))) })
	lg2.ulps, lg2.anyNaN, lg2.takes = 4, true, func(a, _, _ uint64) bool { x := number(a); return !(x > 0.5 && x < 2) }
	all = append(all, div, lg2)
	for _, name := range []string{"eq", "ne", "lt", "le", "gt", "ge"} {
		all = append(all, truth("setp."+name+".f64", "gg", func(a, b uint64) bool {
			x, y := f64(a), f64(b)
			return holds(name, x, y) && (name != "ne" || x == x && y == y)
		}))
	}
	return all
}

func holds[T int64 | uint64 | int16 | float32 | float64](name string, a, b T) bool {
	return map[string]bool{"eq": a == b, "ne": a != b, "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}[name]
}

// bfeSigned follows the field through a shift up and an arithmetic shift down.
func bfeSigned(a, b, c uint64) uint64 {
	pos, n := int(b&255), int(c&255)
	if n == 0 {
		return 0
	}
	v := int64(int32(a))
	if pos+n >= 32 {
		return uint64(v >> min(pos, 31))
	}
	return uint64(v << (64 - pos - n) >> (64 - n))
}

// lop3 looks every bit up in a table.
func lop3(table uint64) fn {
	return func(a, b, c uint64) (d uint64) {
		for i := range 32 {
			d |= table >> (a>>i&1<<2 | b>>i&1<<1 | c>>i&1) & 1 << i
		}
		return d
	}
}

func prmt(a, b, c uint64) uint64 {
	bytes := [8]byte{byte(a), byte(a >> 8), byte(a >> 16), byte(a >> 24), byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)}
	var d uint64
	for i := range 4 {
		s := c >> (4 * i) & 15
		v := bytes[s&7]
		if s >= 8 {
			v = byte(int8(v) >> 7)
		}
		d |= uint64(v) << (8 * i)
	}
	return d
}

func number(v uint64) float32 { return math.Float32frombits(uint32(v)) }

// exact rounds a number of arbitrary precision to float32 bits; special cases
// are the caller's.
func exact(x *big.Float) uint64 {
	v, _ := x.Float32()
	return uint64(math.Float32bits(v))
}

func finite(v ...float32) bool {
	for _, x := range v {
		if x-x != 0 {
			return false
		}
	}
	return true
}

func bitsOf(v float32) uint64 {
	if v != v {
		return 0x7fffffff
	}
	return uint64(math.Float32bits(v))
}

func fused(a, b, c uint64) uint64 {
	x, y, z := number(a), number(b), number(c)
	r := float32(float64(x)*float64(y) + float64(z))
	if !finite(x, y, z) || r == 0 {
		return bitsOf(r)
	}
	f := func(v float32) *big.Float { return new(big.Float).SetPrec(1000).SetFloat64(float64(v)) }
	p := f(x)
	p.Mul(p, f(y))
	return exact(p.Add(p, f(z)))
}

// toBF16 chooses the nearer of two neighbours by their distances.
func toBF16(v uint64) uint64 {
	x := number(v)
	if x != x {
		return 0x7fff
	}
	low := uint32(v) >> 16
	below, above := float64(math.Float32frombits(low<<16)), 0.0
	if low&0x7fff == 0x7f7f {
		above = math.Copysign(0x1p128, float64(x)) // infinity's place in rounding
	} else {
		above = float64(math.Float32frombits((low + 1) << 16))
	}
	if low&0x7fff >= 0x7f80 {
		return uint64(low)
	}
	near, far := math.Abs(float64(x)-below), math.Abs(above-float64(x))
	if far < near || far == near && low&1 != 0 {
		return uint64(low + 1)
	}
	return uint64(low)
}

func flushed(v uint64) uint64 {
	if x := number(v); x > -0x1p-126 && x < 0x1p-126 {
		return v & 0x80000000
	}
	return v
}

func floatForms() []form {
	approximation := func(op string, ulps int, ftz bool, f func(x float64) float64) form {
		form := plain(op, 'r', "f", func(a, _, _ uint64) uint64 {
			if ftz {
				a = flushed(a)
			}
			r := bitsOf(float32(f(float64(number(a)))))
			if ftz {
				r = flushed(r)
			}
			return r
		})
		form.ulps, form.anyNaN = ulps, true
		return form
	}
	two := func(op string, f func(x, y float32) float32) form {
		return plain(op, 'r', "ff", func(a, b, _ uint64) uint64 { return bitsOf(f(number(a), number(b))) })
	}
	quotient := two("div.rn.f32", func(x, y float32) float32 { return x / y })
	quotient.anyNaN = true
	return []form{
		quotient,
		two("add.rn.f32", func(x, y float32) float32 { return x + y }),
		two("add.f32", func(x, y float32) float32 { return x + y }),
		two("sub.rn.f32", func(x, y float32) float32 { return x - y }),
		two("mul.rn.f32", func(x, y float32) float32 { return x * y }),
		plain("mul.rn.ftz.f32", 'r', "ff", func(a, b, _ uint64) uint64 {
			return flushed(bitsOf(number(flushed(a)) * number(flushed(b))))
		}),
		plain("fma.rn.f32", 'r', "fff", fused),
		two("min.f32", extreme(-1)),
		two("max.f32", extreme(1)),
		two("max.NaN.f32", func(x, y float32) float32 {
			if x != x || y != y {
				return float32(math.NaN())
			}
			return extreme(1)(x, y)
		}),
		plain("abs.f32", 'r', "f", func(a, _, _ uint64) uint64 { return a &^ 0x80000000 }).ofNumbers(number),
		plain("neg.f32", 'r', "f", func(a, _, _ uint64) uint64 { return a ^ 0x80000000 }).ofNumbers(number),
		approximation("sqrt.rn.f32", 0, false, math.Sqrt),
		approximation("rcp.rn.f32", 0, false, func(x float64) float64 { return 1 / x }),
		approximation("ex2.approx.ftz.f32", 2, true, math.Exp2),
		approximation("rsqrt.approx.ftz.f32", 2, true, func(x float64) float64 { return 1 / math.Sqrt(x) }),
		approximation("rcp.approx.ftz.f32", 1, true, func(x float64) float64 { return 1 / x }),
		approximation("sqrt.approx.ftz.f32", 2, true, math.Sqrt),
		plain("cvt.rn.bf16.f32", 'h', "f", func(a, _, _ uint64) uint64 { return toBF16(a) }),
		plain("cvt.rn.bf16x2.f32", 'r', "ff", func(a, b, _ uint64) uint64 { return toBF16(a)<<16 | toBF16(b) }),
		plain("cvt.f32.f16", 'r', "h", func(a, _, _ uint64) uint64 { return halfToSingle(uint16(a)) }).ofNumbers(func(a uint64) float32 { return number(halfToSingle(uint16(a))) }),
		plain("cvt.rn.f32.s32", 'r', "r", func(a, _, _ uint64) uint64 { return exact(new(big.Float).SetInt64(int64(int32(a)))) }),
		plain("cvt.rn.f32.u32", 'r', "r", func(a, _, _ uint64) uint64 { return exact(new(big.Float).SetInt64(int64(uint32(a)))) }),
		plain("cvt.rn.f32.u64", 'r', "d", func(a, _, _ uint64) uint64 { return exact(new(big.Float).SetUint64(a)) }),
		plain("cvt.rzi.s32.f32", 'r', "f", toInteger(math.Trunc, math.MinInt32, math.MaxInt32)),
		plain("cvt.rni.s32.f32", 'r', "f", toInteger(math.RoundToEven, math.MinInt32, math.MaxInt32)),
		plain("cvt.rmi.s32.f32", 'r', "f", toInteger(math.Floor, math.MinInt32, math.MaxInt32)),
		plain("cvt.rzi.u32.f32", 'r', "f", toInteger(math.Trunc, 0, math.MaxUint32)),
		plain("cvt.rpi.f32.f32", 'r', "f", func(a, _, _ uint64) uint64 { return bitsOf(float32(math.Ceil(float64(number(a))))) }).ofNumbers(number),
		plain("cvt.sat.f32.f32", 'r', "f", func(a, _, _ uint64) uint64 {
			if x := number(a); x > 0 {
				return bitsOf(min(x, 1))
			}
			return 0
		}),
		plain("cvt.f64.f32", 'd', "f", func(a, _, _ uint64) uint64 { return math.Float64bits(float64(number(a))) }).ofNumbers(number),
	}
}

func extreme(sign float32) func(x, y float32) float32 {
	return func(x, y float32) float32 {
		switch {
		case x != x:
			return y
		case y != y:
			return x
		case x == y && x == 0:
			if math.Signbit(float64(x)) == (sign > 0) {
				return y
			}
			return x
		case sign*x > sign*y:
			return x
		}
		return y
	}
}

func toInteger(round func(float64) float64, least, most float64) fn {
	return func(a, _, _ uint64) uint64 {
		v := round(float64(number(a)))
		if v != v {
			return 0
		}
		return uint64(int64(max(min(v, most), least)))
	}
}

func halfToSingle(h uint16) uint64 {
	sign, e, f := uint64(h>>15)<<31, int(h>>10&31), float64(h&1023)
	switch {
	case e == 31 && f != 0:
		return 0x7fffffff
	case e == 31:
		return sign | 0x7f800000
	case e == 0:
		return sign | uint64(math.Float32bits(float32(f*0x1p-24)))
	}
	return sign | uint64(math.Float32bits(float32(math.Ldexp(1024+f, e-25))))
}

// ptx writes a kernel that runs the form on one triple of words a thread.
func (f form) ptx() string {
	width := map[byte]string{'r': "b32", 'f': "b32", 'd': "b64", 'g': "b64", 'h': "b16"}
	name := map[byte]string{'r': "%r", 'f': "%r", 'd': "%rd", 'g': "%rd", 'h': "%h"}
	code, loads := f.code, ""
	for i := range f.in {
		at := fmt.Sprintf("%s%d", name[f.in[i]], 10+i)
		code = strings.ReplaceAll(code, fmt.Sprintf("$%d", i+1), at)
		loads += fmt.Sprintf("\tld.global.%s %s, [%%rd3+%d];\n", width[f.in[i]], at, 8*i)
	}
	result := name[f.out] + "15"
	code = strings.ReplaceAll(code, "$0", result)
	return `.version 7.8
.target sm_80
.address_size 64
.visible .entry form(.param .u64 form_0, .param .u64 form_1)
{
	.reg .pred %p<9>;
	.reg .b16 %h<40>;
	.reg .b32 %r<40>;
	.reg .b64 %rd<40>;
	ld.param.u64 %rd1, [form_0];
	ld.param.u64 %rd2, [form_1];
	mov.u32 %r1, %tid.x;
	mov.u32 %r2, %ctaid.x;
	mad.lo.s32 %r3, %r2, 256, %r1;
	setp.ge.u32 %p2, %r1, 0;
	mad.wide.u32 %rd3, %r3, 24, %rd2;
	mad.wide.u32 %rd4, %r3, 8, %rd1;
` + loads + "\t" + code + "\n\tst.global." + width[f.out] + " [%rd4], " + result + ";\n\tret;\n}\n"
}

// edges are words that instructions treat apart.
var edges = []uint64{0, 1, 2, 31, 32, 33, 63, 64, 65, 255, 256, 0x7f, 0x80, 0x7fff, 0x8000, 0xffff,
	0x7fffffff, 0x80000000, 0x80000001, 0xffffffff, 0x3f800000, 0xbf800000, 0x3f808000, 0x3f818000, 0x3f808001, // ties of bfloat16
	0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0x00800000, 0x007fffff, 0x80000001, 0x7f7fffff, 0x7f7f8000, 0x7f7f7fff,
	0x4f000000, 0xcf000000, 0x4f800000, 0x3f000000, 0x3fc00000, 0x40200000, 0x0123456789abcdef, 1 << 63, 1<<63 - 1}

// draw returns inputs: pairs of edges first, then random words.
func draw(rng *rand.Rand, in string, n int) []uint64 {
	all := make([]uint64, 3*n)
	for i := range n {
		for j := range in {
			v := rng.Uint64()
			switch {
			case in[j] == 'g' && rng.IntN(4) != 0:
				v = math.Float64bits([]float64{rng.NormFloat64(), 0, 1, -3, 0x1p-1074, -0x1p-1022, 0x1p1023, math.Inf(1), math.Inf(-1), math.NaN(), 1 + 0x1p-29}[rng.IntN(11)])
			case i < n/2 || rng.IntN(8) == 0:
				v = edges[rng.IntN(len(edges))]
			case in[j] == 'f' && rng.IntN(2) == 0:
				v = uint64(math.Float32bits(float32(rng.NormFloat64())))
			case rng.IntN(3) == 0:
				v = rng.Uint64N(70)
			}
			all[3*i+j] = v
		}
	}
	return all
}

// far is the distance of two float32 numbers in units in the last place.
func far(a, b uint64) int {
	order := func(v uint64) int {
		if v>>31&1 != 0 {
			return -int(v & 0x7fffffff)
		}
		return int(v & 0x7fffffff)
	}
	return max(order(a)-order(b), order(b)-order(a))
}

// answers are what a card made of a form's inputs, kept in testdata/forms.
type answers struct {
	Card    string              `json:"card"`
	Results map[string][]uint64 `json:"results"` // by code
}

// TestForms runs every form of instruction beside Go's own arithmetic, in the
// simulator or on a card. With -update a card's answers become golden files,
// which the simulator is held to from then on.
func TestForms(t *testing.T) {
	const blocks, n = 4, 4 * 256
	c := cudatest.Open(t)
	got := answers{Card: c.Name, Results: map[string][]uint64{}}
	golden := readAnswers(t)
	for i, f := range slices.Concat(integerForms(), floatForms(), doubleForms()) {
		inputs := draw(rand.New(rand.NewPCG(uint64(i), 7)), f.in, n)
		in, out := cudatest.Upload(t, c, inputs), cudatest.Upload(t, c, make([]uint64, n))
		c.Run(t, f.ptx(), "form", driver.Dim{X: blocks, Y: 1, Z: 1}, driver.Dim{X: 256, Y: 1, Z: 1}, 0, driver.Ptr(out), driver.Ptr(in))
		results := cudatest.Download[uint64](t, c, out, n)
		got.Results[f.code] = results
		f.compare(t, "Go", inputs, results, func(j int) uint64 { return f.cut(f.want(f.args(inputs, j))) })
		for card, a := range golden {
			if a.Results[f.code] != nil {
				f.compare(t, card, inputs, results, func(j int) uint64 { return a.Results[f.code][j] })
			}
		}
	}
	if *update && c.Sim == nil {
		writeAnswers(t, got)
	}
}

// args are a thread's operands, cut to their widths.
func (f form) args(inputs []uint64, j int) (a, b, c uint64) {
	v := [3]uint64(inputs[3*j:])
	for i := range f.in {
		v[i] = cut(f.in[i], v[i])
	}
	return v[0], v[1], v[2]
}

func (f form) cut(v uint64) uint64 { return cut(f.out, v) }

func cut(width byte, v uint64) uint64 {
	switch width {
	case 'd', 'g':
		return v
	case 'h':
		return v & 0xffff
	}
	return v & 0xffffffff
}

func (f form) compare(t *testing.T, oracle string, inputs, got []uint64, want func(j int) uint64) {
	t.Helper()
	for j := range got {
		a, b, c := f.args(inputs, j)
		if f.takes != nil && !f.takes(a, b, c) {
			continue
		}
		w := want(j)
		if f.out == 'g' && math.IsNaN(math.Float64frombits(w)) && math.IsNaN(math.Float64frombits(got[j])) {
			continue // the manual leaves its bits open
		}
		if f.anyNaN && number(w) != number(w) && number(got[j]) != number(got[j]) {
			continue
		}
		if got[j] != w && (f.ulps == 0 || far(got[j], w) > f.ulps) {
			t.Errorf("%s of %#x, %#x, %#x: %#x: %s has %#x", f.code, a, b, c, got[j], oracle, w)
			return
		}
	}
}

func readAnswers(t *testing.T) map[string]answers {
	t.Helper()
	files, err := filepath.Glob("testdata/forms/*.json")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]answers{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		var a answers
		if err == nil {
			err = json.Unmarshal(data, &a)
		}
		if err != nil {
			t.Fatal(err)
		}
		all[a.Card] = a
	}
	return all
}

func writeAnswers(t *testing.T, a answers) {
	t.Helper()
	data, err := json.Marshal(a)
	if err == nil {
		err = os.MkdirAll("testdata/forms", 0o755)
	}
	if err == nil {
		err = os.WriteFile("testdata/forms/"+strings.ReplaceAll(a.Card, " ", "-")+".json", data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
