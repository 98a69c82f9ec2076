package train

import (
	"bytes"
	"testing"
)

// Whatever a log holds, a run that goes on keeps whole lines of it, and watches them.
func FuzzLog(f *testing.F) {
	f.Add([]byte("{\"v\":1,\"step\":1,\"loss\":0.5,\"rewards/chosen\":0}\n{\"step\":2,\"loss\":null}\n{\"step\":3,\"lo"), 2)
	f.Add([]byte("{\"step\":0}\n{\"loss\":1}\n"), 1)
	f.Add([]byte("{\"step\":1,\"step\":2}\n"), 5)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		w := watch(silent{}, 10, func(string) {})
		var kept []byte
		n, err := throughStep(bytes.NewReader(data), step, false, func(line []byte) {
			kept = append(kept, line...)
			w.recall(line)
		})
		if err != nil || n > int64(len(data)) || !bytes.Equal(kept, data[:n]) || n > 0 && data[n-1] != '\n' {
			t.Errorf("%d bytes kept, %v", n, err)
		}
	})
}
