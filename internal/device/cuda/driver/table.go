package driver

import (
	"errors"
	"fmt"
)

// table holds the addresses of the driver's functions, the only way to it: a
// test puts those of a fake in their place.
type table struct {
	initialize, driverVersion, errorName, errorString uintptr

	deviceCount, deviceGet, deviceName, deviceMemory, deviceAttribute uintptr

	contextRetain, contextRelease, contextSet, contextSync uintptr

	memoryInfo, memoryAlloc, memoryFree, hostAlloc, hostFree uintptr
	copyToDevice, copyToHost, copyOnDevice, fill             uintptr

	streamCreate, streamDestroy, streamSync, streamWait uintptr
	captureBegin, captureEnd                            uintptr
	graphInstantiate, graphLaunch                       uintptr
	graphDestroy, graphExecDestroy                      uintptr

	eventCreate, eventDestroy, eventRecord, eventSync, eventElapsed uintptr

	moduleLoad, moduleUnload, moduleFunction     uintptr
	functionAttribute, functionSetAttribute, run uintptr

	tensorMapEncode uintptr // 0 where the driver is older than it
}

// symbol is a function's place in a table and the names that it has had, the
// wanted one first.
type symbol struct {
	at       *uintptr
	names    []string
	optional bool
}

// symbols names versions explicitly: a bare name stands for an older
// signature wherever cuda.h defines it as a macro.
func (t *table) symbols() []symbol {
	one := func(at *uintptr, names ...string) symbol { return symbol{at: at, names: names} }
	return []symbol{
		one(&t.driverVersion, "cuDriverGetVersion"),
		one(&t.initialize, "cuInit"),
		one(&t.errorName, "cuGetErrorName"),
		one(&t.errorString, "cuGetErrorString"),

		one(&t.deviceCount, "cuDeviceGetCount"),
		one(&t.deviceGet, "cuDeviceGet"),
		one(&t.deviceName, "cuDeviceGetName"),
		one(&t.deviceMemory, "cuDeviceTotalMem_v2"),
		one(&t.deviceAttribute, "cuDeviceGetAttribute"),

		// The primary context is the one that NVIDIA's libraries use as well.
		one(&t.contextRetain, "cuDevicePrimaryCtxRetain"),
		one(&t.contextRelease, "cuDevicePrimaryCtxRelease_v2"),
		one(&t.contextSet, "cuCtxSetCurrent"),
		one(&t.contextSync, "cuCtxSynchronize"),

		one(&t.memoryInfo, "cuMemGetInfo_v2"),
		one(&t.memoryAlloc, "cuMemAlloc_v2"),
		one(&t.memoryFree, "cuMemFree_v2"),
		one(&t.hostAlloc, "cuMemHostAlloc"),
		one(&t.hostFree, "cuMemFreeHost"),
		one(&t.copyToDevice, "cuMemcpyHtoDAsync_v2"),
		one(&t.copyToHost, "cuMemcpyDtoHAsync_v2"),
		one(&t.copyOnDevice, "cuMemcpyDtoDAsync_v2"),
		one(&t.fill, "cuMemsetD8Async"),

		one(&t.streamCreate, "cuStreamCreate"),
		one(&t.streamDestroy, "cuStreamDestroy_v2"),
		one(&t.streamSync, "cuStreamSynchronize"),
		one(&t.streamWait, "cuStreamWaitEvent"),
		one(&t.captureBegin, "cuStreamBeginCapture_v2"),
		one(&t.captureEnd, "cuStreamEndCapture"),
		one(&t.graphInstantiate, "cuGraphInstantiateWithFlags"),
		one(&t.graphLaunch, "cuGraphLaunch"),
		one(&t.graphDestroy, "cuGraphDestroy"),
		one(&t.graphExecDestroy, "cuGraphExecDestroy"),

		one(&t.eventCreate, "cuEventCreate"),
		one(&t.eventDestroy, "cuEventDestroy_v2"),
		one(&t.eventRecord, "cuEventRecord"),
		one(&t.eventSync, "cuEventSynchronize"),
		one(&t.eventElapsed, "cuEventElapsedTime_v2", "cuEventElapsedTime"),

		one(&t.moduleLoad, "cuModuleLoadDataEx"),
		one(&t.moduleUnload, "cuModuleUnload"),
		one(&t.moduleFunction, "cuModuleGetFunction"),
		one(&t.functionAttribute, "cuFuncGetAttribute"),
		one(&t.functionSetAttribute, "cuFuncSetAttribute"),
		one(&t.run, "cuLaunchKernel"),

		{at: &t.tensorMapEncode, names: []string{"cuTensorMapEncodeTiled"}, optional: true}, // since CUDA 12.0
	}
}

// bind fills the table and joins an error for each function that is missing.
func (t *table) bind(resolve func(name string) (uintptr, error)) error {
	var missing []error
	for _, s := range t.symbols() {
		for _, name := range s.names {
			if at, err := resolve(name); err == nil && at != 0 {
				*s.at = at
				break
			}
		}
		if *s.at == 0 && !s.optional {
			missing = append(missing, fmt.Errorf("it lacks %s", s.names[0]))
		}
	}
	return errors.Join(missing...)
}
