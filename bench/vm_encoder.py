# SPDX-License-Identifier: Apache-2.0
"""A BERT-like encoder: the VM's runtime against PyTorch, in pairs that take turns.

    python bench/vm_encoder.py [--vm build/release/src/vm/runtime/vm_bench] [--pairs 5]

Both have random weights and the same sizes; PyTorch runs eagerly under inference_mode with its own
fused attention. Prints the medians of all pairs and their ratio (above 1: the VM is faster).
"""
import argparse
import statistics
import subprocess
import time

import torch

MODELS = {"minilm": (6, 384, 12, 1536, 128), "bert": (12, 768, 12, 3072, 128)}


class Layer(torch.nn.Module):
    def __init__(self, width: int, heads: int, ffn: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (torch.nn.Linear(width, width) for _ in range(4))
        self.up, self.down = torch.nn.Linear(width, ffn), torch.nn.Linear(ffn, width)
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        q, k, v = (
            part(x).view(batch, tokens, self.heads, -1).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = self.norm1(self.o(mixed.transpose(1, 2).reshape(batch, tokens, width)) + x)
        return self.norm2(self.down(torch.nn.functional.gelu(self.up(x))) + x)


class Encoder(torch.nn.Module):
    def __init__(self, layers: int, width: int, heads: int, ffn: int, tokens: int) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(30522, width)
        self.places = torch.nn.Parameter(torch.randn(tokens, width))
        self.norm = torch.nn.LayerNorm(width)
        self.layers = torch.nn.ModuleList(Layer(width, heads, ffn) for _ in range(layers))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.words(ids) + self.places)
        for layer in self.layers:
            x = layer(x, mask)
        return x


def torch_ms(model: Encoder, tokens: int, runs: int) -> float:
    ids = (torch.arange(tokens) * 7).unsqueeze(0)
    mask = torch.zeros(1, 1, 1, tokens)
    times = []
    with torch.inference_mode():
        for run in range(runs + 2):
            begin = time.perf_counter()
            model(ids, mask)
            if run > 1:
                times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--vm", default="build/release/src/vm/runtime/vm_bench")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    for name in options.models:
        sizes = MODELS[name]
        model = Encoder(*sizes).eval()
        for threads in options.threads:
            torch.set_num_threads(threads)
            ours, theirs = [], []
            for _ in range(options.pairs):
                command = [options.vm, *map(str, sizes), str(threads), str(options.runs)]
                out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                ours.append(float(out.split()[0]))
                theirs.append(torch_ms(model, sizes[-1], options.runs))
            vm, peer = statistics.median(ours), statistics.median(theirs)
            print(f"{name} {threads} threads: vm {vm:.2f} ms, torch {peer:.2f} ms, "
                  f"ratio {peer / vm:.2f}", flush=True)


if __name__ == "__main__":
    main()
