"""Attacks: pure functions of (network, images, labels), one file each, settings by keyword."""

from regrob.attacks._common import AttackResult
from regrob.attacks.apgd import apgd
from regrob.attacks.boundary_projection import boundary_projection
from regrob.attacks.carlini_wagner import carlini_wagner
from regrob.attacks.deepfool import deepfool
from regrob.attacks.fgsm import fgsm
from regrob.attacks.pgd import pgd

__all__ = ["AttackResult", "apgd", "boundary_projection", "carlini_wagner", "deepfool", "fgsm", "pgd"]
