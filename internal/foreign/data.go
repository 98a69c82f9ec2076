package foreign

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// dataFiles carries file names over to data or pairs, whichever the method has.
func dataFiles(c *Config, e entry) error {
	var files []string
	c.leaveParts(e)
	for _, name := range names(e.value) {
		if !isFile(name) {
			c.leave(e, "%s is no file: have its records as JSON, JSONL, CSV or Parquet on this machine and name that with --%s", name, c.dataKey())
			continue
		}
		files = append(files, name)
	}
	if len(files) > 0 {
		c.set(c.dataKey(), strings.Join(files, ","), e)
	}
	return nil
}

// readParts are keys of a list's item that dataFiles reads, or that say what is
// found out from the records.
var readParts = []string{"path", "data_files", "name", "type", "ds_type"}

// leaveParts names what an item of a list of data sets says beside its file.
func (c *Config) leaveParts(e entry) {
	list, _ := e.value.([]any)
	for i, item := range list {
		parts, _ := item.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(parts)) {
			_, nested := parts[key].(map[string]any)
			if slices.Contains(readParts, key) && !nested || key == "split" && parts[key] == "train" {
				continue
			}
			c.Left = append(c.Left, Left{fmt.Sprintf("%s[%d].%s", e.key, i, key), e.line,
				"formats are recognised by their columns, others are named with map; all turns of the assistant are trained on"})
		}
	}
}

// evalFile carries the file of held-out records over.
func evalFile(c *Config, e entry) error {
	list := names(e.value)
	if len(list) != 1 || !isFile(list[0]) {
		c.leave(e, "want one file on this machine: name it with --eval")
		return nil
	}
	c.set("eval", list[0], e)
	return nil
}

// dataKey is the setting of the training data.
func (c *Config) dataKey() string {
	switch c.Method {
	case "sft":
		return "data"
	case "ppo":
		return "prompts"
	}
	return "pairs"
}

// names lists the data sets of an entry: a text with commas, or a list of texts
// or of mappings with a path.
func names(v any) (list []string) {
	switch v := v.(type) {
	case string:
		for name := range strings.SplitSeq(v, ",") {
			list = append(list, strings.TrimSpace(name))
		}
	case []any:
		for _, item := range v {
			if m, ok := item.(map[string]any); ok {
				item = pathOf(m)
			}
			list = append(list, plainText(item))
		}
	default:
		list = []string{plainText(v)}
	}
	return list
}

// pathOf is the file of a data set, or its name.
func pathOf(m map[string]any) any {
	for _, key := range []string{"data_files", "path", "name"} {
		if v := m[key]; v != nil {
			return v
		}
	}
	return "a data set without a path"
}

// isFile goes by the ending: a name of a hub has none.
func isFile(name string) bool {
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
	return slices.Contains([]string{".json", ".jsonl", ".csv", ".tsv", ".parquet"}, filepath.Ext(name))
}
