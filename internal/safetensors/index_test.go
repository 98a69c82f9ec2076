package safetensors

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An index names nothing outside its folder, and every tensor that it gives is there.
func FuzzIndex(f *testing.F) {
	dir := f.TempDir()
	for i, name := range []string{"a", "b"} {
		header := `{"` + name + `":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`
		if err := os.WriteFile(filepath.Join(dir, "model-"+string(rune('1'+i))+".safetensors"), file(header, 1), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	f.Add([]byte(`{"metadata":{"total_size":2},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"model-2.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../model-1.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseIndex(data)
		if err != nil {
			return
		}
		for _, shard := range list {
			if strings.ContainsAny(shard, "/\\:\x00") || !strings.HasSuffix(shard, ".safetensors") {
				t.Errorf("a shard is %q", shard)
			}
		}
		m, err := openShards(dir, list)
		if err != nil {
			return
		}
		defer m.Close()
		for _, tensor := range m.tensors {
			if list[tensor.Name] == "" {
				t.Errorf("a tensor %q that the index does not name", tensor.Name)
			}
		}
		if len(m.tensors) != len(list) {
			t.Errorf("%d tensors of %d", len(m.tensors), len(list))
		}
	})
}
