// Package atomicfile is the one way a file or a folder is written: under a
// temporary name in the same folder, synced, renamed, and the parent synced.
// After a crash at any moment the final name holds the old content or the new
// one, whole.
//
// WriteFile writes one file and Stage a folder of files. Both have a form that
// takes an FS, so that tests can enumerate crashes and faults at every
// operation (see crashfs).
//
// The order of operations follows "All File Systems Are Not Created Equal"
// (OSDI 2014, https://www.usenix.org/conference/osdi14): data reaches the disk
// before the name does, and the name before the call returns.
//
// It does not lock: two processes that write one name race, and the last
// rename wins.
package atomicfile
