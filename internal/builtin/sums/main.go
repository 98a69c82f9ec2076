// Command sums writes sums and word problems with their results, of the kind
// that the embedded model learnt from, as prompts for align rejection, ppo and
// compare.
//
//	go run ./internal/builtin/sums [-n PROMPTS] [-seed SEED] [FILE...] > prompts.jsonl
//
// Prompts of the files named, in the same form, are left out.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"align/internal/builtin/corpus"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func main() {
	n := flag.Int("n", 256, "number of prompts")
	seed := flag.Uint64("seed", 1, "seed of the draws")
	flag.Parse()
	if err := write(os.Stdout, *n, *seed, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sums:", err)
		os.Exit(1)
	}
}

// write writes n prompts that are in none of the files.
func write(w io.Writer, n int, seed uint64, files []string) error {
	without := map[string]bool{}
	for _, name := range files {
		if err := read(name, without); err != nil {
			return err
		}
	}
	sums := corpus.Sums(seed, n, without)
	if len(sums) < n {
		return fmt.Errorf("the prompts run out at %d of %d", len(sums), n)
	}
	for _, s := range sums {
		if err := json.MarshalWrite(w, s); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
	}
	return nil
}

// read adds a file's prompts.
func read(name string, prompts map[string]bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for d := jsontext.NewDecoder(f); ; {
		var s corpus.Sum
		err := json.UnmarshalDecode(d, &s)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		prompts[s.Prompt] = true
	}
}
