package align

import "testing"

func TestDoRAIsForDevicesThatHaveIt(t *testing.T) {
	for _, c := range []struct {
		device string
		dora   bool
		ok     bool
	}{{"cpu", true, true}, {"cuda:0", false, true}, {"cuda:0", true, false}} {
		if err := checkDoRA(c.device, c.dora); (err == nil) != c.ok {
			t.Errorf("%s, %v: error %v", c.device, c.dora, err)
		}
	}
}
