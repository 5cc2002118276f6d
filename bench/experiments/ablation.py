#!/usr/bin/env python3
"""What gate and memory are worth: the student whole, without either, and without both."""

from common import SCORE_HEADER, options, score, score_rows, synthetic, table, train

o = options(__doc__)
train_set, test_set = synthetic(o)
rows = []
for name, switches in {
    "whole": [],
    "no_gate": ["--no-gate"],
    "no_memory": ["--no-memory"],
    "neither": ["--no-gate", "--no-memory"],
}.items():
    weights = train(o, name, [train_set], *switches)
    rows.extend(score_rows(name, score(o, weights, test_set)))
table(SCORE_HEADER, rows)
