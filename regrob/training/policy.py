"""How the learning rate falls during training, and the other constants of the solver."""

from __future__ import annotations

from dataclasses import dataclass

from regrob.ensembles.layers import BIAS_RATE, MOMENTUM, WEIGHT_DECAY


@dataclass(frozen=True)
class CaffePolicy:
    """The solver that Caffe ships for LeNet, which the paper took over (Appendix F).

    Iteration t, from 0, steps by lr(t) = base · (1 + gamma · t)^−power. Biases take
    `bias_rate` times that. Weight decay acts on weights and biases alike, because Caffe's
    LeNet sets no decay multiplier. Momentum follows Caffe, v ← momentum · v + lr · gradient,
    θ ← θ − v, so that a change of the rate does not rescale what is already in v.

    >>> round(CaffePolicy().learning_rate(10_000), 6)  # 0.01 · 2^(−3/4)
    0.005946
    """

    base: float = 0.01
    gamma: float = 1e-4
    power: float = 0.75
    momentum: float = MOMENTUM
    weight_decay: float = WEIGHT_DECAY
    batch: int = 64
    bias_rate: float = BIAS_RATE

    def learning_rate(self, iteration: int) -> float:
        """The weights' step size at an iteration, counted from 0."""
        return float(self.base * (1.0 + self.gamma * iteration) ** -self.power)


CAFFE = CaffePolicy()


@dataclass(frozen=True)
class StepPolicy(CaffePolicy):
    """The rate falls tenfold at each milestone, as the paper does on CIFAR-10.

    >>> round(StepPolicy().learning_rate(70_000), 6)
    0.001
    """

    milestones: tuple[int, ...] = (60_000, 80_000)

    def learning_rate(self, iteration: int) -> float:
        """The weights' step size at an iteration, counted from 0."""
        return float(self.base * 0.1 ** sum(iteration >= m for m in self.milestones))
