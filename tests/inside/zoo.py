"""Small networks built as well-known libraries build the large ones, and each as a plain list of layers up to the
one that is looked at, for `deconvnet_reference`."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from deconvnet_reference import Join, Part, Sum
from torch import Tensor, nn

Reference = list[nn.Module]


def conv(i: int, o: int, kernel: int = 3, **options: int) -> nn.Conv2d:
    return nn.Conv2d(i, o, kernel, bias=False, **options)  # pyright: ignore[reportArgumentType]


class BasicBlock(nn.Module):
    """torchvision's: one ReLU, in place, used twice."""

    def __init__(self, i: int, o: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(i, o, stride=stride, padding=1), nn.BatchNorm2d(o)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv(o, o, padding=1), nn.BatchNorm2d(o)
        self.downsample = nn.Sequential(conv(i, o, 1, stride=stride), nn.BatchNorm2d(o)) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)

    def reference(self) -> Reference:
        body = nn.Sequential(self.conv1, self.bn1, nn.ReLU(), self.conv2, self.bn2)
        return [Sum(body, self.downsample or nn.Identity()), nn.ReLU()]


class Bottleneck(nn.Module):
    """timm's: three activations with names of their own, groups, and places for what is often left out."""

    def __init__(self, i: int, width: int, o: int, groups: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1, self.act1 = conv(i, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv2 = conv(width, width, padding=1, groups=groups)
        self.bn2, self.drop_block, self.act2 = nn.BatchNorm2d(width), nn.Identity(), nn.ReLU(inplace=True)
        self.aa = nn.AvgPool2d(2, 2)
        self.conv3, self.bn3, self.act3 = conv(width, o, 1), nn.BatchNorm2d(o), nn.ReLU(inplace=True)
        self.downsample = nn.Sequential(nn.AvgPool2d(2, 2), conv(i, o, 1), nn.BatchNorm2d(o))
        self.se = self.drop_path = None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.aa(self.act2(self.drop_block(self.bn2(self.conv2(x)))))
        x = self.bn3(self.conv3(x))
        if self.se is not None or self.drop_path is not None:
            raise AssertionError
        x += self.downsample(shortcut)
        return self.act3(x)

    def reference(self) -> Reference:
        body = [self.conv1, self.bn1, nn.ReLU(), self.conv2, self.bn2, nn.ReLU(), self.aa, self.conv3, self.bn3]
        return [Sum(nn.Sequential(*body), self.downsample), nn.ReLU()]


class ResNet(nn.Module):
    """torchvision's: a stem, layer1 ..., global average, classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, 6, 7, stride=2, padding=3), nn.BatchNorm2d(6)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(6, 6), BasicBlock(6, 6))
        self.layer2 = nn.Sequential(BasicBlock(6, 8, 2), Bottleneck(8, 4, 8, groups=2))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1)).softmax(1)

    def reference(self) -> Reference:
        blocks = [*self.layer1, *self.layer2]
        inner = [layer for block in blocks for layer in cast("BasicBlock | Bottleneck", block).reference()]
        return [self.conv1, self.bn1, nn.ReLU(), self.maxpool, *inner]


class BasicConv2d(nn.Module):
    def __init__(self, i: int, o: int, kernel: int, padding: int = 0) -> None:
        super().__init__()
        self.conv, self.bn = conv(i, o, kernel, padding=padding), nn.BatchNorm2d(o, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)

    def reference(self) -> nn.Sequential:
        return nn.Sequential(self.conv, self.bn, nn.ReLU())


class Inception(nn.Module):
    """torchvision's: four branches in a list, joined by channel."""

    def __init__(self, i: int) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(i, 3, 1)
        self.branch2 = nn.Sequential(BasicConv2d(i, 2, 1), BasicConv2d(2, 4, 3, padding=1))
        self.branch3 = nn.Sequential(BasicConv2d(i, 2, 1), BasicConv2d(2, 3, 5, padding=2))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), BasicConv2d(i, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)

    def reference(self) -> nn.Module:
        branches = [[self.branch1], list(self.branch2), list(self.branch3), list(self.branch4)]
        plain = [nn.Sequential(*(p.reference() if isinstance(p, BasicConv2d) else p for p in b)) for b in branches]
        return Join(*plain)


class GoogLeNet(nn.Module):
    """torchvision's: the input transformed in the forward pass; several outputs while training."""

    def __init__(self) -> None:
        super().__init__()
        self.transform_input = True
        self.conv1, self.maxpool1 = BasicConv2d(3, 6, 5, 2), nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm = nn.LocalResponseNorm(5, 0.3)
        self.inception3a, self.maxpool3 = Inception(6), nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a, self.dropout, self.fc = Inception(12), nn.Dropout(0.2), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.transform_input:
            first = torch.unsqueeze(x[:, 0], 1) * (0.229 / 0.5) + (0.485 - 0.5) / 0.5
            second = torch.unsqueeze(x[:, 1], 1) * (0.224 / 0.5) + (0.456 - 0.5) / 0.5
            third = torch.unsqueeze(x[:, 2], 1) * (0.225 / 0.5) + (0.406 - 0.5) / 0.5
            x = torch.cat((first, second, third), 1)
        x = self.norm(self.maxpool1(self.conv1(x)))
        x = self.inception4a(self.maxpool3(self.inception3a(x)))
        x = self.fc(self.dropout(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)))
        return (x, x) if self.training else x

    def reference(self) -> Reference:
        scaled = nn.Conv2d(3, 3, 1, groups=3).to(self.fc.weight.dtype)
        scaled.weight.data[:, 0, 0, 0] = torch.tensor([0.458, 0.448, 0.45])
        scaled.bias = nn.Parameter(torch.tensor([-0.03, -0.088, -0.188], dtype=scaled.weight.dtype))
        last = [self.inception3a.reference(), self.maxpool3, self.inception4a.reference()]
        return [scaled, self.conv1.reference(), self.maxpool1, self.norm, *last]


