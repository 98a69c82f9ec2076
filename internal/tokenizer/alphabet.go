package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// The byte-level alphabet of GPT-2 (bytes_to_unicode in
// https://github.com/openai/gpt-2/blob/master/src/encoder.py) writes each
// byte as one printable character: the printable Latin-1 bytes as themselves,
// the other 68 as U+0100 and up in ascending order.

// alphabetSize is one more than the largest character of the alphabet.
const alphabetSize = 256 + 68

// printable says whether the alphabet writes byte b as the character U+00b.
func printable(b int) bool {
	return b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE && b <= 0xFF
}

// alphabet holds both directions; toByte is -1 outside the alphabet.
type alphabet struct {
	toRune [256]rune
	toByte [alphabetSize]int16
}

func newAlphabet() *alphabet {
	a := new(alphabet)
	for i := range a.toByte {
		a.toByte[i] = -1
	}
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !printable(b) {
			r = next
			next++
		}
		a.toRune[b] = r
		a.toByte[r] = int16(b)
	}
	return a
}

// appendBytes appends the bytes that name writes.
func (a *alphabet) appendBytes(dst []byte, name string) ([]byte, error) {
	for _, r := range name {
		if r >= alphabetSize || a.toByte[r] < 0 {
			return dst, fmt.Errorf("%q is not in the byte-level alphabet", r)
		}
		dst = append(dst, byte(a.toByte[r]))
	}
	return dst, nil
}

// appendName appends the name of the bytes of text.
func (a *alphabet) appendName(dst []byte, text string) []byte {
	for i := range len(text) {
		dst = utf8.AppendRune(dst, a.toRune[text[i]])
	}
	return dst
}
