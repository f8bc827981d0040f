"""Rows of the benchmark about training steps, ensembles and closed forms."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from regrob.bench import steps
from regrob.bench.harness import Benchmark, BenchmarkResult, by_turns, median_ratio, ratios
from regrob.ensembles import multiplications
from regrob.ensembles.network_view import pullback
from regrob.networks import fresh
from regrob.theory import derivatives, taylor_radius
from regrob.theory.penalties import PENALTIES, PENALTY_NAMES
from regrob.training.adversarial import Adversary
from regrob.training.regularizers import (
    CurvaturePenalty,
    InputGradientPenalty,
    JacobianPenalty,
    Regularizer,
)


def rows() -> list[Benchmark]:
    """Training, ensembles, closed forms."""
    step = "training step with the exact curvature penalty / plain step"
    return [
        Benchmark(
            "step-mlp-2", f"{step}, LeNet-300-100, K=2", lambda q: _curvature("lenet-300-100", 2, q), 1.3
        ),
        Benchmark("step-lenet5-2", f"{step}, LeNet-5, K=2", lambda q: _curvature("lenet-5", 2, q), 1.8),
        Benchmark(
            "step-mlp-10", f"{step}, LeNet-300-100, K=10", lambda q: _curvature("lenet-300-100", 10, q), 3.5
        ),
        Benchmark("step-lenet5-10", f"{step}, LeNet-5, K=10", lambda q: _curvature("lenet-5", 10, q), 5.0),
        Benchmark(
            "jacobian-mlp-10", "Jacobian penalty, K=10, LeNet-300-100: ours / double backward", _jacobian, 0.6
        ),
        Benchmark(
            "ensemble-mlp",
            "model-step among 80 LeNet-300-100, four penalties / plain step",
            _many_mlps,
            0.75,
        ),
        Benchmark(
            "gemm", "rate of the products in that ensemble / the machine's GEMM rate", _gemm, None, 0.5
        ),
        Benchmark(
            "ensemble-lenet5",
            "model-step among 32 LeNet-5, four penalties / sequential double backward",
            _many_lenet5s,
            0.6,
        ),
        Benchmark(
            "adversarial-step",
            "PGD-10 adversarial training step / plain step, LeNet-300-100, K=2",
            _hardening,
        ),
        Benchmark(
            "closed-mlp",
            "V, p, ∇, ‖H‖, ‖r*‖ in closed form / autograd's Hessian and eigenvalues, LeNet-300-100",
            lambda q: _closed("lenet-300-100", q),
            1 / 400,
        ),
        Benchmark(
            "closed-lenet5",
            "V, p, ∇, ‖H‖, ‖r*‖ in closed form / autograd's Hessian and eigenvalues, LeNet-5",
            lambda q: _closed("lenet-5", q),
            1 / 120,
        ),
        *(
            Benchmark(
                f"loop-{name}", f"step of a loop with {words} / plain step, ResNet-18, K=10", measure, target
            )
            for name, words, measure, target in (
                (
                    "input-gradient",
                    "the input-gradient penalty, through its own pass",
                    _loop(InputGradientPenalty(steps.WEIGHT)),
                    2.6,
                ),
                (
                    "jacobian",
                    "the Jacobian penalty, one probe, through its own pass",
                    _loop(JacobianPenalty(steps.WEIGHT, probes=1)),
                    2.4,
                ),
                ("curvature", "the exact curvature penalty", _loop(CurvaturePenalty(steps.WEIGHT)), None),
            )
        ),
    ]


HAND_WRITTEN = "ours / plain step written by hand"
COUNTED = "multiplications, ours / plain"


def _curvature(name: str, classes: int, quick: bool) -> BenchmarkResult:
    contenders = {
        "plain": steps.autograd_step(name, classes, steps.plain),
        "ours": steps.fused_step(name, classes, ("curvature",)),
        "lean": steps.lean_step(name, classes, steps.plain),
        "CURE / plain": steps.autograd_step(name, classes, steps.with_cure),
        "double backward / plain": steps.autograd_step(name, classes, steps.double_backward(("curvature",))),
        "10 Hessian-vector products / plain": steps.autograd_step(name, classes, steps.with_power_iteration),
    }
    ours = None
    if name == "lenet-300-100":
        ours = multiplications.penalised_step((*steps.PERCEPTRON, classes), steps.BATCH, classes - 1, 1)
        contenders["our products alone / plain"] = steps.bare_products(ours)
    seconds = by_turns(contenders, 2 if quick else 15 if name == "lenet-5" else 60)
    facts = {rival: median_ratio(seconds, rival, "plain") for rival in contenders if "/" in rival}
    facts |= {HAND_WRITTEN: median_ratio(seconds, "ours", "lean")}
    facts["plain step, ms"] = 1e3 * statistics.median(seconds["plain"])
    if ours is not None:
        facts[COUNTED] = counted(ours, classes)
    return BenchmarkResult(ratios(seconds, "ours", "plain"), facts=facts)


def _loop(penalty: Regularizer) -> Callable[[bool], BenchmarkResult]:
    """A loop of the reader's own, on processor time: one step lasts long enough to meet a neighbour.

    Through the loop's own pass, as the peers go; the curvature, which has none, by the local map.
    """
    definition = PENALTIES[penalty.kind]
    by_hand = {"input-gradient": steps.with_input_gradient, "jacobian": steps.with_projected_pass}

    def measure(quick: bool) -> BenchmarkResult:
        local = steps.loop_step(steps.with_regularizer(penalty))
        contenders = {
            "plain": steps.loop_step(steps.plain),
            "V by K gradients, differentiated / plain": steps.loop_step(steps.with_definition(definition)),
            "one more pass / plain": steps.loop_step(steps.with_another_pass),
        }
        if penalty.kind in by_hand:
            contenders["ours"] = steps.loop_step(steps.with_own_pass(penalty))
            contenders["of each example's own local map / plain"] = local
            contenders["written by hand through that pass / plain"] = steps.loop_step(by_hand[penalty.kind])
        else:
            contenders["ours"] = local
            contenders["the passes that every exact way needs / plain"] = steps.loop_step(
                steps.with_needed_products
            )
        seconds = by_turns(contenders, 1 if quick else 9, time.process_time)
        facts = {rival: median_ratio(seconds, rival, "plain") for rival in contenders if "/" in rival}
        return BenchmarkResult(ratios(seconds, "ours", "plain"), facts=facts)

    return measure


def counted(products: list[multiplications.Product], classes: int) -> float:
    """Multiplications of a LeNet-300-100 step over a plain step's."""
    return multiplications.count(products) / multiplications.count(
        multiplications.plain_step((*steps.PERCEPTRON, classes), steps.BATCH)
    )


