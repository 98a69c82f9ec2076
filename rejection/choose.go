package rejection

import (
	"math/rand/v2"
	"strings"

	"align/internal/rollout"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Example is one line of sft.jsonl: the best answer.
type Example struct {
	Prompt     jsontext.Value   `json:"prompt"`
	Tools      []jsontext.Value `json:"tools,omitempty"`
	Completion jsontext.Value   `json:"completion"`
	Score      float64          `json:"score"`
}

// Pair is one line of pairs.jsonl.
type Pair struct {
	Prompt        jsontext.Value   `json:"prompt"`
	Tools         []jsontext.Value `json:"tools,omitempty"`
	Chosen        jsontext.Value   `json:"chosen"`
	Rejected      jsontext.Value   `json:"rejected"`
	ChosenScore   float64          `json:"chosen_score"`
	RejectedScore float64          `json:"rejected_score"`
}

// Counts say what became of the samples.
type Counts struct {
	Prompts int `json:"prompts"`
	Samples int `json:"samples"`
	// Truncated and Empty samples are in samples.jsonl only.
	Truncated int `json:"truncated"`
	Empty     int `json:"empty"`
	// Unanswered prompts have no other samples.
	Unanswered int `json:"unanswered"`
	// TooClose and Similar prompts make no pair: the scores differ by less than
	// the margin, or the answers hardly differ.
	TooClose int `json:"too_close"`
	Similar  int `json:"similar"`
	Examples int `json:"examples"`
	Pairs    int `json:"pairs"`
	// MeanScore is over all samples, BestScore over the examples; 0 where there
	// are none.
	MeanScore float64 `json:"mean_score"`
	BestScore float64 `json:"best_score"`
}

// Choose makes the best answers and the pairs of the rows.
func Choose(rows []Row, c Config) ([]Example, []Pair, Counts) {
	var examples []Example
	var pairs []Pair
	var n Counts
	for _, r := range rows {
		n.count(r)
		usable := r.usable(&n)
		if len(usable) == 0 {
			n.Unanswered++
			continue
		}
		best := r.best(usable, c.Ties)
		n.BestScore += r.Scores[best]
		examples = append(examples, Example{r.Prompt, r.Tools, r.answer(best), r.Scores[best]})
		if other, ok := r.other(usable, best, c, &n); ok {
			pairs = append(pairs, Pair{r.Prompt, r.Tools, r.answer(best), r.answer(other), r.Scores[best], r.Scores[other]})
		}
	}
	n.Examples, n.Pairs = len(examples), len(pairs)
	n.MeanScore /= float64(max(n.Samples, 1))
	n.BestScore /= float64(max(n.Examples, 1))
	return examples, pairs, n
}

func (n *Counts) count(r Row) {
	n.Prompts++
	n.Samples += len(r.Scores)
	for _, s := range r.Scores {
		n.MeanScore += s
	}
}

// usable are the answers that ended by themselves and say something.
func (r Row) usable(n *Counts) []int {
	var list []int
	for i, reason := range r.FinishReasons {
		switch {
		case reason != rollout.FinishStop:
			n.Truncated++
		case strings.TrimSpace(r.Responses[i]) == "":
			n.Empty++
		default:
			list = append(list, i)
		}
	}
	return list
}

// best is the answer with the highest score.
func (r Row) best(usable []int, ties string) int {
	best := usable[0]
	for _, i := range usable {
		if r.Scores[i] > r.Scores[best] || r.Scores[i] == r.Scores[best] && r.before(i, best, ties) {
			best = i
		}
	}
	return best
}

// worst is the answer with the lowest score. Of equals the likeliest one stands
// against the best with the most to unlearn.
func (r Row) worst(list []int, ties string) int {
	worst := list[0]
	for _, i := range list {
		if r.Scores[i] < r.Scores[worst] || r.Scores[i] == r.Scores[worst] && r.before(i, worst, ties) {
			worst = i
		}
	}
	return worst
}

// before says whether answer i, of an equal score, is taken for a former one.
func (r Row) before(i, former int, ties string) bool {
	return ties == TiesLikeliest && r.logProb(i) > r.logProb(former)
}

// logProb is an answer's log-probability under what sampled it, in nats.
func (r Row) logProb(i int) (sum float64) {
	for _, l := range r.LogProbs[i] {
		sum += l
	}
	return sum
}

// other is what stands against the best answer, if anything can.
func (r Row) other(usable []int, best int, c Config, n *Counts) (int, bool) {
	var lower []int
	for _, i := range usable {
		if margin := r.Scores[best] - r.Scores[i]; margin > 0 && margin >= c.MinMargin {
			lower = append(lower, i)
		}
	}
	if len(lower) == 0 {
		n.TooClose++
		return 0, false
	}
	other := r.worst(lower, c.Ties)
	if c.Pairs == PairsRandom {
		// The draw hangs on the prompt's place, not on what was drawn before.
		other = lower[rand.New(rand.NewPCG(c.Seed, uint64(r.Index))).IntN(len(lower))]
	}
	if likeness(r.Responses[best], r.Responses[other]) >= c.Similar {
		n.Similar++
		return 0, false
	}
	return other, true
}

// answer is an answer in the prompt's form: a list of messages where that is
// one, else text.
func (r Row) answer(i int) jsontext.Value {
	text, _ := json.Marshal(r.Responses[i]) // valid UTF-8, always marshals
	if r.Prompt.Kind() != '[' {
		return text
	}
	return jsontext.Value(`[{"role":"assistant","content":` + string(text) + `}]`)
}
