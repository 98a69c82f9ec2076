// Package config reads settings from a YAML file into a struct and prints them
// back, strictly: a key that the struct does not have is an error that names
// the nearest one and its line, and all faults of a file are told at once.
//
// [Fields] lists the settings of a struct by their yaml tags; a [Field] sets
// and prints one of them as text, so that the command line and the file share
// one set of names and one way to read a value. [Read] sets fields from a
// file, [Write] prints them with a comment above each.
//
// A file is one flat YAML mapping of keys to single values, or to lists of them
// where a setting is a list (https://yaml.org/spec/1.2.2/). Anchors, nesting and
// several documents are refused. The package knows no setting's meaning.
package config
