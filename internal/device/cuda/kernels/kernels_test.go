package kernels_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"align/internal/device/cuda/kernels"
)

type manifest struct {
	Compiler string
	Kernels  map[string]struct{ Source, PTX string }
}

func readManifest(t *testing.T) (m manifest) {
	t.Helper()
	if err := json.Unmarshal(read(t, "manifest.json"), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func sources(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// PTX that is older than its source fails here, on a machine without clang too.
func TestPTXIsFresh(t *testing.T) {
	m := readManifest(t)
	var headers []byte
	for _, name := range sources(t, "*.cuh") {
		headers = append(headers, read(t, name)...)
	}
	files := sources(t, "*.cu")
	if texts := kernels.Names(); len(texts) != len(files) || len(m.Kernels) != len(files) {
		t.Errorf("%d sources, %d texts, %d in manifest.json: run build.sh", len(files), len(texts), len(m.Kernels))
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".cu")
		if m.Kernels[name].Source != hash(append(bytes.Clone(headers), read(t, file)...)) {
			t.Errorf("%s or a header changed after its PTX was made: run build.sh", file)
		}
		text, err := kernels.PTX(name)
		if err != nil {
			t.Fatal(err)
		}
		if m.Kernels[name].PTX != hash([]byte(text)) {
			t.Errorf("the PTX of %s is not what build.sh made", file)
		}
	}
	if _, err := kernels.PTX("none"); err == nil {
		t.Error("an unknown file has PTX")
	}
}

// Where the compiler is at hand, it gives the committed bytes.
func TestPTXIsReproducible(t *testing.T) {
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip("clang-19 is not installed; the hashes are checked all the same")
	}
	if _, err := exec.LookPath("zstd"); err != nil {
		t.Skip("zstd is not installed; the hashes are checked all the same")
	}
	version, err := exec.Command(clang, "--version").Output()
	if m := readManifest(t); err != nil || !strings.HasPrefix(string(version), m.Compiler+"\n") {
		t.Skipf("the compiler is not %q", m.Compiler)
	}
	out := t.TempDir()
	if said, err := exec.Command("./build.sh", out).CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v: %s", err, said)
	}
	// The manifest has the texts' hashes: another zstd may pack them otherwise.
	if !bytes.Equal(read(t, "manifest.json"), read(t, filepath.Join(out, "manifest.json"))) {
		t.Error("the compiler gives other bytes")
	}
}

// double are the files whose kernels may compute in float64, of which most
// cards do one for 32 or 64 of float32: loss vectors, angles, the norm's sum, draws,
// lengths of rows.
var double = []string{"dora", "elements", "logprob", "optimiser", "rope", "sampling", "vectors"}

// Local memory is where a register array goes whose index is not known; a call
// is a function that was not inlined.
func TestPTXIsAsWanted(t *testing.T) {
	call := regexp.MustCompile(`(?m)^\s*(@!?%p\d+ )?call`)
	for name := range readManifest(t).Kernels {
		text, err := kernels.PTX(name)
		if err != nil {
			t.Fatal(err)
		}
		header := ".version 7.0\n.target sm_80\n"
		if kernels.Hopper(name) {
			header = ".version 8.0\n.target sm_90a\n"
		}
		if kernels.Bulk(name) {
			header = ".version 8.3\n.target sm_90a\n"
		}
		if !strings.Contains(text, header) {
			t.Errorf("%s has not the header %q: drivers would refuse it", name, header)
		}
		if strings.Contains(text, ".local") || call.MatchString(text) {
			t.Errorf("%s uses local memory or calls", name)
		}
		if strings.Contains(text, ".f64") && !slices.Contains(double, name) {
			t.Errorf("%s computes in float64", name)
		}
	}
}

