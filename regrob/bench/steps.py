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
from regrob.networks import fresh
from regrob.theory.penalties import PENALTIES
from regrob.training.adversarial import Adversary, starts
from regrob.training.policy import CaffePolicy

Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]
Step = Callable[[], object]

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


def autograd_step(name: str, classes: int, objective: Objective, *, device: str = "cpu") -> Step:
    """A step as PyTorch's users write it: zero_grad, backward, torch.optim.SGD with its defaults."""
    model = fresh(name, classes, [0])[0].to(device)
    x, y = (value[0] for value in batch(classes, device=device))
    optimiser = torch.optim.SGD(
        model.parameters(), lr=POLICY.base, momentum=POLICY.momentum, weight_decay=POLICY.weight_decay
    )

    def step() -> None:
        optimiser.zero_grad()
        objective(model, x, y).backward()
        optimiser.step()

    return step


def lean_step(name: str, classes: int, objective: Objective) -> Step:
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
) -> Step:
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


def bare_products(products: list[multiplications.Product]) -> Step:
    """These products and nothing else, on matrices that lie ready: what no ordering of the rest beats."""
    operands = [
        (torch.rand(p.times, p.rows, p.inner), torch.rand(p.times, p.inner, p.columns)) for p in products
    ]
    products_of = [a @ b for a, b in operands]

    def step() -> None:
        for (a, b), out in zip(operands, products_of, strict=True):
            torch.bmm(a, b, out=out)

    return step


def repeat(step: Step, times: int) -> Step:
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
