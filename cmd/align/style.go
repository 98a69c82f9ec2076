package main

import "charm.land/lipgloss/v2"

// style draws text; where colours are off every method returns it as it is.
// The colours are the sixteen that a terminal's theme sets.
type style struct{ on bool }

func (s style) render(text string, l lipgloss.Style) string {
	if !s.on || text == "" {
		return text
	}
	return l.Render(text)
}

// title is for headings, dim for what may be overlooked.
func (s style) title(text string) string { return s.render(text, lipgloss.NewStyle().Bold(true)) }
func (s style) dim(text string) string   { return s.render(text, lipgloss.NewStyle().Faint(true)) }

// bad is for errors.
func (s style) bad(text string) string {
	return s.render(text, lipgloss.NewStyle().Foreground(lipgloss.Red))
}
