"""ONNX Runtime's side: the PyTorch networks, exported; all graph optimizations."""
import os
import time

import onnxruntime
import torch

import torch_peer

OPSET = 20  # has GELU as one node, LayerNorm since 17


def export(case, weights, way, folder):
    """The case's network as ONNX, made once per folder."""
    path = os.path.join(folder, f"{case.net}.{case.batch}.{way}.onnx")
    if not os.path.exists(path):
        model = torch_peer.build(case, weights, way)
        inputs = {name: torch.from_numpy(a) for name, a in case.inputs().items()}
        temporary = path + ".part"
        with torch.no_grad():
            torch.onnx.export(model, tuple(inputs.values()), temporary, dynamo=False, opset_version=OPSET,
                              input_names=list(inputs), output_names=case.outputs())
        os.rename(temporary, path)
    return path


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class OnnxRuntime:
    def __init__(self, case, weights, folder, threads, choices):
        """choices: as in torch_peer.Torch."""
        self.case, self.inputs = case, case.inputs()
        key = f"ONNX Runtime {onnxruntime.__version__} {case.name}, {threads} threads"
        if key not in choices:
            choices[key] = min((self.trial(export(case, weights, way, folder), threads), way)
                               for way in ("published", "fused"))[1]
        self.variant = choices[key]
        self.session = session(export(case, weights, self.variant, folder), threads)

    def trial(self, path, threads):
        self.session = session(path, threads)
        self.run()
        return min(self.run() for _ in range(self.case.repeat + 1))

    def run(self):
        start = time.perf_counter()
        self.result = self.session.run(None, self.inputs)
        return time.perf_counter() - start

    def outputs(self):
        self.run()
        return dict(zip(self.case.outputs(), self.result))

    def close(self):
        pass
