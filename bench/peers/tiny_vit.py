"""TinyViT-5M's trunk in PyTorch, from its published description (Wu et al., ECCV 2022), names as in its checkpoints.

Attention can be computed in two ways: "published" and "fused", as in sam.py.
"""
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

DIMS, DEPTHS, HEADS, WINDOWS, HEAD_DIM = (64, 128, 160, 320), (2, 2, 6, 2), (2, 4, 5, 10), (7, 7, 14, 7), 32


class ConvBn(nn.Module):
    def __init__(self, i, o, kernel=1, stride=1, groups=1):
        super().__init__()
        self.c = nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(o)

    def forward(self, x):
        return self.bn(self.c(x))

    def fuse(self):
        self.c, self.bn = fuse_conv_bn_eval(self.c, self.bn), nn.Identity()


class Convs(nn.Module):
    """MBConv, or a merging: the same three convolutions without the shortcut."""

    def __init__(self, i, hidden, o, stride, shortcut):
        super().__init__()
        self.conv1, self.conv3, self.shortcut = ConvBn(i, hidden), ConvBn(hidden, o), shortcut
        self.conv2 = ConvBn(hidden, hidden, 3, stride, hidden)

    def forward(self, x):
        y = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return F.gelu(x + y) if self.shortcut else y


class Attention(nn.Module):
    def __init__(self, dim, heads, window, way):
        super().__init__()
        self.heads, self.way, self.norm = heads, way, nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        y, x = torch.arange(window).repeat_interleave(window), torch.arange(window).repeat(window)
        index = (y[:, None] - y).abs() * window + (x[:, None] - x).abs()
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("table", None, persistent=False)

    def fuse(self):
        self.table = self.attention_biases.detach()[:, self.index]

    def forward(self, x):  # [windows, tokens, dim]
        b, n, dim = x.shape
        q, k, v = self.qkv(self.norm(x)).view(b, n, self.heads, 3 * HEAD_DIM).transpose(1, 2).chunk(3, -1)
        table = self.attention_biases[:, self.index] if self.table is None else self.table
        if self.way == "fused":
            y = F.scaled_dot_product_attention(q, k, v, table.to(q.dtype))
        else:
            y = (q @ k.transpose(-2, -1) * HEAD_DIM ** -0.5 + table).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(b, n, dim))


class Mlp(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    def __init__(self, dim, heads, window, way):
        super().__init__()
        self.window, self.attn, self.mlp = window, Attention(dim, heads, window, way), Mlp(dim)
        self.local_conv = ConvBn(dim, dim, 3, 1, dim)

    def forward(self, x):  # [N, C, H, W]
        n, c, h, w = x.shape
        s = self.window
        t = x.permute(0, 2, 3, 1)
        if h % s or w % s:
            t = F.pad(t, (0, 0, 0, -w % s, 0, -h % s))
        rows, columns, padded = t.shape[1] // s, t.shape[2] // s, t.shape
        t = t.reshape(n, rows, s, columns, s, c).transpose(2, 3).reshape(-1, s * s, c)
        t = self.attn(t).view(n, rows, columns, s, s, c).transpose(2, 3).reshape(padded)[:, :h, :w]
        x = self.local_conv(x + t.permute(0, 3, 1, 2))
        return x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Stage(nn.Module):
    def __init__(self, blocks, downsample):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        if downsample:
            self.downsample = downsample


class TinyViT(nn.Module):
    def __init__(self, way="published", last_stride=2):
        """last_stride: of the last merging; 2 as published, 1 in MobileSAM."""
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.seq = nn.Sequential(ConvBn(3, 32, 3, 2), nn.GELU(), ConvBn(32, DIMS[0], 3, 2))
        stages = []
        for s, dim in enumerate(DIMS):
            blocks = [Convs(dim, 4 * dim, dim, 1, True) if s == 0 else Block(dim, HEADS[s], WINDOWS[s], way)
                      for _ in range(DEPTHS[s])]
            stride = last_stride if s == 2 else 2
            stages.append(Stage(blocks, Convs(dim, DIMS[s + 1], DIMS[s + 1], stride, False) if s < 3 else None))
        self.layers = nn.ModuleList(stages)

    def forward(self, x):
        """The four stages' outputs before their mergings."""
        x, features = self.patch_embed.seq(x), []
        for stage in self.layers:
            for block in stage.blocks:
                x = block(x)
            features.append(x)
            if hasattr(stage, "downsample"):
                x = stage.downsample(x)
        return features

    def fuse(self):
        """For inference: BatchNorm into the convolutions, tables of biases looked up once."""
        for module in list(self.modules()):
            if isinstance(module, (ConvBn, Attention)):
                module.fuse()
        return self
