"""Penalties in a loop of the reader's own: values, gradients, modes, projections, whatever the network."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close as close

import regrob
from regrob import networks
from regrob.affine import local_map
from regrob.errors import InputError, NotPiecewiseLinearError
from regrob.theory import PENALTIES, PENALTY_NAMES, hessian_factor
from regrob.training import REGULARIZERS, columns, network_penalty
from regrob.training.regularizers import Regularizer, evaluation_mode


def deep(classes: int = 4) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A network with BatchNorm and dropout in training mode, float64; images and labels."""
    with torch.random.fork_rng():
        torch.manual_seed(classes)
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(),
            nn.Dropout(0.5), nn.Linear(16, classes),
        ).double()  # fmt: skip
        images = torch.rand(6, 3, 6, 6, dtype=torch.float64)
    network(images + 0.5)  # running statistics that are not the batch's
    return network, images, torch.arange(6) % classes


def gradient(value: Tensor, network: nn.Module) -> Tensor:
    parameters = [p for p in network.parameters() if p.requires_grad]
    found = torch.autograd.grad(value, parameters, allow_unused=True, retain_graph=True)
    flat = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
    return torch.cat([g.flatten() for g in flat])


def by_definition(kind: str, network: nn.Module, images: Tensor, y: Tensor) -> Tensor:
    """The penalty of a copy in eval mode that shares the weights: per image, with a graph."""
    twin = copy.copy(network)
    for module in (state := {m: m.training for m in network.modules()}):
        module.eval()
    V, z = local_map(twin, images, create_graph=True)
    for module, training in state.items():
        module.training = training
    return PENALTIES[kind](V, z, y)


def test_there_is_one_for_each_penalty_and_the_package_lends_it() -> None:
    assert tuple(R.kind for R in REGULARIZERS) == PENALTY_NAMES
    assert all(getattr(regrob, R.__name__) is R for R in REGULARIZERS)


@pytest.mark.parametrize("R", REGULARIZERS)
@pytest.mark.parametrize("classes", [2, 4])
def test_value_and_gradient_in_a_loop_with_batch_norm_in_training(R: type[Regularizer], classes: int) -> None:
    network, x, y = deep(classes)
    modes = {m: m.training for m in network.modules()}
    before = {name: value.clone() for name, value in network.state_dict().items()}
    term = R(0.3)(network, x, y)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert modes == {m: m.training for m in network.modules()}
    expected = 0.3 * by_definition(R.kind, network, x, y).mean()
    close(term, expected, rtol=1e-12, atol=1e-15)
    close(gradient(term, network), gradient(expected, network), rtol=1e-9, atol=1e-13)
    # The batch's own statistics would give something else.
    batch = copy.deepcopy(network)
    batch[1].momentum = 1.0
    batch(x)
    other = 0.3 * by_definition(R.kind, batch, x, y).mean()
    assert abs(float((other / term).detach()) - 1) > 1e-3


@pytest.mark.parametrize("first", ["penalty", "loss"])
def test_the_order_of_the_two_terms_does_not_matter_to_autograd(first: str) -> None:
    network, x, y = deep()
    penalty = regrob.CurvaturePenalty(0.3)
    if first == "penalty":
        term = penalty(network, x, y)
        expected = gradient(0.3 * by_definition("curvature", network, x, y).mean(), network)
        loss = functional.cross_entropy(network(x), y)  # moves the statistics that the term has used
        close(gradient(term, network), expected, rtol=1e-9, atol=1e-13)
    else:
        loss = functional.cross_entropy(network(x), y)
        term = penalty(network, x, y)
    (loss + term).backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in network.parameters())


def test_a_module_that_was_frozen_stays_frozen_and_one_without_statistics_is_refused() -> None:
    network, x, y = deep()
    network[1].eval()
    regrob.JacobianPenalty(1.0)(network, x, y)
    assert not network[1].training and network[5].training and network.training

    def stopped() -> None:
        with evaluation_mode(network):
            assert not network[5].training
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    assert network[5].training
    bare = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(108, track_running_stats=False), nn.Linear(108, 3))
    with pytest.raises(NotPiecewiseLinearError, match="normalises over the batch"):
        regrob.JacobianPenalty(1.0)(bare.double(), x)


