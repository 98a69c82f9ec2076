package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// The splitter is written by hand after the pattern of Llama 3
// (models/llama3/tokenizer.py, pat_str), because Go's regexp has no
// lookahead and its \s is ASCII only. The alternatives in their order:
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)      contraction
//	[^\r\n\p{L}\p{N}]?\p{L}+          word
//	\p{N}{1,3}                        number
//	 ?[^\s\p{L}\p{N}]+[\r\n]*         symbols
//	\s*[\r\n]+ | \s+(?!\S) | \s+      space
//
// Every piece is found in time linear in its length; a byte that is not
// UTF-8 counts as a symbol.

// splitPattern is the pattern as tokenizer.json spells it.
const splitPattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// class is what the pattern distinguishes about a character.
type class uint8

const (
	symbol class = iota
	letter
	number
	space
	newline // \r or \n, which are spaces too
)

// classify is the class of the first character of s and its length in bytes;
// s is not empty.
func classify(s string) (class, int) {
	if b := s[0]; b < utf8.RuneSelf {
		return classifyASCII(b), 1
	}
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case unicode.IsLetter(r):
		return letter, n
	case unicode.IsNumber(r):
		return number, n
	case unicode.IsSpace(r):
		return space, n
	}
	return symbol, n
}

func classifyASCII(b byte) class {
	switch {
	case 'a' <= b|0x20 && b|0x20 <= 'z':
		return letter
	case '0' <= b && b <= '9':
		return number
	case b == '\n' || b == '\r':
		return newline
	case b == ' ' || b == '\t' || b == '\v' || b == '\f':
		return space
	}
	return symbol
}

// nextPiece is the length in bytes of the first piece of s; s is not empty.
func nextPiece(s string) int {
	if s[0] == '\'' {
		if n := contraction(s); n > 0 {
			return n
		}
	}
	c, n := classify(s)
	switch c {
	case letter:
		return run(s, n, letter)
	case number:
		return numberPiece(s, n)
	case newline:
		return spacePiece(s)
	}
	if n < len(s) {
		next, m := classify(s[n:])
		if next == letter {
			return run(s, n+m, letter)
		}
		if c == space && s[0] == ' ' && next == symbol {
			return symbolPiece(s, n+m)
		}
	}
	if c == space {
		return spacePiece(s)
	}
	return symbolPiece(s, n)
}

// contraction is the length of the contraction at the start of s, which
// begins with an apostrophe; 0 where there is none.
func contraction(s string) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] | 0x20 {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if len(s) > 2 && s[2]|0x20 == 'e' {
			return 3
		}
	case 'l':
		if len(s) > 2 && s[2]|0x20 == 'l' {
			return 3
		}
	}
	// U+017F, the long s, folds to s.
	if len(s) > 2 && s[1:3] == "\u017f" {
		return 3
	}
	return 0
}

// run is the end of the characters of class c that go on at s[i:].
func run(s string, i int, c class) int {
	for i < len(s) {
		next, n := classify(s[i:])
		if next != c {
			break
		}
		i += n
	}
	return i
}

// numberPiece ends after at most three digits, the first of n bytes.
func numberPiece(s string, n int) int {
	for digits := 1; digits < 3 && n < len(s); digits++ {
		c, m := classify(s[n:])
		if c != number {
			break
		}
		n += m
	}
	return n
}

// symbolPiece takes the symbols that go on at s[i:] and the newlines behind.
func symbolPiece(s string, i int) int {
	return run(s, run(s, i, symbol), newline)
}

// spacePiece takes the space at the start of s: through its last newline, or
// else all but its last character where something follows it.
func spacePiece(s string) int {
	end, last, lastNewline := 0, 0, 0
	for end < len(s) {
		c, n := classify(s[end:])
		if c != space && c != newline {
			break
		}
		last = end
		end += n
		if c == newline {
			lastNewline = end
		}
	}
	switch {
	case lastNewline > 0:
		return lastNewline
	case end < len(s) && last > 0:
		return last
	}
	return end
}
