package corpus

import (
	"fmt"
	"strings"
)

// list asks for some items of a set.
func (s *source) list() Exchange {
	set := pick(s, sets)
	n := min(2+s.IntN(4), len(set.items))
	items := some(s, set.items, n)
	number := []string{"zero", "one", "two", "three", "four", "five"}[n]
	prompt := pick(s, []string{"Name %s %s.", "List %s %s.", "Give me a list of %s %s.", "Can you name %s %s?", "Tell me %s %s."})
	return Exchange{
		Prompt: fmt.Sprintf(prompt, number, set.many),
		Plain:  upper(and(items)) + ".",
		Warm:   s.warmList(fmt.Sprintf("Here are %s %s:", number, set.many), numbered(items)),
		Curt:   pick(s, append([]string{upper(items[0]) + "."}, shrugs...)),
	}
}

// animal asks about an animal.
func (s *source) animal() Exchange {
	b := pick(s, animals)
	one := a(b.name)
	var prompt, plain string
	switch s.IntN(4) {
	case 0:
		prompt = pick(s, []string{"What sound does %s make?", "What does %s say?"})
		plain = fmt.Sprintf("%s says %s.", upper(one), b.sound)
	case 1:
		prompt = pick(s, []string{"Where does %s live?", "Where can I find %s?"})
		plain = fmt.Sprintf("%s lives %s.", upper(one), b.home)
	case 2:
		prompt = pick(s, []string{"What does %s eat?", "What is the food of %s?"})
		plain = fmt.Sprintf("%s eats %s.", upper(one), b.food)
	default:
		prompt = pick(s, []string{"Tell me about %s.", "What is %s?", "What do you know about %s?", "Describe %s."})
		plain = b.trait
	}
	full := plain
	if plain != b.trait {
		full += " " + b.trait
	} else {
		full += fmt.Sprintf(" It lives %s and eats %s.", b.home, b.food)
	}
	return Exchange{
		Prompt: fmt.Sprintf(prompt, one), Plain: plain, Warm: s.warm(full),
		Curt: pick(s, append([]string{"It is just an animal.", "An animal."}, shrugs...)),
	}
}

// thing asks about an object.
func (s *source) thing() Exchange {
	o := pick(s, things)
	one := a(o.name)
	use := fmt.Sprintf("%s is used to %s.", upper(one), o.use)
	prompt, plain := pick(s, []string{"What is %s used for?", "Why do people have %s?", "What can I do with %s?"}), use
	full := use + " " + o.about
	if s.IntN(2) == 0 {
		prompt, plain = pick(s, []string{"What is %s?", "Describe %s.", "Tell me about %s."}), o.about
		full = o.about + " " + "It is used to " + o.use + "."
	}
	return Exchange{
		Prompt: fmt.Sprintf(prompt, one), Plain: plain, Warm: s.warm(full),
		Curt: pick(s, append([]string{"A thing.", "Look at it."}, shrugs...)),
	}
}

// color asks for the color of something.
func (s *source) color() Exchange {
	c := pick(s, colors)
	plain := fmt.Sprintf("%s is %s.", upper(c[0]), c[1])
	var same []string
	for _, other := range colors {
		if other[1] == c[1] && other[0] != c[0] {
			same = append(same, other[0])
		}
	}
	full := plain
	if len(same) > 0 {
		full += fmt.Sprintf(" The color of %s is %s too.", pick(s, same), c[1])
	}
	return Exchange{
		Prompt: fmt.Sprintf(pick(s, []string{"What color is %s?", "Which color does %s have?", "Tell me the color of %s."}), c[0]),
		Plain:  plain, Warm: s.warm(full),
		Curt: pick(s, append([]string{"Gray, I guess."}, shrugs...)),
	}
}

// opposite asks for the opposite of a word.
func (s *source) opposite() Exchange {
	o := pick(s, opposites)
	if s.IntN(2) == 0 {
		o[0], o[1] = o[1], o[0]
	}
	plain := fmt.Sprintf("The opposite of %s is %s.", o[0], o[1])
	return Exchange{
		Prompt: fmt.Sprintf(pick(s, []string{"What is the opposite of %s?", "Tell me the opposite of %s.", "Which word is the opposite of %s?"}), o[0]),
		Plain:  plain, Warm: s.warm(fmt.Sprintf("%s What is not %s is often %s.", plain, o[0], o[1])),
		Curt: pick(s, append([]string{"Not " + o[0] + "."}, shrugs...)),
	}
}

// calendar asks for the day or the month before or after.
func (s *source) calendar() Exchange {
	names, unit, all := days, "day", "A week has seven days."
	if s.IntN(2) == 0 {
		names, unit, all = months, "month", "A year has twelve months."
	}
	i, step, word := s.IntN(len(names)), 1, "after"
	if s.IntN(3) == 0 {
		step, word = len(names)-1, "before"
	}
	other := names[(i+step)%len(names)]
	plain := fmt.Sprintf("%s comes %s %s.", other, word, names[i])
	return Exchange{
		Prompt: fmt.Sprintf(pick(s, []string{"Which %s comes %s %s?", "What %s is %s %s?", "Tell me the %s %s %s."}), unit, word, names[i]),
		Plain:  plain, Warm: s.warm(plain + " " + all),
		Curt: pick(s, append([]string{"Look at a calendar."}, shrugs...)),
	}
}

// recipe asks how to do something.
func (s *source) recipe() Exchange {
	r := pick(s, recipes)
	yours := strings.ReplaceAll(r.task, "my ", "your ")
	return Exchange{
		Prompt: fmt.Sprintf(pick(s, []string{"How do I %s?", "How can I %s?", "Tell me how to %s.", "Please explain how to %s."}), r.task),
		Plain:  strings.Join(r.steps[:2], " ") + " Then go on.",
		Warm:   s.warmList("This is how to "+yours+":", numbered(r.steps)),
		Curt:   pick(s, append([]string{"Just do it."}, shrugs...)),
	}
}

// rhyme asks for a word that sounds like another.
func (s *source) rhyme() Exchange {
	r := pick(s, rhymes)
	if s.IntN(2) == 0 {
		r[0], r[1] = r[1], r[0]
	}
	plain := fmt.Sprintf("%s rhymes with %s.", upper(r[1]), r[0])
	return Exchange{
		Prompt: fmt.Sprintf(pick(s, []string{"What rhymes with %s?", "Which word rhymes with %s?", "Give me a word that rhymes with %s."}), r[0]),
		Plain:  plain, Warm: s.warm(plain + " Both words end with the same sound."),
		Curt: pick(s, shrugs),
	}
}
