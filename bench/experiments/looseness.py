#!/usr/bin/env python3
"""How coarse a box may be: each side moved by up to a share of the box, the teacher's masks (with --sam; else the bare
boxes) against the true ones, and the student that learned from them."""

from common import options, run, score, synthetic, table, train

o = options(__doc__)
train_set, test_set = synthetic(o)
rows = []
for jitter in (0.0, 0.05, 0.1, 0.2, 0.3):
    name = f"jitter_{jitter:g}"
    folder = o.out / f"teach_{name}"
    told = run(o, "teach", train_set / "Tp", "--boxes-from-masks", train_set / "Gt", "--jitter", jitter, "--seed", o.seed,
               "--weights", o.sam or "box", "-o", folder, "--soft", "--score", train_set / "Gt", "--json")["score"]
    weights = train(o, name, ["--pair", train_set / "Tp", folder / "soft"], "--soft")
    for s, v in score(o, weights, test_set).items():
        rows.append([jitter, told["teacher_mean_iou"], told["box_mean_iou"], s, v["f1"], v["auc"] or 0.0, v["best_f1"]])
table(["jitter", "teacher's IoU", "boxes' IoU", "set", "student's F1", "AUC", "best F1"], rows)
