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
// (https://huggingface.co/docs/trl), of axolotl
// (https://docs.axolotl.ai/docs/config-reference.html) and of LLaMA-Factory
// (https://github.com/hiyouga/LLaMA-Factory). The package fetches nothing and
// does not look at models or data.
package foreign
