package cuda

import (
	"fmt"
	"os"

	"align/internal/device/cuda/driver"
)

// Variable names the environment's variable with the instruction that our own
// products and attention run on, to compare or to find a fault: mma, which every card has, or
// wgmma, which capability 9.0 alone has. Without it a card gets the faster one.
const Variable = "ALIGN_CUDA"

// wgmmaVersion is the first CUDA whose driver reads PTX 8.0 (PTX ISA, "Release
// Notes").
const wgmmaVersion driver.Version = 12000

// Means are what a run may multiply with on a card.
type Means struct {
	Vendor bool   // cuBLASLt is asked for
	Wgmma  bool   // the files of kernels that end in _sm90
	Reason string // for or against Wgmma
	asked  bool   // by the environment for Wgmma
}

// MeansOf is what a card and its driver have of the instructions that the
// environment leaves. Asking for one that the card lacks is an error.
func MeansOf(card driver.Info, version driver.Version) (m Means, err error) {
	asked := os.Getenv(Variable)
	switch {
	case card.Major != 9 || card.Minor != 0:
		m.Reason = fmt.Sprintf("made for capability %d.%d", card.Major, card.Minor)
	case version < wgmmaVersion:
		m.Reason = fmt.Sprintf("wgmma needs a driver for CUDA %v, this one is for %v", wgmmaVersion, version)
	case asked == "mma":
		m.Reason = "asked for by " + Variable
	default:
		m.asked = asked == "wgmma"
		m.Wgmma, m.Reason = true, "capability 9.0 has wgmma, which mma.sync reaches some 60 % of"
	}
	switch {
	case asked != "" && asked != "mma" && asked != "wgmma":
		err = fmt.Errorf("cuda: %s is %q: want mma or wgmma", Variable, asked)
	case asked == "wgmma" && !m.Wgmma:
		err = fmt.Errorf("cuda: %s=wgmma: %s: %s", Variable, card.Name, m.Reason)
	}
	return m, err
}
