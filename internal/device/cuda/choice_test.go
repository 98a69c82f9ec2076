package cuda

import (
	"strings"
	"testing"

	"align/internal/device/cuda/driver"
)

func TestChoices(t *testing.T) {
	ada, hopper := driver.Info{Major: 8, Minor: 9, Units: 128}, driver.Info{Major: 9, Units: 132}
	for _, c := range []struct {
		card   driver.Info
		asked  bool
		m      int
		kernel string
		reason string
	}{
		{ada, false, 4096, "mma.sync 128x128", "made for capability 8.9"},
		{ada, true, 4096, "mma.sync 128x128", "made for capability 8.9"},
		{ada, true, 8, "gemv", "up to 8 rows"},
		{ada, false, 40, "mma.sync 64x64", "made for capability 8.9"},
		{hopper, false, 4096, "mma.sync 128x128", "without wgmma"},
		{hopper, true, 4096, "cublaslt", "capability 9.0"},
		{hopper, true, 100, "mma.sync 64x64", "without wgmma"},
		{hopper, true, 1, "gemv", "up to 8 rows"},
	} {
		got := Choose(c.card, c.asked, c.m, 4096, 4096)
		if got.Kernel != c.kernel || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("capability %d.%d, cuBLASLt %v, %d rows: %q since %q, want %q since %q",
				c.card.Major, c.card.Minor, c.asked, c.m, got.Kernel, got.Reason, c.kernel, c.reason)
		}
	}
}
