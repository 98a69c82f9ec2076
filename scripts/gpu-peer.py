"""Steps of torch, transformers and peft on random weights of Llama's shapes, to stand beside align bench.

    gpu-peer.py sft [--shape 8b] [--batch 1] [--seq 4096] [--checkpointing]
    gpu-peer.py dpo [--shape 8b] [--batch 2] [--prompt 512] [--resp 256]

bf16, SDPA, an adapter of rank 16 on all linear layers in float32 under autocast, AdamW. dpo is as TRL lays it out:
chosen and rejected answers as two sequences, each with its own prompt, and the reference's forward pass over both in every step.
"""
import argparse
import time

import torch
import torch.nn.functional as F
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig

SHAPES = {  # hidden, feed-forward, layers, heads, key/value heads, vocabulary, tied
    "tiny": (64, 96, 2, 4, 2, 320, False),
    "1b": (2048, 8192, 16, 32, 8, 128256, True),
    "8b": (4096, 14336, 32, 32, 8, 128256, False),
}
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def model_of(shape, device, checkpointing):
    hidden, ffn, layers, heads, kv, vocab, tied = SHAPES[shape]
    config = LlamaConfig(hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv,
                         vocab_size=vocab, tie_word_embeddings=tied, max_position_embeddings=8192, use_cache=False)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        base = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    torch.set_default_dtype(torch.float32)
    model = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, lora_dropout=0, target_modules=LINEAR, task_type="CAUSAL_LM"))
    for p in model.parameters():
        if p.requires_grad:
            p.data = p.data.float()
    if checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable()
    model.train()
    return model, vocab


def answers(model, ids, prompt):
    """Sums of log-probabilities of the answers' tokens."""
    logits = model(input_ids=ids).logits[:, prompt - 1:-1]
    return -F.cross_entropy(logits.float().flatten(0, 1), ids[:, prompt:].flatten(), reduction="none").view(len(ids), -1).sum(1)


def step_of(args, model, vocab):
    def draw(n, length):
        return torch.randint(vocab, (n, length), device=args.device)

    if args.method == "sft":
        ids = draw(args.batch, args.seq)
        return lambda: model(input_ids=ids, labels=ids).loss
    prompts = draw(args.batch, args.prompt)
    ids = torch.cat([torch.cat([prompts, draw(args.batch, args.resp)], 1) for _ in range(2)])  # chosen, then rejected

    def loss():
        with torch.no_grad(), model.disable_adapter():
            reference = answers(model, ids, args.prompt)
        chosen, rejected = (answers(model, ids, args.prompt) - reference).chunk(2)
        return -F.logsigmoid(0.1 * (chosen - rejected)).mean()

    return loss


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("method", choices=["sft", "dpo"])
    parser.add_argument("--shape", default="8b", choices=SHAPES)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seq", type=int, default=4096)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--resp", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--checkpointing", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(1)
    model, vocab = model_of(args.shape, args.device, args.checkpointing)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4)
    loss_of = step_of(args, model, vocab)
    on_card = args.device.startswith("cuda")
    seconds = []
    for _ in range(args.steps + 2):
        start = time.time()
        optimiser.zero_grad()
        with torch.autocast(args.device.split(":")[0], torch.bfloat16):
            loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        value = loss.item()  # waits for the card
        seconds.append(time.time() - start)
    best, median = min(seconds[2:]), sorted(seconds[2:])[args.steps // 2]
    print(f"{args.method} of {args.shape}, torch {torch.__version__}, transformers {transformers.__version__}, loss {value:.3f}: {1e3 * best:.1f} ms a step, median {1e3 * median:.1f}")
    if args.method == "sft":
        print(f"tokens/s: {args.batch * args.seq / best:.0f}")
    else:
        print(f"pairs/s: {args.batch / best:.2f}, tokens/s: {2 * args.batch * (args.prompt + args.resp) / best:.0f}")
    if on_card:
        print(f"peak memory: {torch.cuda.max_memory_allocated() >> 20} MiB allocated, {torch.cuda.max_memory_reserved() >> 20} reserved")


if __name__ == "__main__":
    main()
