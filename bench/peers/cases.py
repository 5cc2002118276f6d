"""What is compared: networks, their inputs, and how often they run in one measurement."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    name: str    # on the command line
    title: str   # in the table
    net: str     # as boxprompt-peer calls it; up to the dot as `boxprompt weights make` does
    batch: int   # images, or boxes of a decoder
    repeat: int  # runs in one measurement, of which the fastest counts
    training: bool = False

    @property
    def architecture(self):
        return self.net.split(".")[0]

    @property
    def rounds(self):
        """Whether any of our part of the network is bf16 where that is asked for."""
        return not self.net.endswith(".decoder")

    def inputs(self):
        import numpy as np  # not at the top: environment.py may still have to install it
        random = np.random.default_rng(self.batch)

        def normal(*shape, scale=1.0):
            return scale * random.standard_normal(shape, np.float32)

        if self.net.endswith(".encoder"):
            return {"image": normal(self.batch, 3, 1024, 1024)}
        if self.net.endswith(".decoder"):
            corner = random.uniform(0, 600, (self.batch, 2))
            boxes = np.concatenate([corner, corner + random.uniform(50, 400, (self.batch, 2))], 1)
            return {"embedding": normal(1, 256, 64, 64), "boxes": boxes.astype(np.float32)}
        inputs = {"image": normal(self.batch, 3, 224, 224, scale=2)}
        if self.training:
            inputs["cotangent"] = normal(self.batch, 320, 7, 7) / self.batch
        return inputs

    def outputs(self):
        if self.net.endswith(".encoder"):
            return ["embedding"]
        if self.net.endswith(".decoder"):
            return ["logits", "iou"]
        return [f"stage{i}" for i in range(4)]


CASES = [
    Case("vit_b", "SAM ViT-B encoder, 1024", "sam_vit_b.encoder", 1, 1),
    Case("mobile", "MobileSAM encoder, 1024", "sam_vit_t.encoder", 1, 2),
    Case("decoder", "prompt encoder + mask decoder, one box", "sam_vit_b.decoder", 1, 10),
    Case("decoder16", "prompt encoder + mask decoder, 16 boxes", "sam_vit_b.decoder", 16, 2),
    Case("trunk", "TinyViT-5M at 224, batch 1", "tiny_vit_5m", 1, 10),
    Case("trunk8", "TinyViT-5M at 224, batch 8", "tiny_vit_5m", 8, 3),
    Case("train", "TinyViT-5M training step, batch 16", "tiny_vit_5m", 16, 1, training=True),
]
