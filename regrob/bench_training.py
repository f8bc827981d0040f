"""Rows of the benchmark about training steps, ensembles and closed forms."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob import peers, properties, radii
from regrob.bench import Measurement, Row, SkippedError, by_turns, median_ratio, ratios
from regrob.ensemble import Ensemble
from regrob.gram import ORDER
from regrob.local import local_map
from regrob.networks import NETWORKS
from regrob.penalties import PENALTIES
from regrob.pullback import pullback
from regrob.training import CaffePolicy

Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]
Step = Callable[[], object]

BATCH = 64
WEIGHT = 1e-3
POLICY = CaffePolicy()


def rows() -> list[Row]:
    """Training, ensembles, closed forms, CUDA."""
    step = "training step with the exact curvature penalty / plain step"
    return [
        Row("step-mlp-2", f"{step}, LeNet-300-100, K=2", lambda q: _curvature("lenet-300-100", 2, q), 1.3),
        Row("step-lenet5-2", f"{step}, LeNet-5, K=2", lambda q: _curvature("lenet-5", 2, q), 1.8),
        Row("step-mlp-10", f"{step}, LeNet-300-100, K=10", lambda q: _curvature("lenet-300-100", 10, q), 3.5),
        Row("step-lenet5-10", f"{step}, LeNet-5, K=10", lambda q: _curvature("lenet-5", 10, q), 5.0),
        Row(
            "jacobian-mlp-10", "Jacobian penalty, K=10, LeNet-300-100: ours / double backward", _jacobian, 0.6
        ),
        Row(
            "ensemble-mlp", "model-step among 80 LeNet-300-100, four penalties / plain step", _many_mlps, 0.75
        ),
        Row("gemm", "rate of the products in that ensemble / the machine's GEMM rate", _gemm, None, 0.5),
        Row(
            "ensemble-lenet5",
            "model-step among 32 LeNet-5, four penalties / sequential double backward",
            _many_lenet5s,
            0.6,
        ),
        Row(
            "adversarial-step",
            "PGD-10 adversarial training step / plain step, LeNet-300-100, K=2",
            _hardening,
        ),
        Row(
            "closed-mlp",
            "V, p, ∇, ‖H‖, ‖r*‖ in closed form / autograd's Hessian and eigenvalues, LeNet-300-100",
            lambda q: _closed("lenet-300-100", q),
            1 / 400,
        ),
        Row(
            "closed-lenet5",
            "V, p, ∇, ‖H‖, ‖r*‖ in closed form / autograd's Hessian and eigenvalues, LeNet-5",
            lambda q: _closed("lenet-5", q),
            1 / 120,
        ),
        Row("cuda", "model-steps a second, 320 LeNet-300-100 at once / one by one, CUDA", _cuda, None, 50.0),
    ]


def _batch(classes: int, *, members: int = 1, device: str = "cpu") -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(members, BATCH, 1, 28, 28, generator=generator)
    return x.to(device), torch.randint(classes, (members, BATCH), generator=generator).to(device)


def _network(name: str, classes: int, seed: int = 0) -> nn.Sequential:
    return NETWORKS[name](classes, generator=torch.Generator().manual_seed(seed))


# --- contenders -------------------------------------------------------------------------


def autograd_step(name: str, classes: int, objective: Objective, *, device: str = "cpu") -> Step:
    """A step of Caffe's SGD on an objective, by autograd alone."""
    network = _network(name, classes).to(device)
    x, y = (value[0] for value in _batch(classes, device=device))
    parameters = list(network.parameters())
    velocities = [torch.zeros_like(p) for p in parameters]

    def step() -> None:
        gradients = torch.autograd.grad(objective(network, x, y), parameters, allow_unused=True)
        with torch.no_grad():
            for p, v, g in zip(parameters, velocities, gradients, strict=True):
                v.mul_(POLICY.momentum).add_(p, alpha=POLICY.base * POLICY.weight_decay)
                if g is not None:  # the last bias, where only the penalty is differentiated
                    v.add_(g, alpha=POLICY.base)
                p.sub_(v)

    return step


def fused_step(
    name: str, classes: int, kinds: tuple[str, ...], *, members: int = 1, device: str = "cpu"
) -> Step:
    """A step of our ensemble."""
    weights = torch.tensor([[WEIGHT if kind in kinds else 0.0 for kind in ORDER]] * members)
    ensemble = Ensemble([_network(name, classes, seed) for seed in range(members)], weights).to(device)
    x, y = _batch(classes, members=members, device=device)
    rate = torch.tensor(POLICY.base, device=device)
    return lambda: ensemble.step(x, y, rate)


