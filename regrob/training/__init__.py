"""Training with a penalty or against an adversary, by Caffe's stochastic gradient descent.

`policy` has the learning rates; `single` trains one network of any kind, by autograd; `many`
trains an ensemble; `adversarial` is the adversary of both.
"""

from regrob.training.adversarial import Adversary
from regrob.training.many import Progress, train_ensemble, train_many
from regrob.training.policy import CaffePolicy, StepPolicy
from regrob.training.single import History, Regime, accuracy, best_device, fine_tuning_order, train

__all__ = [
    "Adversary", "CaffePolicy", "History", "Progress", "Regime", "StepPolicy", "accuracy", "best_device",
    "fine_tuning_order", "train", "train_ensemble", "train_many",
]  # fmt: skip
