package datasets

import "strings"

// A transcript is a conversation as one text, in the form of Anthropic's HH
// data (https://arxiv.org/abs/2204.05862): each turn begins with one of these.
const (
	humanMark     = "\n\nHuman:"
	assistantMark = "\n\nAssistant:"
)

// isTranscript says whether a text begins as one.
func isTranscript(s string) bool {
	return strings.HasPrefix(s, humanMark) || strings.HasPrefix(s, humanMark[2:]) && strings.Contains(s, assistantMark)
}

// splitTranscript cuts a transcript behind its last assistant mark: the prompt
// and the answer. ok is false where there is none.
func splitTranscript(s string) (prompt, answer string, ok bool) {
	i := strings.LastIndex(s, assistantMark)
	if i < 0 {
		return s, "", false
	}
	i += len(assistantMark)
	return s[:i], s[i:], true
}

// transcript reads the turns of a transcript, without the white space around
// them. Text before the first mark is a turn of the user.
func transcript(s string) []Message {
	if strings.HasPrefix(s, humanMark[2:]) {
		s = "\n\n" + s
	}
	var c []Message
	at, role, mark := nextMark(s)
	if head := strings.TrimSpace(s[:at]); head != "" {
		c = append(c, Message{Role: "user", Content: head})
	}
	for mark != "" {
		speaker := role
		s = s[at+len(mark):]
		at, role, mark = nextMark(s)
		c = append(c, Message{Role: speaker, Content: strings.TrimSpace(s[:at])})
	}
	return c
}

// nextMark finds the next turn: where, whose, and its mark ("" at the end).
func nextMark(s string) (at int, role, mark string) {
	human, assistant := strings.Index(s, humanMark), strings.Index(s, assistantMark)
	switch {
	case human < 0 && assistant < 0:
		return len(s), "", ""
	case assistant < 0 || human >= 0 && human < assistant:
		return human, "user", humanMark
	}
	return assistant, "assistant", assistantMark
}
