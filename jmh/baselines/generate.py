"""End-to-end denoising steps of the official sampler (LLaDA, generate.py), timed on CPU or CUDA.

    generate.py --official CHECKOUT --model FOLDER [--code FOLDER] [--dtype bf16|f32] [--threads N]
                [--prompt N | --prompt-ids 1,2,3] [--answer 64] [--block 32] [--steps 32] [--runs 5]
    generate.py … --serve        answers a line of JSON on standard input by one, for jmh/side-by-side

--official is the caller's checkout of ML-GSAI/LLaDA; its generate() runs as it is. The mask
predictor is the published modeling_llada.py where --code (or the model's folder) has it, else plain
PyTorch for the same network; the output says which. Prints the median time of a step (that of a
whole generation by its steps) and of a forward pass with the logits of all positions. Where no
checkout is given, forward passes alone are timed.
"""
import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch

import published


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--official", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--code", type=Path)
    parser.add_argument("--dtype", choices=("bf16", "f32"), default="bf16")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--prompt-ids")
    parser.add_argument("--answer", type=int, default=64)
    parser.add_argument("--block", type=int, default=32)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--serve", action="store_true")
    return parser.parse_args()


class Times(NamedTuple):
    """Milliseconds; where others use the processors too, the second says more. Threads that wait
    count in it unless OMP_WAIT_POLICY=passive."""

    wall: float
    processor: float

    def json(self):
        return {"ms": self.wall, "processor_ms": self.processor}


class Baseline:
    def __init__(self, options):
        dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[options.dtype]
        self.folder, self.dtype, self.plain = options.model, dtype, None
        code = options.code or options.model
        if (code / published.MODEL_FILE).is_file():
            self.kind = "published modeling_llada.py"
            self.model = published.load(code, options.model, dtype, options.device)
        elif options.code:
            sys.exit(f"{code} has no {published.MODEL_FILE}")
        else:
            self.kind = "plain PyTorch"
            self.model = published.PlainPredictor(options.model, dtype, options.device)
            self.plain = self.model
        self.sampler = published.sampler(options.official) if options.official else None
        self.device = options.device
        self.mask = json.loads((options.model / "config.json").read_text())["mask_token_id"]
        self.description = (
            f"torch {torch.__version__} {options.device} {options.dtype}, "
            f"{torch.get_num_threads()} threads, {self.kind}"
        )

    def timed(self, work):
        """Milliseconds and processor milliseconds of all threads, and the result."""
        with torch.inference_mode():
            processor, begin = time.process_time(), time.perf_counter()
            result = work()
            if self.device.startswith("cuda"):
                torch.cuda.synchronize()
            wall = time.perf_counter() - begin
            return Times(wall * 1e3, (time.process_time() - processor) * 1e3), result

    def generate(self, prompt, answer, block, steps):
        """Times of one generation, and the answer's ids."""
        ids = torch.tensor([prompt], device=self.device)
        times, out = self.timed(
            lambda: self.sampler(
                self.model,
                ids,
                steps=steps,
                gen_length=answer,
                block_length=block,
                mask_id=self.mask,
            )
        )
        return times, out[0, len(prompt) :].tolist()

    def forward(self, ids, rows=None, passes=1):
        """Times of so many forward passes with all rows of logits; with `rows`, only so many last
        ones, by plain PyTorch, since the published code computes all."""
        tokens = torch.tensor([ids], device=self.device)
        if rows is None:
            return self.timed(lambda: [self.model(tokens) for _ in range(passes)])[0]
        if self.plain is None:
            self.plain = published.PlainPredictor(self.folder, self.dtype, self.device)
        return self.timed(lambda: [self.plain.forward(tokens, rows) for _ in range(passes)])[0]

    def answer(self, request):
        if request["what"] == "generate":
            times, ids = self.generate(
                request["prompt_ids"],
                request["gen_length"],
                request["block_length"],
                request["steps"],
            )
            return times.json() | {"output_ids": ids}
        return self.forward(request["ids"], request.get("rows"), request["passes"]).json()


def serve(baseline):
    greeting = {"description": baseline.description, "samples": baseline.sampler is not None}
    print(json.dumps(greeting), flush=True)
    for line in sys.stdin:
        print(json.dumps(baseline.answer(json.loads(line))), flush=True)


def median(name, times, parts=1):
    wall = [time.wall / parts for time in times]
    processor = [time.processor / parts for time in times]
    print(
        f"{name}: median {statistics.median(wall):.3f} ms, min {min(wall):.3f},"
        f" max {max(wall):.3f}, n={len(wall)};"
        f" processor: median {statistics.median(processor):.3f} ms, min {min(processor):.3f}"
    )


def report(baseline, options):
    if options.prompt_ids:
        prompt = [int(word) for word in options.prompt_ids.split(",")]
    else:
        prompt = list(range(options.prompt))
    print(baseline.description)
    print(
        f"prompt {len(prompt)}, answer {options.answer}, block {options.block},"
        f" {options.steps} steps"
    )
    canvas = prompt + [baseline.mask] * options.answer
    baseline.forward(canvas)
    passes = [baseline.forward(canvas) for _ in range(10 * options.runs)]
    median(f"forward, {len(canvas)} tokens and rows", passes)
    if baseline.sampler:
        shape = (options.answer, options.block, options.steps)
        baseline.generate(prompt, *shape)
        runs = [baseline.generate(prompt, *shape)[0] for _ in range(options.runs)]
        median("step", runs, options.steps)


def main():
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    baseline = Baseline(options)
    if options.serve:
        serve(baseline)
    else:
        report(baseline, options)


if __name__ == "__main__":
    main()
