"""Training with a penalty or against an adversary: one network, or an ensemble of them."""

from regrob.training.policy import CaffePolicy, StepPolicy
from regrob.training.single import accuracy, best_device, train

__all__ = ["CaffePolicy", "StepPolicy", "accuracy", "best_device", "train"]
