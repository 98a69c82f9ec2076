//go:build linux && (amd64 || arm64) && !nogpu

package cudatest

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"

	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/fakedriver"
	"align/internal/device/cuda/ptxsim"
)

// Card is what a test runs on.
type Card struct {
	*driver.Device
	// Sim is the simulator, nil on a real card.
	Sim *ptxsim.Sim
}

// Target is the generation that the simulated card has.
type Target struct{ Major, Minor int }

// The generations that the kernels are made for.
var (
	Ampere = Target{8, 0}
	Hopper = Target{9, 0}
)

// String names the generation by its capability.
func (t Target) String() string { return fmt.Sprintf("%d.%d", t.Major, t.Minor) }

// Simulated says whether tests run on the simulated card.
func Simulated() bool { return !onCard() }

// ForgetFault takes what the simulator found wrong on what was opened last from the
// test: for tests of faults.
func ForgetFault() {
	if !onCard() {
		fake().ForgetFault()
	}
}

// Targets are the generations that a test of everything runs on: both of the
// simulator's, or the one that a real card has.
func Targets() []Target {
	if onCard() {
		return []Target{Ampere}
	}
	return []Target{Ampere, Hopper}
}

// Units are the multiprocessors of the simulated card, few, so that small shapes get
// the kernels of large ones, with wgmma all that it takes.
func Units(t Target) int {
	if t == Hopper {
		return 1
	}
	return 4
}

// fake is made once: its functions are never freed.
var fake = sync.OnceValue(fakedriver.New)

// memory of the simulated card, in bytes.
const memory = 4 << 30

// Open returns an Ampere card, or the real one. On the simulated one races are
// looked for, ALIGN_TEST_SEED other than 0 makes the schedule random, [Variable] says
// how the card computes, and what the simulator finds wrong fails the test with its
// place. Tests that have a card open do not run in parallel.
func Open(t testing.TB) *Card { return OpenTarget(t, Ampere) }

// OpenTarget is Open for a generation; a real card of another one skips the
// test.
func OpenTarget(t testing.TB, target Target) *Card {
	t.Helper()
	if onCard() {
		return openReal(t, target)
	}
	l, sim := simulated(t, target)
	c := open(t, l)
	c.Sim = sim
	return c
}

func onCard() bool { return os.Getenv("ALIGN_TEST_GPU") == "1" }

// Library is the driver of what Open would open, for a test that takes the card
// in another way: what the simulator finds wrong fails the test. Races are
// looked for unless the test is long.
func Library(t testing.TB, races bool) *driver.Library { return LibraryTarget(t, Ampere, races) }

