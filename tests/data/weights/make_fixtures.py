#!/usr/bin/python3
"""Makes the .pth files beside it, with Debian 12's python3-torch (1.13). The tests know their values."""
import argparse
import collections
import os
import zipfile

import torch

here = os.path.dirname(os.path.abspath(__file__))


def path(name):
    return os.path.join(here, name)


def ramp(*shape, dtype=torch.float32, start=0.0):
    """start, start + 0.5, start + 1, ... in row-major order: exact in every type used here."""
    n = 1
    for d in shape:
        n *= d
    return (torch.arange(n, dtype=torch.float64) * 0.5 + start).to(dtype).reshape(shape)


class Trap:
    def __reduce__(self):
        return os.system, ("touch executed",)


base = ramp(4, 6)
torch.save(
    collections.OrderedDict(
        plain=ramp(2, 3),
        half=ramp(5, dtype=torch.float16, start=-1),
        brain=ramp(3, dtype=torch.bfloat16, start=-1),
        double=ramp(2, dtype=torch.float64),
        long=torch.tensor([1, -2, 1 << 40]),
        int=torch.tensor([7, -8], dtype=torch.int32),
        byte=torch.tensor([0, 255], dtype=torch.uint8),
        bool=torch.tensor([True, False, True]),
        scalar=torch.tensor(2.5),
        none=torch.zeros(0, 3),
        whole=base,
        transposed=base.t(),
        column=base[:, 2],
        block=base[1:3, 2:5],
        expanded=base[0, :1].expand(4),
        parameter=torch.nn.Parameter(ramp(2, 2)),
    ),
    path("plain.pth"),
)

model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
with torch.no_grad():
    for i, p in enumerate(model.parameters()):
        p.copy_(ramp(*p.shape, start=i))
torch.save(
    {
        "epoch": 3,
        "loss": 0.25,
        "note": "text",
        "nothing": None,
        "args": argparse.Namespace(lr=0.1, sizes=[1, 2], names=("a", "b")),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "params": [0, 1], "big": 1 << 80}]},
        "model": model.state_dict(),
    },
    path("nested.pth"),
)
torch.save({"state_dict": torch.nn.DataParallel(model).state_dict()}, path("data_parallel.pth"), pickle_protocol=4)
torch.save({"weight": ramp(2)}, path("legacy.pth"), _use_new_zipfile_serialization=False)
torch.save({"weight": ramp(2), "trap": Trap()}, path("os_system.pth"))
torch.save(model, path("module.pth"))
torch.save([ramp(2)], path("list.pth"))
torch.save({"epoch": 3}, path("no_tensors.pth"))

source = zipfile.ZipFile(path("nested.pth"))


def repack(name, method=zipfile.ZIP_STORED, change=None, extra=None):
    """nested.pth once more, by another program's zip writer."""
    with zipfile.ZipFile(path(name), "w", method) as out:
        for info in source.infolist():
            data = source.read(info)
            out.writestr(zipfile.ZipInfo(info.filename), (change or {}).get(info.filename, data), method)
        for key, value in (extra or {}).items():
            out.writestr(zipfile.ZipInfo(key), value)


repack("repacked.pth", extra={"nested/byteorder": b"little"})
repack("compressed.pth", zipfile.ZIP_DEFLATED)
repack("big_endian.pth", extra={"nested/byteorder": b"big"})
repack("torchscript.pth", extra={"nested/constants.pkl": b"\x80\x02)."})
