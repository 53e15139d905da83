"""A deconvnet written out: unpool, rectify, filter, layer by layer from the top down, without autograd.

It stands apart from the product on purpose: it knows a list of `nn` layers and blocks of them, keeps what each layer
needs on the way up (sizes, switches, signs), and on the way down carries a picture through each layer by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

Down = Callable[[Tensor], Tensor]
"""From what arrives at a layer's output to what arrives at its input."""


class Sum(nn.Module):
    """The sum of its branches; a branch without layers is the input itself."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        total = self.branches[0](x)
        for branch in list(self.branches)[1:]:
            total = total + branch(x)
        return total


class Join(nn.Module):
    """Its branches' maps, one after another by channel."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Part(nn.Module):
    """Some of the maps, or all of them in another order."""

    def __init__(self, maps: Iterable[int]) -> None:
        super().__init__()
        self.maps = list(maps)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.maps]


def deconvnet(
    layers: Iterable[nn.Module], image: Tensor, unit: int, position: tuple[int, int] | None, guided: bool = False
) -> Tensor:
    """The projection of one activation of the last layer; image (1, channels, rows, columns)."""
    with torch.no_grad():
        x, downs = up(layers, image, guided)
        flat = x[0, unit].flatten()
        place = int(flat.argmax()) if position is None else position[0] * x.shape[3] + position[1]
        arriving = torch.zeros_like(x)
        arriving.view(*x.shape[:2], -1)[0, unit, place] = 1
        return down(downs, arriving)[0]


def up(layers: Iterable[nn.Module], x: Tensor, guided: bool) -> tuple[Tensor, list[Down]]:
    downs: list[Down] = []
    for layer in layers:
        x, back = one_up(layer, x, guided)
        downs.append(back)
    return x, downs


def down(downs: list[Down], arriving: Tensor) -> Tensor:
    for back in reversed(downs):
        arriving = back(arriving)
    return arriving


def one_up(  # noqa: PLR0911, PLR0912 - a branch for each kind of layer
    layer: nn.Module, x: Tensor, guided: bool
) -> tuple[Tensor, Down]:
    match layer:
        case nn.Sequential():
            y, downs = up(layer, x, guided)
            return y, lambda a: down(downs, a)
        case Sum():
            ups = [one_up(branch, x, guided) for branch in layer.branches]
            return sum((y for y, _ in ups[1:]), ups[0][0]), lambda a: sum(
                (back(a) for _, back in ups[1:]), ups[0][1](a)
            )
        case Join():
            ups = [one_up(branch, x, guided) for branch in layer.branches]
            sizes = [y.shape[1] for y, _ in ups]
            return torch.cat([y for y, _ in ups], 1), lambda a: sum(
                (back(part) for (_, back), part in zip(ups, a.split(sizes, 1), strict=True)), torch.zeros_like(x)
            )
        case Part():
            return layer(x), lambda a: torch.zeros_like(x).index_copy(1, torch.tensor(layer.maps), a)
        case nn.ConvTranspose2d():
            return layer(x), lambda a: F.conv2d(a, layer.weight, None, layer.stride)
        case nn.Conv2d():
            return layer(x), lambda a: filtered(layer, a, x.shape)
        case nn.ReLU():
            y = x.clamp(min=0)
            return y, (lambda a: a.clamp(min=0) * (y > 0)) if guided else (lambda a: a.clamp(min=0))
        case nn.ReLU6():
            y = x.clamp(0, 6)
            return y, (lambda a: a.clamp(min=0) * (x > 0) * (x < 6)) if guided else (lambda a: a.clamp(min=0))
        case nn.MaxPool2d():
            y, switches = F.max_pool2d(
                x, layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode, return_indices=True
            )
            return y, lambda a: unpooled(a, switches, x.shape)
        case nn.AvgPool2d():
            return averaged(layer, x)
        case nn.BatchNorm2d():
            assert layer.running_mean is not None
            assert layer.running_var is not None
            scale = (layer.weight / torch.sqrt(layer.running_var + layer.eps))[None, :, None, None]
            shift = layer.bias[None, :, None, None] - layer.running_mean[None, :, None, None] * scale
            return x * scale + shift, lambda a: a * scale
        case nn.LocalResponseNorm():
            return normalized(layer, x)
        case nn.Flatten():
            return x.flatten(1)[:, :, None, None], lambda a: a.view(x.shape)
        case nn.Linear():
            y = F.linear(x[:, :, 0, 0], layer.weight, layer.bias)[:, :, None, None]
            return y, lambda a: (a[:, :, 0, 0] @ layer.weight)[:, :, None, None]
        case nn.Dropout() | nn.Dropout2d() | nn.Identity():
            return x, lambda a: a
        case nn.ZeroPad2d():
            left, right, top, bottom = layer.padding
            y = F.pad(x, (left, right, top, bottom))
            return y, lambda a: a[:, :, top : a.shape[2] - bottom, left : a.shape[3] - right]
        case _:
            raise TypeError(f"the reference knows no {type(layer).__name__}")


def filtered(layer: nn.Conv2d, arriving: Tensor, shape: torch.Size) -> Tensor:
    """Filtering with the transposed filters; positions that no window reached get nothing."""
    sizes = zip(
        shape[2:], arriving.shape[2:], layer.stride, layer.kernel_size, layer.dilation, layer.padding, strict=True
    )
    rest = [n - ((m - 1) * s + d * (k - 1) + 1 - 2 * int(p)) for n, m, s, k, d, p in sizes]
    assert not isinstance(layer.padding, str)
    return F.conv_transpose2d(
        arriving,
        layer.weight,
        None,
        layer.stride,
        layer.padding,
        tuple(rest),
        layer.groups,
        layer.dilation,  # pyright: ignore[reportArgumentType]
    )


def unpooled(arriving: Tensor, switches: Tensor, shape: torch.Size) -> Tensor:
    """Each value back to where its maximum was; where several windows took the same one, they add up."""
    flat = torch.zeros(shape).flatten(2).to(arriving)
    flat.scatter_add_(2, switches.flatten(2), arriving.flatten(2))
    return flat.view(shape)


def averaged(layer: nn.AvgPool2d, x: Tensor) -> tuple[Tensor, Down]:
    """Each window's mean; on the way down every pixel of the window gets its share."""
    pick = torch.eye(x[0, 0].numel(), dtype=x.dtype).view(-1, 1, *x.shape[2:])
    shares = layer(pick)[:, 0].flatten(1)  # (pixel, position)
    y = (x.flatten(2) @ shares).view(*x.shape[:2], *layer(x).shape[2:])
    return y, lambda a: (a.flatten(2) @ shares.T).view(x.shape)


def normalized(layer: nn.LocalResponseNorm, x: Tensor) -> tuple[Tensor, Down]:
    """y_c = x_c · s_c^-β, s_c = k + α/n Σ_{j near c} x_j²; down by the transpose of its Jacobian
    dy_c/dx_j = [c = j] s_c^-β - 2 α β / n · x_c x_j s_c^(-β-1) [j near c]."""
    n, channels = layer.size, x.shape[1]
    c, j = torch.arange(channels)[:, None], torch.arange(channels)[None]
    near = ((j >= c - n // 2) & (j <= c + (n - 1) // 2)).to(x)
    s = layer.k + layer.alpha / n * torch.einsum("cj,njhw->nchw", near, x**2)

    def back(a: Tensor) -> Tensor:
        crossed = torch.einsum("cj,nchw->njhw", near, a * x * s ** (-layer.beta - 1))
        return a * s**-layer.beta - 2 * layer.alpha * layer.beta / n * x * crossed

    return x * s**-layer.beta, back
