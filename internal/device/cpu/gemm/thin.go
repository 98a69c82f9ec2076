package gemm

// A product with at most a panel of columns, as a LoRA's products down to its
// rank are, waits for its x: each panel is multiplied while it is hot from
// packing.

// isThin says whether the product goes this way.
func (r *run) isThin() bool {
	return r.colPanels == 1 && !r.XAcross && r.W.Packed.Data == nil && r.W.Source == nil && r.LowRank.R == 0
}

// packsDown says whether a right side is packed before x is: that of u, or that
// of a thin product.
func (r *run) packsDown() bool { return r.thin || r.LowRank.computesU() }

// downMatrix is that side, and downRows its number of vectors.
func (r *run) downMatrix() Matrix {
	if r.thin {
		return r.W.Plain
	}
	return r.LowRank.Down
}

func (r *run) downRows() int {
	if r.thin {
		return r.N
	}
	return r.LowRank.R
}

// multiplyThin packs a panel of x and computes its rows of y.
type multiplyThin run

// Do does panel i.
func (j *multiplyThin) Do(i, worker int) {
	r := (*run)(j)
	if row, n := r.rowsOf(i); !r.XPacked {
		r.packLeft(&r.e.own[worker], r.xPanel(i, n, 0), r.X, r.XAcross, row, n, r.K)
	}
	r.bias(span{rowFrom: i, rowTo: i + 1, colFrom: 0, colTo: 1})
	for k := 0; k < r.words; k += blockWords {
		r.tile(worker, i, 0, 0, k, min(blockWords, r.words-k), r.x)
	}
}