def _jacobian(quick: bool) -> BenchmarkResult:
    name, kinds = "lenet-300-100", ("jacobian",)
    contenders = {
        "ours": steps.fused_step(name, 10, kinds),
        "theirs": steps.autograd_step(name, 10, steps.double_backward(kinds)),
        "one random projection / double backward": steps.autograd_step(name, 10, steps.with_projection),
    }
    seconds = by_turns(contenders, 2 if quick else 40)
    rival = "one random projection / double backward"
    facts = {
        rival: median_ratio(seconds, rival, "theirs"),
        COUNTED: counted(multiplications.penalised_step((*steps.PERCEPTRON, 10), steps.BATCH, 10, 10), 10),
    }
    return BenchmarkResult(ratios(seconds, "ours", "theirs"), facts=facts)


def _many_mlps(quick: bool) -> BenchmarkResult:
    members = 8 if quick else 80
    products = four_penalties()
    contenders = {
        "ours": steps.fused_step("lenet-300-100", 2, PENALTY_NAMES, members=members),
        "plain": steps.repeat(steps.autograd_step("lenet-300-100", 2, steps.plain), 8),
        "lean": steps.repeat(steps.lean_step("lenet-300-100", 2, steps.plain), 8),
        "double": steps.autograd_step("lenet-300-100", 2, steps.double_backward(PENALTY_NAMES)),
        "products": steps.repeat(steps.bare_products(products), 8),
    }
    seconds = by_turns(contenders, 2 if quick else 25)
    per_member = [r * 8 / members for r in ratios(seconds, "ours", "plain")]
    facts = {
        "ours / sequential double backward": median_ratio(seconds, "ours", "double") / members,
        HAND_WRITTEN: median_ratio(seconds, "ours", "lean") * 8 / members,
        "our products alone / plain": median_ratio(seconds, "products", "plain"),
        COUNTED: counted(products, 2),
    }
    return BenchmarkResult(per_member, facts=facts)


