package model_test

import (
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/model"
)

// What is said of a decoding session is what it reserves.
func TestDecodingSize(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c, err := model.Shape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Random(c, b, device.F32, device.F32, 1)
	if err != nil {
		t.Fatal(err)
	}
	o := model.CacheOptions{Rows: 40, Sequences: 3, PagesPerSequence: 4, Pages: 10}
	size, err := model.DecodingSize(c, device.F32, o)
	if err != nil {
		t.Fatal(err)
	}
	d, err := model.NewDecoding(m, o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if held := d.Bytes() + 10*c.CacheBytes(device.F32); size.Bytes != held {
		t.Errorf("said %d bytes, the session holds %d", size.Bytes, held)
	}
}
