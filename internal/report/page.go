package report

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"align/internal/atomicfile"
)

// File is the name of a run's report in its folder.
const File = "report.html"

//go:embed page.html
var source string

// page is the template of the report.
var page = template.Must(template.New("page").Parse(source))

// palette is the number of colours of runs; more runs share them.
const palette = 8

// view is what the template shows.
type view struct {
	Title    string
	Runs     []*Run
	Charts   []Chart
	Compared []row // settings that differ, where there are several runs
	// The frame of a chart.
	Width, Height, Left, Right, Top, Below, LabelX, LabelY, Plot float64
}

// row is a setting and its value in each run.
type row struct {
	Name   string
	Values []string
}

// Colour is the number of a run's colour.
func (view) Colour(run int) int { return run % palette }

// Write writes the page of one run, or of several laid over each other. It is
// HTML that is well-formed XML too.
func Write(w io.Writer, runs []*Run) error {
	if len(runs) == 0 {
		return errors.New("report: no run to show")
	}
	v := view{
		Runs: runs, Charts: charts(runs), Compared: differing(runs),
		Width: width, Height: height, Left: left, Right: right, Top: top, Below: below, LabelX: left - 6, LabelY: below + 16, Plot: below - top,
	}
	var names []string
	for _, r := range runs {
		names = append(names, r.Name)
	}
	v.Title = strings.Join(names, ", ")
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// WriteFile writes the page of the runs' folders to path, whole or not at all.
func WriteFile(path string, folders ...string) error {
	var runs []*Run
	for _, folder := range folders {
		r, err := Read(folder)
		if err != nil {
			return err
		}
		runs = append(runs, r)
	}
	distinguish(runs, folders)
	return atomicfile.WriteFile(path, func(w io.Writer) error { return Write(w, runs) })
}

// distinguish gives runs of the same name the path that was asked for.
func distinguish(runs []*Run, folders []string) {
	count := map[string]int{}
	for _, r := range runs {
		count[r.Name]++
	}
	for i, r := range runs {
		if count[r.Name] > 1 {
			r.Name = filepath.ToSlash(folders[i])
		}
	}
}

// differing lists the settings that are not the same in all runs.
func differing(runs []*Run) []row {
	values := map[string][]string{}
	var order []string
	for i, r := range runs {
		for _, f := range r.Settings {
			if values[f.Name] == nil {
				values[f.Name] = make([]string, len(runs))
				order = append(order, f.Name)
			}
			values[f.Name][i] = f.Value
		}
	}
	var rows []row
	for _, name := range order {
		for _, v := range values[name] {
			if v != values[name][0] {
				rows = append(rows, row{name, values[name]})
				break
			}
		}
	}
	return rows
}