// LibraryTarget is Library for a generation; a real card is what it is.
func LibraryTarget(t testing.TB, target Target, races bool) *driver.Library {
	t.Helper()
	if onCard() {
		l, err := driver.Open()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l, sim := simulated(t, target)
	sim.Races = races
	return l
}

// last is the simulator of what was opened last.
var last *ptxsim.Sim

// Launches returns how often a kernel was launched on what was opened last; ok is
// false on a real card.
func Launches(kernel string) (n int64, ok bool) {
	s, ok := Counted(kernel)
	return s.Launches, ok
}

// Counted is what a kernel did on what was opened last; ok is false on a real card.
func Counted(kernel string) (s ptxsim.Stats, ok bool) {
	if onCard() {
		return s, false
	}
	return last.Stats(kernel), true
}

// StandIn makes the simulated card, of the Ampere generation, what [driver.Open]
// opens, for commands that open the card by themselves; where ALIGN_TEST_GPU is 1
// they get the real one. Races are not looked for. Fault tells what the simulator
// found wrong.
func StandIn() (fault func() error) { return StandInTarget(Ampere) }

// StandInTarget is StandIn for a generation; a real card is what it is.
func StandInTarget(target Target) (fault func() error) {
	if onCard() {
		return func() error { return nil }
	}
	play(target).Races = false
	driver.StandIn(func() (*driver.Library, error) { return driver.OpenWith("ptxsim", fake().Resolve) })
	return fake().Fault
}

// play resets the fake to a simulated card.
func play(target Target) *ptxsim.Sim {
	seed, _ := strconv.ParseUint(os.Getenv("ALIGN_TEST_SEED"), 10, 64)
	sim := &ptxsim.Sim{Races: true, Seed: seed, Arithmetic: arithmetic()}
	last = sim
	fake().Reset(fakedriver.Script{
		Version: 12040, Sim: sim,
		Cards: []fakedriver.Card{{Name: "ptxsim", Major: int32(target.Major), Minor: int32(target.Minor), Units: int32(Units(target)), Memory: memory}},
	})
	return sim
}

// Variable names the environment's variable with the simulated card's arithmetic:
// "hopper" adds in matrix instructions as an H100 has been measured to, "apart" does so
// in wgmma and as an A100 in mma.sync, both with approximate functions off by what the
// manual allows. Without it terms are added one by one and functions are exact.
const Variable = "ALIGN_TEST_ARITHMETIC"

func arithmetic() ptxsim.Arithmetic {
	switch os.Getenv(Variable) {
	case "hopper":
		return ptxsim.Arithmetic{Mma: ptxsim.HopperSums, Wgmma: ptxsim.HopperSums, Approximate: true}
	case "apart":
		return ptxsim.Arithmetic{Mma: ptxsim.AmpereSums, Wgmma: ptxsim.HopperSums, Approximate: true}
	}
	return ptxsim.Arithmetic{}
}

func simulated(t testing.TB, target Target) (*driver.Library, *ptxsim.Sim) {
	t.Helper()
	sim := play(target)
	l, err := driver.OpenWith("ptxsim", fake().Resolve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fake().Fault(); err != nil {
			t.Error(err)
		}
	})
	return l, sim
}

func openReal(t testing.TB, target Target) *Card {
	t.Helper()
	l, err := driver.Open()
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, l)
	if target == Hopper && c.Major != Hopper.Major || c.Major < target.Major {
		t.Skipf("%s has compute capability %d.%d: want %d.%d", c.Name, c.Major, c.Minor, target.Major, target.Minor)
	}
	return c
}

func open(t testing.TB, l *driver.Library) *Card {
	t.Helper()
	d, err := l.Device(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return &Card{Device: d}
}

// Fault returns what the simulator found wrong and takes it from the test: for
// tests of faults.
func (c *Card) Fault() error {
	if c.Sim == nil {
		return nil
	}
	err := fake().Fault()
	fake().ForgetFault()
	return err
}

// MayDiffer says whether the bits of mma.sync and of wgmma may differ: how a card adds
// the terms of either is in no manual.
func (c *Card) MayDiffer() bool {
	return c.Sim == nil || c.Sim.Arithmetic.Mma != c.Sim.Arithmetic.Wgmma
}

// Apart says whether [Variable] has both instructions of the card opened last add in
// ways of their own; of a real one it is not known.
func Apart() bool { return !onCard() && last.Arithmetic.Mma != last.Arithmetic.Wgmma }

// Calls returns how often a function of the driver was called; ok is false on a
// real card.
func Calls(name string) (n int, ok bool) {
	if onCard() {
		return 0, false
	}
	return fake().Calls(name), true
}

// Peak is the most memory that was in use of the card opened last, in bytes; ok is
// false on a real card.
func Peak() (bytes int64, ok bool) {
	if onCard() {
		return 0, false
	}
	return int64(fake().Peak(0)), true
}

// Stats returns a kernel's counts; ok is false on a real card.
func (c *Card) Stats(kernel string) (s ptxsim.Stats, ok bool) {
	if c.Sim == nil {
		return s, false
	}
	return c.Sim.Stats(kernel), true
}
