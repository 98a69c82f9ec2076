package doctor

import (
	"fmt"
	"os"
	"strings"

	"align/internal/compute"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cublaslt"
	"align/internal/device/cuda/driver"
)

// Card is an NVIDIA card; sizes are bytes. Fault is "" where its context
// could be taken.
type Card struct {
	Ordinal     int    `json:"ordinal"`
	Name        string `json:"name"`
	Capability  string `json:"capability"` // compute capability, e.g. "9.0"
	Units       int    `json:"units"`      // streaming multiprocessors
	MemoryTotal uint64 `json:"memory_total"`
	MemoryFree  uint64 `json:"memory_free"`
	Fault       string `json:"fault"`
	// Products are what multiplies at Llama 3 8B's shapes.
	Products []Product `json:"products"`
	// Proven are the files of kernels that gave the right numbers on the card, Wrong
	// what the others did, and Instead why others stand in for those on wgmma, "" where none
	// does. All are empty where the environment says that nothing is to be proven.
	Proven  []string `json:"proven"`
	Wrong   []string `json:"wrong"`
	Instead string   `json:"instead"`
}

// Product is what multiplies Rows tokens by a weight of Out x In, and why.
type Product struct {
	Rows   int    `json:"rows"`
	Out    int    `json:"out"`
	In     int    `json:"in"`
	Kernel string `json:"kernel"`
	Reason string `json:"reason"`
}

// productsOf are the choices for a pack of 4,096 tokens and for one decoded token.
func productsOf(info driver.Info, means cuda.Means) (list []Product) {
	add := func(rows, out, in int) {
		c := cuda.Choose(info, means, rows, out, in)
		list = append(list, Product{rows, out, in, c.Kernel, c.Reason})
	}
	for _, weight := range [][2]int{{4096, 4096}, {1024, 4096}, {14336, 4096}, {4096, 14336}} { // q and o, k and v, gate and up, down
		add(4096, weight[0], weight[1])
	}
	add(1, 4096, 4096)
	return list
}

// readCards looks for NVIDIA's driver and its cards, and lets these prove themselves.
// What is wrong with them is no problem of a run that does not ask for one.
func (f *Findings) readCards(open func() (*driver.Library, error), prove cuda.Prover) {
	f.Cards = []Card{}
	none := func(err error) { f.GPU = "none: " + strings.TrimPrefix(err.Error(), "cuda: ") }
	library, err := open()
	if err != nil {
		none(err)
		return
	}
	f.Driver = library.Version().String()
	infos, err := library.Devices()
	if err != nil {
		none(err)
		return
	}
	f.GPU = fmt.Sprintf("%d found by the NVIDIA driver for CUDA %s, used where --device names one", len(infos), f.Driver)
	for _, info := range infos {
		c := Card{
			Ordinal: info.Ordinal, Name: info.Name, Capability: fmt.Sprintf("%d.%d", info.Major, info.Minor),
			Units: info.Units, MemoryTotal: info.Memory, Proven: []string{}, Wrong: []string{},
		}
		if err := c.try(library, info, prove); err != nil {
			c.Fault = err.Error()
		}
		f.Cards = append(f.Cards, c)
	}
}

// try takes the card as a run would.
func (c *Card) try(library *driver.Library, info driver.Info, prove cuda.Prover) error {
	wanted, err := compute.Proves()
	if err != nil {
		return err
	}
	means, err := cuda.MeansOf(info, library.Version())
	if err != nil {
		return err
	}
	c.choose(info, means)
	b, err := cuda.OpenOn(library, info.Ordinal, 0)
	if err != nil {
		return err
	}
	defer b.Close()
	free, err := b.Available()
	if err != nil {
		return err
	}
	c.MemoryFree = uint64(free)
	if wanted {
		if c.Instead, err = b.Prove(prove); err != nil {
			return err
		}
		c.prove(b)
		c.choose(info, b.Means())
	}
	return nil
}

func (c *Card) choose(info driver.Info, means cuda.Means) {
	means.Vendor = os.Getenv(cublaslt.Variable) != ""
	c.Products = productsOf(info, means)
}

// prove lets all kernels prove themselves.
func (c *Card) prove(b *cuda.Backend) {
	for _, err := range b.ProveAll() {
		c.Wrong = append(c.Wrong, err.Error())
	}
	c.Proven = b.Proven()
}
