package model_test

import (
	"math"
	"testing"

	"align/internal/device"
	"align/internal/fixture"
	"align/model"
)

// TestLoadFullWidensQuantisedFiles: all weights of a GGUF can be trained, from
// the values that its blocks stand for.
func TestLoadFullWidensQuantisedFiles(t *testing.T) {
	base := fixture.Path(t, "golden/models/tied")
	for _, typ := range []string{"f32", "bf16", "q8_0", "q4_0"} {
		t.Run(typ, func(t *testing.T) {
			b := openCPU(t, device.F32)
			path := asGGUF(t, base, typ)
			m, full, err := model.LoadFull(path, b, device.F32, nil)
			if err != nil {
				t.Fatal(err)
			}
			if int64(full.Parameters()) != m.Config.Parameters() {
				t.Errorf("%d trained values, the model has %d", full.Parameters(), m.Config.Parameters())
			}
			want := logitsOf(t, load(t, path, b, device.F32, model.LoadOptions{}), nil)
			for i, x := range logitsOf(t, m, nil) {
				if off := math.Abs(x - want[i]); off > blockTolerance*max(1, math.Abs(want[i])) {
					t.Fatalf("logit %d is %v, the frozen model's %v", i, x, want[i])
				}
			}
		})
	}
}
