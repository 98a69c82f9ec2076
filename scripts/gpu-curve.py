"""A loss curve of align beside torch and peft: the same model, adapter, data, order and optimiser.

    gpu-curve.py ALIGN [--device cuda] [--model FOLDER] [--steps 100] [--length 256] [--work FOLDER]

Without --model it is the small model inside align. torch computes in float32 and once more in bfloat16 with the
adapter in float32, which says how far apart two right answers may be: it fails where align is further from
float32 than twice that, or 0.005.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import warnings

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

BATCH, RATE, CLIP = 4, 1e-3, 1.0
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def examples(count, length, bos):
    """Token ids in which a motif comes again and again, of some hundred ids: what a few steps can learn."""
    rng = random.Random(1)
    words = [rng.randrange(bos) for _ in range(200)]
    for _ in range(count):
        motif = [rng.choice(words) for _ in range(rng.randrange(3, 12))]
        ids = ([bos] + motif * length)[:length]
        prompt = rng.randrange(1, 16)
        yield {"input_ids": ids, "completion_mask": [int(i >= prompt) for i in range(length)]}


def load(model, narrow):
    name = "dtype" if tuple(map(int, transformers.__version__.split(".")[:2])) >= (4, 56) else "torch_dtype"
    return AutoModelForCausalLM.from_pretrained(model, **{name: torch.bfloat16 if narrow else torch.float32})


def start(model, folder):
    """A new adapter in peft's form."""
    torch.manual_seed(2)
    base = load(model, False)
    get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules=LINEAR, task_type="CAUSAL_LM")).save_pretrained(folder)


def by_align(args, work, data, adapter):
    run = work / f"run-{args.device}"
    command = [args.align, "sft", "--model", args.model, "--data", data, "--adapter", adapter, "--out", run, "--device", args.device,
               "--order", "sequential", "--steps", args.steps, "--batch", BATCH, "--accumulate", 1, "--learning-rate", RATE, "--schedule", "constant",
               "--warmup", 0, "--weight-decay", 0, "--clip", CLIP, "--dropout", 0, "--eval-fraction", 0, "--save-every", 0,
               "--max-length", args.length, "--quiet"]
    if args.device == "cpu":
        command += ["--precision", args.precision]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    steps = [json.loads(line) for line in open(run / "metrics.jsonl")]
    return [step["loss"] for step in steps if "loss" in step]


def by_torch(args, rows, adapter, narrow):
    device = args.device.split(":")[0]
    model = PeftModel.from_pretrained(load(args.model, narrow), adapter, is_trainable=True).to(device)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    losses = []
    for step in range(args.steps):
        batch = [rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)]
        ids = torch.tensor([row["input_ids"] for row in batch], device=device)
        counts = torch.tensor([row["completion_mask"] for row in batch], device=device)[:, 1:].bool()
        with torch.autocast(device, torch.bfloat16, enabled=narrow):
            logits = model(input_ids=ids).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1][counts].float(), ids[:, 1:][counts])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimiser.step()
        losses.append(loss.item())
    return losses


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("align", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="f32", help="of align on the CPU, f32 or bf16")
    parser.add_argument("--model")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--work", type=pathlib.Path)
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    work = args.work or pathlib.Path(tempfile.mkdtemp())
    about = json.loads(subprocess.run([args.align, "inspect", args.model or "builtin:tiny", "--json"], check=True, capture_output=True).stdout)
    args.model = args.model or str(pathlib.Path(about["files"][0]).parent)
    rows = list(examples(40 * BATCH, args.length, about["bos"]))
    data, adapter = work / "examples.jsonl", work / "adapter"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    start(args.model, adapter)

    mine = by_align(args, work, data, adapter)
    exact, narrow = (by_torch(args, rows, adapter, n) for n in (False, True))
    print(f"{args.steps} steps of {BATCH} x {args.length} tokens on {args.device}, torch {torch.__version__}: losses")
    print("step  torch float32  torch bfloat16  align")
    for i in sorted({0, 1, 2, *range(9, args.steps, 10), args.steps - 1}):
        print(f"{i + 1:4}  {exact[i]:13.4f}  {narrow[i]:14.4f}  {mine[i]:.4f}")
    off, apart = (max(abs(a - b) for a, b in zip(x, exact)) for x in (mine, narrow))
    print(f"at most apart from float32: align {off:.2g}, torch bfloat16 {apart:.2g}")
    if len(mine) != args.steps or not off <= max(2 * apart, 0.005):
        sys.exit("align's curve is another one")


if __name__ == "__main__":
    main()
