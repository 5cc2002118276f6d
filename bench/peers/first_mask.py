#!/usr/bin/env python3
"""A mask for a box as a Python program with ONNX Runtime does it: MobileSAM's exported encoder and decoder, a PNG in, a PNG out.

usage: first_mask.py ENCODER.onnx DECODER.onnx IMAGE X0,Y0,X1,Y1 OUT THREADS
"""
import sys

import numpy as np
import onnxruntime
from PIL import Image

SIDE = 1024
MEAN, STD = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.395, 57.12, 57.375], np.float32)


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def preprocess(image):
    """[1,3,1024,1024], normalised and padded, and the size in it: longest side 1024."""
    scale = SIDE / max(image.size)
    width, height = (int(side * scale + 0.5) for side in image.size)
    resized = np.asarray(image.resize((width, height), Image.BILINEAR), np.float32)
    padded = np.zeros((1, 3, SIDE, SIDE), np.float32)
    padded[0, :, :height, :width] = ((resized - MEAN) / STD).transpose(2, 0, 1)
    return padded, width, height


def taps(size, out):
    """Bilinear without aligned corners: both neighbours and the second one's weight, per pixel of the result."""
    at = np.clip((np.arange(out) + 0.5) * size / out - 0.5, 0, size - 1)
    low = at.astype(int)
    return low, np.minimum(low + 1, size - 1), (at - low).astype(np.float32)


def resize(a, height, width):
    low, high, t = taps(a.shape[0], height)
    a = a[low] * (1 - t[:, None]) + a[high] * t[:, None]
    low, high, t = taps(a.shape[1], width)
    return a[:, low] * (1 - t) + a[:, high] * t


def main(encoder, decoder, image, box, out, threads):
    encoder, decoder = session(encoder, int(threads)), session(decoder, int(threads))
    image = Image.open(image).convert("RGB")
    pixels, width, height = preprocess(image)
    embedding, = encoder.run(None, {"image": pixels})
    corners = np.array([[float(v) for v in box.split(",")]]) * ([width / image.width, height / image.height] * 2)
    logits, _ = decoder.run(None, {"embedding": embedding, "boxes": corners.astype(np.float32)})
    large = resize(logits[0, 0], SIDE, SIDE)[:height, :width]
    mask = resize(large, image.height, image.width) > 0
    Image.fromarray(mask.astype(np.uint8) * 255).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
