package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"align/internal/train"

	"github.com/schollz/progressbar/v3"
)

// screen draws a run on a terminal: a table row now and then, and one bar with
// rate and time left below it.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	style style
	width int
	bar   *progressbar.ProgressBar
	doing string // the work that the bar is of
	// columns are the heading's; a row that has others prints a new heading.
	columns string
}

func (s *screen) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.above(s.style.dim(visible(text)))
}

func (s *screen) Stepped(e train.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if isLogged(e) {
		s.row(fieldsOf(e))
	}
	if e.Evaluation {
		return
	}
	// The loop's own rate and time left, for the bar's would count the steps
	// before a resume.
	s.begin("training", int64(e.Steps), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false))
	s.bar.Describe(fmt.Sprintf("loss %s  %.0f tokens/s  %s left", short(e.Loss), e.TokensPerSecond, clock(e.Remaining)))
	_ = s.bar.Set(e.Step)
}

func (s *screen) progress(what string, done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin(what, total, progressbar.OptionSetDescription(what))
	_ = s.bar.Set64(done)
}

// begin puts up the bar of a piece of work, where it is not up yet.
func (s *screen) begin(what string, total int64, options ...progressbar.Option) {
	if s.bar != nil && s.doing == what {
		return
	}
	s.end()
	s.doing = what
	s.bar = s.newBar(max(total, 1), options...)
}

func (s *screen) end() {
	if s.bar != nil {
		s.clear()
		s.bar = nil
	}
}

// clear empties the bar's line. The bar's own Clear leaves one that was drawn once,
// at its end, where it is, and what follows stands behind it.
func (s *screen) clear() { _, _ = io.WriteString(s.out, clearLine) }

// clearLine is ANSI's "erase in line", then the line's beginning.
const clearLine = "\x1b[2K\r"

func (s *screen) Saved(path string, step int) {
	s.note(fmt.Sprintf("saved step %d: %s", step, path))
}

func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

// newBar draws with characters that every terminal font has.
func (s *screen) newBar(total int64, options ...progressbar.Option) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total, append([]progressbar.Option{
		progressbar.OptionSetWriter(s.out),
		progressbar.OptionSetWidth(min(maxBar, max(s.width-besideBar, minBar))),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionThrottle(redraw),
	}, options...)...)
}

// above prints a line over the bar.
func (s *screen) above(line string) {
	if s.bar != nil {
		s.clear()
	}
	fmt.Fprintln(s.out, line)
	if s.bar != nil {
		_ = s.bar.RenderBlank()
	}
}

// row prints a table row of the columns that the width has room for.
func (s *screen) row(fields []field) {
	var names, texts strings.Builder
	for _, f := range s.fitting(fields) {
		fmt.Fprintf(&names, "%-*s", cell(f), f.name)
		fmt.Fprintf(&texts, "%-*s", cell(f), f.text)
	}
	if heading := names.String(); heading != s.columns {
		s.columns = heading
		s.above(s.style.title(strings.TrimRight(heading, " ")))
	}
	s.above(strings.TrimRight(texts.String(), " "))
}

// fitting leaves columns out where the width is too small for all, the less
// telling ones first. The order stays; the metrics file has them all.
func (s *screen) fitting(fields []field) []field {
	byWeight := slices.Clone(fields)
	slices.SortStableFunc(byWeight, func(a, b field) int { return weight(a) - weight(b) })
	left := s.width
	keep := map[string]bool{}
	for _, f := range byWeight {
		if cell(f) <= left {
			left -= cell(f)
			keep[f.name] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return !keep[f.name] })
}

// weight is the place of a column among those that tell most, or after them.
func weight(f field) int {
	telling := []string{"step", "eval", "loss", "rewards/accuracies", "rewards/margins", "mean_token_accuracy", "learning_rate", "grad_norm", "tokens/s", "left"}
	if i := slices.Index(telling, strings.TrimPrefix(f.name, "eval_")); i >= 0 {
		return i
	}
	return len(telling)
}

// cell is the width of a column.
func cell(f field) int { return max(len(f.name), minCell) + gap }

// The bar takes the cells that the words beside it leave: percentage, count,
// loss, rate and times are about besideBar.
const (
	minBar, maxBar = 6, 30
	besideBar      = 74
)

// redraw is the least time between two drawings of the bar.
const redraw = 65 * time.Millisecond

// A cell fits a number of four digits with sign and exponent; gap stands
// between two.
const (
	minCell = 10
	gap     = 2
)