@pytest.mark.parametrize("R", REGULARIZERS)
def test_the_weight_means_the_same_whatever_the_batch(R: type[Regularizer]) -> None:
    network, x, y = deep()
    whole = R(0.7)(network, x, y)
    parts = [R(0.7)(network, x[i : i + 2], y[i : i + 2]) for i in (0, 2, 4)]
    close(whole, torch.stack(parts).mean(), rtol=1e-12, atol=0)
    each = network_penalty(network, x, y, kind=R.kind)
    assert each.shape == (6,)
    close(whole, 0.7 * each.mean(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("R", REGULARIZERS)
def test_autocast_does_not_reach_the_penalty(R: type[Regularizer]) -> None:
    network, x, y = deep()
    network, x = network.float(), x.float()
    full = R(1.0)(network, x, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = R(1.0)(network, x, y)
        value, z = R(1.0).with_logits(network, x, y)  # moves BatchNorm's statistics
    assert z.dtype == torch.bfloat16  # the loop's own logits stay the loop's
    assert inside.dtype == value.dtype == torch.float32
    close(inside, full, rtol=1e-5, atol=0)
    close(value, R(1.0)(network, x, y), rtol=1e-5, atol=0)
    if R.kind != "curvature":  # eigh has no half precision at all
        half = by_definition(R.kind, network.bfloat16(), x.bfloat16(), y).float().mean()
        assert not torch.allclose(half, value, rtol=1e-4)  # what autocast would leave of the digits


def test_frozen_layers_channels_last_and_monitoring() -> None:
    network, x, y = deep()
    network[0].requires_grad_(False)
    for R in REGULARIZERS:
        term, expected = R(1.0)(network, x, y), by_definition(R.kind, network, x, y).mean()
        close(gradient(term, network), gradient(expected, network), rtol=1e-9, atol=1e-13)
        last = R(1.0)(
            network.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last), y
        )
        close(last, term, rtol=1e-12, atol=0)
        with torch.no_grad():
            watched = R(1.0)(network, x, y)
        with torch.inference_mode():
            inferred = R(1.0)(network, x + 0.0, y)
        assert not watched.requires_grad
        close(watched, term.detach(), rtol=1e-12, atol=0)
        close(inferred, term.detach(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (1, 2, 2, 3)])
def test_images_of_any_shape(shape: tuple[int, ...]) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 7), nn.ReLU(), nn.Linear(7, 3)).double()
    x, y = torch.rand(4, *shape, dtype=torch.float64), torch.arange(4) % 3
    for kind in PENALTY_NAMES:
        expected = by_definition(kind, network, x, y)
        close(network_penalty(network, x, y, kind=kind), expected, rtol=1e-12, atol=1e-15)


# --- projections ------------------------------------------------------------------------


def frame(C: Tensor, directions: Tensor) -> Tensor:
    """`directions` (c, n) in the place of random ones, scaled as those are."""
    return (C.shape[-1] / directions.shape[-1]) ** 0.5 * directions.expand(len(C), -1, -1)


@pytest.mark.parametrize("kind", columns.PROJECTED)
def test_a_full_frame_is_exact_whatever_is_drawn(kind: str) -> None:
    network, x, _ = deep()
    exact = network_penalty(network, x, kind=kind)
    full = 4 if kind == "jacobian" else 3
    close(network_penalty(network, x, kind=kind, probes=full), exact, rtol=1e-12, atol=0)
    fewer = network_penalty(network, x, kind=kind, probes=full - 1)
    assert not torch.allclose(fewer, exact, rtol=1e-6)


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("kind", columns.PROJECTED)
def test_the_mean_over_all_sign_vectors_is_the_exact_penalty(
    kind: str, wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, x, _ = deep()
    exact = network_penalty(network, x, kind=kind)
    count = 4 if kind == "jacobian" else 3
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=count)), dtype=torch.float64)
    estimates = []
    for sign in signs:
        monkeypatch.setattr(
            columns, "random_frame", lambda C, n, g, s=sign: frame(C, s[:, None] / count**0.5)
        )
        estimates.append(network_penalty(network, x, kind=kind, probes=1))
    mean = torch.stack(estimates).mean(dim=0)
    if wrong:  # normalised for K directions where there are K − 1, or the other way round
        mean = mean * (count / (count - 1))
    assert torch.allclose(mean, exact, rtol=1e-10) != wrong
    assert not torch.allclose(estimates[0], exact, rtol=1e-3)


