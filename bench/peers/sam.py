"""SAM in PyTorch, from its published description (Kirillov et al., ICCV 2023; Zhang et al. 2023 for MobileSAM), names as in its
checkpoints: the image encoders at 1024 x 1024, and prompt encoder with mask decoder for boxes, one mask each.

Every attention can be computed in two ways: "published", a product, what is added, softmax, a product; and "fused", by
F.scaled_dot_product_attention, where what is added is one mask.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F

from tiny_vit import TinyViT

GRID, WINDOW = 64, 14


class LayerNorm2d(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):  # [N,C,H,W]
        return F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    def __init__(self, dim, hidden, activation):
        super().__init__()
        self.lin1, self.lin2, self.activation = nn.Linear(dim, hidden), nn.Linear(hidden, dim), activation

    def forward(self, x):
        return self.lin2(self.activation(self.lin1(x)))


def neck(dim):
    return nn.Sequential(nn.Conv2d(dim, 256, 1, bias=False), LayerNorm2d(256),
                         nn.Conv2d(256, 256, 3, padding=1, bias=False), LayerNorm2d(256))


class VitAttention(nn.Module):
    def __init__(self, dim, heads, side, way):
        super().__init__()
        self.heads, self.side, self.way = heads, side, way
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, dim // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, dim // heads))
        at = torch.arange(side)
        self.register_buffer("index", at[:, None] - at + side - 1, persistent=False)

    def forward(self, x):  # [N,side,side,dim]
        n, s, _, dim = x.shape
        d = dim // self.heads
        q, k, v = self.qkv(x).view(n, s * s, 3, self.heads, d).permute(2, 0, 3, 1, 4).unbind(0)
        grid = q.reshape(n * self.heads, s, s, d)  # relative positions are of the unscaled query
        rel_h = torch.einsum("nhwd,hkd->nhwk", grid, self.rel_pos_h[self.index]).contiguous()[..., :, None]
        rel_w = torch.einsum("nhwd,wkd->nhwk", grid, self.rel_pos_w[self.index]).contiguous()[..., None, :]
        if self.way == "fused":
            y = F.scaled_dot_product_attention(q, k, v, (rel_h + rel_w).view(n, self.heads, s * s, s * s))
        else:
            logits = (q * d ** -0.5) @ k.transpose(-2, -1)
            logits = (logits.view(n * self.heads, s, s, s, s) + rel_h + rel_w).view(n, self.heads, s * s, s * s)
            y = logits.softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(n, s, s, dim))


class VitBlock(nn.Module):
    def __init__(self, dim, heads, window, way):
        super().__init__()
        self.window, self.attn = window, VitAttention(dim, heads, window or GRID, way)
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim, F.gelu)

    def forward(self, x):  # [N,64,64,dim]
        x = x + (self.windows(self.norm1(x)) if self.window else self.attn(self.norm1(x)))
        return x + self.mlp(self.norm2(x))

    def windows(self, x):
        n, h, w, c = x.shape
        s = self.window
        padded = F.pad(x, (0, 0, 0, -w % s, 0, -h % s))
        rows, columns = padded.shape[1] // s, padded.shape[2] // s
        y = self.attn(padded.view(n, rows, s, columns, s, c).transpose(2, 3).reshape(-1, s, s, c))
        return y.view(n, rows, columns, s, s, c).transpose(2, 3).reshape(padded.shape)[:, :h, :w]


class Vit(nn.Module):
    """ViT-B."""

    def __init__(self, way, dim=768, heads=12, depth=12, global_blocks=(2, 5, 8, 11)):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, GRID, GRID, dim))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, dim, 16, 16)
        self.blocks = nn.ModuleList(VitBlock(dim, heads, 0 if i in global_blocks else WINDOW, way) for i in range(depth))
        self.neck = neck(dim)

    def forward(self, image):  # [N,3,1024,1024], normalised -> [N,256,64,64]
        x = self.patch_embed.proj(image).permute(0, 2, 3, 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))


class MobileEncoder(TinyViT):
    def __init__(self, way):
        super().__init__(way, last_stride=1)
        self.neck = neck(320)

    def forward(self, image):
        return self.neck(super().forward(image)[3])


class PromptEncoder(nn.Module):
    """Of boxes [B,4] in pixels of the resized image. The weights for masks and points are there so that a checkpoint fits."""

    def __init__(self):
        super().__init__()
        self.pe_layer = nn.Module()
        self.pe_layer.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(2, 128))
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, 256) for _ in range(4))
        self.not_a_point_embed, self.no_mask_embed = nn.Embedding(1, 256), nn.Embedding(1, 256)
        self.mask_downscaling = nn.Sequential(nn.Conv2d(1, 4, 2, 2), LayerNorm2d(4), nn.GELU(), nn.Conv2d(4, 16, 2, 2),
                                              LayerNorm2d(16), nn.GELU(), nn.Conv2d(16, 256, 1))

    def encode(self, position):  # [...,2] in [0,1]
        angle = 2 * math.pi * ((2 * position - 1) @ self.pe_layer.positional_encoding_gaussian_matrix)
        return torch.cat([angle.sin(), angle.cos()], -1)

    def grid(self):
        at = (torch.arange(GRID) + 0.5) / GRID
        at = torch.stack([at.expand(GRID, GRID), at[:, None].expand(GRID, GRID)], -1)
        return self.encode(at.to(self.no_mask_embed.weight.dtype)).view(1, GRID * GRID, 256)

    def forward(self, boxes):
        corners = torch.cat([self.point_embeddings[2].weight, self.point_embeddings[3].weight])
        return self.encode((boxes.view(-1, 2, 2) + 0.5) / 1024) + corners


class CrossAttention(nn.Module):
    def __init__(self, inner, way):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(256, inner) for _ in range(3))
        self.out_proj, self.way = nn.Linear(inner, 256), way

    def forward(self, q, k, v):
        q, k, v = (f(x).unflatten(-1, (8, -1)).transpose(1, 2)
                   for f, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v)))
        if self.way == "fused":
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) @ v
        return self.out_proj(y.transpose(1, 2).flatten(-2))


class TwoWayBlock(nn.Module):
    def __init__(self, first, way):
        super().__init__()
        self.first, self.self_attn = first, CrossAttention(256, way)
        self.cross_attn_token_to_image, self.cross_attn_image_to_token = CrossAttention(128, way), CrossAttention(128, way)
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(256) for _ in range(4))
        self.mlp = Mlp(256, 2048, F.relu)

    def forward(self, queries, keys, query_pe, key_pe):
        if self.first:
            queries = self.self_attn(queries, queries, queries)
        else:
            q = queries + query_pe
            queries = queries + self.self_attn(q, q, queries)
        queries = self.norm1(queries)
        keys_at = keys + key_pe
        queries = self.norm2(queries + self.cross_attn_token_to_image(queries + query_pe, keys_at, keys))
        queries = self.norm3(queries + self.mlp(queries))
        return queries, self.norm4(keys + self.cross_attn_image_to_token(keys_at, queries + query_pe, queries))


class Mlp3(nn.Module):
    def __init__(self, hidden, out):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(256, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, out)])

    def forward(self, x):
        return self.layers[2](self.layers[1](self.layers[0](x).relu()).relu())


class MaskDecoder(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.transformer = nn.Module()
        self.transformer.layers = nn.ModuleList([TwoWayBlock(True, way), TwoWayBlock(False, way)])
        self.transformer.final_attn_token_to_image = CrossAttention(128, way)
        self.transformer.norm_final_attn = nn.LayerNorm(256)
        self.iou_token, self.mask_tokens = nn.Embedding(1, 256), nn.Embedding(4, 256)
        self.output_upscaling = nn.Sequential(nn.ConvTranspose2d(256, 64, 2, 2), LayerNorm2d(64), nn.GELU(),
                                              nn.ConvTranspose2d(64, 32, 2, 2), nn.GELU())
        self.output_hypernetworks_mlps = nn.ModuleList(Mlp3(256, 32) for _ in range(4))
        self.iou_prediction_head = Mlp3(256, 4)

    def forward(self, image, grid, sparse):  # [1,256,64,64], [1,4096,256], [B,2,256] -> the first of the four masks
        n = sparse.shape[0]
        tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).expand(n, -1, -1)
        tokens = torch.cat([tokens, sparse], 1)
        queries, keys = tokens, image.flatten(2).transpose(1, 2).expand(n, -1, -1)
        for block in self.transformer.layers:
            queries, keys = block(queries, keys, tokens, grid)
        queries = queries + self.transformer.final_attn_token_to_image(queries + tokens, keys + grid, keys)
        queries = self.transformer.norm_final_attn(queries)
        upscaled = self.output_upscaling(keys.transpose(1, 2).view(n, 256, GRID, GRID))
        weights = self.output_hypernetworks_mlps[0](queries[:, 1:2])
        logits = (weights @ upscaled.flatten(2)).view(n, 1, 4 * GRID, 4 * GRID)
        return logits, self.iou_prediction_head(queries[:, 0])[:, :1]


class Decoder(nn.Module):
    """Embedding [1,256,64,64] and boxes [B,4] to logits [B,1,256,256] and predicted IoU [B,1]."""

    def __init__(self, way):
        super().__init__()
        self.prompt_encoder, self.mask_decoder = PromptEncoder(), MaskDecoder(way)
        self.register_buffer("grid", torch.zeros(1, GRID * GRID, 256), persistent=False)

    def prepare(self):
        """Once the weights are there: the grid's encoding is the same for all images."""
        self.grid = self.prompt_encoder.grid()
        return self

    def forward(self, embedding, boxes):
        image = embedding + self.prompt_encoder.no_mask_embed.weight.view(1, 256, 1, 1)
        return self.mask_decoder(image, self.grid, self.prompt_encoder(boxes))
