"""Times of PyTorch for the shapes of Llama 3 8B, to stand beside align bench."""
import time

import torch
import torch.nn.functional as F


def seconds(run, n=10):
    """The shortest of n runs after a tenth of a second of them, as align bench takes it."""
    start = time.time()
    while time.time() - start < 0.1:
        run()
        torch.cuda.synchronize()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(n + 1)]
    marks[0].record()
    for mark in marks[1:]:
        run()
        mark.record()
    torch.cuda.synchronize()
    return min(a.elapsed_time(b) for a, b in zip(marks, marks[1:])) / 1e3


print(torch.cuda.get_device_name(), "torch", torch.__version__)
tokens = 4096
for name, out, width in [("q, o", 4096, 4096), ("k, v", 1024, 4096), ("gate, up", 14336, 4096), ("down", 4096, 14336)]:
    x = torch.randn(tokens, width, device="cuda", dtype=torch.bfloat16)
    w = torch.randn(out, width, device="cuda", dtype=torch.bfloat16)
    dy = torch.randn(tokens, out, device="cuda", dtype=torch.bfloat16)
    flops = 2 * tokens * out * width
    print(f"{name}: {flops / seconds(lambda: x @ w.T) / 1e12:.0f} TFLOP/s, dx {flops / seconds(lambda: dy @ w) / 1e12:.0f}")
q, do = (torch.randn(1, 32, tokens, 128, device="cuda", dtype=torch.bfloat16) for _ in range(2))
k, v = (torch.randn(1, 8, tokens, 128, device="cuda", dtype=torch.bfloat16).repeat_interleave(4, 1) for _ in range(2))
for t in (q, k, v):
    t.requires_grad_()
flops = 2 * 32 * 128 * tokens * (tokens + 1)
forward = seconds(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True))
o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
backward = seconds(lambda: torch.autograd.grad(o, (q, k, v), do, retain_graph=True))
print(f"attention: {flops / forward / 1e12:.0f} TFLOP/s, gradient {2 * flops / backward / 1e12:.0f}")
