"""Rows of the benchmark about training steps, ensembles and closed forms."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from regrob.bench.harness import Measurement, Row, by_turns, median_ratio, ratios
from regrob.bench.steps import (
    BATCH,
    EPSILON,
    PERCEPTRON,
    WEIGHT,
    autograd_step,
    bare_products,
    batch,
    double_backward,
    fused_step,
    lean_step,
    loop_step,
    network,
    plain,
    repeat,
    under_attack,
    with_another_pass,
    with_cure,
    with_definition,
    with_power_iteration,
    with_projection,
    with_regularizer,
)
from regrob.ensembles import multiplications
from regrob.ensembles.network_view import pullback
from regrob.theory import derivatives, taylor_radius
from regrob.theory.penalties import PENALTIES, PENALTY_NAMES
from regrob.training.adversarial import Adversary
from regrob.training.regularizers import (
    CurvaturePenalty,
    InputGradientPenalty,
    JacobianPenalty,
    Regularizer,
)


def rows() -> list[Row]:
    """Training, ensembles, closed forms."""
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
        *(
            Row(f"loop-{name}", f"step of a loop with {words} / plain step, ResNet-18, K=10", measure, target)
            for name, words, measure, target in (
                ("input-gradient", "the input-gradient penalty", _loop(InputGradientPenalty(WEIGHT)), 2.6),
                (
                    "jacobian",
                    "the Jacobian penalty, one probe",
                    _loop(JacobianPenalty(WEIGHT, probes=1)),
                    2.4,
                ),
                ("curvature", "the exact curvature penalty", _loop(CurvaturePenalty(WEIGHT)), 4.5),
            )
        ),
    ]


HAND_WRITTEN = "ours / plain step written by hand"
COUNTED = "multiplications, ours / plain"


def _curvature(name: str, classes: int, quick: bool) -> Measurement:
    contenders = {
        "plain": autograd_step(name, classes, plain),
        "ours": fused_step(name, classes, ("curvature",)),
        "lean": lean_step(name, classes, plain),
        "CURE / plain": autograd_step(name, classes, with_cure),
        "double backward / plain": autograd_step(name, classes, double_backward(("curvature",))),
        "10 Hessian-vector products / plain": autograd_step(name, classes, with_power_iteration),
    }
    ours = None
    if name == "lenet-300-100":
        ours = multiplications.penalised_step((*PERCEPTRON, classes), BATCH, classes - 1, 1)
        contenders["our products alone / plain"] = bare_products(ours)
    seconds = by_turns(contenders, 2 if quick else 15 if name == "lenet-5" else 60)
    facts = {rival: median_ratio(seconds, rival, "plain") for rival in contenders if "/" in rival}
    facts |= {HAND_WRITTEN: median_ratio(seconds, "ours", "lean")}
    facts["plain step, ms"] = 1e3 * sorted(seconds["plain"])[len(seconds["plain"]) // 2]
    if ours is not None:
        facts[COUNTED] = counted(ours, classes)
    return Measurement(ratios(seconds, "ours", "plain"), facts=facts)


def _loop(penalty: Regularizer) -> Callable[[bool], Measurement]:
    """A loop of the reader's own, on processor time: one step lasts long enough to meet a neighbour."""
    definition = PENALTIES[penalty.kind]

    def measure(quick: bool) -> Measurement:
        contenders = {
            "plain": loop_step(plain),
            "ours": loop_step(with_regularizer(penalty)),
            "V by K gradients, differentiated / plain": loop_step(with_definition(definition)),
            "one more pass / plain": loop_step(with_another_pass),
        }
        if penalty.kind == "jacobian":
            contenders["one projection through the batch's statistics / plain"] = loop_step(with_projection)
        seconds = by_turns(contenders, 1 if quick else 9, time.process_time)
        facts = {rival: median_ratio(seconds, rival, "plain") for rival in contenders if "/" in rival}
        return Measurement(ratios(seconds, "ours", "plain"), facts=facts)

    return measure


def counted(products: list[multiplications.Product], classes: int) -> float:
    """Multiplications of a LeNet-300-100 step over a plain step's."""
    return multiplications.count(products) / multiplications.count(
        multiplications.plain_step((*PERCEPTRON, classes), BATCH)
    )


