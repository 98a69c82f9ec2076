// Package tokenizer turns text into Llama 3 token ids and back: byte-level
// byte-pair encoding with Llama 3's split pattern, read from a
// tokenizer.json, from Meta's tokenizer.model or from the lists of a GGUF
// file.
//
// [Load] reads a folder or a file, [New] builds a [Tokenizer] from a [Spec].
// [Tokenizer.EncodeOrdinary] is for text from data: whatever the text spells,
// it yields no control id; added tokens that are not special are found in it,
// as in Hugging Face's tokenizers (encode_special_tokens). [Tokenizer.Encode] may parse the special strings
// and is for text that the program itself writes.
//
// A tokenizer.json whose pipeline differs from Llama 3's (a normalizer,
// another pre-tokenizer, another model) is refused by the name of the field.
// Meta's cut of inputs at 400,000 characters and of runs at 25,000 is not
// made; Hugging Face's tokenizer makes none either.
//
// Sources: models/llama3/tokenizer.py of
// https://github.com/meta-llama/llama-models and the BPE model of
// https://github.com/huggingface/tokenizers.
package tokenizer
