#!/usr/bin/env python3
"""Reduces recordings of the published modules (full size) to the small ones in this folder.

usage: make_small.py FOLDER_OF_RECORDINGS
Embeddings keep every 32nd channel and every 2nd grid position, logits every 8th pixel of each axis, the trunk's feature
maps every 16th channel; predicted IoUs, areas, tile sums, digests of gradients, running statistics and the metadata stay whole.
"""
import json
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = {"F32": 4, "I64": 8, "U8": 1}


def read(path):
    with open(path, "rb") as f:
        length = struct.unpack("<Q", f.read(8))[0]
        header, data = json.loads(f.read(length)), f.read()
    meta = header.pop("__metadata__", {})
    return meta, {k: (v["dtype"], v["shape"], data[slice(*v["data_offsets"])]) for k, v in header.items()}


def take(tensor, steps):
    """Every steps[i]-th entry of axis i."""
    dtype, shape, data = tensor
    size, strides = SIZES[dtype], [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * shape[i + 1]
    offsets = [0]
    for n, stride, step in zip(shape, strides, steps):
        offsets = [o + i * stride for o in offsets for i in range(0, n, step)]
    new_shape = [-(-n // step) for n, step in zip(shape, steps)]
    return dtype, new_shape, b"".join(data[o * size:(o + 1) * size] for o in offsets)


def write(path, meta, tensors):
    header, at, blob = {"__metadata__": meta}, 0, b""
    for name, (dtype, shape, data) in sorted(tensors.items(), key=lambda t: (-SIZES[t[1][0]], t[0])):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at, blob = at + len(data), blob + data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + blob)


def small_sam(tensors):
    out = {}
    for name, t in tensors.items():
        if name == "image_embedding":
            out[name] = take(t, [t[1][0] // 8, 2, 2])
        elif name.endswith("low_res_logits"):
            out[name] = take(t, [1, 1, 8, 8])
        elif not name.endswith(".masks"):
            out[name] = t
    return out


def small_trunk(tensors):
    return {n: take(t, [1, 16, 1, 1]) if ".stage" in n else t for n, t in tensors.items()}


for file in sorted(os.listdir(sys.argv[1])):
    if file.endswith(".safetensors"):
        meta, tensors = read(os.path.join(sys.argv[1], file))
        write(os.path.join(HERE, file), meta, (small_sam if file.startswith("sam_") else small_trunk)(tensors))