class DenseLayer(nn.Module):
    """torchvision's: takes the list of all maps so far."""

    def __init__(self, i: int) -> None:
        super().__init__()
        self.norm1, self.relu1, self.conv1 = nn.BatchNorm2d(i), nn.ReLU(inplace=True), conv(i, 6, 1)
        self.norm2, self.relu2, self.conv2 = nn.BatchNorm2d(6), nn.ReLU(inplace=True), conv(6, 3, padding=1)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.conv2(self.relu2(self.norm2(self.conv1(self.relu1(self.norm1(torch.cat(features, 1)))))))

    def reference(self) -> nn.Module:
        body = nn.Sequential(self.norm1, nn.ReLU(), self.conv1, self.norm2, nn.ReLU(), self.conv2)
        return Join(nn.Identity(), body)


class DenseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv0, self.pool0 = conv(3, 4, stride=2, padding=1), nn.MaxPool2d(3, 2, 1)
        self.layers = nn.ModuleDict({f"denselayer{k}": DenseLayer(4 + 3 * k) for k in range(3)})
        self.transition = nn.Sequential(nn.BatchNorm2d(13), nn.ReLU(inplace=True), conv(13, 6, 1), nn.AvgPool2d(2, 2))
        self.classifier = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.pool0(self.conv0(x))]
        for layer in self.layers.values():
            features.append(layer(features))
        x = self.transition(torch.cat(features, 1))
        return self.classifier(F.relu(x, inplace=True).mean([2, 3]))

    def reference(self) -> Reference:
        dense = [cast("DenseLayer", layer).reference() for layer in self.layers.values()]
        return [self.conv0, self.pool0, *dense, self.transition]


class InvertedResidual(nn.Module):
    """torchvision's, of MobileNet v2: expand, depthwise, project; ReLU6."""

    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        hidden = 3 * i
        self.conv = nn.Sequential(
            nn.Sequential(conv(i, hidden, 1), nn.BatchNorm2d(hidden), nn.ReLU6(inplace=True)),
            nn.Sequential(
                conv(hidden, hidden, stride=stride, padding=1, groups=hidden),
                nn.BatchNorm2d(hidden),
                nn.ReLU6(inplace=True),
            ),
            conv(hidden, o, 1),
            nn.BatchNorm2d(o),
        )
        self.use_res_connect = stride == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)

    def reference(self) -> nn.Module:
        return Sum(self.conv, nn.Identity()) if self.use_res_connect else self.conv


class MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(conv(3, 4, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU6(inplace=True))
        self.features = nn.Sequential(first, InvertedResidual(4, 4, 1), InvertedResidual(4, 6, 2))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), (1, 1)).reshape(x.shape[0], -1))

    def reference(self) -> Reference:
        first, *blocks = self.features
        return [first, *(cast("InvertedResidual", block).reference() for block in blocks)]


class VGG(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2, 2)),
            *(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2, 2)),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((3, 3))
        self.classifier = nn.Sequential(nn.Linear(72, 10), nn.ReLU(True), nn.Dropout(), nn.Linear(10, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))

    def reference(self) -> Reference:
        return [*self.features, nn.AvgPool2d(3, 2), nn.Flatten(), self.classifier[0], nn.ReLU(), self.classifier[3]]


class LeNet(nn.Module):
    """Grayscale, all functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 8, 5)
        self.fc1, self.fc2 = nn.Linear(8 * 4 * 4, 12), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(self.conv2(x).clamp(min=0), 2)
        x = self.fc1(x.view(-1, 8 * 4 * 4)).relu_()
        return F.log_softmax(self.fc2(F.dropout(x, training=self.training)), dim=1)

    def reference(self) -> Reference:
        convolved = [self.conv1, nn.ReLU(), nn.MaxPool2d(2), self.conv2, nn.ReLU(), nn.MaxPool2d(2)]
        return [*convolved, nn.Flatten(), self.fc1, nn.ReLU(), self.fc2]


class ShuffleNet(nn.Module):
    """Half of the channels pass, the other half is convolved by depth; then all are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(2, 8, stride=2)
        self.branch = nn.Sequential(
            *(conv(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
            *(conv(4, 4, padding=1, groups=4), nn.BatchNorm2d(4), conv(4, 4, 1), nn.ReLU(inplace=True)),
        )
        self.last = conv(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        first, second = F.relu(self.stem(x)).chunk(2, dim=1)
        x = torch.cat((first, self.branch(second)), dim=1)
        batch, channels, rows, columns = x.shape
        x = x.view(batch, 2, channels // 2, rows, columns).transpose(1, 2).contiguous()
        return self.last(x.view(batch, channels, rows, columns))

    def reference(self) -> Reference:
        mixed = Join(Part(range(4)), nn.Sequential(Part(range(4, 8)), self.branch))
        return [self.stem, nn.ReLU(), mixed, Part([0, 4, 1, 5, 2, 6, 3, 7]), self.last]


class UNet(nn.Module):
    """Down, up by a transposed convolution, joined with what was before."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.inner = conv(1, 4, padding=1), conv(4, 6, padding=1)
        self.pool, self.up = nn.MaxPool2d(2), nn.ConvTranspose2d(6, 3, 2, stride=2)
        self.out = conv(7, 3, padding=1)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        skip = self.act(self.down(x))
        x = self.act(self.up(self.act(self.inner(self.pool(skip)))))
        return torch.sigmoid(self.out(torch.cat([skip, x], dim=1)))

    def reference(self) -> Reference:
        inner = nn.Sequential(self.pool, self.inner, nn.ReLU(), self.up, nn.ReLU())
        return [self.down, nn.ReLU(), Join(nn.Identity(), inner), self.out]


ZOO: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int], str]] = {
    "resnet": (ResNet, (3, 33, 33), "layer2.1.act3"),
    "googlenet": (GoogLeNet, (3, 26, 26), "inception4a"),
    "densenet": (DenseNet, (3, 32, 32), "transition.3"),
    "mobilenet": (MobileNet, (3, 24, 24), "features.2.conv.3"),
    "vgg": (VGG, (3, 28, 28), "classifier.3"),
    "lenet": (LeNet, (1, 28, 28), "fc2"),
    "shufflenet": (ShuffleNet, (2, 17, 17), "last"),
    "unet": (UNet, (1, 16, 16), "out"),
}
"""Name -> what builds it, the shape of an image, and the layer at which its `reference()` ends."""
