"""The code of models of the user's own, and of stand-ins for torchvision and timm, as files of a working folder."""

OWN = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 4, 5), nn.Conv2d(4, 6, 3), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(F.relu(self.second(F.max_pool2d(F.relu(self.first(x)), 2))).mean((2, 3)))

def make():
    print("made")
    return Net()

def gelu():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.GELU(), nn.Conv2d(2, 2, 3))

def broken():
    raise KeyError("weights")

def quits():
    raise SystemExit(7)

three, number = (lambda: 3), 4
"""

HUB = """
from torch import nn

def resnet(pretrained):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 3))
    nn.init.constant_(net[0].bias, 5.0 if pretrained else 0.0)
    return net
"""

TORCHVISION = """
from types import SimpleNamespace
from hub_models import resnet

class _Wants:
    crop_size, mean, std = [16], [0.5, 0.4, 0.3], [0.2, 0.2, 0.2]

DEFAULT = SimpleNamespace(transforms=_Wants, meta={"categories": ["rose", "tulip", "agave"]})
list_models = lambda: ["resnet18"]
get_model_weights = lambda name: SimpleNamespace(DEFAULT=DEFAULT)

def get_model(name, weights=None):
    return resnet(weights is DEFAULT)
"""

TIMM = """
from hub_models import resnet

def list_models():
    return ["resnet50", "offline"]

def create_model(name, pretrained=False):
    if name == "offline":
        raise OSError("no route to host")
    net = resnet(pretrained)
    net.pretrained_cfg = {"input_size": (3, 16, 16), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    return net
"""
