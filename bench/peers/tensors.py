"""safetensors files of f32, and how far two sets of tensors are apart."""
import json
import struct

import numpy as np


def read(path):
    """Arrays by name, on the file's pages; what is written to them stays in this process."""
    with open(path, "rb") as f:
        length = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(length))
    header.pop("__metadata__", None)
    data = np.memmap(path, mode="c", offset=8 + length)
    return {name: data[begin:end].view(np.float32).reshape(t["shape"])
            for name, t in header.items() for begin, end in [t["data_offsets"]]}


def write(path, arrays):
    header, at = {}, 0
    for name, a in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for a in arrays.values():
            f.write(np.ascontiguousarray(a, np.float32).tobytes())


def difference(found, wanted):
    """(largest difference of any tensor relative to its largest value, that tensor's name). Where that value is below 1e-3 of
    the largest of all, only rounding is left (a bias before BatchNorm has no gradient), and this is the measure."""
    floor = 1e-3 * max(float(np.abs(v).max()) for v in wanted.values())
    return max((float(np.abs(found[k] - v).max()) / max(floor, float(np.abs(v).max())), k) for k, v in wanted.items())
