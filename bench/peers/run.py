#!/usr/bin/env python3
"""Our TinyViT-5M trunk beside PyTorch's, on one machine, in turn.

usage: run.py BIN_FOLDER [--threads 2] [--pairs 5] [--batch 16] [--channels-last]

BIN_FOLDER holds boxprompt and boxprompt-trunk (cmake --preset release -DBOXPROMPT_BENCH=ON; build/release/bin). PyTorch is
Debian's, or any newer one: apt install python3-torch libopenblas0-pthread, then /usr/bin/python3 run.py. First both have to
agree on features and gradients of the same weights; then each measurement is a pair, ours and PyTorch's right after one
another with the other idle, and the medians and the median of the pairs' ratios are printed. PyTorch's BatchNorm is folded
into the convolutions for inference, as ours is. Take the numbers on a machine that does nothing else.
"""
import argparse
import copy
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

try:
    import torch
except ImportError:
    sys.exit("run.py: no PyTorch here: apt install python3-torch libopenblas0-pthread, then use /usr/bin/python3")

from tiny_vit import TinyViT


def read_safetensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = bytearray(f.read())
    header.pop("__metadata__", None)
    return {name: torch.frombuffer(data, dtype=torch.float32, count=(e - b) // 4, offset=b).reshape(t["shape"]).clone()
            for name, t in header.items() for b, e in [t["data_offsets"]]}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, t in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + 4 * t.numel()]}
        at += 4 * t.numel()
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for t in tensors.values():
            f.write(t.contiguous().numpy().tobytes())


class Ours:
    def __init__(self, binaries, weights, threads):
        self.process = subprocess.Popen([os.path.join(binaries, "boxprompt-trunk"), weights, str(threads)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line):
        """Seconds that the command took."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("run.py: boxprompt-trunk ended at: " + line)
        return float(answer)


class Theirs:
    def __init__(self, weights, channels_last):
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.training = TinyViT()
        missing, unexpected = self.training.load_state_dict(weights, strict=False)
        if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
            sys.exit(f"run.py: weights do not fit: missing {missing}, unexpected {unexpected}")
        self.training.to(memory_format=self.format)
        self.folded = copy.deepcopy(self.training).eval().fuse()
        self.adamw = torch.optim.AdamW(self.training.parameters(), lr=1e-6, weight_decay=0.05)

    def batch(self, tensors):
        self.image = tensors["image"].to(memory_format=self.format)
        self.cotangent = tensors["cotangent"].to(memory_format=self.format)

    def forward(self):
        with torch.inference_mode():
            return self.folded(self.image)

    def gradients(self):
        features = self.training(self.image)
        features[3].backward(self.cotangent)
        return features

    def step(self):
        self.gradients()
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)


def random_batch(n, path):
    generator = torch.Generator().manual_seed(n)
    tensors = {"image": 2 * torch.randn(n, 3, 224, 224, generator=generator),
               "cotangent": torch.randn(n, 320, 7, 7, generator=generator) / n}
    write_safetensors(path, tensors)
    return tensors


def check(kind, ours, theirs):
    """Ends the program unless every tensor differs by less than 1e-3 of its largest value. Where that is below 1e-3 of the
    largest of all, only rounding is left (a bias before BatchNorm has no gradient), and this is the measure."""
    floor = 1e-3 * max(float(v.abs().max()) for v in theirs.values())
    worst, name = max((float((ours[k] - v).abs().max()) / max(floor, float(v.abs().max())), k) for k, v in theirs.items())
    print(f"{kind}: {len(theirs)} tensors agree to {worst:.1e} of their largest value (worst: {name})")
    if not worst < 1e-3:
        sys.exit(f"run.py: {kind} differ")


def require_fast_blas():
    """Debian's PyTorch takes whatever BLAS is installed; with the reference implementation it is no peer."""
    torch.ones(64, 64) @ torch.ones(64, 64)
    with open("/proc/self/maps") as f:
        if "/blas/libblas.so" in f.read():
            sys.exit("run.py: PyTorch here runs on the reference BLAS, ten times slower: apt install libopenblas0-pthread")


def timed(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def compare(name, ours, theirs, pairs, repeat):
    for _ in range(2):
        ours(), theirs()
    times = [(min(ours() for _ in range(repeat)), min(timed(theirs) for _ in range(repeat))) for _ in range(pairs)]
    a, b = (1000 * statistics.median(t) for t in zip(*times))
    ratio = statistics.median(t / o for o, t in times)
    print(f"{name:24} ours {a:8.1f} ms   PyTorch {b:8.1f} ms   PyTorch / ours {ratio:.2f}   "
          f"({min(t / o for o, t in times):.2f} to {max(t / o for o, t in times):.2f} over {pairs} pairs)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16, help="of a training step")
    parser.add_argument("--channels-last", action="store_true", help="PyTorch's tensors in NHWC memory")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    require_fast_blas()

    with tempfile.TemporaryDirectory() as folder:
        weights, batch, result = (os.path.join(folder, n) for n in ("weights.safetensors", "batch", "result"))
        subprocess.run([os.path.join(args.binaries, "boxprompt"), "weights", "make", "tiny_vit_5m", weights], check=True,
                       stdout=subprocess.DEVNULL)
        ours = Ours(args.binaries, weights, args.threads)
        theirs = Theirs(read_safetensors(weights), args.channels_last)

        theirs.batch(random_batch(2, batch))
        ours.ask("batch " + batch)
        ours.ask("features " + result)
        check("features", read_safetensors(result), {f"stage{i}": f for i, f in enumerate(theirs.forward())})
        ours.ask("gradients " + result)
        features = {f"stage{i}": f.detach() for i, f in enumerate(theirs.gradients())}
        gradients = {name: p.grad for name, p in theirs.training.named_parameters()}
        check("training features", read_safetensors(result), features)
        check("gradients", read_safetensors(result), gradients)
        theirs.adamw.zero_grad(set_to_none=True)

        print(f"PyTorch {torch.__version__}, {args.threads} threads, load {os.getloadavg()[0]:.1f}, 224 x 224, f32")
        for n in (1, 8):
            theirs.batch(random_batch(n, batch))
            ours.ask("batch " + batch)
            compare(f"inference, batch {n}", lambda: ours.ask("forward"), theirs.forward, args.pairs, 10 if n == 1 else 3)
        theirs.batch(random_batch(args.batch, batch))
        ours.ask("batch " + batch)
        compare(f"training step, batch {args.batch}", lambda: ours.ask("step"), theirs.step, args.pairs, 1)


if __name__ == "__main__":
    main()
