package kern

import "unsafe"

// Draw is what the draws of a dropout have in common. Its layout is known to the
// assembly.
type Draw struct {
	// keys are the two words of each round.
	keys [philoxRounds][2]uint32
	// Limit and Scale are those of device.Dropout: elements that draw less are dropped.
	Limit uint32
	Scale float32
}

const philoxRounds = 10

// SetKey makes the rounds' keys, with the increments of Philox's reference code
// (Random123).
func (d *Draw) SetKey(key [2]uint32) {
	for i := range d.keys {
		d.keys[i] = key
		key[0] += 0x9E3779B9
		key[1] += 0xBB67AE85
	}
}

// Words is Philox4x32-10 (https://doi.org/10.1145/2063384.2063405) of a counter.
func (d *Draw) Words(counter [4]uint32) [4]uint32 {
	for i := range d.keys {
		a, b := 0xD2511F53*uint64(counter[0]), 0xCD9E8D57*uint64(counter[2])
		counter = [4]uint32{uint32(b>>32) ^ counter[1] ^ d.keys[i][0], uint32(b), uint32(a>>32) ^ counter[3] ^ d.keys[i][1], uint32(a)}
	}
	return counter
}

// PerDraw is the elements that one draw of Philox serves.
const PerDraw = 8

// Keeps says whether element j of a row is kept, words being those of its draw: it has
// 16 of their bits, low before high, and is kept where these are Limit or more.
func (d *Draw) Keeps(words [4]uint32, j int) bool {
	return words[j%PerDraw/2]>>(16*(j%2))&0xffff >= d.Limit
}

// Mask is the bits of a row's elements: the first 32*len(mask) of them.
func (d *Draw) Mask(mask []uint32, counter [4]uint32) {
	for i := range mask {
		mask[i] = 0
		for j := 0; j < Cols; j += PerDraw {
			words := d.Words(counter)
			counter[0]++
			for k := j; k < j+PerDraw; k++ {
				if d.Keeps(words, k) {
					mask[i] |= 1 << k
				}
			}
		}
	}
}

// DropoutMask is d.Mask.
func (s *Set) DropoutMask(mask []uint32, d *Draw, counter [4]uint32) {
	whole := 0
	if s.dropoutMask != nil {
		whole = len(mask) * Cols / s.drops * s.drops / Cols
		s.dropoutMask(first(mask, whole), whole*Cols, unsafe.Pointer(d), counter[0], counter[1], counter[2], counter[3])
	}
	counter[0] += uint32(whole * Cols / PerDraw)
	d.Mask(mask[whole:], counter)
}

// Dropout is y = x*Scale where the element is kept, else 0. Element j has the counter
// with j/PerDraw added to its first word. y may be x.
func (s *Set) Dropout(y, x []float32, d *Draw, counter [4]uint32) {
	n := len(y)
	whole := n / s.drops * s.drops
	s.dropout(first(y, n), first(x, n), whole, unsafe.Pointer(d), counter[0], counter[1], counter[2], counter[3])
	dropoutGeneric(first(y[whole:], n-whole), first(x[whole:], n-whole), n-whole, unsafe.Pointer(d),
		counter[0]+uint32(whole/PerDraw), counter[1], counter[2], counter[3])
}

// DropoutHalf is Dropout with y rounded as ToBF16 rounds it; wide is len(y) elements
// to work in.
func (s *Set) DropoutHalf(y []uint16, x, wide []float32, d *Draw, counter [4]uint32) {
	whole := 0
	if s.dropoutHalf != nil {
		whole = len(y) / s.drops * s.drops
		s.dropoutHalf(first(y, whole), first(x, whole), whole, unsafe.Pointer(d), counter[0], counter[1], counter[2], counter[3])
	}
	if y, wide = y[whole:], wide[whole:len(y)]; len(y) == 0 {
		return
	}
	counter[0] += uint32(whole / PerDraw)
	s.Dropout(wide, x[whole:], d, counter)
	s.ToBF16(y, wide)
}

func dropoutGeneric(y, x unsafe.Pointer, n int, draw unsafe.Pointer, c0, c1, c2, c3 uint32) {
	d := (*Draw)(draw)
	to, from := floats(y, n), floats(x, n)
	var words [4]uint32
	for j, v := range from {
		if j%PerDraw == 0 {
			words = d.Words([4]uint32{c0 + uint32(j/PerDraw), c1, c2, c3})
		}
		to[j] = 0
		if d.Keeps(words, j) {
			to[j] = v * d.Scale
		}
	}
}
