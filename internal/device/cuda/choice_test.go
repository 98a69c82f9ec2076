package cuda

import (
	"strings"
	"testing"

	"align/internal/device/cuda/driver"
)

func TestChoices(t *testing.T) {
	t.Setenv(Variable, "")
	ada, hopper := driver.Info{Major: 8, Minor: 9, Units: 128}, driver.Info{Major: 9, Units: 132}
	for _, c := range []struct {
		card    driver.Info
		version driver.Version
		env     string
		asked   bool
		m, n    int
		kernel  string
		reason  string
	}{
		{ada, 12040, "", false, 4096, 4096, "mma.sync 128x128", "made for capability 8.9"},
		{ada, 12040, "", true, 4096, 4096, "mma.sync 128x128", "made for capability 8.9"},
		{ada, 12040, "mma", false, 4096, 4096, "mma.sync 128x128", "made for capability 8.9"},
		{ada, 12040, "", true, 16, 4096, "gemv", "up to 16 rows"},
		{ada, 12040, "", false, 17, 4096, "mma.sync 64x32", "up to 64 rows"},
		{ada, 12040, "", false, 64, 4096, "mma.sync 64x32", "up to 64 rows"},
		{ada, 12040, "", false, 64, 14336, "mma.sync 64x64", "made for capability 8.9"},
		{hopper, 12040, "", false, 4096, 4096, "wgmma 128x256", "capability 9.0 has wgmma"},
		{hopper, 12040, "", false, 4096, 1024, "wgmma 128x256", "capability 9.0 has wgmma"},
		{hopper, 12040, "", false, 2048, 1024, "wgmma 128x128", "capability 9.0 has wgmma"},
		{hopper, 12040, "wgmma", false, 4096, 14336, "wgmma 128x256", "ALIGN_CUBLASLT=auto"},
		{hopper, 12040, "mma", false, 4096, 4096, "mma.sync 128x128", "asked for by ALIGN_CUDA"},
		{hopper, 12040, "tma", false, 4096, 4096, "tma 128x256", "fed by the copy engine, is asked for by ALIGN_CUDA"},
		{hopper, 12040, "tma", false, 2048, 1024, "tma 128x128", "fed by the copy engine, is asked for by ALIGN_CUDA"},
		{hopper, 12040, "tma", false, 4096, 4100, "mma.sync 128x128", "columns of the result"},
		{hopper, 12040, "tma", false, 100, 4096, "mma.sync 64x64", "too small"},
		{hopper, 12040, "tma", true, 4096, 4096, "cublaslt", "NVIDIA's library is asked for"},
		{hopper, 12020, "", false, 4096, 4096, "wgmma 128x256", "capability 9.0 has wgmma"},
		{hopper, 11080, "", false, 4096, 4096, "mma.sync 128x128", "wgmma needs a driver for CUDA 12.0"},
		{hopper, 12040, "", false, 4096, 4100, "mma.sync 128x128", "columns of the result"},
		{hopper, 12040, "", true, 4096, 4096, "cublaslt", "NVIDIA's library is asked for"},
		{hopper, 12040, "", true, 100, 4096, "mma.sync 64x64", "too small"},
		{hopper, 12040, "", true, 100, 14336, "wgmma 128x128", "capability 9.0 has wgmma"},
		{hopper, 12040, "", true, 1, 4096, "gemv", "up to 16 rows"},
	} {
		t.Setenv(Variable, c.env)
		means, err := MeansOf(c.card, c.version)
		if err != nil {
			t.Fatal(err)
		}
		means.Vendor = c.asked
		got := Choose(c.card, means, c.m, c.n, 4096)
		if got.Kernel != c.kernel || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%+v: %q since %q", c, got.Kernel, got.Reason)
		}
	}
}

func TestInstructionsAskedFor(t *testing.T) {
	for _, c := range []struct {
		env, card string
		version   driver.Version
		says      string
	}{
		{"wgmma", "9.0", 12000, ""},
		{"mma", "8.0", 12000, ""},
		{"tma", "9.0", 12030, ""},
		{"wgmma", "8.0", 12040, "ALIGN_CUDA=wgmma: A: made for capability 8.0"},
		{"tma", "8.0", 12040, "ALIGN_CUDA=tma: A: made for capability 8.0"},
		{"tma", "9.0", 12020, "ALIGN_CUDA=tma: A: tma needs a driver for CUDA 12.3, this one is for 12.2"},
		{"tcgen05", "9.0", 12040, "want mma, wgmma or tma"},
	} {
		t.Setenv(Variable, c.env)
		_, err := MeansOf(driver.Info{Name: "A", Major: int(c.card[0] - '0')}, c.version)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s on %s: error %v: want %q", c.env, c.card, err, c.says)
		}
	}
}
