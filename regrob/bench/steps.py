"""The training steps that the benchmark compares, on random pictures: ours, autograd's, bare products."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.affine.local_map import local_map
from regrob.bench import peers
from regrob.ensembles import multiplications
from regrob.ensembles.ensemble import Ensemble, penalty_weights
from regrob.ensembles.graphs import captured
from regrob.ensembles.network_view import StackedPullback
from regrob.networks import Residual, fresh, initialise_caffe
from regrob.theory.penalties import PENALTIES, Penalty, zero_sum_basis
from regrob.training.adversarial import Adversary, starts
from regrob.training.policy import CaffePolicy
from regrob.training.regularizers import Regularizer, evaluation_mode

Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]
TrainingStep = Callable[[], object]

BATCH = 64
WEIGHT = 1e-3
POLICY = CaffePolicy()
EPSILON = 0.1
PERCEPTRON = (784, 300, 100)
"""LeNet-300-100's widths without its K."""


def batch(classes: int, *, members: int = 1, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Random pictures and labels: (M, 64, 1, 28, 28) and (M, 64)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(members, BATCH, 1, 28, 28, generator=generator)
    return x.to(device), torch.randint(classes, (members, BATCH), generator=generator).to(device)


def autograd_step(name: str, classes: int, objective: Objective, *, device: str = "cpu") -> TrainingStep:
    """A step as PyTorch's users write it: zero_grad, backward, torch.optim.SGD with its defaults."""
    model = fresh(name, classes, [0])[0].to(device)
    x, y = (value[0] for value in batch(classes, device=device))
    return descent(model, objective, x, y)


def descent(model: nn.Module, objective: Objective, x: Tensor, y: Tensor) -> TrainingStep:
    """A step on these images, again and again, by torch.optim.SGD as it is."""
    optimiser = torch.optim.SGD(
        model.parameters(), lr=POLICY.base, momentum=POLICY.momentum, weight_decay=POLICY.weight_decay
    )

    def step() -> None:
        optimiser.zero_grad()
        objective(model, x, y).backward()
        optimiser.step()

    return step


def lean_step(name: str, classes: int, objective: Objective) -> TrainingStep:
    """The same step with as little around autograd as possible, written by hand."""
    (model,) = fresh(name, classes, [0])
    x, y = (value[0] for value in batch(classes))
    parameters = list(model.parameters())
    velocities = [torch.zeros_like(p) for p in parameters]

    def step() -> None:
        gradients = torch.autograd.grad(objective(model, x, y), parameters)
        with torch.no_grad():
            for p, v, g in zip(parameters, velocities, gradients, strict=True):
                v.mul_(POLICY.momentum).add_(p, alpha=POLICY.base * POLICY.weight_decay)
                p.sub_(v.add_(g, alpha=POLICY.base))

    return step


def fused_step(
    name: str,
    classes: int,
    kinds: tuple[str, ...],
    *,
    members: int = 1,
    device: str = "cpu",
    adversary: Adversary | None = None,
) -> TrainingStep:
    """A step of our ensemble, as a training runs it: on CUDA, a recorded graph."""
    weights = penalty_weights(kinds, [WEIGHT] * members)
    ensemble = Ensemble(fresh(name, classes, range(members)), weights).to(device)
    x, y = batch(classes, members=members, device=device)
    rate = torch.tensor(POLICY.base, device=device)
    view = StackedPullback(ensemble)

    def step() -> None:
        images = x
        if adversary is not None:
            begin = starts(0, 0, x.shape[1:]).to(x).expand_as(x).flatten(0, 1)
            images = adversary.perturb(view, x.flatten(0, 1), y.flatten(), begin).view_as(x)
        ensemble.step(images, y, rate)

    return captured(step, list(ensemble.state().values()))


def loop_step(objective: Objective, *, width: int = 64) -> TrainingStep:
    """A step of ResNet-18 in training mode, on 32 random pictures of 3×32×32."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(32, 3, 32, 32, generator=generator)
    y = torch.randint(10, (32,), generator=generator)
    model = resnet_18(width)
    return descent(model, objective, x, y)


def resnet_18(width: int = 64, classes: int = 10) -> nn.Sequential:
    """ResNet-18 as He et al. (2016) have it for ImageNet, BatchNorm and all; 64 channels at first."""
    layers: list[nn.Module] = [*_convolution(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)]
    channels = width
    for stage in range(4):
        for stride in (1 if stage == 0 else 2, 1):
            wide = width * 2**stage
            body = nn.Sequential(
                *_convolution(channels, wide, 3, stride), nn.ReLU(), *_convolution(wide, wide, 3, 1)
            )
            shortcut = nn.Sequential(*_convolution(channels, wide, 1, stride)) if wide != channels else None
            layers += [Residual(body, shortcut), nn.ReLU()]
            channels = wide
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    initialise_caffe(network, torch.Generator().manual_seed(0), variance=2.0)
    return network


def _convolution(inputs: int, outputs: int, size: int, stride: int) -> tuple[nn.Module, nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs)


def bare_products(products: list[multiplications.Product]) -> TrainingStep:
    """These products and nothing else, on matrices that lie ready: what no ordering of the rest beats."""
    operands = [
        (torch.rand(p.times, p.rows, p.inner), torch.rand(p.times, p.inner, p.columns)) for p in products
    ]
    products_of = [a @ b for a, b in operands]

    def step() -> None:
        for (a, b), out in zip(operands, products_of, strict=True):
            torch.bmm(a, b, out=out)

    return step


def repeat(step: TrainingStep, times: int) -> TrainingStep:
    """Several steps as one."""
    return lambda: [step() for _ in range(times)]


# --- objectives -------------------------------------------------------------------------


def plain(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy."""
    return functional.cross_entropy(model(x), y)


def double_backward(kinds: tuple[str, ...]) -> Objective:
    """Cross-entropy plus penalties, one backward pass a class, differentiated once more."""

    def objective(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        local = local_map(model, x, create_graph=True, check=False)
        total = functional.cross_entropy(local.z, y)
        for kind in kinds:
            total = total + WEIGHT * PENALTIES[kind](local.V, local.z, y).mean()
        return total

    return objective


def with_regularizer(penalty: Regularizer) -> Objective:
    """Cross-entropy plus a penalty, by the book's one line."""

    def objective(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        total: Tensor = plain(model, x, y) + penalty(model, x, y)
        return total

    return objective


def with_own_pass(penalty: Regularizer) -> Objective:
    """The same penalty through the loop's own pass, batch statistics and all."""

    def objective(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        images = x.clone().requires_grad_(True)
        z = model(images)
        return functional.cross_entropy(z, y) + penalty.of_logits(images, z, y)

    return objective


def with_input_gradient(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy plus the squared input gradient, through the batch's pass, as written by hand."""
    x = x.detach().requires_grad_(True)
    loss = functional.cross_entropy(model(x), y, reduction="sum")
    (g,) = torch.autograd.grad(loss, x, create_graph=True)
    return loss / len(x) + WEIGHT * g.flatten(1).square().sum(dim=1).mean()


def with_projected_pass(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy plus the Jacobian penalty's estimate from one projection, through the batch's pass.

    As jacobian_regularizer takes it (Hoffman et al. 2019).
    """
    x = x.detach().requires_grad_(True)
    z = model(x)
    return functional.cross_entropy(z, y) + WEIGHT * peers.one_projection(x, z).mean()


def with_definition(penalty: Penalty) -> Objective:
    """The same by the definition: V in eval mode by one gradient a class, differentiated once more."""

    def objective(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        loss = plain(model, x, y)
        with evaluation_mode(model):
            local = local_map(model, x, create_graph=True, check=False)
        return loss + WEIGHT * penalty(local.V, local.z, y).mean()

    return objective


def with_another_pass(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy twice, in training and in eval mode: what any exact penalty at least needs."""
    loss = plain(model, x, y)
    with evaluation_mode(model):
        x = x.detach().requires_grad_(True)
        total: Tensor = loss + WEIGHT * plain(model, x, y)
    return total


def with_needed_products(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """What every exact way to ‖H‖₂ needs, and no more: its value is not computed.

    K − 1 gradients of logits in eval mode, without which ‖H‖₂ is not determined, and one pass
    back to the weights, without which nothing is learned from it.
    """
    loss = plain(model, x, y)
    with evaluation_mode(model):
        x = x.detach().requires_grad_(True)
        z = model(x)
    for direction in zero_sum_basis(z.shape[1], z).T:
        torch.autograd.grad(z, x, direction.expand_as(z), retain_graph=True)
    return loss + WEIGHT * functional.cross_entropy(z, y)


def with_cure(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy plus CURE's finite difference."""
    return plain(model, x, y) + WEIGHT * peers.cure(model, x, y, h=1.0).mean()


def with_projection(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy plus the Jacobian penalty's estimate from one random projection."""
    return plain(model, x, y) + WEIGHT * peers.projected_jacobian(model, x).mean()


def with_power_iteration(model: nn.Module, x: Tensor, y: Tensor, *, products: int = 10) -> Tensor:
    """Cross-entropy plus ‖H u‖ after ten Hessian-vector products, differentiated through the last."""
    x = x.detach().requires_grad_(True)
    loss = functional.cross_entropy(model(x), y, reduction="sum")
    (g,) = torch.autograd.grad(loss, x, create_graph=True)
    u = functional.normalize(torch.randn(x.shape).flatten(1), dim=1).view_as(x)
    for product in range(products):
        last = product == products - 1
        (Hu,) = torch.autograd.grad((g * u).sum(), x, retain_graph=True, create_graph=last)
        if not last:
            u = functional.normalize(Hu.flatten(1), dim=1).view_as(x)
    objective: Tensor = loss / len(x) + WEIGHT * Hu.flatten(1).norm(dim=1).mean()
    return objective


def under_attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy at PGD-10's images, by autograd at its leanest: no copies kept, no checks."""
    moved = x + EPSILON * (2 * torch.rand_like(x) - 1)
    for _ in range(10):
        moved = moved.detach().requires_grad_(True)
        (g,) = torch.autograd.grad(plain(model, moved, y), moved)
        moved = (x + (moved.detach() + 0.25 * EPSILON * g.sign() - x).clamp(-EPSILON, EPSILON)).clamp(0, 1)
    return plain(model, moved, y)
