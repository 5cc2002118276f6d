"""PyTorch's side, in whichever way of computing is fastest there."""
import itertools
import time

import torch

import sam
import tensors
from tiny_vit import TinyViT


def load(model, weights, prefix="", parts=("",), assign=False):
    """What the file holds under prefix + part, by its name after the prefix; assign: on the file's pages, without a copy."""
    wanted = tuple(prefix + part for part in parts)
    state = {name.removeprefix(prefix): torch.from_numpy(a) for name, a in tensors.read(weights).items() if name.startswith(wanted)}
    missing, unexpected = model.load_state_dict(state, strict=False, assign=assign)
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise SystemExit(f"run.py: weights do not fit: missing {missing}, unexpected {unexpected}")
    return model


def build(case, weights, way, assign=False):
    """The case's network in f32, for training or ready for inference, with BatchNorm folded."""
    if case.net.endswith(".decoder"):
        parts = ("prompt_encoder.", "mask_decoder.")
        return load(sam.Decoder(way), weights, parts=parts, assign=assign).prepare().eval()
    if case.net == "sam_vit_b.encoder":
        return load(sam.Vit(way), weights, "image_encoder.", assign=assign).eval()
    if case.net == "sam_vit_t.encoder":
        return load(sam.MobileEncoder(way), weights, "image_encoder.", assign=assign).eval().fuse()
    model = load(TinyViT(way), weights, assign=assign)
    return model if case.training else model.eval().fuse()


class Candidate:
    """One way of computing a case."""

    def __init__(self, case, weights, dtype, way, layout, assign=False):
        self.case, self.dtype = case, dtype
        self.model = build(case, weights, way, assign)
        if not case.training:
            self.model.to(dtype)
        memory = torch.channels_last if layout == "channels last" else torch.contiguous_format
        self.model.to(memory_format=memory)
        self.inputs = {name: torch.from_numpy(a) for name, a in case.inputs().items()}
        self.inputs = {name: t.to(t.dtype if case.training else dtype, memory_format=memory if t.ndim == 4 else
                                  torch.contiguous_format) for name, t in self.inputs.items()}
        self.cotangent = self.inputs.pop("cotangent", None)
        if case.training:
            self.adamw = torch.optim.AdamW(self.model.parameters(), lr=1e-6, weight_decay=0.05)

    def forward(self):
        with torch.inference_mode():
            return self.model(*self.inputs.values())

    def gradients(self):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            features = self.model(*self.inputs.values())
        features[3].backward(self.cotangent.to(features[3].dtype))
        return features

    def step(self):
        self.gradients()
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)

    def seconds(self):
        start = time.perf_counter()
        self.step() if self.case.training else self.forward()
        return time.perf_counter() - start

    def outputs(self):
        result = self.gradients() if self.case.training else self.forward()
        result = [result] if isinstance(result, torch.Tensor) else result
        named = dict(zip(self.case.outputs(), result))
        if self.case.training:
            named |= {name: p.grad for name, p in self.model.named_parameters()}
            self.adamw.zero_grad(set_to_none=True)
        return {name: t.detach().float().numpy() for name, t in named.items()}


def variants(case):
    layouts = ["contiguous"] if "vit_b" in case.net else ["contiguous", "channels last"]
    return [" ".join(v) for v in itertools.product(["published", "fused"], layouts)]


def candidate(case, weights, dtype, variant, assign=False):
    way, _, layout = variant.partition(" ")
    return Candidate(case, weights, torch.bfloat16 if dtype == "bf16" else torch.float32, way,
                     layout, assign)


class Torch:
    def __init__(self, case, weights, dtype, choices):
        """choices: what was found fastest before, by key; extended where this case is new."""
        names = variants(case)
        key = f"PyTorch {torch.__version__} {case.name} {dtype}, {torch.get_num_threads()} threads, {len(names)} ways"
        if key not in choices:
            choices[key] = min((self.trial(candidate(case, weights, dtype, name), case), name) for name in names)[1]
        self.variant = choices[key]
        self.peer = candidate(case, weights, dtype, self.variant)
        self.run, self.outputs = self.peer.seconds, self.peer.outputs

    @staticmethod
    def trial(peer, case):
        peer.seconds()
        return min(peer.seconds() for _ in range(case.repeat + 1))

    def close(self):
        pass
