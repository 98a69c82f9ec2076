package bench

import (
	"fmt"
	"slices"
	"strings"
)

// takers are the workloads that read an option, by its flag's name. Those that stand
// nowhere are every workload's.
var takers = map[string][]string{
	"batch":       {"sft", "dpo", "ppo", "decode", "rollout", "gemm", "attention", "elementwise"},
	"micro":       {"ppo"},
	"seq":         {"sft", "gemm", "attention", "elementwise"},
	"prompt":      {"dpo", "ppo", "decode", "rollout"},
	"resp":        {"dpo", "ppo", "decode", "rollout"},
	"loss-share":  {"sft"},
	"reference":   {"dpo"},
	"rank":        {"sft", "dpo", "ppo"},
	"dropout":     {"sft", "dpo"},
	"steps":       {"sft", "dpo", "ppo", "decode", "rollout"},
	"warmup":      {"sft", "dpo", "ppo", "decode", "rollout"},
	"save-policy": {"sft", "dpo", "ppo"},
}

// CheckFlag refuses a flag that none of the workloads reads.
func CheckFlag(flag string, workloads []string) error {
	of, some := takers[flag]
	if !some || slices.ContainsFunc(workloads, func(w string) bool { return slices.Contains(of, w) }) {
		return nil
	}
	return fmt.Errorf("--%s is a flag of %s; measured is %s", flag, strings.Join(of, ", "), strings.Join(workloads, ", "))
}
