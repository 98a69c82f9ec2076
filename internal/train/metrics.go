package train

// Metric is a mean in the making: Sum over Weight things.
type Metric struct {
	Name        string
	Sum, Weight float64
}

// Metrics are named means in a fixed order. Sums and weights of micro-steps
// add up, so that the number of micro-steps does not show in a mean.
type Metrics []Metric

// Add adds to a metric, which is appended where it is new.
func (m *Metrics) Add(name string, sum, weight float64) {
	for i := range *m {
		if (*m)[i].Name == name {
			(*m)[i].Sum += sum
			(*m)[i].Weight += weight
			return
		}
	}
	*m = append(*m, Metric{name, sum, weight})
}

// Merge adds all metrics of o.
func (m *Metrics) Merge(o Metrics) {
	for _, x := range o {
		m.Add(x.Name, x.Sum, x.Weight)
	}
}

// Value is the mean; 0 where nothing was counted.
func (x Metric) Value() float64 {
	if x.Weight == 0 {
		return 0
	}
	return x.Sum / x.Weight
}

// Get is a metric's mean by name.
func (m Metrics) Get(name string) (float64, bool) {
	for _, x := range m {
		if x.Name == name {
			return x.Value(), true
		}
	}
	return 0, false
}

// names lists the metrics in their order.
func (m Metrics) names() []string {
	var names []string
	for _, x := range m {
		names = append(names, x.Name)
	}
	return names
}
