"""Attacks: pure functions of (network, images, labels), one file each, settings by keyword."""

from regrob.attacks.carlini_wagner import carlini_wagner
from regrob.attacks.deepfool import deepfool
from regrob.attacks.fgsm import fgsm
from regrob.attacks.pgd import pgd
from regrob.attacks.result import AttackResult

__all__ = ["AttackResult", "carlini_wagner", "deepfool", "fgsm", "pgd"]
