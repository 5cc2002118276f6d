"""Results as JSON and as a Markdown table."""
import datetime
import os
import platform
import statistics
import subprocess
import sys

BASIS = {"ours": ("ort", "torch"), "ours-bf16": ("ort", "torch-bf16")}  # a ratio's other side, by ours
TITLES = {"ours": "ours f32", "ours-bf16": "ours bf16", "ort": "ONNX Runtime f32", "torch": "PyTorch f32",
          "torch-bf16": "PyTorch bf16"}


def cpu_model():
    with open("/proc/cpuinfo") as f:
        return next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())


def commit():
    git = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=os.path.dirname(os.path.abspath(__file__)),
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return git.stdout.strip() or "unknown"


def context(threads):
    import onnxruntime
    import torch
    return {"date": datetime.date.today().isoformat(), "cpu": cpu_model(), "load": round(os.getloadavg()[0], 1),
            "threads": threads, "commit": commit(), "python": platform.python_version(), "torch": torch.__version__,
            "onnxruntime": onnxruntime.__version__}


def ratios(rounds):
    """Of each of ours to its peers: [median, least, largest] of the rounds' ratios; above 1 we are better. "best" is against
    the better f32 peer of each round."""
    result = {}
    for our, peers in BASIS.items():
        there = [p for p in peers if p in rounds]
        if our not in rounds or not there:
            continue
        sides = {p: rounds[p] for p in there}
        if our == "ours" and len(there) > 1:
            sides["best"] = [min(both) for both in zip(*(rounds[p] for p in there))]
        for peer, values in sides.items():
            each = [b / a for a, b in zip(rounds[our], values)]
            result[f"{peer} / {our}"] = [round(f(each), 3) for f in (statistics.median, min, max)]
    return result


def medians(result):
    return {side: statistics.median(values) for side, values in result["rounds"].items()}


def cell(value, unit):
    if value is None:
        return "-"
    if unit == "MB":
        return f"{value / 1e6:.0f} MB"
    return f"{1000 * value:.0f} ms" if value >= 0.1 else f"{1000 * value:.1f} ms"


def ratio_cell(ratio):
    return "-" if ratio is None else f"{ratio[0]:.2f} ({ratio[1]:.2f}-{ratio[2]:.2f})"


def line(result):
    m, r = medians(result), result["ratios"]
    best = r.get("best / ours") or r.get("torch / ours") or r.get("ort / ours")
    cells = [result["title"], *(cell(m.get(side), result["unit"]) for side in TITLES), ratio_cell(best),
             ratio_cell(r.get("ort / ours-bf16")), ratio_cell(r.get("torch-bf16 / ours-bf16"))]
    return "| " + " | ".join(cells) + " |"


def markdown(results):
    head = ["case", *TITLES.values(), "best f32 peer / ours f32", "ONNX Runtime / ours bf16", "PyTorch bf16 / ours bf16"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *(line(r) for r in results)]
    same = {tuple((k, v) for k, v in r["context"].items() if k != "load"): r["context"] for r in results}
    for c in same.values():
        titles = ", ".join(r["title"] for r in results if {**r["context"], "load": c["load"]} == c)
        lines.append(f"\n{titles}: {c['date']}, {c['cpu']}, {c['threads']} threads, commit {c['commit']}, "
                     f"PyTorch {c['torch']}, ONNX Runtime {c['onnxruntime']}; medians, ratios' median (least-largest).")
    return "\n".join(lines)


def say(text):
    print(text, file=sys.stderr, flush=True)
