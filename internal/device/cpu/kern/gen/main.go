// Command gen writes the assembly of package kern and the Go declarations that
// go with it. It needs the standard library only:
//
//	go run ./internal/device/cpu/kern/gen
//
// The output is committed; a test compares it with what gen would write. With
// -emulate it writes files that do without AMX, scripts/emulate-amx.sh.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	dir := flag.String("dir", "internal/device/cpu/kern", "folder of package kern")
	emulated := flag.String("emulate", "", "folder for files that emulate AMX in tests, and their overlay.json, instead of the package's")
	flag.Parse()
	err := error(nil)
	if *emulated != "" {
		err = writeEmulation(*dir, *emulated)
	} else {
		err = write(*dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// write writes the package's files.
func write(dir string) error {
	for name, text := range generate(false) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate is every file of the output by name; emulated is without AMX's instructions.
func generate(emulated bool) map[string][]byte {
	var decl, declNEON declarations
	tiles, packs, vectors, peaks, amx := newFile(&decl, emulated), newFile(&decl, emulated), newFile(&decl, emulated), newFile(&decl, emulated), newFile(&decl, emulated)
	emitTiles(tiles)
	emitThin(tiles)
	emitOuter(tiles)
	emitThinRows(tiles)
	emitOuterNext(tiles)
	emitPlain(tiles)
	emitRoundTile(tiles)
	eager := newFile(&decl, emulated)
	emitEager(eager)
	sweeps := newFile(&decl, emulated)
	emitSweeps(sweeps)
	emitPacks(packs)
	emitVectors(vectors)
	emitKeepRows(vectors)
	emitKeepPanel(vectors)
	emitLowKept(vectors)
	emitPeaks(peaks)
	quantised := newFile(&decl, emulated)
	emitBlocks(quantised)
	emitAMX(amx)
	attention := newFile(&decl, emulated)
	emitAttention(attention)
	emitGradWeights(attention)
	wide := newFile(&decl, emulated)
	emitWideTiles(wide)
	panels := newFile(&decl, emulated)
	emitBytePanels(panels)
	emitNibbleRows(panels)
	emitByteRows(panels)
	neon := newFile(&declNEON, false)
	emitNEON(neon)
	return map[string][]byte{
		"tile_amd64.s":          tiles.bytes(),
		"eager_amd64.s":         eager.bytes(),
		"sweep_amd64.s":         sweeps.bytes(),
		"pack_amd64.s":          packs.bytes(),
		"vector_amd64.s":        vectors.bytes(),
		"peak_amd64.s":          peaks.bytes(),
		"blocks_amd64.s":        quantised.bytes(),
		"amx_amd64.s":           amx.bytes(),
		"attention_amd64.s":     attention.bytes(),
		"wide_amd64.s":          wide.bytes(),
		"panels_amd64.s":        panels.bytes(),
		"declarations_amd64.go": decl.bytes(),
		"neon_arm64.s":          neon.bytes(),
		"declarations_arm64.go": declNEON.bytes(),
	}
}
