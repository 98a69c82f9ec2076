package feature

// detect needs no test: every 64-bit Arm has NEON.
func detect() Level { return NEON }

func fastest() (Level, string) { return NEON, "" }
