package feature

import (
	"sync"

	"golang.org/x/sys/cpu"
)

// hasTiles is true where the processor multiplies tiles of bfloat16, the system
// saves them and this process may use them, and permutes bytes as all that have
// tiles do. It asks once.
var hasTiles = sync.OnceValue(func() bool {
	return cpu.X86.HasAMXTile && cpu.X86.HasAMXBF16 && cpu.X86.HasAVX512VBMI && savesTiles() && permitTiles()
})

// savesTiles says whether the system saves AMX's configuration and tiles.
func savesTiles() bool {
	const tileConfig, tileData = 1 << 17, 1 << 18
	return xgetbv()&(tileConfig|tileData) == tileConfig|tileData
}
