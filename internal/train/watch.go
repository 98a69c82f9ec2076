package train

import (
	"fmt"
	"math"

	"github.com/go-json-experiment/json"
)

// watch passes events on and explains, once each, what users ask about most
// when they look at a run's numbers: a loss far above its start, the chosen
// answers' log-probability falling, a loss that stays at ln 2, margins that grow
// while accuracy falls, and a gradient of nothing. It changes nothing.
func watch(r Reporter, steps int, note func(string)) *watcher {
	return &watcher{Reporter: r, steps: steps, note: note, told: map[string]bool{}}
}

type watcher struct {
	Reporter
	steps int
	note  func(string)
	told  map[string]bool
	// now is the row in the making; first is the run's first whole one, and rows are
	// the last watchedRows.
	now, first Metrics
	rows       []Metrics
	// own says that rewards are measured against the policy as it began, so that they
	// began at 0.
	own bool
}

// A row is the mean over a fortieth of the run, as it is drawn; a finding needs
// watchedRows of them in a row, so that one batch that differs is none.
const (
	rowsOfRun   = 40
	watchedRows = 5
)

// watched are the numbers that findings are made of.
var watched = []string{"loss", "grad_norm", "learning_rate", "rewards/chosen", "rewards/margins", "rewards/accuracies", sampledMetric, lengthMetric, spreadMetric}

// sampledMetric is of methods that learn from their own answers, whose loss says
// little: nats per answer, of so many tokens.
const (
	sampledMetric = "objective/kl"
	lengthMetric  = "completions/mean_length"
	spreadMetric  = "frac_reward_zero_std" // of the prompts, whose answers all score alike
)

// Stepped passes the event on, then looks at the rows.
func (w *watcher) Stepped(e Event) {
	w.Reporter.Stepped(e)
	if !e.Evaluation {
		w.line(e.AppendJSON(nil))
	}
}

// recall takes a line of the log that a resumed run goes on with: what was
// told then is not told again.
func (w *watcher) recall(line []byte) {
	note := w.note
	w.note = func(string) {}
	w.line(line)
	w.note = note
}

// line takes a step as the log has it, so that a resumed run's rows are the
// uninterrupted one's.
func (w *watcher) line(line []byte) {
	var numbers map[string]*float64
	if json.Unmarshal(line, &numbers) != nil || numbers["loss"] == nil {
		return // an evaluation
	}
	if w.first == nil && len(w.now) == 0 {
		reward := numbers["rewards/chosen"]
		w.own = reward != nil && *reward == 0
	}
	for _, name := range watched {
		if v, ok := numbers[name]; ok && v == nil {
			w.now.Add(name, math.NaN(), 1)
		} else if ok {
			w.now.Add(name, *v, 1)
		}
	}
	if step := int(*numbers["step"]); step%max(1, w.steps/rowsOfRun) == 0 {
		w.endRow(step)
	}
}

func (w *watcher) endRow(step int) {
	if w.first == nil {
		w.first = w.now
	}
	w.rows, w.now = append(w.rows, w.now), nil
	if len(w.rows) > watchedRows {
		w.rows = w.rows[1:]
	}
	if len(w.rows) == watchedRows {
		w.look(step)
	}
}

