"""PyTorch's times for the shapes of the GPU bundle's benchmarks, beside ours on the same card.

Prints a line of JSON that says what PyTorch this is, then answers each line of standard input, a
JSON object with `operation` and its shape, by a line {"times": [...]}: the microseconds of each run
of each way. Timed as ours are: device events, the L2 cache flushed before every run, random data.
"""
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MOST_RUNS, FEWEST_RUNS, WARM_UP = 200, 5, 5


def bf16(*shape):
    return torch.randn(*shape, device=DEVICE, dtype=torch.bfloat16)


def f32(*shape):
    return torch.randn(*shape, device=DEVICE, dtype=torch.float32)


def once(work, flush):
    flush.fill_(1)
    if DEVICE == "cpu":
        begin = time.perf_counter()
        work()
        return (time.perf_counter() - begin) * 1e6
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) * 1e3


def timed(way, work, request):
    flush = torch.empty(int(request["flush_bytes"]), dtype=torch.int8, device=DEVICE)
    with torch.inference_mode():
        for _ in range(WARM_UP):
            once(work, flush)
        times = []
        end = time.perf_counter() + request["seconds"]
        while len(times) < MOST_RUNS and (len(times) < FEWEST_RUNS or time.perf_counter() < end):
            times.append(once(work, flush))
    return {"way": "torch " + way, "runs_us": times}


def attention(r):
    heads, dim = r["heads"], r["head_dim"]
    q = bf16(r["sequences"], r["queries"], heads, dim).transpose(1, 2)
    k, v = (bf16(r["sequences"], r["keys"], heads, dim).transpose(1, 2) for _ in range(2))
    backends = [
        ("SDPA flash", SDPBackend.FLASH_ATTENTION),
        ("SDPA cuDNN", SDPBackend.CUDNN_ATTENTION),
        ("SDPA efficient", SDPBackend.EFFICIENT_ATTENTION),
    ]
    # The scores of the mathematical one are in memory: only where they are small.
    if r["sequences"] * heads * r["queries"] * r["keys"] <= 1 << 30:
        backends.append(("SDPA math", SDPBackend.MATH))
    for name, backend in backends:

        def work(backend=backend):
            with sdpa_kernel(backend):
                F.scaled_dot_product_attention(q, k, v)

        yield name, work


def matmul(r):
    a, w = bf16(r["m"], r["k"]), bf16(r["n"], r["k"])
    yield "matmul", lambda: torch.matmul(a, w.t())


def select(r):
    logits = f32(r["rows"], r["columns"])

    def log_softmax():
        best = F.log_softmax(logits, -1).max(-1)
        torch.topk(best.values, max(1, r["rows"] // 8))

    def softmax():
        token = logits.argmax(-1, keepdim=True)
        confidence = F.softmax(logits, -1).gather(-1, token)
        torch.topk(confidence[:, 0], max(1, r["rows"] // 8))

    yield "log_softmax + topk", log_softmax
    yield "argmax, softmax, topk", softmax


def rmsnorm(r):
    residual, delta = f32(r["rows"], r["width"]), bf16(r["rows"], r["width"])
    weight = bf16(r["width"])
    yield "add, rms_norm", lambda: F.rms_norm(
        residual.add_(delta), (r["width"],), eps=1e-5
    ).to(torch.bfloat16).mul_(weight)


def rope(r):
    x = bf16(r["rows"], r["heads"], r["head_dim"])
    cos, sin = (f32(r["rows"], 1, r["head_dim"]) for _ in range(2))

    def work():
        left, right = x.chunk(2, -1)
        return (x * cos + torch.cat((-right, left), -1) * sin).to(torch.bfloat16)

    yield "rotate half", work


def swiglu(r):
    gate, up = bf16(r["rows"], 2 * r["width"]).chunk(2, -1)
    yield "silu · up", lambda: F.silu(gate) * up


def copy(r):
    data = torch.randn(r["bytes"] // 4, device=DEVICE)
    to = torch.empty_like(data)
    yield "copy_", lambda: to.copy_(data)


OPERATIONS = {f.__name__: f for f in (attention, matmul, select, rmsnorm, rope, swiglu, copy)}


def answer(request):
    times, errors = [], []
    for way, work in OPERATIONS[request["operation"]](request):
        try:
            times.append(timed(way, work, request))
        except RuntimeError as e:  # a backend that does not take the shape, or memory
            errors.append(f"{way}: {str(e).splitlines()[0]}")
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
    return {"times": times} | ({"error": "; ".join(errors)} if errors else {})


def main():
    torch.manual_seed(7)
    print(
        json.dumps(
            {
                "version": torch.__version__,
                "device": DEVICE,
                "cuda": torch.version.cuda,
                "cudnn": torch.backends.cudnn.version() if DEVICE == "cuda" else None,
            }
        ),
        flush=True,
    )
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


main()
