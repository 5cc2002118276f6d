#!/usr/bin/env python3
"""All that wants a GPU, in one go: the CUDA tests, compute-sanitizer, a short training run beside the CPU's, and the
benchmarks. Writes RESULTS/<gpu>.json and prints what it skipped and why.

  gpu_check.py BUILD [--device cuda | --emulate] [--results bench/results] [--only tests,sanitizer,...]

Needs no network and nothing outside the repository. Exit status: 0 all passed, 1 something failed, 2 no device.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

NETS = [("sam_vit_t", 0), ("sam_vit_b", 0), ("sam_vit_l", 0), ("sam_vit_h", 0), ("student", 1), ("student", 8),
        ("student", 64), ("train", 16), ("train", 64)]  # and batches; 0: the usual one


class Skip(Exception):
    pass


def run(command, timeout=1800, **environment):
    done = subprocess.run([str(c) for c in command], cwd=ROOT, env={**os.environ, **environment},
                          capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout, done.stderr


def must(command, timeout=1800, **environment):
    code, out, err = run(command, timeout, **environment)
    if code:
        tail = "\n".join((out + err).strip().splitlines()[-15:])
        raise RuntimeError(f"{pathlib.Path(command[0]).name} exited with {code}:\n{tail}")
    return out


class Check:
    def __init__(self, build, device):
        self.bin = build / "bin"
        self.build, self.device = build, device

    def program(self, name):
        path = self.bin / name
        if not path.exists():
            raise Skip(f"{path} is not built")
        return path

    def tests(self):
        label = "simt" if self.device == "simt" else "cuda"
        out = must(["ctest", "--test-dir", self.build, "-L", f"^{label}$", "--output-on-failure"])
        counted = re.search(r"(\d+)% tests passed, (\d+) tests failed out of (\d+)", out)
        if not counted:
            raise Skip("no tests with label " + label)
        skipped = len(re.findall(r"\*\*\*Skipped", out))
        return {"tests": int(counted.group(3)), "skipped": skipped}

    def parity(self):
        """Teacher and trunk against the recordings of the published modules, bf16 beside f32, and peak memory."""
        if self.device == "simt":
            raise Skip("whole networks take the emulator hours; the tests above run every kernel")
        golden = self.program("golden_test")
        environment = {"BOXPROMPT_TEST_DEVICE": self.device}
        counted = re.search(r"assertions: *(\d+)", must([golden], **environment))
        out = must([golden, "--no-skip", "--test-case=peak memory*"], **environment)
        peaks = re.search(r"ViT-H in bf16 (\d+), training step of 32 images (\d+)", out)
        return {"assertions": int(counted.group(1)), "peak bytes": {
            "vit_h bf16": int(peaks.group(1)), "training step of 32 images": int(peaks.group(2))}}

    def sanitizer(self):
        tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
        if self.device == "simt":
            raise Skip("the emulator watches memory itself, the simt-tsan preset its barriers")
        if not pathlib.Path(tool).exists():
            raise Skip("compute-sanitizer is not installed")
        found = {}
        for kind in ("memcheck", "racecheck"):
            out = must([tool, "--tool", kind, "--error-exitcode", "9", self.program("ops_test"),
                        "--test-case=*f32*,*bf16*"], BOXPROMPT_TEST_DEVICE=self.device)
            found[kind] = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (.*)", out)[-1:]
        return found

    def training(self):
        """Losses of the same steps on the CPU and on the device."""
        boxprompt = self.program("boxprompt")
        losses = {}
        # Steps are images * epochs / batch. Two images of 32 x 32 have the emulator's time, and a BatchNorm over
        # so few values magnifies rounding most.
        size, batch, images, epochs, lr = (32, 2, 8, 1, 1e-6) if self.device == "simt" else (224, 8, 64, 3, 1e-4)
        with tempfile.TemporaryDirectory() as folder:
            made = pathlib.Path(folder) / "made"
            must([boxprompt, "synth", ROOT / "apps/samples", "-o", made, "--count", images + images // 4, "--seed", "3",
                  "--authentic", "0"])
            for device in ("cpu", self.device):
                out = pathlib.Path(folder) / device.replace(":", "_")
                must([boxprompt, "train", made, "-o", out, "--device", device, "--size", size, "--batch", batch,
                      "--epochs", epochs, "--per-epoch", images, "--lr", lr, "--lr-floor", 0, "--hold-out", "0.2",
                      "--validate-every", "1000"])
                records = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
                losses[device] = [r["loss"] for r in records if "loss" in r]
        cpu, other = losses["cpu"], losses[self.device]
        first = abs(cpu[0] - other[0]) / cpu[0]
        # Rounding differs, and training magnifies it step by step: the first steps are compared closely, the
        # run as a whole by its mean.
        early = max(abs(a - b) / a for a, b in zip(cpu[:5], other[:5]))
        whole = abs(sum(cpu) - sum(other)) / sum(cpu)
        result = {"steps": len(cpu), "first": first, "first_five": early, "mean": whole, "cpu": cpu,
                  self.device: other}
        if len(cpu) != len(other) or first > 1e-4 or early > 1e-2 or whole > 2e-2:
            raise RuntimeError(f"the loss curve differs from the CPU's: {json.dumps(result)}")
        return result

    def benchmarks(self):
        bench = self.program("boxprompt-bench")
        if self.device == "simt":  # an emulator's time says nothing, but all versions have to be right
            with tempfile.TemporaryDirectory() as folder:
                found = pathlib.Path(folder) / "found.json"
                must([bench, "--device", "simt", "--dtype", "all", "--shape", "main", "--json", found])
                status = [row["status"] for row in json.loads(found.read_text())["rows"]]
            return {s: status.count(s) for s in sorted(set(status))}
        with tempfile.TemporaryDirectory() as folder:
            found = pathlib.Path(folder) / "found.json"
            arguments = ["--device", self.device, "--dtype", "all", "--json", found]
            must([bench, *arguments])
            report = json.loads(found.read_text())
            # Products and convolutions once more by our own kernels, which take what the libraries do not.
            must([bench, *arguments, "--op", "matmul,linear_gelu,conv2d,conv2d_backward", "--version", "engine"],
                 BOXPROMPT_CUDA_PRODUCTS="own")
            own = json.loads(found.read_text())["rows"]
        for row in report["rows"]:
            if row["version"] == "engine" and row["op"] in {r["op"] for r in own}:
                row["version"] = "library"
        report["rows"] += own
        for net, batch in NETS:
            with tempfile.TemporaryDirectory() as folder:
                found = pathlib.Path(folder) / "found.json"
                must([bench, "--device", self.device, "--dtype", "all", "--net", net, "--batch", batch, "--seconds", "2",
                      "--json", found])
                of_net = json.loads(found.read_text())
                report["nets"] += of_net["nets"]
                report["profiles"] += of_net["profiles"]
        return {"report": report}


def card(device):
    """What nvidia-smi says of the card, where it is there."""
    tool = shutil.which("nvidia-smi")
    if not tool or device == "simt":
        return {}
    fields = ["name", "driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "power.limit", "memory.total"]
    index = device.partition(":")[2] or "0"
    code, out, _ = run([tool, f"--query-gpu={','.join(fields)}", "--format=csv,noheader", "-i", index])
    return dict(zip(fields, (v.strip() for v in out.split(",")))) if code == 0 else {}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("--device", default="cuda")
    options.add_argument("--emulate", dest="device", action="store_const", const="simt",
                         help="on the emulator of CUDA's threads: what needs no GPU, in small")
    options.add_argument("--results", type=pathlib.Path, default=ROOT / "bench/results")
    options.add_argument("--only", help="comma-separated: tests, parity, sanitizer, training, benchmarks")
    given = options.parse_args()
    check = Check(given.build.resolve(), given.device)

    code, out, err = run([check.bin / "boxprompt", "devices", "--json"])
    if code:
        print(f"gpu-check: {(out + err).strip()}", file=sys.stderr)
        return 2
    devices = json.loads(out)
    kind = given.device.partition(":")[0]
    own = [d for d in devices["devices"] if d["device"].partition(":")[0] == kind]
    if not own:
        print(f"gpu-check: no device {given.device}: {devices.get('why_no_cuda', '')}", file=sys.stderr)
        return 2

    commit = run(["git", "rev-parse", "HEAD"])[1].strip() or os.environ.get("BOXPROMPT_COMMIT", "")
    results = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
               "commit": commit, "device": own[0], "card": card(given.device), "checks": {}}
    wanted = given.only.split(",") if given.only else ["tests", "parity", "sanitizer", "training", "benchmarks"]
    failed = False
    for name in wanted:
        print(f"== {name} ", end="", flush=True)
        try:
            results["checks"][name] = {"passed": True, **getattr(check, name)()}
            print("passed")
        except Skip as why:
            results["checks"][name] = {"skipped": str(why)}
            print(f"skipped: {why}")
        except (RuntimeError, subprocess.TimeoutExpired) as why:
            results["checks"][name] = {"passed": False, "error": str(why)}
            failed = True
            print(f"FAILED\n{why}")
    given.results.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "_", own[0]["name"].lower()).strip("_")
    path = given.results / f"{name}.json"
    path.with_suffix(".part").write_text(json.dumps(results, indent=1) + "\n")
    path.with_suffix(".part").rename(path)
    ceilings = results["checks"].get("benchmarks", {}).get("report", {}).get("ceilings", {})
    if ceilings:
        print(f"copy {ceilings['copy_gb_per_s']:,.0f} GB/s, products "
              + ", ".join(f"{t} {rate / 1e3:,.0f} TFLOP/s" for t, rate in ceilings["peak_gflop_per_s"].items()))
    print(f"written: {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
