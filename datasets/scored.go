package datasets

// AddScored appends a prompt and its answers, none empty, as AddGroup does,
// with one row per answer: its last token's, where a reward model's head reads.
// What the row's target is means nothing.
func (p *Pack) AddScored(prompt []int32, key uint32, answers ...[]int32) {
	start := p.segment(prompt, 0, len(p.IDs), len(p.IDs), key)
	for i, ids := range answers {
		sequence := p.newSequence()
		from := p.segment(ids, len(prompt), start, start+len(prompt), key+uint32(i+1)<<20)
		p.target(from+len(ids)-1, ids[len(ids)-1], sequence)
	}
}
