package device

import (
	"fmt"
	"math"
)

// Dropout is the attribute of dropout. The draw of an element is a counter
// based function of (seed, key of its row, Stream, column); Stream tells the
// layers' modules apart. Column j of row t has 16 bits, low before high, of word
// j%8/2 of Philox4x32-10 with
//
//	counter = (j/8, key[t], Stream, 0), key = (seed[0], seed[1])
//
// and is dropped where they are less than Limit. So the share that is dropped is P to
// 1 in 131072, and Scale is that of the share itself: the mean is the input's exactly.
type Dropout struct {
	P      float64
	Stream uint32
}

// dropRange is the number of values that an element's draw has.
const dropRange = 1 << 16

// Draws names how masks are drawn: runs of equal names and seeds have equal masks.
const Draws = "philox4x32-10, 16 bits an element"

// Check refuses a probability that draws of 16 bits cannot have.
func (d Dropout) Check() error {
	if d.P == 0 || d.P >= 1./dropRange && d.P <= 1-1./dropRange {
		return nil
	}
	return fmt.Errorf("dropout must be 0 or lie in [1/65536, 65535/65536], got %v", d.P)
}

// Limit is P in 65536ths, rounded.
func (d Dropout) Limit() uint32 { return uint32(math.Round(d.P * dropRange)) }

// Scale is what kept elements are multiplied by: 1/(1-Limit/65536).
func (d Dropout) Scale() float64 { return dropRange / float64(dropRange-d.Limit()) }
