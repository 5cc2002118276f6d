#!/usr/bin/env python3
"""Checkpoints as PyTorch writes them give the same answers as the same weights made in place.

usage: interop.py BOXPROMPT IMAGE      exit code 77: there is no PyTorch here, nothing was checked
Makes procedural ViT-B weights, saves them with PyTorch in several forms and as safetensors with Hugging Face's names, asks
`boxprompt segment` about each and compares every byte of what --dump writes.
"""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections import OrderedDict

try:
    import torch
except ImportError:
    print("no PyTorch here")
    sys.exit(77)

PROGRAM, IMAGE = sys.argv[1:3]


def read_safetensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = bytearray(f.read())
    header.pop("__metadata__", None)
    return OrderedDict(
        (name, torch.frombuffer(data, dtype=torch.float32, count=(e - b) // 4, offset=b).reshape(t["shape"]).clone())
        for name, t in header.items() for b, e in [t["data_offsets"]])


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, t in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + 4 * t.numel()]}
        at += 4 * t.numel()
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for t in tensors.values():
            f.write(t.contiguous().numpy().tobytes())


RENAMES = [
    (r"^image_encoder\.", "vision_encoder."), (r"\.blocks\.", ".layers."), (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"neck\.0\.", "neck.conv1."), (r"neck\.1\.", "neck.layer_norm1."), (r"neck\.2\.", "neck.conv2."),
    (r"neck\.3\.", "neck.layer_norm2."), (r"norm_final_attn", "layer_norm_final_attn"),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.0", r"\1.proj_in"),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.1", r"\1.layers.0"),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.2", r"\1.proj_out"),
    (r"output_upscaling\.0", "upscale_conv1"), (r"output_upscaling\.1", "upscale_layer_norm"),
    (r"output_upscaling\.3", "upscale_conv2"), (r"mask_downscaling\.0", "mask_embed.conv1"),
    (r"mask_downscaling\.1", "mask_embed.layer_norm1"), (r"mask_downscaling\.3", "mask_embed.conv2"),
    (r"mask_downscaling\.4", "mask_embed.layer_norm2"), (r"mask_downscaling\.6", "mask_embed.conv3"),
    (r"point_embeddings", "point_embed"),
    (r"prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix", "shared_image_embedding.positional_embedding"),
]


def hugging_face(name):
    for pattern, to in RENAMES:
        name = re.sub(pattern, to, name)
    return name


def answer(weights, folder):
    dump = os.path.join(folder, "dump")
    subprocess.run([PROGRAM, "segment", IMAGE, "--box", "120,100,420,320", "--weights", weights, "--dump", dump, "-o",
                    os.path.join(folder, "mask.png")], check=True, stdout=subprocess.DEVNULL)
    with open(dump, "rb") as f, open(os.path.join(folder, "mask.png"), "rb") as m:
        return f.read(), m.read()


with tempfile.TemporaryDirectory() as folder:
    def path(name):
        return os.path.join(folder, name)

    subprocess.run([PROGRAM, "weights", "make", "sam_vit_b", path("made")], check=True, stdout=subprocess.DEVNULL)
    wanted = answer(path("made"), folder)
    state = read_safetensors(path("made"))

    def check(kind, weights):
        same = answer(weights, folder) == wanted
        os.remove(weights)
        print(f"{kind}: {'the same' if same else 'DIFFERENT'}")
        if not same:
            sys.exit(1)

    torch.save(state, path("plain.pth"))
    check("torch.save, a state dict", path("plain.pth"))
    torch.save({"epoch": 3, "model": {"module." + k: torch.nn.Parameter(v) for k, v in state.items()}}, path("nested.pth"))
    check("torch.save, nested under 'model' in DataParallel's names", path("nested.pth"))
    transposed = OrderedDict((k, v.t().contiguous().t() if v.dim() == 2 else v) for k, v in state.items())
    torch.save(transposed, path("strided.pth"))
    check("torch.save, strided tensors", path("strided.pth"))
    write_safetensors(path("hf.safetensors"), OrderedDict((hugging_face(k), v) for k, v in state.items()))
    check("safetensors with Hugging Face's names", path("hf.safetensors"))

    torch.save(state, path("legacy.pth"), _use_new_zipfile_serialization=False)
    refusal = subprocess.run([PROGRAM, "weights", "inspect", path("legacy.pth")], capture_output=True, text=True)
    if refusal.returncode == 0 or refusal.stderr.count("\n") != 1 or "1.6" not in refusal.stderr:
        print("legacy format: not refused clearly:", refusal.stderr)
        sys.exit(1)
    print("torch.save, legacy format: refused:", refusal.stderr.strip())
