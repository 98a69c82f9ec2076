// Package foreign turns the settings files of other training tools into
// settings of ours: those of TRL's command line (its config classes with
// Transformers' TrainingArguments and PEFT's LoRA), of axolotl and of
// LLaMA-Factory.
//
// [Convert] recognises the tool, carries over each key that has a meaning here,
// adds the tool's defaults where they differ from ours, and lists every key
// that it leaves with the reason. A value that the tool itself would refuse is
// an error.
//
// Names and defaults are those of TRL 1.10 with the older names of 0.x
// (https://huggingface.co/docs/trl), and were read in the sources of axolotl
// (src/axolotl/utils/schemas, core/builders, loaders, of 2025 and 2026) and of
// LLaMA-Factory (src/llamafactory/hparams, train, of 2025 and 2026). None of the
// three was run: what their defaults become in a version of your own may differ.
// docs/compatibility.md lists what is known not to be carried over. The package
// fetches nothing and does not look at models or data.
package foreign