@pytest.mark.parametrize("probes", [1, 2])
@pytest.mark.parametrize("kind", columns.PROJECTED)
def test_random_projections_are_unbiased(kind: str, probes: int) -> None:
    network, x, _ = deep(5)
    exact = float(network_penalty(network, x[:1], kind=kind).detach())
    many = x[:1].expand(20_000, -1, -1, -1)
    generator = torch.Generator().manual_seed(probes)
    with torch.no_grad():
        drawn = network_penalty(network, many, kind=kind, probes=probes, generator=generator)
    error = float(drawn.std()) / len(drawn) ** 0.5
    assert abs(float(drawn.mean()) - exact) < 4 * error
    count = 5 if kind == "jacobian" else 4
    for wrong in ((count + 1) / count, (count - 1) / count, 1 / probes if probes > 1 else 0.5):
        assert abs(wrong * float(drawn.mean()) - exact) > 4 * error
    assert drawn.unique().numel() > 10_000  # drawn anew for each example


def test_the_seed_decides_the_projections() -> None:
    network, x, _ = deep()
    penalty = regrob.JacobianPenalty(1.0, probes=1)
    values = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            values.append(float(penalty(network, x).detach()))
    assert values[0] == values[1] != values[2]


# --- the curvature's direction, and what a step costs -------------------------------------


