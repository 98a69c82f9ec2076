package doctor

import (
	"fmt"
	"os"
	"strings"

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

// readCards looks for NVIDIA's driver and its cards. What is wrong with them is
// no problem of a run that does not ask for one.
func (f *Findings) readCards(open func() (*driver.Library, error)) {
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
		f.Cards = append(f.Cards, tryCard(library, info))
	}
}

// tryCard takes the card's context, as a run would.
func tryCard(library *driver.Library, info driver.Info) Card {
	c := Card{
		Ordinal: info.Ordinal, Name: info.Name, Capability: fmt.Sprintf("%d.%d", info.Major, info.Minor),
		Units: info.Units, MemoryTotal: info.Memory,
	}
	means, err := cuda.MeansOf(info, library.Version())
	if err != nil {
		c.Fault = err.Error()
		return c
	}
	means.Vendor = os.Getenv(cublaslt.Variable) != ""
	c.Products = productsOf(info, means)
	device, err := library.Device(info.Ordinal)
	if err != nil {
		c.Fault = err.Error()
		return c
	}
	defer device.Close()
	err = device.Do(func() (err error) {
		c.MemoryFree, _, err = device.Free()
		return err
	})
	if err != nil {
		c.Fault = err.Error()
	}
	return c
}
