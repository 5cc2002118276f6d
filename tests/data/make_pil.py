#!/usr/bin/env python3
"""Writes the table of tests/resize_pil_test.cpp: checksums of Pillow's antialiased bilinear resize.

    python3 tests/data/make_pil.py > tests/data/resize_pil.inc

Needs Pillow 9.4 to 12.1, which agree. From 12.2 on, images whose height shrinks by more than twice as many pixels as
their width are resized vertically first, which the published SAM was not trained with.
"""
from PIL import Image

SIZES = [  # h, w, channels, oh, ow
    (1, 1, 1, 1, 1), (1, 1, 3, 7, 5), (7, 5, 3, 1, 1), (2, 3, 3, 3, 2), (16, 16, 3, 16, 16),
    (17, 31, 3, 31, 17), (40, 60, 3, 41, 61), (100, 75, 3, 64, 48), (64, 48, 3, 100, 75),
    (333, 500, 3, 128, 192), (500, 333, 1, 500, 100), (100, 333, 2, 33, 333), (90, 160, 4, 77, 211),
    (1000, 3, 3, 10, 64), (3, 1000, 3, 64, 10), (257, 1023, 3, 5, 7), (400, 600, 3, 683, 1024),
    (256, 384, 1, 1024, 1536), (123, 457, 3, 122, 456), (768, 1024, 3, 224, 224), (1, 5000, 1, 1, 3),
]


def pattern(h, w, c):
    return bytes(((x * x * (c + 1) + y * y * 3 + x * y * 5 + (x * 7 ^ y * 13)) >> 1) & 255
                 for y in range(h) for x in range(w))


def fnv(data):
    key = 0xCBF29CE484222325
    for byte in data:
        key = ((key ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return key


for h, w, channels, oh, ow in SIZES:
    planes = [Image.frombytes("L", (w, h), pattern(h, w, c)).resize((ow, oh), Image.BILINEAR).tobytes()
              for c in range(channels)]
    interleaved = bytes(v for pixel in zip(*planes) for v in pixel)
    print(f"{{{h}, {w}, {channels}, {oh}, {ow}, 0x{fnv(interleaved):016x}u}},")
