package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Chart is one metric as it is drawn, in the units of the SVG.
type Chart struct {
	Title  string
	XTicks []Tick
	YTicks []Tick
	Lines  []Line
	Strips []Strip
}

// Tick is a mark on an axis.
type Tick struct {
	At    float64
	Label string
}

// Line is one curve: of training, or (Eval) of the held-out data, with a dot at
// each point.
type Line struct {
	Run    int // its colour
	Eval   bool
	Faint  bool   // its mean is drawn over it
	Points string // of an SVG polyline
	Dots   []Dot
}

// Dot is a mark on a curve.
type Dot struct{ X, Y float64 }

// Strip is a part of the width that shows its values when the pointer is on it.
type Strip struct {
	X, Width float64
	Text     string
}

// The drawing's size and the frame of the curves in it.
const (
	width, height           = 520.0, 260.0
	left, right, top, below = 58.0, 508.0, 12.0, 226.0
)

// A curve is drawn with at most two points for each of buckets parts, a chart
// has at most strips hover fields: more cannot be told apart at this width.
const (
	buckets = 225
	strips  = 150
)

// scale maps a range of values to a range of the drawing.
type scale struct{ lo, hi, from, to float64 }

func (s scale) at(v float64) float64 {
	return math.Round((s.from+(v-s.lo)/(s.hi-s.lo)*(s.to-s.from))*100) / 100
}

// curve is a run's series of one name.
type curve struct {
	run    int
	name   string
	eval   bool
	points []point
}

// charts draws every metric of the runs; a metric and its eval_ twin share one
// chart.
func charts(runs []*Run) []Chart {
	byTitle := map[string][]curve{}
	for i, r := range runs {
		for name, points := range r.series {
			title, eval := strings.CutPrefix(name, "eval_")
			byTitle[title] = append(byTitle[title], curve{i, name, eval, points})
		}
	}
	var all []Chart
	for title, curves := range byTitle {
		slices.SortFunc(curves, func(a, b curve) int { return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.name, b.name)) })
		all = append(all, newChart(title, curves, runs))
	}
	slices.SortFunc(all, func(a, b Chart) int {
		return cmp.Or(cmp.Compare(place(a.Title), place(b.Title)), cmp.Compare(a.Title, b.Title))
	})
	return all
}

// place puts what tells most first.
func place(title string) int {
	first := []string{"loss", "rewards/accuracies", "accuracy", "mean_token_accuracy", "rewards/margins", "margin", "rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected"}
	if i := slices.Index(first, title); i >= 0 {
		return i
	}
	return len(first)
}

