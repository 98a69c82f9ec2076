package gemm

// Job is a unit of parallel work whose tasks may run in any order and at the
// same time. worker, below the pool's Threads, tells whose workspace is free.
type Job interface{ Do(task, worker int) }

// Pool runs jobs.
type Pool interface {
	// Run does tasks 0 to tasks-1 of job and returns when all are done.
	Run(job Job, tasks int) error
	// Threads is the number of workers.
	Threads() int
}
