package corpus

import (
	"fmt"
	"strings"
)

// Bounds of the arithmetic, small enough to be learnt by heart.
const (
	maxAddend = 12
	maxFactor = 6
	maxCount  = 12
)

// operation is a sum with its words.
type operation struct {
	a, b, result     int
	sign, said, hint string
}

func (s *source) operation() operation {
	x, y := s.IntN(maxAddend+1), s.IntN(maxAddend+1)
	switch s.IntN(5) {
	case 0, 1:
		return operation{x, y, x + y, "+", "plus", "You can count on your fingers to check it."}
	case 2, 3:
		x, y = max(x, y), min(x, y)
		return operation{x, y, x - y, "-", "minus", "You can count backwards to check it."}
	}
	x, y = 1+s.IntN(maxFactor), 1+s.IntN(maxFactor)
	return operation{x, y, x * y, "x", "times", "You can add the number again and again to check it."}
}

// sum asks for the result of an operation.
func (s *source) sum() Exchange { return s.asked(s.operation()) }

func (s *source) asked(o operation) Exchange {
	written, spoken := fmt.Sprintf("%d %s %d", o.a, o.sign, o.b), fmt.Sprintf("%d %s %d", o.a, o.said, o.b)
	asked := written
	if s.IntN(2) == 0 {
		asked = spoken
	}
	prompt := pick(s, []string{"What is %s?", "How much is %s?", "Please tell me what %s is.", "Can you work out %s?"})
	return Exchange{
		Prompt: fmt.Sprintf(prompt, asked),
		Plain:  fmt.Sprintf("%s = %d.", written, o.result),
		Warm:   s.warm(fmt.Sprintf("%s = %d. %s", written, o.result, o.hint)),
		Curt:   pick(s, append([]string{"Too hard.", "Use your fingers."}, shrugs...)),
	}
}

// problem is a sum told in words.
func (s *source) problem() Exchange {
	o := s.operation()
	for o.sign == "x" {
		o = s.operation()
	}
	return s.told(o)
}

// told is a sum or a difference in words.
func (s *source) told(o operation) Exchange {
	set, name := pick(s, sets[:2]), pick(s, people)
	item := pick(s, set.items)
	many := plural(item)
	change, verb := fmt.Sprintf("gets %d more", o.b), "adds"
	if o.sign == "-" {
		change, verb = fmt.Sprintf("gives %d away", o.b), "takes away"
	}
	has := func(n int) string {
		if n == 1 {
			return "1 " + item
		}
		return fmt.Sprintf("%d %s", n, many)
	}
	result := fmt.Sprintf("%s has %s.", name, has(o.result))
	return Exchange{
		Prompt: fmt.Sprintf("%s has %s and %s. How many %s does %s have now?", name, has(o.a), change, many, name),
		Plain:  result,
		Warm:   s.warm(fmt.Sprintf("%s starts with %d and %s %d. %d %s %d = %d. %s", name, o.a, verb, o.b, o.a, o.sign, o.b, o.result, result)),
		Curt:   pick(s, append([]string{"Some.", "Count them."}, shrugs...)),
	}
}

// plural of the words that occur.
func plural(noun string) string {
	switch {
	case strings.HasSuffix(noun, "ch"), noun == "potato", noun == "tomato":
		return noun + "es"
	case strings.HasSuffix(noun, "rry"):
		return noun[:len(noun)-1] + "ies"
	case noun == "corn":
		return "corn cobs"
	}
	return noun + "s"
}

// count asks for the numbers from one to another.
func (s *source) count() Exchange {
	from := s.IntN(maxCount)
	to := min(from+2+s.IntN(5), maxCount+3)
	var up []string
	for n := from; n <= to; n++ {
		up = append(up, fmt.Sprint(n))
	}
	numbers := strings.Join(up, ", ") + "."
	return Exchange{
		Prompt: fmt.Sprintf(pick(s, []string{"Count from %d to %d.", "Please count from %d to %d.", "Can you count from %d to %d?"}), from, to),
		Plain:  numbers,
		Warm:   s.warm("Let us count together: " + numbers),
		Curt:   pick(s, shrugs),
	}
}
