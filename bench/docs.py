#!/usr/bin/env python3
"""Fills the tables of docs/kernels.md and docs/kernels/*.md from what was measured.

  docs.py [--check] [--root FOLDER]

Between `<!-- ladder NAME -->` and `<!-- /ladder -->` comes what each version of that ladder reached, by machine, from
ROOT/bench/results/*.json: files of `boxprompt-bench --json` and of bench/gpu_check.py. --check changes nothing and
says which files are stale (exit status 1).
"""
import argparse
import json
import pathlib
import re
import sys

MARKED = re.compile(r"(<!-- ladder (\w+) -->\n).*?(<!-- /ladder -->)", re.DOTALL)
MISSING = {"cpu": "Not measured yet on a processor.", "cuda": "Not measured yet on a GPU."}
SHAPES = 2  # columns are at most this many shapes, in both types


def reports(folder):
    """What boxprompt-bench found, the newest first."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            data = json.loads(path.read_text())
        except ValueError as e:
            raise SystemExit(f"docs.py: {path}: no JSON: {e}")
        card = data.get("card", {})
        if "boxprompt_bench" not in data:
            data = data.get("checks", {}).get("benchmarks", {}).get("report")
        if data and data.get("rows"):
            found.append({**data, "card": card})
    return sorted(found, key=lambda r: r["date"], reverse=True)


def unit(x, units):
    for size, name in units:
        if x >= size or size == units[-1][0]:
            y = x / size
            return f"{y:.3g}" + " " + name if y < 1000 else f"{y:.0f} {name}"


def seconds(s):
    return unit(s, [(1, "s"), (1e-3, "ms"), (1e-6, "µs")])


def ops(giga):
    return unit(giga, [(1e3, "TFLOP/s"), (1, "GFLOP/s"), (1e-3, "MFLOP/s")])


def bandwidth(giga):
    return unit(giga, [(1e3, "TB/s"), (1, "GB/s"), (1e-3, "MB/s")])


def cell(row):
    if row is None:
        return ""
    if row["status"] != "timed":
        return "-" if row["status"] == "left out" and "take" in row.get("why", "") else row["status"]
    rate = bandwidth(row["gb_per_s"]) if row["bound_by"] == "memory" else ops(row["gflop_per_s"])
    return f"{seconds(row['time']['seconds'])}, {rate}, {100 * row['fraction_of_ceiling']:.1f} %"


def machine(report):
    ceilings = report["ceilings"]
    peaks = ", ".join(f"{t} {ops(rate)}" for t, rate in sorted(ceilings.get("peak_gflop_per_s", {}).items(), reverse=True))
    with_threads = f", threads {report['threads']}" if report.get("threads") else ""
    return (f"**{report['name']}** ({report['device']}, {report['driver']}{with_threads}), {report['date'][:10]}, commit "
            f"{report['commit'][:12]}. Ceilings: copy {bandwidth(ceilings['copy_gb_per_s'])}, read "
            f"{bandwidth(ceilings['read_gb_per_s'])}, update {bandwidth(ceilings['update_gb_per_s'])}, {peaks}.")


def table(report, ladder):
    """Of one ladder in one report: a line per version, a column per shape and type."""
    rows = [r for r in report["rows"] if r["op"] == ladder]
    shapes = list(dict.fromkeys(r["shape"] for r in rows))[:SHAPES]
    columns = list(dict.fromkeys((r["shape"], r["dtype"]) for r in rows if r["shape"] in shapes))
    columns.sort(key=lambda c: (shapes.index(c[0]), c[1] != "f32"))
    cells = {(r["version"], r["shape"], r["dtype"]): r for r in rows}
    ideas = {r["version"]: r["idea"].rstrip(".").replace("|", "\\|") for r in rows}
    # Rungs in their order, then what the program uses.
    versions = sorted(ideas, key=lambda v: (not v[0].isdigit(), int(re.match(r"\d*", v).group() or 0), v))
    lines = [machine(report), "",
             "| version | what it changes | " + " | ".join(f"{s} {t}" for s, t in columns) + " |",
             "|---|---|" + "---|" * len(columns)]
    for v in versions:
        lines.append(f"| {v} | {ideas[v]} | " + " | ".join(cell(cells.get((v, *c))) for c in columns) + " |")
    return lines


def ladder_text(found, ladder):
    lines = ["", "Time of a call, rate, and share of the ceiling that binds: the measured bandwidth or arithmetic, whichever the",
             "version's least work would take longer on. Made by `./dev docs` from `bench/results`; `-`: it does not take that.",
             ""]
    for kind, missing in MISSING.items():
        own, seen = [], set()
        for r in found:
            timed = any(row["op"] == ladder and row["status"] == "timed" for row in r["rows"])
            if r["device"].partition(":")[0] == kind and timed and r["name"] not in seen:
                seen.add(r["name"])
                own.append(r)
        if not own:
            lines += [missing, ""]
        for r in own:
            lines += table(r, ladder) + [""]
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="change nothing, say what is stale")
    options.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    given = options.parse_args()
    found = reports(given.root / "bench/results")
    stale = []
    docs = given.root / "docs"
    for path in [docs / "kernels.md", *sorted((docs / "kernels").glob("*.md"))]:
        if not path.exists():
            continue
        text = path.read_text()
        opened, whole = len(re.findall(r"<!-- ladder ", text)), len(MARKED.findall(text))
        if opened != whole:
            raise SystemExit(f"docs.py: {path}: a ladder's table has no end, <!-- /ladder -->")
        filled = MARKED.sub(lambda m: m[1] + ladder_text(found, m[2]) + m[3], text)
        if filled == text:
            continue
        stale.append(path)
        if not given.check:
            path.write_text(filled)
    for path in stale:
        print(f"{path.relative_to(given.root)}: {'stale' if given.check else 'written'}")
    return 1 if given.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
