#!/usr/bin/env python3
"""What ptxas says of every CUDA kernel that was built (kernels/cuda/keep_ptxas.sh keeps it).

  cuda_resources.py BUILD            fails where a kernel spills registers or keeps an array in local memory
  cuda_resources.py BUILD --table    prints registers, shared memory and occupancy of each file as a Markdown table
  cuda_resources.py BUILD --kernels  the same of each kernel

Shared memory is the static one: ptxas does not know what a launch adds.
"""
import argparse
import pathlib
import re
import subprocess
import sys

# Per multiprocessor (CUDA C++ Programming Guide, technical specifications per compute capability):
# registers, warps, blocks, bytes of shared memory; and shared memory that the system keeps of each block.
LIMITS = {"sm_80": (65536, 64, 32, 164 << 10, 1 << 10), "sm_90a": (65536, 64, 32, 228 << 10, 1 << 10)}
LIMITS["sm_90"] = LIMITS["sm_90a"]


def kernels(build):
    """(file, architecture, mangled name, values) of each kernel."""
    start = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
    stack = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
    used = re.compile(r"Used (\d+) registers")
    shared = re.compile(r"(\d+) bytes smem")
    for log in sorted(pathlib.Path(build).glob("kernels/cuda/**/*.ptxas")):
        name = arch = None
        frame = (0, 0, 0)
        for line in log.read_text().splitlines():
            if m := start.search(line):
                name, arch = m.group(1), m.group(2)
            elif m := stack.search(line):
                frame = tuple(map(int, m.groups()))
            elif (m := used.search(line)) and name:
                s = shared.search(line)
                file = log.name.split(".")[0]
                yield f"ladders: {log.parent.name}/{file}" if "ladders" in log.parts else file, arch, name, {
                    "registers": int(m.group(1)), "stack": frame[0], "spills": frame[1] + frame[2],
                    "shared": int(s.group(1)) if s else 0}
                name = None


def demangled(names):
    out = subprocess.run(["c++filt", "-p"], input="\n".join(names), text=True, capture_output=True, check=True)
    plain = [re.sub(r"\(anonymous namespace\)::|bp::cuda::|bp::", "", n) for n in out.stdout.splitlines()]
    return [re.sub(r"^void ", "", n) for n in plain]


def occupancy(arch, registers, shared, threads):
    """Share of a multiprocessor's warps that blocks of so many threads fill."""
    all_registers, warps, blocks, all_shared, kept = LIMITS[arch]
    per_warp = -(-registers * 32 // 256) * 256
    of_block = threads // 32
    fit = min(blocks, warps // of_block, all_registers // per_warp // of_block, all_shared // (shared + kept))
    return fit * of_block / warps


def print_files(found):
    print("| file | kernels | registers | static shared bytes | warps resident, 256 threads |")
    print("|---|---|---|---|---|")
    files = {}
    for file, arch, _, v in found:
        if arch.startswith("sm_90"):
            files.setdefault(file, []).append((v["registers"], v["shared"], occupancy(arch, v["registers"], v["shared"], 256)))
    for file in sorted(files, key=lambda f: (f.startswith("ladders"), f)):
        registers, shared, share = zip(*files[file])
        spread = lambda values, form: form(min(values)) if min(values) == max(values) else \
            f"{form(min(values))} to {form(max(values))}"
        print(f"| {file} | {len(registers)} | {spread(registers, str)} | {spread(shared, str)} | {spread(share, '{:.0%}'.format)} |")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("build")
    options.add_argument("--table", action="store_true")
    options.add_argument("--kernels", action="store_true")
    given = options.parse_args()

    found = list(kernels(given.build))
    if not found:
        print(f"{given.build}: holds no CUDA build", file=sys.stderr)
        return 77  # skipped
    names = demangled([k[2] for k in found])
    if given.table:
        print_files(found)
        return 0
    if given.kernels:
        print("| file | kernel | arch | registers | static shared | warps resident, 256 threads |")
        print("|---|---|---|---|---|---|")
        for (file, arch, _, v), name in zip(found, names):
            share = occupancy(arch, v["registers"], v["shared"], 256) if arch in LIMITS else 0
            print(f"| {file} | `{name}` | {arch} | {v['registers']} | {v['shared']} | {share:.0%} |")
        return 0
    bad = [(f, a, n, v) for (f, a, _, v), n in zip(found, names) if v["spills"] or v["stack"]]
    for file, arch, name, v in bad:
        print(f"{file}.cu: {name} for {arch}: {v['spills']} bytes of spills, {v['stack']} bytes of local memory")
    print(f"{len(found)} kernels, {len(bad)} of them spill or keep arrays in local memory")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
