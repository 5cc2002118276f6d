#!/usr/bin/env python3
"""Writes tests/data/images/: one picture of 13 x 7 pixels in the formats and layouts that load_image reads.

    python3 tests/data/make_images.py        (needs Pillow; written with 9.4)

Upright, pixel (x, y) is (19 x, 36 y, 7 x + 11 y). Names say the layout; oN is EXIF orientation N.
"""
import os
import struct

from PIL import Image

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "images")
W, H = 13, 7
RGB = bytes(v for y in range(H) for x in range(W) for v in (19 * x, 36 * y, 7 * x + 11 * y))
UPRIGHT = Image.frombytes("RGB", (W, H), RGB)
ALPHA = Image.frombytes("L", (W, H), bytes((x * 40 + y) & 255 for y in range(H) for x in range(W)))
# How a picture of orientation N was turned before it was stored.
STORED = {1: None, 2: Image.FLIP_LEFT_RIGHT, 3: Image.ROTATE_180, 4: Image.FLIP_TOP_BOTTOM,
          5: Image.TRANSPOSE, 6: Image.ROTATE_90, 7: Image.TRANSVERSE, 8: Image.ROTATE_270}


def stored(orientation):
    turn = STORED[orientation]
    return UPRIGHT if turn is None else UPRIGHT.transpose(turn)


def exif(orientation):
    e = Image.Exif()
    e[274] = orientation
    return e.tobytes()


def save(image, name, **options):
    image.save(os.path.join(FOLDER, name), **options)


def tiff(name, width, height, pixels, tags, order="<", tile=None):
    """An uncompressed TIFF: `pixels` is a list of strips or tiles."""
    short, long_ = 3, 4
    entries = {256: (long_, [width]), 257: (long_, [height]), 259: (short, [1])}
    entries.update({tag: (short, values) for tag, values in tags.items()})
    offsets, counts = (324, 325) if tile else (273, 279)
    if tile:
        entries.update({322: (short, [tile[0]]), 323: (short, [tile[1]])})
    else:
        entries[278] = (long_, [height])
    data, places = b"", []
    for block in pixels:
        places.append(8 + len(data))
        data += block + b"\0" * (len(block) & 1)
    entries[offsets] = (long_, places)
    entries[counts] = (long_, [len(block) for block in pixels])
    directory = 8 + len(data)
    extra_at = directory + 2 + 12 * len(entries) + 4
    body, extra = struct.pack(order + "H", len(entries)), b""
    for tag in sorted(entries):
        kind, values = entries[tag]
        packed = struct.pack(order + str(len(values)) + ("H" if kind == short else "I"), *values)
        if len(packed) > 4:
            field = struct.pack(order + "I", extra_at + len(extra))
            extra += packed
        else:
            field = packed.ljust(4, b"\0")
        body += struct.pack(order + "HHI", tag, kind, len(values)) + field
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", directory)
    with open(os.path.join(FOLDER, name), "wb") as f:
        f.write(head + data + body + struct.pack(order + "I", 0) + extra)


def wide(samples, order):
    """8-bit samples to 16 bits; the low byte is noise that must not matter."""
    return b"".join(struct.pack(order + "H", v << 8 | (v * 37 & 255)) for v in samples)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    grey = UPRIGHT.getchannel("R")
    rgba = UPRIGHT.copy()
    rgba.putalpha(ALPHA)
    exact = Image.frombytes("P", (W, H), bytes(range(W * H)))
    exact.putpalette(RGB + bytes(768 - len(RGB)))

    for n in range(1, 9):
        save(stored(n), f"o{n}.jpg", quality=95, subsampling=0, exif=exif(n))
    save(UPRIGHT, "progressive.jpg", quality=95, subsampling=0, progressive=True)
    save(grey, "grey.jpg", quality=95)
    save(UPRIGHT.convert("CMYK"), "cmyk.jpg", quality=95)
    save(UPRIGHT, "rgb.png")
    save(stored(6), "o6.png", exif=exif(6))
    save(grey, "grey.png")
    save(rgba, "rgba.png")
    save(Image.merge("LA", (grey, ALPHA)), "grey_alpha.png")
    save(exact, "palette.png")
    save(exact, "palette_alpha.png", transparency=bytes(range(91)))
    save(grey.point(lambda v: 255 if v > 100 else 0).convert("1"), "bits.png")
    deep = Image.frombytes("I;16", (W, H), wide(grey.tobytes(), "<"))
    save(deep, "grey16.png")
    save(UPRIGHT, "rgb.bmp")
    save(exact, "palette.bmp")
    save(UPRIGHT, "lzw.tif", compression="tiff_lzw")
    save(UPRIGHT, "deflate.tif", compression="tiff_adobe_deflate")
    save(UPRIGHT, "jpeg.tif", compression="jpeg", quality=95)
    save(UPRIGHT.convert("CMYK"), "cmyk.tif")
    save(exact, "palette.tif")
    save(grey.point(lambda v: 255 if v > 100 else 0).convert("1"), "bits.tif")
    g = grey.tobytes()
    tiff("grey_white.tif", W, H, [bytes(255 - v for v in g)], {258: [8], 262: [0], 277: [1]})
    tiff("grey16_big.tif", W, H, [wide(g, ">")], {258: [16], 262: [1], 277: [1]}, ">")
    tiff("rgb16.tif", W, H, [wide(RGB, "<")], {258: [16] * 3, 262: [2], 277: [3]})
    tiff("rgba.tif", W, H, [rgba.tobytes()], {258: [8] * 4, 262: [2], 277: [4], 338: [2]})
    tiff("ycbcr.tif", W, H, [UPRIGHT.convert("YCbCr").tobytes()], {258: [8] * 3, 262: [6], 277: [3], 530: [1, 1]})
    tiff("planar.tif", W, H, [RGB[c::3] for c in range(3)], {258: [8] * 3, 262: [2], 277: [3], 284: [2]})
    tiles = []
    for top in (0, 4):
        for left in (0, 8):
            pixels = ((x, y) for y in range(top, top + 4) for x in range(left, left + 8))
            tiles.append(b"".join(bytes(UPRIGHT.getpixel((x, y))) if x < W and y < H else b"\xAA" * 3
                                  for x, y in pixels))
    tiff("tiled.tif", W, H, tiles, {258: [8] * 3, 262: [2], 277: [3]}, "<", (8, 4))
    s = stored(6)
    tiff("o6.tif", s.width, s.height, [s.tobytes()], {258: [8] * 3, 262: [2], 277: [3], 274: [6]})
    s = stored(8).convert("CMYK")
    tiff("o8_cmyk.tif", s.width, s.height, [s.tobytes()], {258: [8] * 4, 262: [5], 277: [4], 274: [8]})


main()
