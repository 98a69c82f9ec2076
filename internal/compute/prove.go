package compute

import (
	"fmt"
	"os"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/device/cuda"
	"align/internal/device/proof"
)

// Prove holds a file of kernels of a card to the processor's numbers, on one thread.
func Prove(card device.Backend, file string) error {
	reference, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32})
	if err != nil {
		return err
	}
	defer reference.Close()
	return proof.Run(card, reference, file)
}

// Proves says whether a card's kernels prove themselves before they are used: always, but
// where the environment says off.
func Proves() (bool, error) {
	switch asked := os.Getenv(cuda.ProofVariable); asked {
	case "":
		return true, nil
	case "off":
		return false, nil
	default:
		return false, fmt.Errorf("%s is %q: want off, or nothing", cuda.ProofVariable, asked)
	}
}

// prove lets a card that was opened prove itself; what stands in for kernels that fail
// is told.
func (o opening) prove(b *cuda.Backend) error {
	wanted, err := Proves()
	if err != nil || o.planned {
		return err
	}
	if !wanted {
		o.note(fmt.Sprintf("card: its kernels do not prove themselves: %s is off", cuda.ProofVariable))
		return nil
	}
	instead, err := b.Prove(Prove)
	if instead != "" {
		o.note("card: " + instead)
	}
	return err
}
