package device

// Reserver is a Backend that lays weights side by side where it knows of them
// before they are placed: by themselves each would take whole pages.
type Reserver interface {
	// Reserve takes the memory of the weights, whose Read is not looked at; as many
	// as there are, placed next, lie in it in their order. Free gives back all.
	Reserve(weights []Weight) (Memory, error)
}
