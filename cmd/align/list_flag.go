package main

import "align/internal/config"

// listFlag is the flag of a setting that is a list: it may be given several
// times, and the first time it takes the place of the default.
type listFlag struct {
	config.Field
	given bool
}

// Set adds an item to those that were given before.
func (f *listFlag) Set(text string) error {
	if f.given {
		text = f.Field.String() + "," + text
	}
	f.given = true
	return f.Field.Set(text)
}
