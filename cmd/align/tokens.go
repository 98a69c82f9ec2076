package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"align/internal/tokenizer"

	"charm.land/lipgloss/v2"
)

// piece is the text of a token.
func piece(t *tokenizer.Tokenizer, id int32) string {
	return spell(t.AppendDecode(nil, id))
}

// spell writes line ends, control characters and broken ones out, so that text
// keeps to its place on the screen and cannot move the cursor.
func spell(text []byte) string {
	quoted := strconv.Quote(string(text))
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// drawPieces draws tokens side by side: alternating styles, or bars between
// them where there are no colours.
func drawPieces(s style, t *tokenizer.Tokenizer, ids []int32) string {
	var b strings.Builder
	for i, id := range ids {
		switch {
		case s.on:
			alternating := []lipgloss.Style{lipgloss.NewStyle().Reverse(true), lipgloss.NewStyle().Underline(true)}[i%2]
			b.WriteString(s.render(piece(t, id), alternating))
		case i > 0:
			b.WriteString("|" + piece(t, id))
		default:
			b.WriteString(piece(t, id))
		}
	}
	return b.String()
}

// drawMasked draws tokens with what is trained on: green among dim, or between
// brackets where there are no colours. mask may be nil: nothing is trained on.
func drawMasked(s style, t *tokenizer.Tokenizer, ids []int32, mask []bool) string {
	var b strings.Builder
	for from := 0; from < len(ids); {
		to, trained := from, mask != nil && mask[from]
		var text []byte // of the whole run: a character may span tokens
		for to < len(ids) && (mask != nil && mask[to]) == trained {
			text = t.AppendDecode(text, ids[to])
			to++
		}
		run := spell(text)
		switch {
		case trained && s.on:
			b.WriteString(s.render(run, lipgloss.NewStyle().Foreground(lipgloss.Green)))
		case trained:
			b.WriteString("[[" + run + "]]")
		default:
			b.WriteString(s.dim(run))
		}
		from = to
	}
	return b.String()
}

// drawRecords draws the first records of a data file.
func (d *dataset) drawRecords(w io.Writer, s style, n int) error {
	legend := "what stands between [[ and ]] is trained on"
	if s.on {
		legend = "what is green is trained on"
	}
	if note := d.view.note(); note != "" {
		legend += "\n" + note
	}
	if _, err := fmt.Fprintf(w, "\n%s\n", s.dim(legend)); err != nil {
		return err
	}
	for _, e := range d.examples[:min(n, len(d.examples))] {
		if _, err := fmt.Fprintf(w, "\n%s\n%s\n", s.title(e.Place), drawMasked(s, d.tokenizer, e.IDs, e.LossMask)); err != nil {
			return err
		}
	}
	for _, p := range d.prompts[:min(n, len(d.prompts))] {
		if _, err := fmt.Fprintf(w, "\n%s\n%s\n", s.title(p.Place), drawMasked(s, d.tokenizer, p.IDs, nil)); err != nil {
			return err
		}
	}
	for _, u := range d.unpaired[:min(n, len(d.unpaired))] {
		label := "undesirable"
		if u.Desirable {
			label = "desirable"
		}
		_, err := fmt.Fprintf(w, "\n%s\n%s\n%s\n", s.title(u.Place+": "+label), drawMasked(s, d.tokenizer, u.Prompt, nil), drawMasked(s, d.tokenizer, u.Response, all(len(u.Response))))
		if err != nil {
			return err
		}
	}
	for _, p := range d.pairs[:min(n, len(d.pairs))] {
		_, err := fmt.Fprintf(w, "\n%s\n%s\n%s\n%s\n%s\n%s\n", s.title(p.Place), drawMasked(s, d.tokenizer, p.Prompt, nil),
			s.title(d.view.title("chosen", p.Chosen, p.ChosenFormat)), drawMasked(s, d.tokenizer, p.Chosen, d.view.lossMask(p.Chosen, p.ChosenFormat)),
			s.title(d.view.title("rejected", p.Rejected, p.RejectedFormat)), drawMasked(s, d.tokenizer, p.Rejected, d.view.lossMask(p.Rejected, p.RejectedFormat)))
		if err != nil {
			return err
		}
	}
	return nil
}

// all is a mask of n set values.
func all(n int) []bool {
	mask := make([]bool, n)
	for i := range mask {
		mask[i] = true
	}
	return mask
}
