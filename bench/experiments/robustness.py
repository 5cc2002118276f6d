#!/usr/bin/env python3
"""How scores fall with blur, noise, JPEG and what social networks do to images: of the shipped student, or of --weights."""

import argparse

from common import ROOT, run, table

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--weights", default=str(ROOT / "weights/boxprompt_student.safetensors"))
p.add_argument("--program", default=str(ROOT / "build/release/bin/boxprompt"))
p.add_argument("sets", nargs="+", help="data sets, any layout of `eval`")
o = p.parse_args()

report = run(o, "eval", "--weights", o.weights, "--against", *o.sets, "--robust", "--social", "--json")
rows = []
for s in report["sets"]:
    rows.append([s["name"], "as it is", s["f1"], s["auc"] or 0.0, s["best_f1"]])
    rows += [[s["name"], f"{v['family']} {v['name']}", v["f1"], v["auc"] or 0.0, v["best_f1"]] for v in s["perturbed"]]
table(["set", "images", "F1", "AUC", "best F1"], rows)
