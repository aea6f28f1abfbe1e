"""EfficientNet-Lite0 (Tan & Le 2019) in plain PyTorch: the starter starts without importing timm and torchvision."""

from collections import OrderedDict

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import pad

#: Of each stage: blocks, kernel, stride, channels.
_STAGES = ((1, 3, 1, 16), (2, 3, 2, 24), (2, 5, 2, 40), (3, 3, 2, 80), (3, 5, 1, 112), (4, 5, 2, 192), (1, 3, 1, 320))
_EXPANSION, _SIDE = 6, 224


class EfficientNetLite0(nn.Module):
    """1,000 ImageNet classes; layers are named as in timm's ``tf_efficientnet_lite0``, and give the same numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = _Conv(3, 32, 3, stride=2), _Norm(32)
        stages, before = [], 32
        for blocks, kernel, stride, channels in _STAGES:
            stage = []
            for number in range(blocks):
                expansion = _EXPANSION if stages else 1
                stage.append(_Block(before, channels, kernel, stride if number == 0 else 1, expansion))
                before = channels
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = _Conv(before, 1280, 1), _Norm(1280)
        self.global_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, pixels: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images classes"]:
        """Logits."""
        maps = self.blocks(self.bn1(self.conv_stem(pixels)))
        return self.classifier(self.global_pool(self.bn2(self.conv_head(maps))))


def view(image: Image.Image, crop: float) -> Float[Tensor, "channels height width"]:
    """The centre of an RGB image, normalised; ``crop``: the share of the short side that it shows."""
    short, smaller = int(_SIDE / crop), min(image.size)
    resized = image.resize([int(short * side / smaller) for side in image.size], Image.Resampling.BICUBIC)
    left, top = (round((side - _SIDE) / 2) for side in resized.size)
    centre = np.array(resized.crop((left, top, left + _SIDE, top + _SIDE)))
    return (torch.from_numpy(centre).permute(2, 0, 1).contiguous().float() / 255 - 0.5) / 0.5


class _Conv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow does: as many outputs as inputs a stride, the odd row at the end."""

    def __init__(self, before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(before, after, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        if self.stride[0] > 1:
            missing = [self.kernel_size[0] - 1 - (side - 1) % self.stride[0] for side in maps.shape[:1:-1]]
            maps = pad(maps, [end for total in missing for end in (total // 2, total - total // 2)])
        return super().forward(maps)


class _Norm(nn.BatchNorm2d):
    def __init__(self, channels: int, *, bounded: bool = True) -> None:
        super().__init__(channels, eps=1e-3)
        self.bounded = bounded

    def forward(self, maps: Tensor) -> Tensor:
        maps = super().forward(maps)
        return nn.functional.relu6(maps, inplace=True) if self.bounded else maps


class _Block(nn.Sequential):
    """An inverted residual; without expansion a depthwise separable convolution."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        inside = before * expansion
        depthwise = ("conv_dw", _Conv(inside, inside, kernel, stride=stride, groups=inside))
        if expansion == 1:
            layers = [
                depthwise,
                ("bn1", _Norm(inside)),
                ("conv_pw", _Conv(inside, after, 1)),
                ("bn2", _Norm(after, bounded=False)),
            ]
        else:
            layers = [
                *(("conv_pw", _Conv(before, inside, 1)), ("bn1", _Norm(inside))),
                *(depthwise, ("bn2", _Norm(inside))),
                *(("conv_pwl", _Conv(inside, after, 1)), ("bn3", _Norm(after, bounded=False))),
            ]
        super().__init__(OrderedDict(layers))
        self.residual = stride == 1 and before == after

    def forward(self, maps: Tensor) -> Tensor:
        made = super().forward(maps)
        return made + maps if self.residual else made
