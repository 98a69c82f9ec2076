package score

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// rule is a Scorer that looks at one answer at a time.
type rule func(Item) (float64, error)

// Score applies the rule to every item.
func (r rule) Score(ctx context.Context, items []Item) ([]float64, error) {
	scores := make([]float64, len(items))
	for i, item := range items {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if scores[i], err = r(item); err != nil {
			return nil, fmt.Errorf("score: answer %d of %d: %w", i+1, len(items), err)
		}
	}
	return scores, nil
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// CheckReference says what a rule that compares would refuse in a prompt's
// reference, before anything is answered; other scorers take any.
func CheckReference(name, reference string) error {
	switch _, number := finalNumber(reference); {
	case name == "exact" && reference == "":
		return errors.New("exact compares with a reference answer, and there is none")
	case name == "gsm8k" && !number:
		return fmt.Errorf("gsm8k compares with a reference that holds a number, got %.40q", reference)
	}
	return nil
}

// exact is 1 where the answer is the reference, spaces around both aside.
func exact(i Item) (float64, error) {
	if i.Reference == "" {
		return 0, fmt.Errorf("exact wants a reference answer, the prompt %.40q has none", i.Prompt)
	}
	return truth(strings.TrimSpace(i.Response) == strings.TrimSpace(i.Reference)), nil
}

// parseRegex is 1 where the pattern (RE2) matches somewhere in the answer.
func parseRegex(pattern string) (Scorer, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("score: regex: %w", err)
	}
	return rule(func(i Item) (float64, error) { return truth(re.MatchString(i.Response)), nil }), nil
}

// parseLength is the answer's length in characters, or with a wanted length N
// the distance from it: -|length - N|/N.
func parseLength(argument string, given bool) (Scorer, error) {
	length := func(i Item) float64 { return float64(utf8.RuneCountInString(i.Response)) }
	if !given {
		return rule(func(i Item) (float64, error) { return length(i), nil }), nil
	}
	n, err := strconv.Atoi(argument)
	if err != nil || n < 1 {
		return nil, fmt.Errorf("score: length:%s: want a positive number of characters", argument)
	}
	return rule(func(i Item) (float64, error) { return -math.Abs(length(i)-float64(n)) / float64(n), nil }), nil
}

// number finds a number with thousands separators, as GSM8K writes them.
var number = regexp.MustCompile(`-?\d[\d,]*(?:\.\d+)?`)

// gsm8k is 1 where the answer's last number is the reference's. The final
// answer follows "####" in the data (https://arxiv.org/abs/2110.14168); an
// answer without that mark is read for its last number.
func gsm8k(i Item) (float64, error) {
	want, ok := finalNumber(i.Reference)
	if !ok {
		return 0, fmt.Errorf("gsm8k wants a reference with a number, got %.40q", i.Reference)
	}
	got, ok := finalNumber(i.Response)
	return truth(ok && got == want), nil
}

func finalNumber(text string) (float64, bool) {
	if at := strings.LastIndex(text, "####"); at >= 0 {
		return toNumber(number.FindString(text[at:]))
	}
	all := number.FindAllString(text, -1)
	if len(all) == 0 {
		return 0, false
	}
	return toNumber(all[len(all)-1])
}

func toNumber(s string) (float64, bool) {
	x, err := strconv.ParseFloat(strings.ReplaceAll(s, ",", ""), 64)
	return x, err == nil
}
