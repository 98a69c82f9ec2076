package foreign

// finishPrecision: bf16 switched off by name, and fp16 not on, are numbers in float32,
// where auto would take bf16 on a card.
func (c *Config) finishPrecision(entries []entry) {
	half, ok := lookUp(entries, "bf16")
	on, err := truthOf(half.value)
	fp16, errFP16 := truthOf(find(entries, "fp16"))
	if ok && err == nil && !on && !(errFP16 == nil && fp16) && !c.has("precision") {
		c.set("precision", "f32", half)
	}
}
