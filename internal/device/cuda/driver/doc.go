// Package driver binds NVIDIA's driver library at run time, with no C compiler
// and no CUDA toolkit: [Open] finds it, [Library.Device] takes a card's primary
// context, and what a [Device] makes (buffers, streams, events, modules,
// launches, graphs) is used inside [Device.Do].
//
// The driver knows the current context by thread. One goroutine per device
// owns a thread with the context, and Do hands it functions. Only a function
// inside Do may call a method of a device's things, unless the method says
// otherwise; elsewhere the driver answers CUDA_ERROR_INVALID_CONTEXT.
//
// Names and contracts are those of the CUDA driver API reference. The build tag
// nogpu leaves the binding out; Open then returns [ErrNoDriver].
package driver
