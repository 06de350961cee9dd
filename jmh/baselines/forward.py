"""The forward pass of ForwardBenchmark in PyTorch: forward.py MODEL TOKENS ROWS [bf16|f32] [SECONDS]

MODEL is a folder with config.json and one model.safetensors. Computes the logits of the last ROWS
positions, as Remask does, by the operations that PyTorch offers (linear, SDPA, silu); prints the
median time of a pass. Runs on the GPU where PyTorch finds one; OMP_NUM_THREADS sets the threads.
"""
import json
import statistics
import struct
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F


def load(folder, dtype, device):
    config = json.loads((folder / "config.json").read_text())
    raw = bytearray((folder / "model.safetensors").read_bytes())
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    weights = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        stored = {"BF16": torch.bfloat16, "F32": torch.float32}[info["dtype"]]
        begin, end = info["data_offsets"]
        values = torch.frombuffer(
            raw, dtype=stored, count=(end - begin) // stored.itemsize, offset=8 + size + begin
        )
        key = name.removeprefix("model.transformer.").removesuffix(".weight")
        weights[key] = values.reshape(info["shape"]).to(dtype).to(device)
    return config, weights


class MaskPredictor:
    def __init__(self, config, weights, tokens, device):
        self.config, self.weights, self.tokens = config, weights, tokens
        size = config["d_model"] // config["n_heads"]
        pairs = torch.arange(0, size, 2, dtype=torch.float, device=device) / size
        positions = torch.arange(tokens, dtype=torch.float, device=device)
        angles = torch.outer(positions, config["rope_theta"] ** -pairs)
        angles = torch.cat((angles, angles), -1)
        self.cos, self.sin = angles.cos(), angles.sin()

    def norm(self, x, name):
        scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"])
        return self.weights[name] * (x.float() * scale).to(x.dtype)

    def rope(self, x):
        left, right = x.float().chunk(2, -1)
        return (x.float() * self.cos + torch.cat((-right, left), -1) * self.sin).to(x.dtype)

    def heads(self, x, name):
        return F.linear(x, self.weights[name]).view(1, self.tokens, -1, self.head_dim).transpose(1, 2)

    @property
    def head_dim(self):
        return self.config["d_model"] // self.config["n_heads"]

    def forward(self, ids, rows):
        x = self.weights["wte"][ids][None]
        for layer in range(self.config["n_layers"]):
            block = f"blocks.{layer}."
            a = self.norm(x, block + "attn_norm")
            q, k, v = (self.heads(a, block + n) for n in ("q_proj", "k_proj", "v_proj"))
            out = F.scaled_dot_product_attention(self.rope(q), self.rope(k), v)
            out = out.transpose(1, 2).reshape(1, self.tokens, -1)
            x = x + F.linear(out, self.weights[block + "attn_out"])
            a = self.norm(x, block + "ff_norm")
            gate = F.silu(F.linear(a, self.weights[block + "ff_proj"]))
            up = F.linear(a, self.weights[block + "up_proj"])
            x = x + F.linear(gate * up, self.weights[block + "ff_out"])
        return F.linear(self.norm(x[:, -rows:], "ln_f"), self.weights["ff_out"])


def main():
    folder, tokens, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    dtype = torch.float32 if sys.argv[4:5] == ["f32"] else torch.bfloat16
    seconds = float(sys.argv[5]) if len(sys.argv) > 5 else 3.0
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config, weights = load(folder, dtype, device)
    model = MaskPredictor(config, weights, tokens, device)
    ids = torch.arange(tokens, device=device)
    times = []
    with torch.inference_mode():
        for _ in range(20):
            model.forward(ids, rows)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            begin = time.perf_counter()
            model.forward(ids, rows)
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - begin)
    print(
        f"torch {torch.__version__} {device} {dtype} {tokens}x{rows} threads={torch.get_num_threads()}:"
        f" median {statistics.median(times) * 1e6:.0f} us, min {min(times) * 1e6:.0f} us, n={len(times)}"
    )


if __name__ == "__main__":
    main()
