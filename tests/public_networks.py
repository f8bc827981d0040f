"""Networks that other people wrote, small, with random weights, from packages on the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

SMALL, CLASSES = (3, 32, 32), 5


def _torchvision(name: str, **arguments: Any) -> nn.Module:
    import torchvision

    network: nn.Module = getattr(torchvision.models, name)(num_classes=CLASSES, **arguments)
    return network


def _timm(name: str, **arguments: Any) -> nn.Module:
    import timm

    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=CLASSES, **arguments)
    return network


def _transformers(model: str, config: str, **arguments: Any) -> nn.Module:
    import transformers

    settings = getattr(transformers, config)(num_labels=CLASSES, **arguments)
    network: nn.Module = getattr(transformers, model)(settings)
    return network


def _sklearn() -> Callable[[Tensor], Tensor]:
    """A trained `MLPClassifier` as a plain function of images."""
    import numpy as np
    from sklearn.neural_network import MLPClassifier

    generator = np.random.default_rng(0)
    centres = generator.normal(size=(CLASSES, 3 * 8 * 8))
    labels = generator.integers(CLASSES, size=200)
    images = centres[labels] + generator.normal(size=(200, 192))
    trained = MLPClassifier((24, 16), max_iter=400, tol=1e-3, random_state=0).fit(images, labels)
    weights = [torch.from_numpy(w).double() for w in trained.coefs_]
    offsets = [torch.from_numpy(b).double() for b in trained.intercepts_]

    def logits(x: Tensor) -> Tensor:
        h = x.flatten(1)
        for depth, (w, b) in enumerate(zip(weights, offsets, strict=True)):
            h = h @ w.to(h) + b.to(h)
            h = torch.relu(h) if depth < len(weights) - 1 else h
        return h

    return logits


Builder = tuple[Callable[[], Any], tuple[int, ...]]

PIECEWISE_LINEAR: dict[str, Builder] = {
    "torchvision resnet18": (lambda: _torchvision("resnet18"), SMALL),
    "torchvision squeezenet1_1": (lambda: _torchvision("squeezenet1_1"), SMALL),
    "torchvision mobilenet_v2": (lambda: _torchvision("mobilenet_v2", width_mult=0.25), SMALL),
    "torchvision shufflenet_v2_x0_5": (lambda: _torchvision("shufflenet_v2_x0_5"), SMALL),
    "torchvision mnasnet0_5": (lambda: _torchvision("mnasnet0_5"), SMALL),
    "torchvision googlenet": (
        lambda: _torchvision("googlenet", aux_logits=False, init_weights=False),
        SMALL,
    ),
    "torchvision DenseNet": (
        lambda: _torchvision("DenseNet", growth_rate=8, block_config=(2, 2), num_init_features=16),
        SMALL,
    ),
    "timm resnet10t": (lambda: _timm("resnet10t"), SMALL),
    "timm regnetx_002": (lambda: _timm("regnetx_002"), SMALL),
    "timm dla46_c": (lambda: _timm("dla46_c"), SMALL),
    "timm mobilenetv2_035": (lambda: _timm("mobilenetv2_035"), SMALL),
    "timm repvgg_a0": (lambda: _timm("repvgg_a0"), SMALL),
    "transformers ResNet": (
        lambda: _transformers(
            "ResNetForImageClassification",
            "ResNetConfig",
            embedding_size=8,
            hidden_sizes=[8, 16],
            depths=[1, 1],
        ),
        SMALL,
    ),
    "transformers RegNet": (
        lambda: _transformers(
            "RegNetForImageClassification",
            "RegNetConfig",
            embedding_size=8,
            hidden_sizes=[8, 16],
            depths=[1, 1],
            groups_width=8,
            layer_type="x",
        ),
        SMALL,
    ),
    "sklearn MLPClassifier": (_sklearn, (3, 8, 8)),
}
"""Package and name → how to build it, and the shape of its images."""

CURVED: dict[str, Builder] = {
    "torchvision efficientnet_b0": (lambda: _torchvision("efficientnet_b0"), SMALL),
    "torchvision convnext_tiny": (lambda: _torchvision("convnext_tiny"), SMALL),
    "torchvision mobilenet_v3_small": (lambda: _torchvision("mobilenet_v3_small"), SMALL),
    "timm vit": (
        lambda: _timm("vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3),
        SMALL,
    ),
    "transformers ConvNext": (
        lambda: _transformers(
            "ConvNextForImageClassification",
            "ConvNextConfig",
            hidden_sizes=[8, 16],
            depths=[1, 1],
            num_stages=2,
        ),
        SMALL,
    ),
}
"""Networks that are smooth, or have a smooth part."""
