"""Attacks: pure functions of (network, images, labels), one file each, settings by keyword."""

from regrob.attacks.fgsm import fgsm
from regrob.attacks.pgd import pgd
from regrob.attacks.result import AttackResult

__all__ = ["AttackResult", "fgsm", "pgd"]
