// Package basemodel is the model below an adapter: where the one lies that a name
// stands for, its tokenizer, its weights as a run holds them, and what it says of
// its licence.
package basemodel
