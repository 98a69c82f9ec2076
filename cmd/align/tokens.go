package main

import (
	"strconv"
	"strings"

	"align/internal/tokenizer"

	"charm.land/lipgloss/v2"
)

// piece is the text of a token with line ends and broken characters spelt out,
// so that it keeps to its place on the screen and cannot move the cursor.
func piece(t *tokenizer.Tokenizer, id int32) string {
	quoted := strconv.Quote(string(t.AppendDecode(nil, id)))
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// drawPieces draws tokens side by side: alternating colours, or bars between
// them where there are no colours.
func drawPieces(s style, t *tokenizer.Tokenizer, ids []int32) string {
	var b strings.Builder
	for i, id := range ids {
		switch {
		case s.on:
			background := []lipgloss.Style{lipgloss.NewStyle().Reverse(true), lipgloss.NewStyle().Underline(true)}[i%2]
			b.WriteString(s.render(piece(t, id), background))
		case i > 0:
			b.WriteString("|" + piece(t, id))
		default:
			b.WriteString(piece(t, id))
		}
	}
	return b.String()
}
