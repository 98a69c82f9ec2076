package datasets

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// What to do with an example that is longer than the limit.
const (
	// OverlongDrop leaves it out and counts it.
	OverlongDrop = "drop"
	// OverlongTruncatePrompt cuts the beginning of the prompt behind BOS, never
	// an answer; what has no prompt to cut is dropped.
	OverlongTruncatePrompt = "truncate-prompt"
	// OverlongTruncate cuts the end.
	OverlongTruncate = "truncate"
	// OverlongError stops.
	OverlongError = "error"
)

// What to do with bad records: malformed ones that cannot be read, and
// degenerate ones that can be read and teach nothing.
const (
	// BadDefault stops at malformed records and drops degenerate ones.
	BadDefault = "default"
	// BadStrict stops at both.
	BadStrict = "strict"
	// BadSkip drops both.
	BadSkip = "skip"
)

// Options say how a data file becomes tokens. Template must be set; the zero
// value of everything else is its default.
type Options struct {
	Template *Template
	// MaxLength bounds prompt and answer together, in tokens, of each side of a
	// pair; 0 is no limit.
	MaxLength int
	// Overlong and BadRecords are one of the constants; "" is drop and default.
	Overlong, BadRecords string
	// LossOn is which tokens of an example are trained on, one of LossOn's; "" is
	// assistant. Pairs and prompts do not read it.
	LossOn string
	Map    Mapping
	// Quarantine, if not nil, gets a line of JSON for each record left out, with
	// its place and reason.
	Quarantine io.Writer
	// Progress, if not nil, is called now and then with the bytes read and the
	// file's size (0: not known).
	Progress func(done, total int64)
}

// check returns all faults of the options, and fills in the defaults.
func (o *Options) check() error {
	if o.Overlong == "" {
		o.Overlong = OverlongDrop
	}
	if o.BadRecords == "" {
		o.BadRecords = BadDefault
	}
	if o.LossOn == "" {
		o.LossOn = LossOnAssistant
	}
	var errs []error
	if o.Template == nil {
		errs = append(errs, errors.New("datasets: options have no template"))
	}
	if o.MaxLength < 0 {
		errs = append(errs, fmt.Errorf("datasets: max_length is %d: want at least 0", o.MaxLength))
	}
	errs = append(errs,
		oneOf("overlong", o.Overlong, OverlongDrop, OverlongTruncatePrompt, OverlongTruncate, OverlongError),
		oneOf("bad_records", o.BadRecords, BadDefault, BadStrict, BadSkip),
		oneOf("loss_on", o.LossOn, LossOn()...))
	return errors.Join(errs...)
}

func oneOf(key, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return fmt.Errorf("datasets: %s is %q: want one of %s", key, value, strings.Join(known, ", "))
}
