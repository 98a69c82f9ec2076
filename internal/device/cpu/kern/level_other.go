//go:build !amd64 && !arm64

package kern

import "align/internal/device/cpu/feature"

// raise has no assembly to offer.
func (s *Set) raise(feature.Level) {}
