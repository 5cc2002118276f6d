#!/usr/bin/env python3
"""SAM and TinyViT here, in PyTorch and in ONNX Runtime, on one processor, in turn.

usage: run.py BIN_FOLDER [--case vit_b ...] [--only ours,ort ...] [--threads 2] [--pairs 5] [--json FILE] [--markdown]

BIN_FOLDER holds boxprompt and boxprompt-peer (cmake --preset release -DBOXPROMPT_BENCH=ON; build/release/bin). What of numpy,
torch, onnx, onnxruntime and pillow cannot be imported is installed by pip into a virtual environment under --folder, and used
from there. Weights are procedural. In each case the outputs have to agree first; then all sides run right after one another,
the others idle, as often as --pairs says, and medians and the rounds' ratios are printed. Where PyTorch or ONNX Runtime have
more than one way to compute the same (attention as published or fused, memory layouts), the fastest is found once and used
from then on (choices.json in --folder). Besides the networks' cases there are `memory`, the largest resident set of a fresh process that
loads ViT-B's encoder and runs one image once, and `start`, from the command to a mask in a file with MobileSAM.
Take the numbers on a machine that does nothing else.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import environment
import report
from cases import CASES

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SIDES = ["ours", "ort", "torch", "ours-bf16", "torch-bf16"]
TOLERANCE = 1e-3
PAUSE = 0.2  # seconds in which the threads of whoever ran last go to sleep


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries")
    names = [c.name for c in CASES] + ["memory", "start"]
    parser.add_argument("--case", action="append", choices=names, metavar="CASE", help=f"one of {', '.join(names)}; all without")
    parser.add_argument("--only", default=",".join(SIDES), help=f"sides that run, of {','.join(SIDES)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--folder", default=str(ROOT / "build"), help="for peers-venv and peers-data: weights, exported networks")
    parser.add_argument("--json", metavar="FILE", help="results; cases that FILE holds already stay unless they ran again")
    parser.add_argument("--add", action="store_true", help="rounds to those that --json's FILE holds, where the sides are the same")
    parser.add_argument("--markdown", action="store_true", help="print the table, of all that --json's FILE then holds")
    parser.add_argument("--prepare", action="store_true", help="set up, export, choose and check, but time nothing")
    args = parser.parse_args()
    args.case, args.only = args.case or names, args.only.split(",")
    if unknown := set(args.only) - set(SIDES):
        parser.error(f"unknown sides: {', '.join(unknown)}")
    return args


class Folder:
    """Weights, exports and choices that later runs use again."""

    def __init__(self, path, binaries):
        self.path, self.binaries = path, binaries
        os.makedirs(path, exist_ok=True)
        self.choices_file = os.path.join(path, "choices.json")
        self.choices = {}
        if os.path.exists(self.choices_file):
            with open(self.choices_file) as f:
                self.choices = json.load(f)

    def weights(self, architecture):
        path = os.path.join(self.path, architecture + ".safetensors")
        if not os.path.exists(path):
            subprocess.run([os.path.join(self.binaries, "boxprompt"), "weights", "make", architecture, path], check=True,
                           stdout=subprocess.DEVNULL)
        return path

    def save_choices(self):
        with open(self.choices_file, "w") as f:
            json.dump(self.choices, f, indent=1)


def make_side(name, case, folder, args):
    from onnx_runtime import OnnxRuntime
    from ours import Ours
    from torch_peer import Torch
    weights, dtype = folder.weights(case.architecture), "bf16" if name.endswith("bf16") else "f32"
    if name.startswith("ours"):
        return Ours(args.binaries, case, weights, dtype, args.threads)
    if name == "ort":
        return OnnxRuntime(case, weights, folder.path, args.threads, folder.choices)
    return Torch(case, weights, dtype, folder.choices)


def check(outputs):
    """Ends the program unless all f32 outputs agree; returns every side's difference from the reference."""
    import tensors
    reference = next(name for name in ("torch", "ort", "ours", *outputs) if name in outputs)
    errors = {}
    for name, found in outputs.items():
        error, worst = tensors.difference(found, outputs[reference])
        errors[name] = error
        report.say(f"  {name} and {reference}: {len(found)} tensors agree to {error:.1e} of their largest value (worst: {worst})")
        if not name.endswith("bf16") and not error < TOLERANCE:
            sys.exit(f"run.py: {name} and {reference} differ")
    return errors


def timed(side, repeat):
    time.sleep(PAUSE)
    return min(side.run() for _ in range(repeat))


def compare(case, folder, args):
    names = [n for n in SIDES if n in args.only and not (n == "ours-bf16" and not case.rounds)
             and not (n == "ort" and case.training)]
    sides = {}
    for name in names:
        sides[name] = make_side(name, case, folder, args)
        folder.save_choices()
    errors = check({name: side.outputs() for name, side in sides.items()})
    rounds = {name: [] for name in names}
    # Some sides plan their memory by the first run, which was check()'s, and make it in the second.
    for side in sides.values() if not args.prepare else ():
        side.run()
    for _ in range(0 if args.prepare else args.pairs):
        for name, side in sides.items():
            rounds[name].append(timed(side, case.repeat))
    for side in sides.values():
        side.close()
    return {"title": case.title, "unit": "s", "rounds": rounds, "errors": errors,
            "variants": {name: side.variant for name, side in sides.items() if side.variant}}


def run_case(name, folder, args, before):
    """before: this case's result that --add adds to, or none."""
    report.say(name)
    if name == "memory":
        import memory
        result = memory.compare(folder, args)
    elif name == "start":
        import start
        result = start.compare(folder, args)
    else:
        result = compare(next(c for c in CASES if c.name == name), folder, args)
    result |= {"context": report.context(args.threads)}
    if before and before["rounds"].keys() == result["rounds"].keys():
        result["rounds"] = {side: before["rounds"][side] + added for side, added in result["rounds"].items()}
    if not args.prepare:
        result["ratios"] = report.ratios(result["rounds"])
        report.say(report.line(result))
    return result


def main():
    args = parse()
    environment.ensure(os.path.join(args.folder, "peers-venv"))
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(args.threads)
    import torch
    torch.set_num_threads(args.threads)

    results = {}
    if args.json and os.path.exists(args.json):
        with open(args.json) as f:
            results = json.load(f)
    folder = Folder(os.path.join(args.folder, "peers-data"), args.binaries)
    for name in args.case:
        result = run_case(name, folder, args, results.get(name) if args.add else None)
        if args.prepare:
            continue
        results[name] = result
        if args.json:
            with open(args.json, "w") as f:
                json.dump(results, f, indent=1)
    if args.markdown and results:
        order = [n for n in [c.name for c in CASES] + ["memory", "start"] if n in results]
        print(report.markdown([results[n] for n in order]))


if __name__ == "__main__":
    main()