def plain(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy."""
    return functional.cross_entropy(network(x), y)


def double_backward(kinds: tuple[str, ...]) -> Objective:
    """Cross-entropy plus penalties, one backward pass a class, differentiated once more."""

    def objective(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        local = local_map(network, x, create_graph=True, check=False)
        total = functional.cross_entropy(local.z, y)
        for kind in kinds:
            total = total + WEIGHT * PENALTIES[kind](local.V, local.z, y).mean()
        return total

    return objective


def with_cure(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy plus CURE's finite difference."""
    return plain(network, x, y) + WEIGHT * peers.cure(network, x, y, h=1.0).mean()


def with_power_iteration(network: nn.Module, x: Tensor, y: Tensor, *, products: int = 10) -> Tensor:
    """Cross-entropy plus ‖H u‖ after ten Hessian-vector products, differentiated through the last."""
    x = x.detach().requires_grad_(True)
    loss = functional.cross_entropy(network(x), y, reduction="sum")
    (g,) = torch.autograd.grad(loss, x, create_graph=True)
    u = functional.normalize(torch.randn(x.shape).flatten(1), dim=1).view_as(x)
    for product in range(products):
        last = product == products - 1
        (Hu,) = torch.autograd.grad((g * u).sum(), x, retain_graph=True, create_graph=last)
        if not last:
            u = functional.normalize(Hu.flatten(1), dim=1).view_as(x)
    objective: Tensor = loss / len(x) + WEIGHT * Hu.flatten(1).norm(dim=1).mean()
    return objective


# --- rows -------------------------------------------------------------------------------


def _curvature(name: str, classes: int, quick: bool) -> Measurement:
    contenders = {
        "plain": autograd_step(name, classes, plain),
        "ours": fused_step(name, classes, ("curvature",)),
        "CURE / plain": autograd_step(name, classes, with_cure),
        "double backward / plain": autograd_step(name, classes, double_backward(("curvature",))),
        "10 Hessian-vector products / plain": autograd_step(name, classes, with_power_iteration),
    }
    seconds = by_turns(contenders, 2 if quick else 15 if name == "lenet-5" else 60)
    facts = {rival: median_ratio(seconds, rival, "plain") for rival in contenders if "/" in rival}
    facts["plain step, ms"] = 1e3 * sorted(seconds["plain"])[len(seconds["plain"]) // 2]
    if name == "lenet-300-100":
        facts["multiplications, ours / plain"] = products(classes, classes - 1, 1) / products(classes, 0, 0)
    return Measurement(ratios(seconds, "ours", "plain"), facts=facts)


def products(classes: int, pulled: int, pushed: int) -> int:
    """Multiplications in the products of one LeNet-300-100 step, as this package orders them.

    Forward and the weights' gradients; then either plain back-propagation (pulled = 0), or
    rows pulled to the image and combinations pushed forward again.
    """
    first, middle, last = 784 * 300, 300 * 100, 100 * classes
    everything = first + middle + last
    if not pulled:
        return BATCH * (2 * everything + middle + last)
    gradients = min(pushed + (pulled > 1), pulled) * everything
    return BATCH * (everything + pulled * everything + pushed * (first + middle) + gradients)


def _jacobian(quick: bool) -> Measurement:
    name, kinds = "lenet-300-100", ("jacobian",)
    contenders = {
        "ours": fused_step(name, 10, kinds),
        "theirs": autograd_step(name, 10, double_backward(kinds)),
        "one random projection / double backward": autograd_step(name, 10, _with_projection),
    }
    seconds = by_turns(contenders, 2 if quick else 40)
    rival = "one random projection / double backward"
    return Measurement(
        ratios(seconds, "ours", "theirs"), facts={rival: median_ratio(seconds, rival, "theirs")}
    )


def _with_projection(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return plain(network, x, y) + WEIGHT * peers.projected_jacobian(network, x).mean()


def _many_mlps(quick: bool) -> Measurement:
    members = 8 if quick else 80
    contenders = {
        "ours": fused_step("lenet-300-100", 2, ORDER, members=members),
        "plain": _repeat(autograd_step("lenet-300-100", 2, plain), 8),
        "double": autograd_step("lenet-300-100", 2, double_backward(ORDER)),
    }
    seconds = by_turns(contenders, 2 if quick else 25)
    found = [r * 8 / members for r in ratios(seconds, "ours", "plain")]
    facts = {
        "ours / sequential double backward": median_ratio(seconds, "ours", "double") / members,
        "multiplications, ours / plain": products(2, 2, 2) / products(2, 0, 0),
    }
    return Measurement(found, facts=facts)


def _repeat(step: Step, times: int) -> Step:
    return lambda: [step() for _ in range(times)]


def _gemm(quick: bool) -> Measurement:
    """The rate of one model-step's products over that of one large product."""
    members, size = 8 if quick else 80, 1024
    a_member = 2 * products(2, 2, 2)
    a, b = torch.rand(size, size), torch.rand(size, size)
    contenders = {
        "step": fused_step("lenet-300-100", 2, ORDER, members=members),
        "product": lambda: a @ b,
    }
    seconds = by_turns(contenders, 2 if quick else 25)
    counted = a_member * members / (2 * size**3)
    found = [counted / r for r in ratios(seconds, "step", "product")]
    rate = 2 * size**3 / sorted(seconds["product"])[len(seconds["product"]) // 2] / 1e9
    return Measurement(found, facts={"GEMM rate, Gflop/s": rate, "Mflop a model-step": a_member / 1e6})


def _many_lenet5s(quick: bool) -> Measurement:
    members = 2 if quick else 32
    contenders = {
        "ours": fused_step("lenet-5", 2, ORDER, members=members),
        "double": _repeat(autograd_step("lenet-5", 2, double_backward(ORDER)), 4),
        "plain": _repeat(autograd_step("lenet-5", 2, plain), 4),
    }
    seconds = by_turns(contenders, 1 if quick else 9)
    found = [r * 4 / members for r in ratios(seconds, "ours", "double")]
    return Measurement(found, facts={"ours / plain": median_ratio(seconds, "ours", "plain") * 4 / members})


def _hardening(quick: bool) -> Measurement:
    def adversarial(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The leanest PGD-10: no copies kept, no checks."""
        moved = x + 0.1 * (2 * torch.rand_like(x) - 1)
        for _ in range(10):
            moved = moved.detach().requires_grad_(True)
            (g,) = torch.autograd.grad(plain(network, moved, y), moved)
            moved = (x + (moved.detach() + 0.02 * g.sign() - x).clamp(-0.1, 0.1)).clamp(0, 1)
        return plain(network, moved, y)

    contenders = {
        "plain": autograd_step("lenet-300-100", 2, plain),
        "hard": autograd_step("lenet-300-100", 2, adversarial),
    }
    return Measurement(ratios(by_turns(contenders, 2 if quick else 40), "hard", "plain"))


def _closed(name: str, quick: bool) -> Measurement:
    """Per example: ours on a batch of 64, autograd's on one example at a time."""
    network = _network(name, 2).eval()
    for p in network.parameters():
        p.requires_grad_(False)
    x, _ = (value[0] for value in _batch(2))
    y = network(x).argmax(dim=1)
    way_in = pullback(network)
    one, label = x[:1].clone(), y[:1].clone()

    def ours() -> Tensor:
        V, z = way_in.local_map(x)
        properties.input_gradient(V, z, y)
        radii.radius_l2(V, z, y)
        return properties.curvature(V, z)

    def theirs() -> Tensor:
        def loss(image: Tensor) -> Tensor:
            return functional.cross_entropy(network(image.view(1, 1, 28, 28)), label)

        torch.func.grad(loss)(one.flatten())
        H: Tensor = torch.func.hessian(loss)(one.flatten())
        largest: Tensor = torch.linalg.eigvalsh(H)[-1]
        return largest

    torch.testing.assert_close(ours()[0], theirs(), rtol=1e-2, atol=1e-7)
    seconds = by_turns({"ours": ours, "theirs": theirs}, 1 if quick else 9)
    return Measurement([r / BATCH for r in ratios(seconds, "ours", "theirs")])


def _cuda(quick: bool) -> Measurement:
    if not torch.cuda.is_available():
        raise SkippedError("no CUDA device here")
    members = 20 if quick else 320
    contenders = {
        "ours": _captured(fused_step("lenet-300-100", 2, ORDER, members=members, device="cuda")),
        "plain": autograd_step("lenet-300-100", 2, double_backward(ORDER), device="cuda"),
    }
    seconds = by_turns(contenders, 2 if quick else 30)
    return Measurement([r * members for r in ratios(seconds, "plain", "ours")])


def _captured(step: Step) -> Step:
    """The step as a CUDA graph, as `train_ensemble` runs it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