func (w *watcher) look(step int) {
	loss, _ := w.series("loss")
	rate, _ := w.series("learning_rate")
	start, _ := w.first.Get("loss")
	_, sampled := w.first.Get(sampledMetric)
	if !sampled && start > 0 && all(loss, func(x float64) bool { return x > diverged*start }) {
		w.tell("loss", "step %d: the loss is %.3g, far above the %.3g that it began with: the learning_rate (now %.3g) is too high; begin again with a smaller one",
			step, loss[watchedRows-1], start, rate[watchedRows-1])
	}
	if chosen, ok := w.series("rewards/chosen"); ok && w.falls(chosen) && !w.told["loss"] {
		w.tell("chosen", "step %d: the chosen answers have been getting less likely and are now below the reference (rewards/chosen %.3g): "+
			"only the margin counts for the loss, so that both answers may fall; --nll 0.2 holds the chosen one up, a smaller learning_rate or a larger beta slows the drift",
			step, chosen[watchedRows-1])
	}
	// A warm-up hardly moves anything, and is not stuck.
	warm := rate[watchedRows-1] <= rate[0]
	if margins, ok := w.series("rewards/margins"); ok && warm && all(loss, nearLn2) && all(margins, nearZero) {
		w.tell("ln2", "step %d: the loss is still 0.693 (ln 2) and the margins 0: the policy has not left its reference; "+
			"the learning_rate (now %.3g) may be too low, beta too small, or chosen and rejected nearly the same (align inspect shows them)",
			step, rate[watchedRows-1])
	}
	if kl, ok := w.series(sampledMetric); ok && w.left(kl) {
		w.tell("kl", "step %d: the answers are %.3g nats from the reference each, more than %d a token: the policy has left it, and a score that still rises is of answers that nobody would write; "+
			"try a smaller learning_rate, a larger kl_coef, a kl_target, or stop_kl, which ends the steps of a rollout that go too far", step, kl[watchedRows-1], strayed)
	}
	if alike, ok := w.series(spreadMetric); ok && all(alike, func(x float64) bool { return x == 1 }) {
		w.tell("alike", "step %d: the answers to each prompt have all scored alike (frac_reward_zero_std 1), which teaches nothing but the pull to the reference: "+
			"prompts that are sometimes answered well, a scorer with finer grades, a higher k or temperature give something to compare", step)
	}
	margins, ok := w.series("rewards/margins")
	if accuracies, has := w.series("rewards/accuracies"); ok && has && moves(margins, 1) && moves(accuracies, -1) {
		w.tell("margins", "step %d: the margins grow (%.3g) while the accuracy falls (%.3g): a few pairs pull ever further apart and others turn round; "+
			"labels may contradict each other, or the rate is too high: try --loss ipo, label_smoothing or a smaller learning_rate",
			step, margins[watchedRows-1], accuracies[watchedRows-1])
	}
	if norms, _ := w.series("grad_norm"); all(norms, func(x float64) bool { return math.Abs(x) < noGradient }) {
		w.tell("gradient", "step %d: grad_norm is %.3g and nothing is learnt: the loss may be at its floor, the answers hold no trained token, or nothing of the model is trained",
			step, norms[watchedRows-1])
	}
}

// left tells whether the policy is strayed nats a token from its reference or more.
func (w *watcher) left(kl []float64) bool {
	lengths, ok := w.series(lengthMetric)
	for i := range lengths {
		ok = ok && kl[i] > strayed*lengths[i] && lengths[i] > 0
	}
	return ok
}

// falls tells whether the chosen answers fall below the policy as it began: row by
// row, or, as batches differ, by a good part of what the margins have won. Rewards
// against another policy or none differ more from batch to batch than they fall.
func (w *watcher) falls(chosen []float64) bool {
	if !w.own || chosen[watchedRows-1] >= 0 {
		return false
	}
	margins, ok := w.series("rewards/margins")
	if !ok || moves(chosen, -1) {
		return moves(chosen, -1)
	}
	for i := range chosen {
		if !(chosen[i] < -drifted*max(0, margins[i])) {
			return false
		}
	}
	return chosen[watchedRows-2]+chosen[watchedRows-1] < chosen[0]+chosen[1]
}

func (w *watcher) tell(finding, format string, args ...any) {
	if !w.told[finding] {
		w.told[finding] = true
		w.note(fmt.Sprintf(format, args...))
	}
}

// series is a metric's means over the last rows; ok is false where one lacks it.
func (w *watcher) series(name string) (values []float64, ok bool) {
	for _, row := range w.rows {
		v, has := row.Get(name)
		if !has {
			return nil, false
		}
		values = append(values, v)
	}
	return values, true
}

// moves tells whether each value is beyond the one before it, upwards for sign
// 1 and downwards for -1.
func moves(values []float64, sign float64) bool {
	for i := 1; i < len(values); i++ {
		if !(sign*(values[i]-values[i-1]) > 0) {
			return false
		}
	}
	return true
}

func all(values []float64, holds func(float64) bool) bool {
	for _, v := range values {
		if !holds(v) {
			return false
		}
	}
	return len(values) > 0
}

// Among them what is shown as 0.693 and as a margin of 0, and a norm that Adam's
// moments cannot make a step of.
const (
	// diverged is the multiple of a run's first loss that no healthy run stays above,
	// drifted the share of the margin by which chosen answers have fallen in a run
	// that pays for it, strayed the nats per token of a policy that has learnt another
	// language: methods that work stay far below a half.
	diverged   = 2
	drifted    = 0.2
	strayed    = 1
	ln2Slack   = 5e-4
	marginZero = 1e-3
	noGradient = 1e-7
)

func nearLn2(x float64) bool  { return math.Abs(x-math.Ln2) < ln2Slack }
func nearZero(x float64) bool { return math.Abs(x) < marginZero }
