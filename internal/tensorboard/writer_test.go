package tensorboard

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// checkValue is CRC-32C of "123456789" (RFC 3720's check value, 0xe3069283),
// masked: rotated right by 15 and 0xa282ead8 added.
func TestMaskedChecksum(t *testing.T) {
	crc := uint32(0xe3069283)
	want := (crc>>15 | crc<<17) + 0xa282ead8
	if got := masked([]byte("123456789")); got != want {
		t.Errorf("got %08x, want %08x", got, want)
	}
}

// Every file that TensorFlow writes begins with these twelve bytes: the length
// of its version event, 24, and the checksum of it.
func TestFileBeginsAsTensorFlows(t *testing.T) {
	if got := hex.EncodeToString(written(t, 0)[:12]); got != "1800000000000000a37f4b22" {
		t.Errorf("got %s", got)
	}
}

func written(t *testing.T, from int) []byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tensorboard")
	w, err := create(dir, from, func() time.Time { return time.Unix(1, 500_000_000) })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(300, []Scalar{{"loss", 0.5}, {"lr", -2}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// records takes the frames apart and checks their sums.
func records(t *testing.T, data []byte) []string {
	t.Helper()
	var all []string
	for len(data) > 0 {
		n := int(binary.LittleEndian.Uint64(data))
		if binary.LittleEndian.Uint32(data[8:]) != masked(data[:8]) || binary.LittleEndian.Uint32(data[12+n:]) != masked(data[12:12+n]) {
			t.Fatal("a checksum is wrong")
		}
		all = append(all, hex.EncodeToString(data[12:12+n]))
		data = data[16+n:]
	}
	return all
}

// The records by hand: 09 and the double 1.5 (3ff8 and zeros, low byte first);
// 10 and the step's varint, ac02 for 300; then 1a, the length and the version,
// or 2a, the length and values of 0a, length, 0a, tag, 15, float.
func TestRecordsByteForByte(t *testing.T) {
	const wall = "09000000000000f83f"
	version := wall + "1a0d" + hex.EncodeToString([]byte("brain.Event:2"))
	scalars := wall + "10ac02" + "2a18" +
		"0a0b" + "0a04" + hex.EncodeToString([]byte("loss")) + "150000003f" +
		"0a09" + "0a02" + hex.EncodeToString([]byte("lr")) + "15000000c0"
	start := wall + "10c801" + "3a02" + "0801"
	for _, c := range []struct {
		from int
		want []string
	}{{0, []string{version, scalars}}, {199, []string{version, start, scalars}}} {
		got := records(t, written(t, c.from))
		if len(got) != len(c.want) {
			t.Fatalf("%d records, want %d", len(got), len(c.want))
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("from %d, record %d:\n%s, want\n%s", c.from, i, got[i], c.want[i])
			}
		}
	}
}

func TestCreateTellsWhatIsInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(file, 0); err == nil {
		t.Error("a file was taken for a folder")
	}
}