def wide(classes: int, size: float) -> tuple[nn.Module, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    network = networks.mlp((30, 40, classes), generator=generator).double()
    with torch.no_grad():
        network[-1].weight.mul_(size)
    return network, torch.rand(5, 30, generator=generator, dtype=torch.float64), torch.arange(5)


@pytest.mark.parametrize("size", [0.0, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("classes", [3, 60])
def test_products_find_the_direction_that_rows_find(size: float, classes: int) -> None:
    network, x, y = wide(classes, size)
    at = x.requires_grad_(True)
    z = network(at)
    expected = by_definition("curvature", network, x, y)
    for find in (columns._top_by_rows, columns._top_by_products):
        u = find(at, z)
        close(u.norm(dim=1), torch.ones(5, 1, dtype=torch.float64))
        V, _ = local_map(network, x)
        A = hessian_factor(V, z.detach())
        close((A @ u).square().sum(dim=(1, 2)), expected.detach(), rtol=1e-12, atol=1e-14)
    value = network_penalty(network, x.detach(), kind="curvature")
    ours, theirs = gradient(value.mean(), network), gradient(expected.mean(), network)
    assert float((ours - theirs).abs().max()) <= 1e-6 * float(theirs.abs().max())


def count_gradients(monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> int:
    usual, calls = torch.autograd.grad, []

    def counted(*arguments: object, **settings: object) -> object:
        calls.append(1)
        return usual(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(torch.autograd, "grad", counted)
        run()
    return len(calls)


def test_the_way_to_the_direction_is_the_cheaper_one(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = wide(10, 1.0), wide(200, 10.0)
    for network, x, _ in (few, many):
        network_penalty(network, x, kind="curvature")  # tests the network, once
    # K − 1 rows and the column.
    assert count_gradients(monkeypatch, lambda: network_penalty(*few[:2], kind="curvature")) == 10
    assert count_gradients(monkeypatch, lambda: network_penalty(*many[:2], kind="curvature")) < 100
    for kind, calls in (("input-gradient", 1), ("jacobian", 10), ("cross-lipschitz", 9)):
        assert count_gradients(monkeypatch, lambda kind=kind: network_penalty(*few, kind=kind)) == calls
    assert count_gradients(monkeypatch, lambda: network_penalty(*few[:2], kind="jacobian", probes=2)) == 2


@pytest.mark.parametrize(
    "relu",
    [
        nn.ReLU(), nn.ReLU(inplace=True), functional.relu, lambda x: functional.relu(x, inplace=True),
        lambda x: functional.relu(input=x), torch.relu, torch.relu_, lambda x: x.relu(),
        lambda x: x.relu_(),
    ],
)  # fmt: skip
def test_no_zeros_run_back_through_a_relu(relu: Callable[[Tensor], Tensor]) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 9), nn.Linear(9, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(relu(self.first(x)))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, x = Network().double().eval(), torch.rand(5, 4, dtype=torch.float64)
    value = network_penalty(network, x, kind="jacobian")
    expected = by_definition("jacobian", network, x, torch.zeros(5, dtype=torch.int64))
    close(value, expected, rtol=1e-12, atol=0)
    close(gradient(value.sum(), network), gradient(expected.sum(), network))
    # Autograd's own ReLU gives the bias a gradient of zeros, after a pass through the network.
    bias = network.first.bias
    assert torch.autograd.grad(value.sum(), bias, allow_unused=True, retain_graph=True)[0] is None
    if relu is torch.relu:
        assert torch.autograd.grad(expected.sum(), bias, allow_unused=True)[0] is not None


def test_one_pass_serves_both_where_no_module_acts_otherwise_in_training() -> None:
    network, x, y = wide(4, 1.0)[0], torch.rand(6, 30, dtype=torch.float64), torch.arange(6) % 4
    passes = []
    network.register_forward_hook(lambda *_: passes.append(1))
    for R in REGULARIZERS:
        R(0.3)(network, x, y)  # the curvature's test of the network is over
        passes.clear()
        term, z = R(0.3).with_logits(network, x, y)
        assert len(passes) == 1
        close(term, R(0.3)(network, x, y), rtol=1e-12, atol=0)
        close(z, network(x), rtol=1e-12, atol=0)
    network, x, y = deep()
    torch.manual_seed(0)
    twin = copy.deepcopy(network)
    _, z = regrob.JacobianPenalty(0.3).with_logits(network, x, y)
    torch.manual_seed(0)
    close(z, twin(x))  # in training mode, dropout and all
    assert torch.equal(network[1].running_mean, twin[1].running_mean)


# --- from the loop's own pass --------------------------------------------------------------


@pytest.mark.parametrize("R", [R for R in REGULARIZERS if R.kind != "curvature"])
def test_the_loop_s_own_pass_gives_the_penalty_of_the_batch_as_it_was_normalised(
    R: type[Regularizer],
) -> None:
    """Against the Jacobian of all logits by all images, of the network in training mode."""
    network, x, y = deep()
    network[5].eval()  # dropout would draw another mask for the reference
    x.requires_grad_()
    term = R(0.3).of_logits(x, network(x), y)
    J = torch.autograd.functional.jacobian(network, x.detach(), create_graph=True)  # (N, K, N, …)
    p = torch.softmax(network(x.detach()), dim=1)
    residual = p - functional.one_hot(y, 4)
    by_image = J.flatten(3).permute(2, 0, 1, 3)  # rows by the image that is moved
    if R.kind == "input-gradient":
        value = torch.einsum("nk,mnki->mi", residual, by_image).square().sum(dim=1)
    else:  # the sums of a class over the batch: an example is tied to the others
        V = by_image.sum(dim=1)
        if R.kind == "cross-lipschitz":
            V = V - V.mean(dim=1, keepdim=True)
        value = V.square().sum(dim=(1, 2)) * (0.5 if R.kind == "cross-lipschitz" else 1.0)
    expected = 0.3 * value.mean()
    close(term, expected, rtol=1e-9, atol=1e-15)
    close(gradient(term, network), gradient(expected, network), rtol=1e-7, atol=1e-12)
    alone = R(0.3)(network, x.detach(), y)
    assert abs(float((alone / term).detach()) - 1) > 1e-3  # in eval mode it is something else


@pytest.mark.parametrize("R", [R for R in REGULARIZERS if R.kind != "curvature"])
def test_where_nothing_couples_the_batch_the_loop_s_own_pass_gives_the_same(R: type[Regularizer]) -> None:
    network, x, y = wide(4, 1.0)[0], torch.rand(6, 30, dtype=torch.float64), torch.arange(6) % 4
    x.requires_grad_()
    term, expected = R(0.3).of_logits(x, network(x), y), R(0.3)(network, x.detach(), y)
    close(term, expected, rtol=1e-12, atol=0)
    close(gradient(term, network), gradient(expected, network), rtol=1e-9, atol=1e-13)


def test_a_pass_that_cannot_be_differentiated_is_refused() -> None:
    network, x, _ = deep()
    moved = x.clone().requires_grad_()
    z = network(moved)
    jacobian = regrob.JacobianPenalty(1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = nn.Linear(108, 3)(moved.float().flatten(1))
    for refused, message in (
        (lambda: regrob.CurvaturePenalty(1.0).of_logits(moved, z), "own local map"),
        (lambda: regrob.InputGradientPenalty(1.0).of_logits(moved, z), "needs the labels"),
        (lambda: jacobian.of_logits(x, z), r"call images.requires_grad_\(\) before"),
        (lambda: jacobian.of_logits(x.clone().requires_grad_(), z), "do not depend on these images"),
        (lambda: jacobian.of_logits(moved, z.detach()), "carry no gradient"),
        (lambda: jacobian.of_logits(moved, z[:3]), "logits of shape"),
        (lambda: jacobian.of_logits(moved, half), "logits are torch.bfloat16"),
        (lambda: jacobian.of_logits(x.byte(), z), r"call .float\(\)"),
    ):
        with pytest.raises(InputError, match=message):
            refused()


# --- what is refused -----------------------------------------------------------------------


def test_a_smooth_network_has_a_jacobian_and_no_curvature_of_its_affine_map() -> None:
    network = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 3)).double()
    x, y = torch.rand(5, 4, dtype=torch.float64), torch.arange(5) % 3
    with pytest.raises(NotPiecewiseLinearError, match="GELU"):
        regrob.CurvaturePenalty(1.0)(network, x, y)
    at = x.clone().requires_grad_(True)
    (g,) = torch.autograd.grad(functional.cross_entropy(network(at), y, reduction="sum"), at)
    close(
        regrob.InputGradientPenalty(1.0)(network, x, y).detach(),
        g.square().sum(dim=1).mean(),
        rtol=1e-12,
        atol=0,
    )


class Detached(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


def test_bad_settings_are_named() -> None:
    network, x, y = deep()
    for refused, message in (
        (lambda: regrob.JacobianPenalty(-1.0), "weight must be finite"),
        (lambda: regrob.JacobianPenalty(1.0, probes=0), "probes must be at least 1"),
        (lambda: regrob.JacobianPenalty(1.0, probes=5)(network, x), "probes is 5, but 4 are exact"),
        (lambda: network_penalty(network, x, kind="curvature", probes=1), "leave probes out"),
        (lambda: network_penalty(network, x, kind="hessian"), "no penalty is called 'hessian'"),
        (lambda: regrob.InputGradientPenalty(1.0)(network, x), "needs the labels"),
        (lambda: network_penalty(network[:1], x, kind="jacobian"), "logits of shape"),
        (lambda: network_penalty(network, x.byte(), kind="jacobian"), r"got torch.uint8: call .float\(\)"),
        (lambda: network_penalty(Detached(), x[:, 0, 0], kind="jacobian"), "carry no gradient"),
        (lambda: regrob.InputGradientPenalty(1.0)(network, x, y + 9), "outside 0 … 3"),
    ):
        with pytest.raises(InputError, match=message):
            refused()
    assert network.training and network[1].training


def test_a_regularizer_can_be_printed_copied_and_stored() -> None:
    penalty = regrob.JacobianPenalty(0.1, probes=2)
    assert (
        repr(penalty) == f"JacobianPenalty({penalty.extra_repr()})" == "JacobianPenalty(weight=0.1, probes=2)"
    )
    for twin in (copy.deepcopy(penalty), pickle.loads(pickle.dumps(penalty))):
        assert (twin.weight, twin.probes) == (0.1, 2)
    assert not penalty.state_dict()


# --- λ of other packages --------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 5])
def test_half_of_the_jacobian_regularizers_weight_is_ours(classes: int) -> None:
    """Its term, from the published definition: λ_JR/2 times the batch's mean of ‖J‖_F²."""
    network, x, _ = wide(classes, 1.0)
    J = torch.stack(
        [torch.autograd.functional.jacobian(lambda at: network(at[None])[0], image) for image in x]
    )
    theirs = 0.02 * 0.5 * J.square().sum() / len(x)
    close(regrob.JacobianPenalty(0.5 * 0.02)(network, x).detach(), theirs, rtol=1e-12, atol=0)
    assert not torch.allclose(regrob.JacobianPenalty(0.02)(network, x), theirs, rtol=0.1)


@pytest.mark.parametrize("power", [1, 2])
def test_cures_weight_with_two_classes_and_no_more_than_it_with_many(power: int) -> None:
    """γ‖∇(x + hu) − ∇(x)‖^power, u the unit sign of ∇, with h so small that no kink is crossed."""
    gamma, h = 4.0, 1e-6
    for classes in (2, 5):
        network, x, y = wide(classes, 1.0)
        y = y % classes

        def slope(at: Tensor, network: nn.Module = network, y: Tensor = y) -> Tensor:
            at = at.clone().requires_grad_(True)
            return torch.autograd.grad(functional.cross_entropy(network(at), y, reduction="sum"), at)[0]

        u = functional.normalize(slope(x).sign(), dim=1)
        theirs = gamma * (slope(x + h * u) - slope(x)).norm(dim=1) ** power
        curvature = network_penalty(network, x, kind="curvature").detach()
        if classes == 2:
            V, _ = local_map(network, x)
            s = V[..., 0] - V[..., 1]
            rho = s.abs().sum(dim=1) / (s.shape[1] ** 0.5 * s.norm(dim=1))
            close(theirs, gamma * (h * rho * curvature) ** power, rtol=1e-4, atol=0)
            assert not torch.allclose(theirs, gamma * (h * curvature) ** power, rtol=0.05, atol=0)
        else:
            assert bool((theirs < gamma * (h * curvature) ** power).all())