def _jacobian(quick: bool) -> Measurement:
    name, kinds = "lenet-300-100", ("jacobian",)
    contenders = {
        "ours": fused_step(name, 10, kinds),
        "theirs": autograd_step(name, 10, double_backward(kinds)),
        "one random projection / double backward": autograd_step(name, 10, with_projection),
    }
    seconds = by_turns(contenders, 2 if quick else 40)
    rival = "one random projection / double backward"
    facts = {
        rival: median_ratio(seconds, rival, "theirs"),
        COUNTED: counted(multiplications.penalised_step((*PERCEPTRON, 10), BATCH, 10, 10), 10),
    }
    return Measurement(ratios(seconds, "ours", "theirs"), facts=facts)


def _many_mlps(quick: bool) -> Measurement:
    members = 8 if quick else 80
    products = four_penalties()
    contenders = {
        "ours": fused_step("lenet-300-100", 2, PENALTY_NAMES, members=members),
        "plain": repeat(autograd_step("lenet-300-100", 2, plain), 8),
        "lean": repeat(lean_step("lenet-300-100", 2, plain), 8),
        "double": autograd_step("lenet-300-100", 2, double_backward(PENALTY_NAMES)),
        "products": repeat(bare_products(products), 8),
    }
    seconds = by_turns(contenders, 2 if quick else 25)
    per_member = [r * 8 / members for r in ratios(seconds, "ours", "plain")]
    facts = {
        "ours / sequential double backward": median_ratio(seconds, "ours", "double") / members,
        HAND_WRITTEN: median_ratio(seconds, "ours", "lean") * 8 / members,
        "our products alone / plain": median_ratio(seconds, "products", "plain"),
        COUNTED: counted(products, 2),
    }
    return Measurement(per_member, facts=facts)


def four_penalties() -> list[multiplications.Product]:
    """The products of one LeNet-300-100 step with all four penalties, K = 2."""
    return multiplications.penalised_step(
        (*PERCEPTRON, 2), BATCH, 2, multiplications.columns(PENALTY_NAMES, 2)
    )


def _gemm(quick: bool) -> Measurement:
    """The rate of one model-step's products over that of one large product."""
    members, size = 8 if quick else 80, 1024
    a_member = 2 * multiplications.count(four_penalties())
    a, b = torch.rand(size, size), torch.rand(size, size)
    contenders = {
        "step": fused_step("lenet-300-100", 2, PENALTY_NAMES, members=members),
        "product": lambda: a @ b,
    }
    seconds = by_turns(contenders, 2 if quick else 25)
    share = a_member * members / (2 * size**3)
    rates = [share / r for r in ratios(seconds, "step", "product")]
    rate = 2 * size**3 / sorted(seconds["product"])[len(seconds["product"]) // 2] / 1e9
    return Measurement(rates, facts={"GEMM rate, Gflop/s": rate, "Mflop a model-step": a_member / 1e6})


def _many_lenet5s(quick: bool) -> Measurement:
    members = 2 if quick else 32
    contenders = {
        "ours": fused_step("lenet-5", 2, PENALTY_NAMES, members=members),
        "double": repeat(autograd_step("lenet-5", 2, double_backward(PENALTY_NAMES)), 4),
        "plain": repeat(autograd_step("lenet-5", 2, plain), 4),
    }
    seconds = by_turns(contenders, 1 if quick else 9)
    per_member = [r * 4 / members for r in ratios(seconds, "ours", "double")]
    return Measurement(
        per_member, facts={"ours / plain": median_ratio(seconds, "ours", "plain") * 4 / members}
    )


def _hardening(quick: bool) -> Measurement:
    contenders = {
        "plain": autograd_step("lenet-300-100", 2, plain),
        "ours": fused_step("lenet-300-100", 2, (), adversary=Adversary(EPSILON)),
        "autograd's / plain": autograd_step("lenet-300-100", 2, under_attack),
    }
    seconds = by_turns(contenders, 2 if quick else 40)
    facts = {"autograd's / plain": median_ratio(seconds, "autograd's / plain", "plain")}
    return Measurement(ratios(seconds, "ours", "plain"), facts=facts)


def _closed(name: str, quick: bool) -> Measurement:
    """Per example: ours on a batch of 64, autograd's on one example at a time."""
    model = network(name, 2).eval()
    for p in model.parameters():
        p.requires_grad_(False)
    x, _ = (value[0] for value in batch(2))
    y = model(x).argmax(dim=1)
    view = pullback(model)
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
    return Measurement([r / BATCH for r in ratios(seconds, "ours", "theirs")])
