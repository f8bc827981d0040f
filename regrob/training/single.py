"""Train one network of any kind: batches, the loss with its penalty, stochastic gradient descent, accuracy.

The loss of a batch is mean cross-entropy + λ · mean penalty, both in the units of pixels in
[0, 1]. (Caffe's own recipe scales bytes by 1/256, ours by 1/255: its lengths are 0.4 % smaller.)
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.affine import local_map, require_piecewise_linear
from regrob.checks import check_images, check_labels, check_logits
from regrob.data.datasets import Task
from regrob.ensembles.network_view import AutogradPullback
from regrob.errors import InputError
from regrob.notebook import bar
from regrob.theory.penalties import PENALTIES, Penalty, check_name
from regrob.training.adversarial import Adversary, check_box, starts
from regrob.training.columns import penalty_by_columns
from regrob.training.policy import CAFFE, CaffePolicy
from regrob.training.regularizers import acts_otherwise_in_training, evaluation_mode


@dataclass(frozen=True)
class History:
    """What happened during training, one entry an iteration, on the CPU.

    Attributes:
        loss: (T,), the batch's mean cross-entropy in nats, without the penalty.
        penalty: (T,), the batch's mean penalty, not yet multiplied by λ; zeros without one.
        learning_rate: (T,), of the weights.
        diverged_at: the iteration whose loss, penalty or gradient was infinite or NaN, or
            None. Training stops there, with the weights from before that iteration.
        seconds: wall time.
    """

    loss: Tensor
    penalty: Tensor
    learning_rate: Tensor
    diverged_at: int | None
    seconds: float


def best_device() -> torch.device:
    """CUDA if there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@dataclass(frozen=True)
class Regime:
    """How a network is trained, beside what for and how long.

    Attributes:
        policy: learning rates, momentum, weight decay, batch size.
        adversary: perturbs each batch, against the network in eval mode, before the step.
        progress: show a progress bar.
    """

    policy: CaffePolicy = CAFFE
    adversary: Adversary | None = None
    progress: bool = False


PLAIN = Regime()


def train(
    network: nn.Module,
    task: Task,
    *,
    iterations: int,
    penalty: str | Penalty | None = None,
    weight: float = 0.0,
    seed: int = 0,
    regime: Regime = PLAIN,
) -> History:
    """Train in place, on the network's device, and leave it in eval mode. Fine-tuning is a second call.

    The same seed gives the same batches, whatever torch's global generator has done and on
    whatever device. BatchNorm and dropout act as in training for the cross-entropy, and are
    frozen for the penalty: batch statistics would couple the examples of a batch, and leave
    no example with a linear map of its own.

    Args:
        network: maps images (N, …) to logits (N, K), K the task's number of classes.
        penalty: a key of `PENALTIES`, differentiated as rarely as it allows; or a function
            (V, z, y) ↦ (N,), which costs K differentiations; None for none.
        weight: λ ≥ 0, which multiplies the batch's mean penalty.
        seed: of the order of the images. The initial weights are the caller's.
        regime: Caffe's policy, without an adversary, unless something else is asked for.

    Raises:
        InputError: an unknown penalty, a negative or infinite weight, no iterations, pixels
            that are NaN or infinite, logits of the wrong shape; with an adversary, pixels
            outside [0, 1].
        NotPiecewiseLinearError: a penalty was asked for and has no meaning here.

    >>> task = Task("toy", ("a", "b"), torch.eye(2), torch.arange(2), torch.eye(2), torch.arange(2), "")
    >>> train(nn.PReLU(), task, iterations=1).loss  # log(1 + 1/e)
    tensor([0.3133])
    """
    if not 0.0 <= weight < float("inf"):
        raise InputError(f"weight must be finite and at least 0, got {weight}")
    if penalty is None and weight:
        raise InputError(f"weight is {weight} but no penalty is named; there are {', '.join(PENALTIES)}")
    if iterations < 1:
        raise InputError(f"iterations must be at least 1, got {iterations}")
    run = Descent(network, regime.policy, penalty, weight)
    like = next(network.parameters())
    images, labels = task.train_images.to(like), task.train_labels.to(like.device)
    _check_network(network, images, len(task.classes), piecewise_linear=penalty is not None)
    if regime.adversary is not None:
        check_box(images)
    started = time.perf_counter()
    steps = run.steps(images, labels, range(iterations), seed=seed, adversary=regime.adversary)
    for _ in bar(steps, title=f"train, λ = {weight:g}", total=iterations, show=regime.progress):
        pass
    network.eval()
    rates = torch.tensor([regime.policy.learning_rate(t) for t in range(len(run.losses))])
    seconds = time.perf_counter() - started
    return History(torch.tensor(run.losses), torch.tensor(run.penalties), rates, run.diverged_at, seconds)


def batches(count: int, size: int, *, seed: int) -> Iterator[Tensor]:
    """Endless index batches (size,): one shuffled pass after another, none left out.

    A batch may span the end of one pass and the start of the next.
    """
    generator = torch.Generator().manual_seed(seed)
    waiting = torch.empty(0, dtype=torch.int64, device="cpu")
    while True:
        while len(waiting) < size:
            waiting = torch.cat([waiting, torch.randperm(count, generator=generator, device="cpu")])
        yield waiting[:size]
        waiting = waiting[size:]


def fine_tuning_order(seed: int) -> int:
    """The seed of the batch order during fine-tuning; it differs from that of the first training."""
    return seed + 10_000


