"""What the experiments share: running the program, data made once, tables.

Every experiment is one script, takes the same options (see `python3 SCRIPT --help`), prints a table in Markdown and
leaves everything it made under --out, so that a second run does only what is missing.
"""

import argparse
import json
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def options(description, **defaults):
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--photos", required=True, help="folder of authentic photographs to make training images from")
    p.add_argument("--cutouts", help="folder of cut-outs with alpha")
    p.add_argument("--held-out", required=True, help="folder of photographs that no training image is made from")
    p.add_argument("--held-out-cutouts", help="folder of cut-outs that no training image is made from")
    p.add_argument("--test", nargs="*", default=[], help="real data sets to score on as well (any layout of `eval`)")
    p.add_argument("--sam", help="a SAM checkpoint: the teacher")
    p.add_argument("--out", default="experiments", help="where everything goes")
    p.add_argument("--images", type=int, default=defaults.get("images", 2000), help="training images to make")
    p.add_argument("--epochs", type=int, default=defaults.get("epochs", 4))
    p.add_argument("--lr", default="6e-4")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--synth", type=shlex.split, default=[], help="more options of `synth`, for training and test images")
    p.add_argument("--train", type=shlex.split, default=[], help="more options of `train`, for every student")
    p.add_argument("--program", default=str(ROOT / "build/release/bin/boxprompt"))
    o = p.parse_args()
    o.out = pathlib.Path(o.out)
    o.out.mkdir(parents=True, exist_ok=True)
    return o


def run(o, *arguments):
    """Runs the program; its output is JSON where --json was asked for. Prints the command, which reproduces it."""
    command = [o.program, *map(str, arguments)]
    print("$", " ".join(command), file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{command[1]}: exit code {done.returncode}")
    return json.loads(done.stdout) if "--json" in command else done.stdout.decode()


def synthetic(o):
    """The training and the held-out set, made once: (folder, folder)."""
    cutouts = ["--cutouts", o.cutouts] if o.cutouts else []
    train, test = o.out / "train", o.out / "test"
    run(o, "synth", o.photos, *cutouts, "-o", train, "--count", o.images, "--seed", o.seed, *o.synth)
    held_out_cutouts = ["--cutouts", o.held_out_cutouts] if o.held_out_cutouts else []
    run(o, "synth", o.held_out, *held_out_cutouts, "-o", test, "--count", max(50, o.images // 10), "--seed", o.seed + 1,
        *o.synth)
    return train, test


def train(o, name, data, *more):
    """A student trained on `data` (arguments of `train`): its weights. All students see as many steps."""
    folder = o.out / name
    if not (folder / "done").exists():
        run(o, "train", *data, "-o", folder, "--epochs", o.epochs, "--lr", o.lr, "--warmup", 0.5, "--seed", o.seed,
            "--resume", *o.train, *more)
        (folder / "done").touch()
    return folder / "best.safetensors"


def score(o, weights, test, *more):
    """Per set: F1 at 0.5, IoU, AUC, F1 at the best threshold, and the F1 of marking everything."""
    report = run(o, "eval", "--weights", weights, "--against", test, *o.test, "--json", *more)
    return {s["name"]: s for s in report["sets"]}


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row) + " |")


def score_rows(name, scores):
    return [[name, s, v["f1"], v["iou"], v["auc"] or 0.0, v["best_f1"], v["baselines"]["all_ones"]["f1"]]
            for s, v in scores.items()]


SCORE_HEADER = ["student", "set", "F1", "IoU", "AUC", "best F1", "all ones F1"]
