package ptxsim

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// Sim runs launches. The zero value checks no races.
type Sim struct {
	// Races looks for data races; blocks then run one after the other.
	Races bool
	// Seed other than 0 makes the order of blocks and warps random.
	Seed uint64
	// Workers is the number of blocks that run at once without Races, 1 for 0.
	Workers int
	// Limit is the most instructions of a block's warps, 1<<26 for 0: what runs
	// longer is taken to wait for something that does not come.
	Limit int
	// Arithmetic is what cards do in ways of their own.
	Arithmetic Arithmetic

	mu    sync.Mutex
	stats map[string]*Stats
	next  uint32 // number of the next block
}

// Stats returns the counts of a kernel's launches so far.
func (s *Sim) Stats(kernel string) Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.stats[kernel]; st != nil {
		return *st
	}
	return Stats{}
}

// ResetStats forgets all counts.
func (s *Sim) ResetStats() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = nil
}

// grid is a launch.
type grid struct {
	sim         *Sim
	kernel      *Kernel
	grid, block [3]int
	dynamic     int // bytes of shared memory
	args        []uint64
	memory      *Memory
	variables   *area
	base        uint32 // number of the first block
	released    map[uint64]numbers
	atomics     sync.Mutex
}

func (g *grid) blocks() int { return g.grid[0] * g.grid[1] * g.grid[2] }

func (g *grid) place(i int) [3]int {
	return [3]int{i % g.grid[0], i / g.grid[0] % g.grid[1], i / g.grid[0] / g.grid[1]}
}

// Launch runs a kernel to its end. Dynamic is shared memory beside the
// declared; args are one value per parameter. What the kernel does wrong is a
// [Fault]; global memory then holds what was written so far.
func (s *Sim) Launch(k *Kernel, gridSize, blockSize [3]int, dynamic int, args []uint64, memory *Memory) error {
	g := &grid{sim: s, kernel: k, grid: gridSize, block: blockSize, dynamic: dynamic, args: args, memory: memory,
		variables: &area{start: variablesAt, bytes: k.module.data}, released: map[uint64]numbers{}}
	if err := g.check(); err != nil {
		return err
	}
	s.mu.Lock()
	g.base = s.next + 1
	s.next += uint32(g.blocks())
	s.mu.Unlock()
	order := make([]int, g.blocks())
	for i := range order {
		order[i] = i
	}
	if s.Seed != 0 {
		random := rand.New(rand.NewPCG(s.Seed, uint64(g.base)))
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	stats, err := g.run(order)
	stats.Launches = 1
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats == nil {
		s.stats = map[string]*Stats{}
	}
	if s.stats[k.Name] == nil {
		s.stats[k.Name] = &Stats{}
	}
	s.stats[k.Name].Add(stats)
	return err
}

func (g *grid) check() error {
	k := g.kernel
	if len(g.args) != len(k.Params) {
		return fmt.Errorf("ptxsim: kernel %s: %d arguments: it takes %d", k.Name, len(g.args), len(k.Params))
	}
	for i, size := range k.Params {
		if size > 8 {
			return fmt.Errorf("ptxsim: kernel %s: parameter %d has %d bytes: at most 8 are simulated", k.Name, i, size)
		}
	}
	threads := g.block[0] * g.block[1] * g.block[2]
	if threads < 1 || threads > 1024 || g.blocks() < 1 {
		return fmt.Errorf("ptxsim: kernel %s: grid %v of blocks %v: want 1 to 1024 threads", k.Name, g.grid, g.block)
	}
	limit := k.Threads[0] * k.Threads[1] * k.Threads[2]
	if limit > 0 && threads > limit || k.required && g.block != k.Threads {
		return fmt.Errorf("ptxsim: kernel %s: blocks %v: it is made for %v", k.Name, g.block, k.Threads)
	}
	return nil
}

// run runs blocks in an order and returns the first fault.
func (g *grid) run(order []int) (Stats, error) {
	workers := max(1, min(g.sim.Workers, len(order)))
	if g.sim.Races {
		workers = 1
	}
	var next atomic.Int64
	var failed atomic.Bool
	all := make([]Stats, workers)
	errs := make([]error, workers)
	work := func(i int) {
		b := newBlock(g)
		for !failed.Load() {
			at := int(next.Add(1)) - 1
			if at >= len(order) {
				break
			}
			if errs[i] = b.run(order[at]); errs[i] != nil {
				failed.Store(true)
			}
		}
		all[i] = b.stats
	}
	var wait sync.WaitGroup
	for i := 1; i < workers; i++ {
		wait.Go(func() { work(i) })
	}
	work(0)
	wait.Wait()
	var sum Stats
	var err error
	for i := range all {
		sum.Add(all[i])
		if err == nil {
			err = errs[i]
		}
	}
	return sum, err
}
