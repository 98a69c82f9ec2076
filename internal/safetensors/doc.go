// Package safetensors reads and writes the safetensors format
// (https://github.com/huggingface/safetensors#format): one file, or a model
// folder of one or several shards with an index.
//
// File is one open file and Model a folder; both list their tensors as Info
// and read them on demand, so that no more than the caller's buffer is held.
// Tensor and Write are the other direction. ToFloat32 and FromFloat32 convert, and
// NF4 is the 4-bit format of bitsandbytes that such files can hold.
//
// A file is refused unless its tensors tile the data exactly and its header
// has no name twice, as the reference reader demands; limits on the number of
// tensors and their rank are added. The package knows no model's names and
// does not read pickled (.bin, .pth) weights.
package safetensors
