// Package host tells what the machine has and what this process has used of
// it: memory and the limit of its control group, processor time, peak memory,
// free disk, and where its user keeps caches. Where a system does not tell, the answer says so.
package host
