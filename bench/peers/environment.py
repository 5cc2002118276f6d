"""The packages that the comparison needs: those that can be imported, else a virtual environment of its own."""
import importlib.util
import os
import subprocess
import sys
import venv

PACKAGES = {"numpy": "numpy", "torch": "torch", "onnx": "onnx", "onnxruntime": "onnxruntime", "PIL": "pillow"}
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
INSIDE = "BOXPROMPT_PEERS_VENV"


def missing():
    return [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]


def ensure(folder):
    """Returns where everything can be imported; else goes on with this program's arguments in the environment at `folder`,
    which is made and filled if need be."""
    wanted = missing()
    if not wanted:
        return
    if os.environ.get(INSIDE):
        sys.exit(f"run.py: {', '.join(wanted)} cannot be imported although pip installed them in {folder}")
    python = os.path.join(folder, "bin", "python3")
    if not os.path.exists(python):
        print(f"run.py: {', '.join(wanted)} are not here: making a virtual environment in {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet"]
    # PyPI's PyTorch brings CUDA's libraries along; the one without them is smaller, where it can be had.
    if subprocess.run([*pip, "--index-url", CPU_WHEELS, "torch"], stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run([*pip, "torch"], check=True)
    subprocess.run([*pip, *PACKAGES.values()], check=True)
    os.execve(python, [python, *sys.argv], {**os.environ, INSIDE: "1"})
