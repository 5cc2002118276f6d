"""From the command to a mask in a file: MobileSAM, a photograph and a box, `boxprompt segment` and first_mask.py, both whole
processes with all files in the page cache."""
import dataclasses
import os
import subprocess
import sys
import tempfile
import time

import report
from cases import CASES

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGE = os.path.join(HERE, "..", "..", "apps", "samples", "astronaut.png")
BOX = "120,30,330,400"


def commands(folder, args, out):
    from onnx_runtime import export
    encoder = next(c for c in CASES if c.name == "mobile")
    decoder = dataclasses.replace(next(c for c in CASES if c.name == "decoder"), net="sam_vit_t.decoder")
    weights, threads = folder.weights("sam_vit_t"), str(args.threads)
    segment = [os.path.join(args.binaries, "boxprompt"), "--threads", threads, "segment", IMAGE, "--weights", weights, "--box", BOX,
               "--device", "cpu", "-o"]
    networks = [export(case, weights, "fused", folder.path) for case in (encoder, decoder)]
    every = {"ours": [*segment, out["ours"]], "ours-bf16": [*segment, out["ours-bf16"], "--dtype", "bf16"],
             "ort": [sys.executable, os.path.join(HERE, "first_mask.py"), *networks, IMAGE, BOX, out["ort"], threads]}
    return {name: every[name] for name in args.only if name in every}


def seconds(command):
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def overlap(a, b):
    """Intersection over union of two mask files."""
    import numpy as np
    from PIL import Image
    a, b = (np.asarray(Image.open(path)) > 127 for path in (a, b))
    return float((a & b).sum() / (a | b).sum())


def compare(folder, args):
    with tempfile.TemporaryDirectory() as masks:
        out = {name: os.path.join(masks, name + ".png") for name in ("ours", "ours-bf16", "ort")}
        runs = commands(folder, args, out)
        for command in runs.values():
            seconds(command)
        reference = "ort" if "ort" in runs else next(iter(runs))
        agreement = {name: overlap(out[name], out[reference]) for name in runs}
        report.say("  masks: IoU with " + reference + " " + ", ".join(f"{n} {iou:.4f}" for n, iou in agreement.items()))
        if agreement.get("ours", 1) < 0.995:
            sys.exit("run.py: masks differ")
        rounds = {name: [] for name in runs}
        for _ in range(0 if args.prepare else args.pairs):
            for name, command in runs.items():
                rounds[name].append(seconds(command))
    return {"title": "command to mask in a file, MobileSAM", "unit": "s", "rounds": rounds, "iou": agreement, "variants": {}}
