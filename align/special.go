package align

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"align/model"
)

// use notes the tokens of the training data.
func (s *stage) use(list any) {
	s.used = map[int32]bool{}
	eachSequence(list, func(ids []int32) {
		for _, id := range ids {
			s.used[id] = true
		}
	})
}

// initSpecial tells which special tokens of the data the base never trained
// and, where that is asked for, starts their rows as the mean of the others: in
// the adapter's copies of embedding and head, whose flat buffer values is, or
// in the weights themselves (values nil).
func (s *stage) initSpecial(values []float32) error {
	if s.model == nil {
		return nil // loading it went wrong
	}
	var special []int32
	for id := range int32(min(s.tokenizer.VocabSize(), s.config.VocabSize)) {
		if s.tokenizer.IsControl(id) {
			special = append(special, id)
		}
	}
	var done []string
	for _, table := range s.model.Tables() {
		untrained, err := s.model.Untrained(table, special)
		if err != nil {
			return err
		}
		affected := slices.DeleteFunc(slices.Clone(untrained), func(id int32) bool { return !s.used[id] })
		if len(affected) == 0 {
			continue
		}
		names := s.tokenNames(affected)
		if s.settings.InitSpecial == "" {
			way := "--init-special mean --modules-to-save embed_tokens,lm_head"
			if s.full != nil {
				way = "--init-special mean"
			}
			s.env.note(fmt.Sprintf("special tokens: the base never trained the rows of %s in %s, which the data uses: %s starts them as the mean of the other rows", names, table, way))
			continue
		}
		mean, err := s.model.MeanRow(table, untrained)
		if err == nil {
			err = s.setRows(table, affected, mean, values)
		}
		if err != nil {
			return err
		}
		s.env.note(fmt.Sprintf("special tokens: the rows of %s in %s start as the mean of the trained rows", names, table))
		done = append(done, table+": "+names)
	}
	if s.special = strings.Join(done, "; "); s.special == "" && s.settings.InitSpecial != "" {
		s.env.note("special tokens: the base has trained all that the data uses: init_special changes nothing")
	}
	return nil
}

// setRows puts the row in the place of each token's. Where the base ties head
// and embedding, both copies take it.
func (s *stage) setRows(table string, ids []int32, row, values []float32) error {
	if s.full != nil {
		var errs []error
		for _, id := range ids {
			errs = append(errs, s.full.SetRow(s.model, table, id, row))
		}
		return errors.Join(errs...)
	}
	tables := []string{table}
	if s.config.TieWordEmbeddings {
		tables = model.SavedModules
	}
	for _, table := range tables {
		for _, id := range ids {
			into := s.adapter.SavedRow(values, table, id)
			if into == nil {
				return fmt.Errorf("init_special: the base never trained the rows of %s in %s: add %s to modules_to_save", s.tokenNames(ids), table, table)
			}
			copy(into, row)
		}
	}
	return nil
}

// tokenNames are tokens with their ids.
func (s *stage) tokenNames(ids []int32) string {
	var names []string
	for _, id := range ids {
		names = append(names, fmt.Sprintf("%s (%d)", s.tokenizer.Text(id), id))
	}
	return strings.Join(names, ", ")
}
