package driver

// Names are the names of each function of the driver that the binding cannot do without,
// the wanted one first.
func Names() (all [][]string) {
	for _, s := range new(table).symbols() {
		if !s.optional {
			all = append(all, s.names)
		}
	}
	return all
}
