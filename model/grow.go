package model

// Compiled is a graph of some method with its session.
type Compiled interface {
	comparable
	Held() *Session
}

// Grow makes sure that *p takes packs of the size: where it does not, it is
// built anew for the larger of both sizes, after the old memory is given back.
func Grow[P Compiled](p *P, size Capacity, build func(Capacity) (P, error)) error {
	var none P
	if *p != none {
		held := (*p).Held()
		if held.Capacity().Holds(size) {
			return nil
		}
		size = size.Max(held.Capacity())
		held.Close()
		*p = none
	}
	grown, err := build(size)
	if err == nil {
		*p = grown
	}
	return err
}
