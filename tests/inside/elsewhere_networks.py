"""Small networks as well-known repositories write them: decoders that enlarge maps, and blocks of attention."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


def double_conv(i: int, o: int, act: nn.Module) -> nn.Sequential:
    first = [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), act]
    return nn.Sequential(*first, nn.Conv2d(o, o, 3, padding=1), nn.GroupNorm(2, o), act)


class Up(nn.Module):
    """milesial's Pytorch-UNet: enlarged by interpolation or transposed convolution, padded to the skip's size."""

    def __init__(self, i: int, o: int, bilinear: bool, act: nn.Module) -> None:
        super().__init__()
        interpolated = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.up = interpolated if bilinear else nn.ConvTranspose2d(i, i, 2, stride=2)
        self.conv = double_conv(i + o, o, act)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        x1 = self.up(x1)
        rows, columns = x2.size(2) - x1.size(2), x2.size(3) - x1.size(3)
        x1 = F.pad(x1, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    """Two steps down, two steps up."""

    def __init__(self, bilinear: bool, act: nn.Module) -> None:
        super().__init__()
        self.inc, self.down1, self.down2 = double_conv(3, 4, act), double_conv(4, 6, act), double_conv(6, 6, act)
        self.pool = nn.MaxPool2d(2)
        self.up1, self.up2 = Up(6, 6, bilinear, act), Up(6, 4, bilinear, act)
        self.outc = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.inc(x)
        x2 = self.down1(self.pool(x1))
        x3 = self.down2(self.pool(x2))
        return self.outc(self.up2(self.up1(x3, x2), x1))


class SuperResolution(nn.Module):
    """ESPCN's pixel shuffle, the residual of an interpolated image, and a clamp to what an image can be."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.act, self.conv2 = nn.Conv2d(3, 4, 5, padding=2), nn.PReLU(4), nn.Conv2d(4, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.last = nn.Hardtanh(-1.5, 2.5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.shuffle(self.conv2(self.act(self.conv1(x))))
        return self.last(y + F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False))


class NonLocal(nn.Module):
    """The embedded Gaussian of Wang et al. 2018, whose keys and values are pooled."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.theta, self.phi, self.g = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.pool, self.softmax, self.W = nn.MaxPool2d(2), nn.Softmax(dim=-1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, inner = x.size(0), self.theta.out_channels
        g_x = self.pool(self.g(x)).view(n, inner, -1).permute(0, 2, 1)
        theta_x = self.theta(x).view(n, inner, -1).permute(0, 2, 1)
        phi_x = self.pool(self.phi(x)).view(n, inner, -1)
        y = torch.matmul(self.softmax(torch.matmul(theta_x, phi_x)), g_x)
        y = y.permute(0, 2, 1).contiguous().view(n, inner, *x.size()[2:])
        return self.W(y) + x


class SelfAttention(nn.Module):
    """SAGAN's: a scale that is learned before what is attended to is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (
            nn.Conv2d(channels, 2, 1),
            nn.Conv2d(channels, 2, 1),
            nn.Conv2d(channels, channels, 1),
        )
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.size()
        q, k, v = (each(x).view(b, -1, h * w) for each in (self.query, self.key, self.value))
        attention = torch.softmax(torch.bmm(q.permute(0, 2, 1), k), dim=-1)
        return self.gamma * torch.bmm(v, attention.permute(0, 2, 1)).view(b, c, h, w) + x


class Heads(nn.Module):
    """timm's attention, in one of the ways to write it; with a bias for each pair of places, as in CoAtNet."""

    def __init__(self, dim: int, heads: int, places: int, way: str) -> None:
        super().__init__()
        self.heads, self.scale, self.way = heads, (dim // heads) ** -0.5, way
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.bias = nn.Parameter(torch.randn(heads, places, places))

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        if self.way == "fused":
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias)
        elif self.way == "einsum":
            scores = torch.einsum("bhid,bhjd->bhij", q, k) * self.scale + self.bias
            x = torch.einsum("bhij,bhjd->bhid", scores.softmax(dim=-1), v)
        elif self.way == "heads as a batch":
            q, k, v = (each.reshape(b * self.heads, n, -1) for each in (q, k, v))
            scores = torch.bmm(q / math.sqrt(c // self.heads), k.transpose(1, 2)) + self.bias
            x = torch.bmm(F.softmax(scores, dim=-1), v).view(b, self.heads, n, -1)
        else:
            x = ((q * self.scale) @ k.transpose(-2, -1) + self.bias).softmax(dim=-1) @ v
        return self.proj(x.transpose(1, 2).reshape(b, n, c))


WAYS = ("matmul", "fused", "einsum", "heads as a batch")


class Block(nn.Module):
    """A transformer's block on the positions of maps: norms before, a GELU by tanh, and a place for each position."""

    def __init__(self, dim: int, places: int, way: str = "matmul") -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = Heads(dim, 2, places, way)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(approximate="tanh"), nn.Linear(2 * dim, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, places, dim))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        x = x.flatten(2).transpose(1, 2) + self.pos_embed
        x = x + self.attn(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return x.transpose(1, 2).reshape(b, c, h, w)


class Windows(nn.Module):
    """MaxViT's: attention within windows, which stand where the images of a batch do, after Swin's shift."""

    def __init__(self, dim: int, side: int) -> None:
        super().__init__()
        self.side, self.norm = side, nn.LayerNorm(dim)
        self.attn, self.proj = Heads(dim, 2, side * side, "fused"), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        s, rows, columns = self.side, h // self.side, w // self.side
        x = x.permute(0, 2, 3, 1).contiguous()
        y = torch.roll(self.norm(x), shifts=(-1, -1), dims=(1, 2)).view(b, rows, s, columns, s, c)
        y = self.proj(y.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, s, s, c))
        y = self.attn(y.view(-1, s * s, c)).view(b, rows, columns, s, s, c)
        y = y.permute(0, 1, 3, 2, 4, 5).contiguous().view(b, h, w, c)
        return (x + torch.roll(y, shifts=(1, 1), dims=(1, 2))).permute(0, 3, 1, 2)


class Encoder(nn.Module):
    """torch's own: nn.MultiheadAttention, with the positions or the batch first."""

    def __init__(self, dim: int, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.self_attn = nn.MultiheadAttention(dim, 2, batch_first=batch_first)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        whole, x = x.shape, x.flatten(2).permute(*((0, 2, 1) if self.batch_first else (2, 0, 1)))
        z = self.norm(x)
        x = x + self.self_attn(z, z, z, need_weights=False)[0]
        return x.permute(*((0, 2, 1) if self.batch_first else (1, 2, 0))).reshape(whole)


def with_attention(*blocks: nn.Module) -> nn.Module:
    """A CNN of four channels with blocks of attention on maps of 5x4, and a head."""
    stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Mish())
    return nn.Sequential(stem, *blocks, nn.Conv2d(4, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))


ELSEWHERE: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "unet": (lambda: UNet(False, nn.ReLU()), (3, 14, 13)),
    "unet_bilinear": (lambda: UNet(True, nn.Softplus()), (3, 14, 13)),
    "super_resolution": (SuperResolution, (3, 7, 6)),
    "non_local": (lambda: with_attention(NonLocal(4, 2), SelfAttention(4)), (3, 11, 9)),
    "coatnet": (lambda: with_attention(Block(4, 20), Block(4, 20, "fused")), (3, 11, 9)),
    "maxvit": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Windows(4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        (3, 8, 11),
    ),
    "encoder": (lambda: with_attention(Encoder(4, True), Encoder(4, False)), (3, 11, 9)),
}
"""Name -> what builds it, and the shape of an image."""
