package proof

// files are the trials of every file of kernels. The backend that they run on is one
// of a card of Units multiprocessors, so that small products have the tiles of large
// ones.
var files = map[string]func() []*scene{
	"gemm":        mmaProducts,
	"gemm_sm90":   wgmmaProducts,
	"gemm_tma":    bulkProducts,
	"cublaslt":    vendorProducts,
	"gemv":        func() []*scene { return fewRows(3, 136, 768) },
	"gemv16":      func() []*scene { return fewRows(13, 40, 768) },
	"gemv_narrow": func() []*scene { return fewRows(3, 40, 768) },
	"weights":     widened,
	"lora_grad":   adapterGradients,
	"logprob":     heads,
	"attention": func() []*scene {
		return append(attentions(16, 32, 64, 128), long(16), cached(16, 4200), cached(64, 70), cached(128, 70))
	},
	"attention_sm90":      func() []*scene { return append(attentions(64, 128), long(64)) },
	"attention_grad":      func() []*scene { return gradients(16, 32, 64, 128) },
	"attention_grad_sm90": func() []*scene { return gradients(64, 128) },
	"norm":                norms,
	"rope":                rotations,
	"elements":            elements,
	"rows":                rows,
	"dora":                magnitudes,
	"vectors":             vectors,
	"optimiser":           updates,
	"sampling":            draws,
}

// The multiprocessors of the card that the trials are made for: with one, wgmma takes
// what it can; with four, mma.sync has its large tile.
const (
	Units      = 4
	UnitsWgmma = 1
)