func newChart(title string, curves []curve, runs []*Run) Chart {
	x, y := scale{math.Inf(1), math.Inf(-1), left, right}, scale{math.Inf(1), math.Inf(-1), below, top}
	for _, c := range curves {
		for _, p := range c.points {
			x.lo, x.hi = min(x.lo, float64(p.Step)), max(x.hi, float64(p.Step))
			y.lo, y.hi = min(y.lo, p.Value), max(y.hi, p.Value)
		}
	}
	x, y = x.widened(0), y.widened(0.05)
	c := Chart{Title: title, XTicks: x.ticks(true), YTicks: y.ticks(false), Strips: hover(x, curves, runs)}
	for _, k := range curves {
		line := k.line(x, y)
		if !k.eval && title != "learning_rate" && len(k.points) >= averaged {
			line.Faint = true
			c.Lines = append(c.Lines, line)
			line = k.mean().line(x, y)
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

// Curves of training with averaged points or more get their running mean over
// the last windowth of the run: batches differ more than the model does. The
// learning rate is set and not measured, and stays as it is.
const averaged, windowth = 40, 20

// mean is the curve's running mean.
func (c curve) mean() curve {
	window, sum := len(c.points)/windowth, 0.0
	smooth := make([]point, len(c.points))
	for i, p := range c.points {
		sum += p.Value
		if i >= window {
			sum -= c.points[i-window].Value
		}
		smooth[i] = point{Step: p.Step, Value: sum / float64(min(i+1, window))}
	}
	c.points = smooth
	return c
}

// widened leaves a share of the range free on both sides; a single value gets
// a range around it.
func (s scale) widened(share float64) scale {
	room := (s.hi - s.lo) * share
	if !(s.hi > s.lo) {
		room = max(math.Abs(s.hi)*0.1, 0.5)
	}
	s.lo, s.hi = s.lo-room, s.hi+room
	return s
}

// ticks are about five round numbers of the range.
func (s scale) ticks(whole bool) []Tick {
	step := math.Pow(10, math.Floor(math.Log10((s.hi-s.lo)/5)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if (s.hi-s.lo)/(step*factor) <= 6 {
			step *= factor
			break
		}
	}
	if whole {
		step = max(step, 1)
	}
	var ticks []Tick
	first := math.Ceil(s.lo / step)
	for k := 0; k < 12 && (first+float64(k))*step <= s.hi; k++ {
		v := (first + float64(k)) * step
		ticks = append(ticks, Tick{s.at(v), strconv.FormatFloat(v, 'g', 4, 64)})
	}
	return ticks
}

func (c curve) line(x, y scale) Line {
	l := Line{Run: c.run, Eval: c.eval}
	var b strings.Builder
	for i, p := range thinned(c.points) {
		if i > 0 {
			b.WriteByte(' ')
		}
		px, py := x.at(float64(p.Step)), y.at(p.Value)
		fmt.Fprintf(&b, "%v,%v", px, py)
		if c.eval || len(c.points) == 1 {
			l.Dots = append(l.Dots, Dot{px, py})
		}
	}
	l.Points = b.String()
	return l
}

// thinned keeps the least and the greatest point of each bucket, so that no
// spike is lost.
func thinned(points []point) []point {
	per := (len(points) + buckets - 1) / buckets
	if per <= 2 {
		return points
	}
	var kept []point
	for part := range slices.Chunk(points, per) {
		low, high := 0, 0
		for i, p := range part {
			if p.Value < part[low].Value {
				low = i
			}
			if p.Value > part[high].Value {
				high = i
			}
		}
		kept = append(kept, part[min(low, high)])
		if low != high {
			kept = append(kept, part[max(low, high)])
		}
	}
	return kept
}

// hover parts the width and tells the last value of each curve in each part.
func hover(x scale, curves []curve, runs []*Run) []Strip {
	steps := map[int]bool{}
	for _, c := range curves {
		for _, p := range c.points {
			steps[p.Step] = true
		}
	}
	n := min(len(steps), strips)
	span := (x.hi - x.lo) / float64(n)
	texts := make([]strings.Builder, n)
	lastStep := make([]int, n)
	bucket := func(step int) int { return min(n-1, int((float64(step)-x.lo)/span)) }
	for _, c := range curves {
		for i, p := range c.points {
			k := bucket(p.Step)
			if i+1 < len(c.points) && bucket(c.points[i+1].Step) == k {
				continue // a later value stands for the strip
			}
			lastStep[k] = max(lastStep[k], p.Step)
			fmt.Fprintf(&texts[k], "\n%s%s %s (step %d)", prefix(runs, c.run), c.name, strconv.FormatFloat(p.Value, 'g', 5, 64), p.Step)
		}
	}
	var all []Strip
	w := (right - left) / float64(n)
	for k := range texts {
		if texts[k].Len() > 0 {
			at := math.Round((left+float64(k)*w)*100) / 100
			all = append(all, Strip{X: at, Width: math.Round(w*100) / 100, Text: fmt.Sprintf("step %d%s", lastStep[k], texts[k].String())})
		}
	}
	return all
}

// prefix names the run where there are several.
func prefix(runs []*Run, i int) string {
	if len(runs) == 1 {
		return ""
	}
	return runs[i].Name + " "
}
