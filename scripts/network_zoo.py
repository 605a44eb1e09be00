"""Networks of other libraries, with random weights, by the names they have in docs/reference/networks.md."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

__all__ = ["NETWORKS", "SAMPLE", "Tutorial"]

TIMM = {
    64: "resnet18 resnet34 resnet50 resnetv2_50 resnext50_32x4d seresnet50 wide_resnet50_2 res2net50_26w_4s "
    "densenet121 densenet169 mobilenetv1_100 mobilenetv2_100 mobilenetv3_small_100 mobilenetv4_conv_small "
    "efficientnet_b0 tf_efficientnet_lite0 tf_efficientnetv2_b0 mnasnet_100 ghostnet_100 regnetx_002 "
    "regnety_002 vgg11 vgg11_bn vgg16 convnext_atto convnextv2_atto repvgg_a0 dpn48b dla34 hardcorenas_a "
    "xception41 hrnet_w18_small selecsls42 rexnet_100 nf_resnet50 fbnetc_100 semnasnet_075 tinynet_e "
    "spnasnet_100 cspresnet50 vit_tiny_patch16_224 deit_tiny_patch16_224 deit_tiny_distilled_patch16_224 "
    "vit_small_patch16_224 cait_xxs24_224 coat_tiny coat_lite_tiny swin_tiny_patch4_window7_224 "
    "swin_small_patch4_window7_224 pvt_v2_b0 poolformer_s12 twins_pcpvt_small xcit_nano_12_p16_224 "
    "eva02_tiny_patch14_224 vit_small_patch14_reg4_dinov2 volo_d1_224 tnt_s_patch16_224 lambda_resnet26t fastvit_t8 "
    "repvit_m0_9 davit_tiny mambaout_femto edgenext_xx_small starnet_s1",
    107: "inception_v3",
    224: "mixer_s16_224 gmixer_12_224 resmlp_12_224 levit_128s maxvit_pico_rw_256 swinv2_cr_tiny_ns_224 mobilevit_xxs "
    "pit_ti_224 coatnet_nano_rw_224 efficientformer_l1 gcvit_xxtiny hiera_tiny_224",
    240: "crossvit_tiny_240",
}
TORCHVISION = {
    64: "resnet18 densenet121 vgg11 mobilenet_v2 shufflenet_v2_x0_5 vit_b_16 swin_t regnet_y_400mf",
    96: "alexnet squeezenet1_1",
}


def from_timm(name: str, size: int) -> nn.Module:
    import timm

    for sized in ({"img_size": size}, {}):
        try:
            return timm.create_model(name, num_classes=2, **sized)
        except TypeError:
            continue
    raise TypeError(name)


def from_torchvision(name: str, size: int) -> nn.Module:
    from torchvision import models

    return getattr(models, name)(weights=None, num_classes=2, **({"image_size": size} if "vit" in name else {}))


def from_transformers(kind: str, size: int) -> nn.Module:
    import transformers

    sizes: dict[str, Any] = {"image_size": size, "num_labels": 2}
    if kind == "Swin":
        sizes |= {"patch_size": 4, "embed_dim": 24, "depths": [1, 1, 2], "num_heads": [1, 2, 4], "window_size": 4}
    else:
        sizes |= {"patch_size": 16, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3}
        sizes |= {"intermediate_size": 96} if kind in ("ViT", "DeiT") else {}
    configuration = getattr(transformers, f"{kind}Config")(**sizes)
    return getattr(transformers, f"{kind}ForImageClassification")(configuration)


def from_monai(size: int) -> nn.Module:
    from monai.networks.nets import DenseNet121

    return DenseNet121(spatial_dims=2, in_channels=3, out_channels=2)


def from_torchxrayvision(size: int) -> nn.Module:
    from torchxrayvision.models import DenseNet

    return DenseNet(num_classes=2, in_channels=3)


class Tutorial(nn.Module):
    """PyTorch's first classifier: it flattens with `view`, and one pooling and one ReLU are called twice."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5, padding=2), nn.Conv2d(6, 16, 5, padding=2)
        self.pool, self.act = nn.MaxPool2d(2), nn.ReLU()
        self.fc1, self.fc2 = nn.Linear(16 * (size // 4) ** 2, 12), nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.act(self.conv1(x)))
        x = self.pool(self.act(self.conv2(x)))
        return self.fc2(self.fc1(x.view(len(x), -1)).relu())


Build = Callable[[], nn.Module]


def _networks() -> Mapping[str, tuple[int, Build]]:
    found: dict[str, tuple[int, Build]] = {"PyTorch tutorial": (32, lambda: Tutorial(32))}
    for size, names in TIMM.items():
        for name in names.split():
            fits = 56 if "patch14" in name else size
            found[f"timm {name}"] = fits, lambda name=name, fits=fits: from_timm(name, fits)
    for size, names in TORCHVISION.items():
        for name in names.split():
            found[f"torchvision {name}"] = size, lambda name=name, size=size: from_torchvision(name, size)
    for kind in ("ViT", "DeiT", "Dinov2", "Swin"):
        found[f"transformers {kind}"] = 64, lambda kind=kind: from_transformers(kind, 64)
    found["MONAI DenseNet121"] = 64, lambda: from_monai(64)
    found["torchxrayvision DenseNet"] = 64, lambda: from_torchxrayvision(64)
    return found


NETWORKS = _networks()
SAMPLE = (
    "PyTorch tutorial",
    "timm resnet18",
    "timm mobilenetv3_small_100",
    "timm convnext_atto",
    "timm vit_tiny_patch16_224",
    "timm cait_xxs24_224",
    "timm coat_lite_tiny",
    "timm pvt_v2_b0",
    "timm inception_v3",
    "torchvision shufflenet_v2_x0_5",
    "transformers Dinov2",
    "transformers Swin",
)
"""Those that the tests look at."""