def four_penalties() -> list[multiplications.Product]:
    """The products of one LeNet-300-100 step with all four penalties, K = 2."""
    return multiplications.penalised_step(
        (*steps.PERCEPTRON, 2), steps.BATCH, 2, multiplications.columns(PENALTY_NAMES, 2)
    )


def product_rates(members: int, size: int, rounds: int, *, device: str = "cpu") -> tuple[list[float], float]:
    """How fast the products are that an ensemble's step consists of.

    Returns:
        the rate of a step of so many LeNet-300-100 over that of one product of two size × size
        matrices, round by round; and the latter, in Gflop/s.
    """
    a, b = torch.rand(size, size, device=device), torch.rand(size, size, device=device)
    contenders = {
        "step": steps.fused_step("lenet-300-100", 2, PENALTY_NAMES, members=members, device=device),
        "product": lambda: a @ b,
    }
    seconds = by_turns(contenders, rounds)
    share = multiplications.count(four_penalties()) * members / size**3
    rates = [share / ratio for ratio in ratios(seconds, "step", "product")]
    return rates, 2 * size**3 / statistics.median(seconds["product"]) / 1e9


def _gemm(quick: bool) -> BenchmarkResult:
    rates, rate = product_rates(8 if quick else 80, 1024, 2 if quick else 25)
    megaflop = 2 * multiplications.count(four_penalties()) / 1e6
    return BenchmarkResult(rates, facts={"GEMM rate, Gflop/s": rate, "Mflop a model-step": megaflop})


def _many_lenet5s(quick: bool) -> BenchmarkResult:
    members = 2 if quick else 32
    contenders = {
        "ours": steps.fused_step("lenet-5", 2, PENALTY_NAMES, members=members),
        "double": steps.repeat(steps.autograd_step("lenet-5", 2, steps.double_backward(PENALTY_NAMES)), 4),
        "plain": steps.repeat(steps.autograd_step("lenet-5", 2, steps.plain), 4),
    }
    seconds = by_turns(contenders, 1 if quick else 9)
    per_member = [r * 4 / members for r in ratios(seconds, "ours", "double")]
    return BenchmarkResult(
        per_member, facts={"ours / plain": median_ratio(seconds, "ours", "plain") * 4 / members}
    )


def _hardening(quick: bool) -> BenchmarkResult:
    contenders = {
        "plain": steps.autograd_step("lenet-300-100", 2, steps.plain),
        "ours": steps.fused_step("lenet-300-100", 2, (), adversary=Adversary(steps.EPSILON)),
        "autograd's / plain": steps.autograd_step("lenet-300-100", 2, steps.under_attack),
    }
    seconds = by_turns(contenders, 2 if quick else 40)
    facts = {"autograd's / plain": median_ratio(seconds, "autograd's / plain", "plain")}
    return BenchmarkResult(ratios(seconds, "ours", "plain"), facts=facts)


def _closed(name: str, quick: bool) -> BenchmarkResult:
    """Per example: ours on a batch of 64, autograd's on one example at a time."""
    (model,) = fresh(name, 2, [0])
    model.eval().requires_grad_(False)
    x, _ = (value[0] for value in steps.batch(2))
    y = model(x).argmax(dim=1)
    view = pullback(model, x)
    image, label = x[:1].clone(), y[:1].clone()

    def ours() -> Tensor:
        V, z = view.local_map(x)
        derivatives.input_gradient(V, z, y)
        taylor_radius.radius_l2(V, z, y)
        return derivatives.curvature(V, z)

    def theirs() -> Tensor:
        def loss(pixels: Tensor) -> Tensor:
            return functional.cross_entropy(model(pixels.view(1, 1, 28, 28)), label)

        torch.func.grad(loss)(image.flatten())
        H: Tensor = torch.func.hessian(loss)(image.flatten())
        largest: Tensor = torch.linalg.eigvalsh(H)[-1]
        return largest

    torch.testing.assert_close(ours()[0], theirs(), rtol=1e-2, atol=1e-7)
    seconds = by_turns({"ours": ours, "theirs": theirs}, 1 if quick else 9)
    return BenchmarkResult([r / steps.BATCH for r in ratios(seconds, "ours", "theirs")])
