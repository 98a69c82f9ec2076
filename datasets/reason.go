package datasets

// Reason says why a record was left out.
type Reason string

// The reasons. All but Malformed are of degenerate records: they can be read,
// and training on them would teach nothing or something wrong.
const (
	Malformed     Reason = "malformed"
	EmptyAnswer   Reason = "empty answer"
	EmptyPrompt   Reason = "empty prompt"
	EqualAnswers  Reason = "chosen equals rejected"
	PromptsDiffer Reason = "prompts differ"
	BrokenRoles   Reason = "broken roles"
	NoTarget      Reason = "no trained token"
	Overlong      Reason = "overlong"
)

// degenerate is the error of a record that is dropped.
type degenerate struct {
	reason Reason
	detail string // what in the record; may be ""
}

func (d *degenerate) Error() string {
	if d.detail == "" {
		return string(d.reason)
	}
	return string(d.reason) + ": " + d.detail
}
