"""Training with a penalty or against an adversary, by Caffe's stochastic gradient descent.

`policy` has the learning rates; `single` trains one network of any kind, by autograd; `many`
trains an ensemble; `adversarial` is the adversary of both. `regularizers` has the penalties as terms
of a loss, for a loop of your own; `columns` is how they differentiate the network.
"""

from regrob.training.adversarial import Adversary
from regrob.training.many import Progress, train_ensemble, train_many
from regrob.training.policy import CaffePolicy, StepPolicy
from regrob.training.regularizers import (
    REGULARIZERS,
    CrossLipschitzPenalty,
    CurvaturePenalty,
    InputGradientPenalty,
    JacobianPenalty,
    Regularizer,
    network_penalty,
)
from regrob.training.single import History, Regime, accuracy, best_device, fine_tuning_order, train

__all__ = [
    "Adversary", "CaffePolicy", "CrossLipschitzPenalty", "CurvaturePenalty", "History",
    "InputGradientPenalty", "JacobianPenalty", "Progress", "REGULARIZERS", "Regime", "Regularizer",
    "StepPolicy", "accuracy", "best_device", "fine_tuning_order", "network_penalty", "train",
    "train_ensemble", "train_many",
]  # fmt: skip
