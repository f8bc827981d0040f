"""Attacks: functions of (network, images, labels) with their settings by keyword, one a file.

ℓ∞: `fgsm`, `pgd`, `apgd`. ℓ2: `deepfool`, `carlini_wagner`, `boundary_projection`. Each returns an
`AttackResult` and takes one network or an ensemble's `StackedPullback`. `evaluation` runs four of
them on an ensemble and makes a table; `_common` holds what they share. In all of them the network
maps images (N, …) to logits (N, K), in eval mode if it has BatchNorm or dropout; `box` is the range of
a pixel, `seed` that of random starts; and with `targets` the attack drives towards these classes
instead of away from the labels.
"""

from regrob.attacks._common import AttackResult, Box
from regrob.attacks.apgd import apgd
from regrob.attacks.boundary_projection import boundary_projection
from regrob.attacks.carlini_wagner import carlini_wagner
from regrob.attacks.deepfool import deepfool
from regrob.attacks.evaluation import PROPERTIES, ROWS, AttackSettings, Row, SingleNetwork, evaluate
from regrob.attacks.fgsm import fgsm
from regrob.attacks.pgd import pgd

__all__ = [
    "AttackResult", "Box", "apgd", "boundary_projection", "carlini_wagner", "deepfool",
    "PROPERTIES", "ROWS", "AttackSettings", "Row", "SingleNetwork", "evaluate", "fgsm", "pgd",
]  # fmt: skip