// NVIDIA's own translator takes every text for the cards that it is for, keeps
// registers in registers, and lets asynchronous products run beside each other.
func TestTranslatorTakesThePTX(t *testing.T) {
	ptxas, err := exec.LookPath("ptxas")
	if err != nil {
		t.Skip("ptxas is not installed; a card's driver translates in TestModulesTranslate")
	}
	var major, minor int
	version, _ := exec.Command(ptxas, "--version").Output()
	_, release, _ := strings.Cut(string(version), "release ")
	n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor)
	if n != 2 || 100*major+minor < 1202 {
		t.Skipf("ptxas is %q: 12.2 is the first that keeps all of Hopper's products asynchronous", version)
	}
	for _, name := range kernels.Names() {
		targets := []string{"sm_80", "sm_86", "sm_89", "sm_90", "sm_120"}
		switch {
		case kernels.Bulk(name) && 100*major+minor < 1203: // reads no PTX 8.3
			continue
		case kernels.Hopper(name):
			targets = []string{"sm_90a"}
		case 100*major+minor < 1208: // knows no 12.0, and may spill a register
			continue
		}
		for _, target := range targets {
			t.Run(name+"/"+target, func(t *testing.T) {
				t.Parallel()
				translate(t, ptxas, name, target)
			})
		}
	}
}

// contracted are the products and sums that a translator may make one instruction of.
var contracted = regexp.MustCompile(`\b(mul|add|sub)\.f(32|64)\b`)

// assemble is what ptxas says of a text, and its machine code.
func assemble(t *testing.T, ptxas, text, target string) (said, code []byte, err error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "cubin")
	run := exec.Command(ptxas, "-v", "-arch="+target, "-o", out, "-")
	run.Stdin = strings.NewReader(text)
	if said, err = run.CombinedOutput(); err == nil {
		code, err = os.ReadFile(out)
	}
	return said, code, err
}

// A translator does contract what it finds: the check above would see it.
func TestTranslatorContracts(t *testing.T) {
	ptxas, err := exec.LookPath("ptxas")
	if err != nil {
		t.Skip("ptxas is not installed")
	}
	const text = `.version 7.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 p)
{
	.reg .f32 %f<6>; .reg .b64 %rd<2>;
	ld.param.u64 %rd1, [p];
	ld.global.f32 %f1, [%rd1]; ld.global.f32 %f2, [%rd1+4]; ld.global.f32 %f3, [%rd1+8];
	mul.f32 %f4, %f1, %f2;
	add.f32 %f5, %f4, %f3;
	st.global.f32 [%rd1], %f5;
	ret;
}
`
	_, loose, failed := assemble(t, ptxas, text, "sm_80")
	_, exact, err := assemble(t, ptxas, contracted.ReplaceAllString(text, "$1.rn.f$2"), "sm_80")
	if failed != nil || err != nil || bytes.Equal(loose, exact) {
		t.Error("the translator has kept a product and a sum apart", failed, err)
	}
}

// translated is what ptxas tells of an entry behind its name.
var translated = regexp.MustCompile(`^'(\w+)'[^,]*,\s+(\d+) bytes spill stores(?s:.*?)Used (\d+) registers`)

func translate(t *testing.T, ptxas, name, target string) {
	text, err := kernels.PTX(name)
	if err != nil {
		t.Fatal(err)
	}
	said, code, err := assemble(t, ptxas, text, target)
	// It puts waits of its own between products whose registers it cannot follow.
	if err != nil || bytes.Contains(said, []byte("Performance Loss")) || bytes.Contains(said, []byte("injected")) {
		t.Fatalf("%v: %s", err, said)
	}
	// Kernels that must have the same bits are not the same text: a translator that made
	// one instruction of a product and a sum, as the manual lets it, would do so in one.
	if _, kept, err := assemble(t, ptxas, contracted.ReplaceAllString(text, "$1.rn.f$2"), target); err != nil || !bytes.Equal(code, kept) {
		t.Errorf("products and sums are contracted: %v", err)
	}
	most, entries := 0, strings.Split(string(said), "entry function ")[1:]
	for _, e := range entries {
		m := translated.FindStringSubmatch(e)
		if m == nil {
			t.Fatalf("ptxas says %q", e)
		}
		spilled, _ := strconv.Atoi(m[2])
		registers, _ := strconv.Atoi(m[3])
		most = max(most, registers)
		if spilled > 0 {
			t.Errorf("%s spills %d bytes", m[1], spilled)
		}
		// Eight reads of a weight and of x are under way in a thread: where they stand in
		// fewer registers, the translator has put each in front of its use again.
		if least := map[string]int{"gemv": 64, "gemv16": 96}[strings.SplitN(m[1], "_", 2)[0]]; registers < least {
			t.Errorf("%s has %d registers: its reads wait for each other", m[1], registers)
		}
	}
	if t.Logf("%d kernels of at most %d registers", len(entries), most); len(entries) == 0 {
		t.Errorf("ptxas tells of no kernel: %s", said)
	}
}
