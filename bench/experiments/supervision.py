#!/usr/bin/env python3
"""Fully supervised against box-distilled: the paper's main claim.

The same images, seed and number of steps; what differs is the masks: true ones, the teacher's from coarse boxes (with
--sam), and the bare boxes, which is what one has without a teacher.
"""

from common import SCORE_HEADER, options, run, score, score_rows, synthetic, table, train

o = options(__doc__)
train_set, test_set = synthetic(o)
images, boxes = train_set / "Tp", train_set / "boxes.json"
rows = []


def student(name, masks, *more):
    weights = train(o, name, ["--pair", images, masks], *more)
    rows.extend(score_rows(name, score(o, weights, test_set)))


def distilled(name, teacher):
    folder = o.out / f"teach_{name}"
    run(o, "teach", images, "--boxes", boxes, "--weights", teacher, "-o", folder, "--soft")
    student(name, folder / "soft", "--soft")


student("true_masks", train_set / "Gt")
if o.sam:
    distilled("teacher", o.sam)
else:
    print("(no --sam: the row of the teacher is missing)")
distilled("boxes", "box")
table(SCORE_HEADER, rows)
