// Package model is the Llama 3 decoder: its config, weights, adapters and the
// graph that turns a pack of tokens into log-probabilities of its targets.
//
// The types to know are Config (config.json), Model (weights on a device),
// Adapter (LoRA factors in one flat buffer) and Decoder (the graph, to which a
// method adds its loss). The layer is written once, in layer.go, and serves
// training, evaluation and the proofs.
//
// Sources: https://arxiv.org/abs/2407.21783 (architecture), the config.json
// and safetensors layout of Hugging Face Transformers, and
// https://arxiv.org/abs/2106.09685 (LoRA). This package knows no training.
package model