def objective(
    network: nn.Module, images: Tensor, labels: Tensor, penalty: Penalty | str | None
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and mean penalty of a batch, two scalars with a graph.

    The cross-entropy is that of the network as it is found, module by module. The penalty's local
    map is the network's in eval mode, with the statistics that this batch left. Every module is
    left in the mode in which it was found. One pass serves both where no module in training
    couples the examples or is random.

    Args:
        penalty: a function of (V, z, y), which costs K differentiations; or a name, for
            which `penalty_by_columns` finds the fewest.

    Raises:
        InputError: no penalty has this name.
    """
    if isinstance(penalty, str):
        check_name(penalty)  # before BatchNorm's statistics move
    coupled = any(acts_otherwise_in_training(module) for module in network.modules())
    if penalty is None or coupled:
        loss = functional.cross_entropy(network(images), labels)
    if penalty is None:
        return loss, torch.zeros_like(loss)
    with evaluation_mode(network):
        if isinstance(penalty, str):
            value, z = penalty_by_columns(network, images, labels, penalty)
        else:
            V, z = local_map(network, images, create_graph=True, check=False)
            value = penalty(V, z, labels)
    if not coupled:
        loss = functional.cross_entropy(z, labels)
    return loss, value.mean()


@dataclass
class Descent:
    """The state of a descent: the network, its velocities, and what was recorded.

    Raises:
        InputError: no penalty has this name; None, not "none", is for no penalty.
    """

    network: nn.Module
    policy: CaffePolicy
    penalty: Penalty | str | None
    weight: float
    diverged_at: int | None = None
    losses: list[float] = field(default_factory=list)
    penalties: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if isinstance(self.penalty, str):
            check_name(self.penalty)
        named = [(name, p) for name, p in self.network.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in named]
        self.multipliers = [self.policy.bias_rate if name.endswith("bias") else 1.0 for name, _ in named]
        self.velocities = [torch.zeros_like(p) for p in self.parameters]

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on: weights, BatchNorm's statistics, velocities."""
        velocities = {f"velocity.{i}": v for i, v in enumerate(self.velocities)}
        return {f"network.{name}": value for name, value in self.network.state_dict().items()} | velocities

    @torch.no_grad()
    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Copy what `state` returned back in."""
        for name, value in self.state().items():
            value.copy_(tensors[name])

    def steps(
        self, images: Tensor, labels: Tensor, which: range, *, seed: int, adversary: Adversary | None = None
    ) -> Iterator[int]:
        """Take the iterations `which` of a run; yield how many are done after each.

        The batch of an iteration depends on the seed and its number alone, so that a later
        call can go on. Stops early, with `diverged_at` set, where a step is not finite.
        """
        order = batches(len(labels), self.policy.batch, seed=seed)
        for _ in range(which.start):  # fast-forward: the order is cheap to replay
            next(order)
        for iteration in which:
            index = next(order).to(images.device)
            x, y = images[index], labels[index]
            if adversary is not None:
                self.network.eval()
                begin = starts(seed, iteration, x.shape).to(x)
                x = adversary.perturb(AutogradPullback(self.network), x, y, begin)
            if not self.step(x, y, self.policy.learning_rate(iteration)):
                self.diverged_at = iteration
                return
            yield iteration + 1

    def step(self, images: Tensor, labels: Tensor, rate: float) -> bool:
        """One iteration, in training mode; False, and no change, if anything is not finite."""
        self.network.train()
        with torch.enable_grad():
            loss, mean_penalty = objective(self.network, images, labels, self.penalty)
            total = loss + self.weight * mean_penalty
            gradients = torch.autograd.grad(total, self.parameters, allow_unused=True)
        self.losses.append(loss.item())
        self.penalties.append(mean_penalty.item())
        finite = (
            torch.isfinite(total)
            & torch.stack([torch.isfinite(g).all() for g in gradients if g is not None]).all()
        )
        if not bool(finite):
            return False
        with torch.no_grad():
            for theta, v, g, times in zip(
                self.parameters, self.velocities, gradients, self.multipliers, strict=True
            ):
                step = self.policy.weight_decay * theta if g is None else g + self.policy.weight_decay * theta
                theta.sub_(v.mul_(self.policy.momentum).add_(step, alpha=rate * times))
        return True


def _check_network(network: nn.Module, images: Tensor, classes: int, *, piecewise_linear: bool) -> None:
    """Check once, before the loop, what the loop then takes for granted."""
    network.eval()
    check_images(images)
    few = images[:2]
    with torch.no_grad():
        z = network(few)
    check_logits(z, few)
    if z.shape[1] != classes:
        raise InputError(f"the network has {z.shape[1]} classes, the task {classes}")
    if piecewise_linear:
        require_piecewise_linear(network, few)


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor, *, batch: int = 1024) -> float:
    """The share of images whose largest logit is their label's, in [0, 1].

    Raises:
        InputError: wrong shapes, dtypes or labels, NaN or infinite pixels, an empty batch.

    >>> accuracy(nn.PReLU(), torch.eye(2), torch.tensor([0, 0]))
    0.5
    """
    check_images(images)
    if len(labels) != len(images):
        raise InputError(f"there are {len(images)} images and {len(labels)} labels")
    network.eval()
    first = next(network.parameters())
    right = 0
    for x, y in zip(images.split(batch), labels.split(batch), strict=True):
        x, y = x.to(first), y.to(first.device)
        z = network(x)
        check_logits(z, x)
        check_labels(y, z)
        right += int((z.argmax(dim=1) == y).sum())
    return right / len(images)
