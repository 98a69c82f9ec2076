package cuda

import (
	"errors"

	"align/internal/device/cuda/driver"
)

// Products by gemm_tma.cu: those of gemm_sm90.cu whose sides the card's copy engine (TMA)
// fetches. It is told of a side by a tensor map in the card's memory, which is made when a
// product of the side first runs and kept. What has no map, and cannot have one now, runs
// by gemm_sm90.cu, which has the same bits.

// bulkFile is the file of the kernels, bulkBox the rows and columns of the boxes that they
// ask for.
const (
	bulkFile = "gemm_tma"
	bulkBox  = 64
)

// bulkShape is a tile of gemm_tma.cu: beside its stages there are two barriers of 8 bytes
// for each, and beside the 256 threads that multiply one warp.
func bulkShape(name string, n, stages int) shape {
	s := hopperShape(name, n)
	s.file, s.instruction, s.entries, s.size = bulkFile, "tma", entriesNamed("tma", name), s.size+32
	s.shared = stages*(hopperStep*2*(s.m+n)+2*8) + hopperLost
	return s
}

var (
	shapeWideFed   = bulkShape("wide", 256, 4)
	shapeSquareFed = bulkShape("square", 128, 6)
)

// fed is the tile of gemm_sm90.cu with its sides fetched by the copy engine.
func (s *shape) fed() *shape {
	if s == &shapeWide {
		return &shapeWideFed
	}
	return &shapeSquareFed
}

// feeds says whether the copy engine may fetch the sides of a tile's product: it fetches
// whole steps, which parts of a sum must not share.
func (m Means) feeds(s *shape, k, terms int) bool {
	return m.TMA && s.file == hopperFile && (terms >= k || terms%hopperStep == 0)
}

// The most maps that are kept at a time. A step of training has some hundreds, and some
// hundred more for each length of a batch; a proof has few.
const (
	mostMaps   = 8192
	provenMaps = 64
)

// maps are the tensor maps in the card's memory.
type maps struct {
	places map[mapOf]int
	slots  []mapSlot
	next   int    // where the search for a place goes on
	launch uint64 // number of the product under way
	closed bool   // a capture is under way: no map is made, it would be made again by each replay
}

// mapOf is what a map tells: of a matrix of bf16 at an address.
type mapOf struct {
	side          side
	rows, columns int
}

type mapSlot struct {
	of     mapOf
	launch uint64 // that wanted it last
	pinned bool   // a captured graph has its address
}

// bulk runs a product with its sides fetched by the copy engine; it is not done where a
// side has no map.
func (l *launcher) bulk(of kind, p *product, s *shape, terms int, grid driver.Dim) (done bool, err error) {
	// A capture may want the stand-in, and translates no kernels.
	if _, err := l.prepared(s.file, s.entries[of], s.shared); err != nil {
		return false, err
	}
	l.b.maps.launch++
	var at [4]uint64
	for i, v := range [4]struct {
		side          side
		vectors, long int
		across        bool
	}{{p.x, p.m, p.k, of == kindTN}, {p.w, p.n, p.k, of != kindNT}, {p.u, p.m, p.r, of == kindTN}, {p.v, p.n, p.r, of != kindNT}} {
		m := mapOf{v.side, v.vectors, v.long}
		if v.across {
			m.rows, m.columns = v.long, v.vectors
		}
		at[i], done, err = l.mapped(m)
		if errors.Is(err, driver.ErrNoTensorMaps) && l.b.proofs == nil { // a proof tells it
			l.b.means.TMA, l.b.means.Reason = false, "capability 9.0 has wgmma; "+driver.ErrNoTensorMaps.Error()
			return false, nil
		}
		if !done || err != nil {
			return false, err
		}
	}
	s = s.fed()
	return true, l.run(s.file, s.entries[of], s.shared, grid, driver.Dim{X: s.size, Y: 1, Z: 1},
		driver.U64(at[0]), driver.U64(at[1]), driver.U64(at[2]), driver.U64(at[3]), driver.U64(p.y), driver.U64(p.bias),
		num(p.ldy), num(p.m), num(p.n), num(p.k), num(p.r),
		driver.F32(p.alpha), driver.I32(count(p.accumulate)), num(terms), code(p.typ))
}

// mapped is the address of a matrix's map; not ok where it has none and cannot have one
// now. A matrix of nothing needs none.
func (l *launcher) mapped(of mapOf) (at uint64, ok bool, err error) {
	if of.rows*of.columns == 0 {
		return 0, true, nil
	}
	b, most := l.b, mostMaps
	if b.pool.passing {
		most = provenMaps
	}
	room, err := l.room(slotMaps, int64(most)*driver.TensorMapBytes)
	if err != nil || b.counts {
		return 0, true, err
	}
	i, known := b.maps.places[of]
	if !known {
		if i, ok = b.maps.take(most); !ok {
			return 0, false, nil
		}
		if err := b.putMap(i, of); err != nil {
			return 0, false, err
		}
	}
	slot := &b.maps.slots[i]
	slot.launch, slot.pinned = b.maps.launch, slot.pinned || b.maps.closed
	return room + uint64(i)*driver.TensorMapBytes, true, nil
}

// take is a place for a map, empty or another's: no captured graph's and none of the
// product under way.
func (m *maps) take(most int) (i int, ok bool) {
	if m.closed {
		return 0, false
	}
	if m.slots == nil {
		m.places, m.slots = map[mapOf]int{}, make([]mapSlot, most)
	}
	for range m.slots {
		i = m.next
		m.next = (i + 1) % len(m.slots)
		if s := &m.slots[i]; !s.pinned && s.launch != m.launch {
			return i, true
		}
	}
	return 0, false
}

// putMap makes a map at a place: what was enqueued before still reads the one that lay
// there.
func (b *Backend) putMap(i int, of mapOf) error {
	raw, err := b.device.TensorMap(driver.Boxes{
		Address: of.side.at, Rows: of.rows, Columns: of.columns, Stride: 2 * of.side.ld, BoxRows: bulkBox, BoxColumns: bulkBox,
	})
	if err != nil {
		return err
	}
	m, blocks := &b.maps, b.work[slotMaps].blocks
	if err := b.staging.upload(blocks[len(blocks)-1].buffer, i*driver.TensorMapBytes, raw); err != nil {
		return err
	}
	if old := m.slots[i]; old.launch > 0 {
		delete(m.places, old.of)
	}
	m.places[of], m.slots[i].of = i, of
	return nil
}
