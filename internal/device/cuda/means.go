package cuda

import (
	"fmt"
	"os"

	"align/internal/device/cuda/driver"
)

// Variable names the environment's variable with the instruction that our own
// products and attention run on, to compare or to find a fault: mma, which every card has, or
// wgmma, which capability 9.0 alone has, or tma, which is wgmma with the sides of products
// fetched by the card's copy engine. Without it a card gets mma or wgmma, the faster one:
// whether tma is faster is not known.
const Variable = "ALIGN_CUDA"

// wgmmaVersion is the first CUDA whose driver reads PTX 8.0 (PTX ISA, "Release
// Notes").
const wgmmaVersion driver.Version = 12000

// bulkVersion is the same of PTX 8.3, which has the fence that tensor maps in the card's
// memory want.
const bulkVersion driver.Version = 12030

// Means are what a run may multiply with on a card.
type Means struct {
	Vendor bool   // cuBLASLt is asked for
	Wgmma  bool   // the files of kernels that end in _sm90
	TMA    bool   // and gemm_tma, in the place of gemm_sm90 where it can be
	Reason string // for or against Wgmma and TMA
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
	case asked == "tma" && version < bulkVersion:
		m.Reason = fmt.Sprintf("tma needs a driver for CUDA %v, this one is for %v", bulkVersion, version)
	default:
		m.asked = asked == "wgmma" || asked == "tma"
		m.Wgmma, m.Reason = true, "capability 9.0 has wgmma, which mma.sync reaches some 60 % of"
	}
	if asked == "tma" && m.Wgmma {
		m.TMA, m.Reason = true, "wgmma, fed by the copy engine, is asked for by "+Variable
	}
	switch {
	case asked != "" && asked != "mma" && asked != "wgmma" && asked != "tma":
		err = fmt.Errorf("cuda: %s is %q: want mma, wgmma or tma", Variable, asked)
	case (asked == "wgmma" || asked == "tma") && !m.Wgmma:
		err = fmt.Errorf("cuda: %s=%s: %s: %s", Variable, asked, card.Name, m.Reason)
	}
	return m, err
}
