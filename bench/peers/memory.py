#!/usr/bin/env python3
"""The largest resident set of a fresh process that loads ViT-B's encoder and runs one image once.

Resident are the pages that the process touched, of its own memory, of files that it mapped and of its libraries. So weights count
once where a program computes from the mapped file (PyTorch is given them so, too), and once more where it makes a copy, as for
packing. What Python and the libraries take before any weight is loaded is in the figure, and told by itself.

usage, by run.py: memory.py torch|torch-bf16|ort VARIANT FILE THREADS
"""
import json
import os
import subprocess
import sys

import report
from cases import CASES

CASE = next(c for c in CASES if c.name == "vit_b")


def resident():
    """Linux's VmHWM: getrusage's figure would include what the process was before exec, a copy of its parent."""
    with open("/proc/self/status") as f:
        return 1024 * int(next(line for line in f if line.startswith("VmHWM:")).split()[1])


def measure(peer, variant, file, threads):
    """Of this process, which has done nothing else: bytes once the packages are there, and at the end."""
    if peer == "ort":
        import onnxruntime  # noqa: F401
    else:
        import torch
        import torch_peer
        torch.set_num_threads(threads)
    inputs = CASE.inputs()
    imported = resident()
    if peer == "ort":
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]).run(None, inputs)
    else:
        dtype = "bf16" if peer == "torch-bf16" else "f32"
        torch_peer.candidate(CASE, file, dtype, variant, assign=True).forward()
    return {"imported": imported, "peak": resident()}


def fresh(peer, variant, file, threads):
    command = [sys.executable, os.path.abspath(__file__), peer, variant, file, str(threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def ours(dtype, folder, args):
    from ours import Ours
    side = Ours(args.binaries, CASE, folder.weights(CASE.architecture), dtype, args.threads)
    imported = side.ask("memory")  # with the weights' names and shapes, before any is used
    side.run()
    peak = side.ask("memory")
    side.close()
    return {"imported": imported, "peak": peak}


def peer(name, folder, args):
    """Of the ways to compute, the one that takes least."""
    from onnx_runtime import export
    weights = folder.weights(CASE.architecture)
    each = []
    for variant in ("published", "fused"):
        file = export(CASE, weights, variant, folder.path) if name == "ort" else weights
        each.append((fresh(name, variant + " contiguous", file, args.threads), variant))
    return min(each, key=lambda e: e[0]["peak"])


def compare(folder, args):
    found, variants = {}, {}
    for name in args.only:
        if name.startswith("ours"):
            found[name] = ours("bf16" if name.endswith("bf16") else "f32", folder, args)
        else:
            found[name], variants[name] = peer(name, folder, args)
        report.say(f"  {name}: {found[name]['peak'] / 1e6:.0f} MB, of which {found[name]['imported'] / 1e6:.0f} before the weights")
    return {"title": "largest resident set, ViT-B encoder", "unit": "MB", "variants": variants,
            "rounds": {name: [m["peak"]] for name, m in found.items()}, "imported": {n: m["imported"] for n, m in found.items()}}


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:4], int(sys.argv[4]))))
