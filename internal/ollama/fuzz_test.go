package ollama

import (
	"strings"
	"testing"
)

// A manifest names a blob by 64 hexadecimal digits or is refused: a digest is part of
// a path.
func FuzzManifest(f *testing.F) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	f.Add([]byte(`{"layers":[{"mediaType":"` + modelType + `","digest":"` + digest + `"}]}`))
	f.Add([]byte(`{"layers":[{"mediaType":"` + modelType + `","digest":"sha256:../../x"}]}`))
	f.Add([]byte(`{"layers":[{"mediaType":"a"},{"mediaType":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := weights(data)
		if err == nil && (len(got) != len(digest) || strings.Trim(got[len("sha256:"):], "0123456789abcdef") != "") {
			t.Errorf("digest %q", got)
		}
	})
}

// A name of a model stays in Ollama's folder of manifests.
func FuzzName(f *testing.F) {
	for _, name := range []string{"llama3.2", "llama3.2:1b", "owner/name:tag", "host/owner/name", "../x", "a:b:c", "a//b", `a\..\b`} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		path, err := manifestOf(name)
		if err == nil && (!strings.HasPrefix(path, "manifests/") || strings.Contains("/"+path+"/", "/../")) {
			t.Errorf("%q is at %q", name, path)
		}
	})
}
