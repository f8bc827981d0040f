"""A member of an ensemble is a solo run: the same weights, to rounding, in float64."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from small_task import small_task
from torch import Tensor, nn
from torch.nn import functional

from regrob import networks
from regrob.affine.local_map import local_map
from regrob.ensembles import multiplications
from regrob.ensembles.ensemble import Ensemble, penalty_weights
from regrob.ensembles.kernels import convolve, convolve_transposed, max_pool, symmetric_product
from regrob.ensembles.network_view import AutogradPullback, StackedPullback, pullback
from regrob.ensembles.step import Step
from regrob.errors import InputError
from regrob.theory.penalties import PENALTIES, PENALTY_NAMES, dominant_eigenvector, gram_penalty
from regrob.training import many
from regrob.training.many import train_ensemble
from regrob.training.policy import CaffePolicy
from regrob.training.single import Regime, train

KINDS = {kind: [0.1 if k == kind else 0.0 for k in PENALTY_NAMES] for kind in PENALTY_NAMES}
KINDS |= {"none": [0.0] * 4, "all": [0.1, 0.02, 0.1, 0.03], "one row": [0.1, 0.0, 0.1, 0.03]}


def perceptron(classes: int, seed: int) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    return networks.mlp((36, 15, 12, classes), slope=0.1, generator=generator).double()


def convolution(classes: int, seed: int) -> nn.Sequential:
    network = nn.Sequential(
        nn.Conv2d(1, 5, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 4, 2), nn.Flatten(),
        nn.Linear(4, 6, bias=False), nn.LeakyReLU(0.2), nn.Linear(6, classes),
    )  # fmt: skip
    networks.initialise_caffe(network, torch.Generator().manual_seed(seed))
    return network.double()


BUILDERS = {"perceptron": perceptron, "convolution": convolution}


def worst(a: nn.Module, b: nn.Module) -> float:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return max(float((p - q).detach().abs().max()) for p, q in pairs)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", BUILDERS)
def test_step_equals_double_backward(architecture: str, kind: str, classes: int) -> None:
    build = BUILDERS[architecture]
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(2, 5, 1, 6, 6, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (2, 5), generator=generator)
    weights = torch.tensor([KINDS[kind], KINDS[kind]], dtype=torch.float64)
    weights[1] *= 0.5
    solos = [build(classes, seed) for seed in (0, 1)]
    ensemble = Ensemble(solos, weights)
    rate = torch.tensor(0.05, dtype=torch.float64)
    for _ in range(3):
        ensemble.step(x, y, rate)
    for m, network in enumerate(solos):
        by_double_backward(network, x[m], y[m], weights[m], steps=3)
        assert worst(network, ensemble.member(m, build(classes, 9))) < 1e-13


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "none"])
def test_both_ways_through_the_first_layer_equal_double_backward(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WᵀW, with few columns and with many, and rows pulled to the image."""
    x = torch.rand(1, 7, 1, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    y = torch.arange(7)[None] % 5
    weights = torch.tensor([KINDS[kind]], dtype=torch.float64)
    rate = torch.tensor(0.05, dtype=torch.float64)
    solo = perceptron(5, 0)
    by_double_backward(solo, x[0], y[0], weights[0], steps=3)
    for square in (True, False):
        monkeypatch.setattr("regrob.ensembles.multiplications.square_pays", lambda *_, square=square: square)
        ensemble = Ensemble([perceptron(5, 0)], weights)
        for _ in range(3):
            ensemble.step(x, y, rate)
        assert worst(solo, ensemble.member(0, perceptron(5, 9))) < 1e-13


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "none"])
def test_a_step_reports_the_mean_loss_and_the_mean_weighted_penalty(kind: str) -> None:
    x = torch.rand(1, 7, 1, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    y = torch.arange(7)[None] % 3
    network, weights = perceptron(3, 0), torch.tensor([KINDS[kind]], dtype=torch.float64)
    seen = Ensemble([network], weights).step(x, y, torch.tensor(0.05, dtype=torch.float64))
    V, z = local_map(network, x[0])
    pairs = zip(KINDS[kind], PENALTIES.values(), strict=True)
    expected = sum(weight * penalty(V, z, y[0]).mean() for weight, penalty in pairs)
    torch.testing.assert_close(seen.penalty[0], expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(seen.loss[0], functional.cross_entropy(z, y[0]), rtol=1e-12, atol=0)


def test_a_step_and_a_penalty_know_one_minus_p_where_p_rounds_to_one() -> None:
    """At a margin of 40, q = 4e-18: the difference p − 1 is zero in float64."""
    q = math.exp(-40)
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2)).double()
    with torch.no_grad():
        network[1].weight.zero_()
        network[1].bias.copy_(torch.tensor([40.0, 0.0]))
    ensemble = Ensemble([network], torch.zeros(1, 4, dtype=torch.float64))
    x, y = torch.ones(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.int64)
    ensemble.step(x, y, torch.tensor(1.0, dtype=torch.float64))
    pulled = ensemble.member(0, copy.deepcopy(network))[1].weight[:, 0].tolist()
    assert pulled == pytest.approx([q, -q], rel=1e-12, abs=0)

    S, z = torch.diag(torch.tensor([9.0, 16.0], dtype=torch.float64)), network[1].bias.detach()
    weights = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    penalty = gram_penalty(S, z, torch.tensor(0), weights, ("input-gradient",))
    assert float(penalty.value) == pytest.approx(25 * q**2, rel=1e-12, abs=0)
    assert penalty.factor[:, 0].tolist() == pytest.approx([-q, q], rel=1e-12, abs=0)


def test_multiplications_are_counted_and_the_fewer_chosen() -> None:
    """A LeNet-300-100: one row goes to the image, nine do not."""
    assert not multiplications.square_pays(784, 300, 64, 1, 1)
    assert multiplications.square_pays(784, 300, 64, 9, 1)
    assert multiplications.square_pays(784, 300, 64, 10, 10)
    assert multiplications.count(multiplications.plain_step((7, 5, 2), 3)) == 3 * (35 + 10 + 10 + 35 + 10)


@pytest.mark.parametrize("architecture", BUILDERS)
def test_blocks_of_members_end_where_the_whole_ensemble_ends(architecture: str) -> None:
    x = torch.rand(5, 4, 1, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    y = torch.randint(3, (5, 4), generator=torch.Generator().manual_seed(4))
    weights = torch.rand(5, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    rate = torch.tensor(0.05, dtype=torch.float64)

    def run(memory: int | None) -> tuple[Ensemble, list[Tensor]]:
        ensemble = Ensemble([BUILDERS[architecture](3, seed) for seed in range(5)], weights, memory=memory)
        seen = [ensemble.step(x, y, rate) for _ in range(3)]
        return ensemble, [torch.stack([s.loss, s.penalty]) for s in seen]

    whole, expected = run(None)
    assert whole.block_size(x) == 5
    for size, sizes in [(1, 1), (2, 2), (4, 3)]:
        split, seen = run(size * whole.bytes_per_member(x))
        assert split.block_size(x) == sizes
        for a, b in zip(whole.state().values(), split.state().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-13)
        torch.testing.assert_close(torch.stack(seen), torch.stack(expected), rtol=0, atol=1e-13)


def test_blocks_bound_the_memory_of_a_step() -> None:
    """What a step allocates on top, as torch's profiler sees it, grows with the block alone."""

    def peak(memory: int) -> int:
        ensemble = Ensemble([perceptron(3, m) for m in range(12)], torch.full((12, 4), 0.1), memory=memory)
        x, y = torch.rand(12, 50, 1, 6, 6, dtype=torch.float64), torch.zeros(12, 50, dtype=torch.int64)
        rate = torch.tensor(0.1, dtype=torch.float64)
        with torch.profiler.profile(profile_memory=True) as seen:
            ensemble.step(x, y, rate)
        held = most = 0
        for event in seen.profiler.kineto_results.events():  # type: ignore[union-attr]
            if event.name() == "[memory]":
                held += event.nbytes()
                most = max(most, held)
        return most

    ensemble = Ensemble([perceptron(3, 0)], torch.full((1, 4), 0.1))
    one = ensemble.bytes_per_member(torch.rand(1, 50, 1, 6, 6, dtype=torch.float64))
    whole, blocks = peak(12 * one), peak(2 * one)
    assert blocks < 0.3 * whole
    assert 0.4 * 12 * one < whole < 1.2 * 12 * one


def by_double_backward(network: nn.Module, x: Tensor, y: Tensor, weights: Tensor, *, steps: int) -> None:
    """The same descent, written from scratch."""
    velocity = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    for _ in range(steps):
        local = local_map(network, x, create_graph=True, check=False)
        loss = nn.functional.cross_entropy(local.z, y)
        for weight, kind in zip(weights, PENALTY_NAMES, strict=True):
            loss = loss + weight * PENALTIES[kind](local.V, local.z, y).mean()
        named = list(network.named_parameters())
        gradients = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
        with torch.no_grad():
            for (name, p), g in zip(named, gradients, strict=True):
                g = torch.zeros_like(p) if g is None else g
                rate = 0.1 if name.endswith("bias") else 0.05
                velocity[name] = 0.9 * velocity[name] + rate * (g + 5e-4 * p)
                p -= velocity[name]


@pytest.mark.parametrize("change", [{}, {"momentum": 0.5}, {"weight_decay": 0.1}])
def test_training_equals_solo_runs_across_chunks(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, float]
) -> None:
    monkeypatch.setattr("regrob.training.many.CHUNK", 7)
    task = small_task()
    settings = [("input-gradient", 0.1), ("jacobian", 0.02), ("curvature", 0.2), (None, 0.0)]
    weights = torch.zeros(4, 4, dtype=torch.float64)
    for m, (kind, weight) in enumerate(settings):
        if kind:
            weights[m, PENALTY_NAMES.index(kind)] = weight
    ensemble = Ensemble([perceptron(2, m) for m in range(4)], weights)
    policy = CaffePolicy(base=0.05, batch=8, **change)
    *_, last = train_ensemble(ensemble, task, [5, 5, 6, 7], iterations=17, policy=policy)
    assert last.iteration == 17
    for m, (kind, weight) in enumerate(settings):
        solo = perceptron(2, m)
        seed = [5, 5, 6, 7][m]
        history = train(
            solo, task, iterations=17, penalty=kind, weight=weight, seed=seed, regime=Regime(policy=policy)
        )
        assert worst(solo, ensemble.member(m, perceptron(2, 9))) < 1e-10
        assert torch.allclose(last.loss[m].float(), history.loss[14:].mean(), atol=1e-5)


def test_resuming_is_bitwise_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regrob.training.many.CHUNK", 4)
    task = small_task()

    def fresh() -> Ensemble:
        return Ensemble([perceptron(2, m).float() for m in range(2)], torch.full((2, 4), 0.05))

    whole = fresh()
    for _ in train_ensemble(whole, task, [0, 1], iterations=12):
        pass
    first = fresh()
    run = train_ensemble(first, task, [0, 1], iterations=12)
    stop = next(run)
    saved = {name: value.clone() for name, value in first.state().items()}
    second = fresh()
    second.load_state(saved)
    for _ in train_ensemble(second, task, [0, 1], iterations=12, start=stop):
        pass
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state().values(), second.state().values(), strict=True)
    )


@pytest.mark.parametrize("size", [100.0, 120.0])  # at the start of a chunk; within one
def test_a_diverging_member_is_marked_and_frozen_and_leaves_the_others_alone(
    size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = small_task()
    monkeypatch.setattr(many, "CHUNK", 5)

    def run(weight: float, iterations: int = 60) -> tuple[Ensemble, Tensor]:
        weights = torch.tensor([[0.0, 0.1, 0.0, 0.0], [0.0, weight, 0.0, 0.0]])
        ensemble = Ensemble([perceptron(2, m).float() for m in range(2)], weights)
        *_, last = train_ensemble(ensemble, task, [0, 1], iterations=iterations)
        return ensemble, last.diverged_at

    calm, none = run(0.1)
    wild, marked = run(size)
    assert none.tolist() == [-1, -1]
    assert marked[0] == -1
    assert 5 < marked[1] < 60
    before, unmarked = run(size, int(marked[1]) // 5 * 5)
    assert unmarked.tolist() == [-1, -1]
    for a, b, c in zip(calm.state().values(), wild.state().values(), before.state().values(), strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(b[1], c[1])
        assert torch.isfinite(b[1]).all()


def test_damage_by_the_last_step_of_a_chunk_is_seen_and_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = Ensemble([perceptron(2, m).float() for m in range(2)], torch.zeros(2, 4))
    weight = next(iter(ensemble.state().values()))
    calls = []

    def step(x: Tensor, y: Tensor, rate: Tensor, **solver: float) -> Step:
        calls.append(rate)
        seen = Ensemble.step(ensemble, x, y, rate, **solver)
        if len(calls) == 10:
            weight[1, 0, 0] = torch.inf
        return seen

    monkeypatch.setattr(ensemble, "step", step)
    monkeypatch.setattr(many, "CHUNK", 5)
    run = train_ensemble(ensemble, small_task(), [0, 1], iterations=20)
    assert next(run).diverged_at.tolist() == [-1, -1]
    kept = weight[1].clone()
    assert [now.diverged_at.tolist() for now in run] == [[-1, 10]] * 3
    assert torch.equal(weight[1], kept)


@pytest.mark.parametrize("architecture", BUILDERS)
def test_pullback_equals_autograd(architecture: str) -> None:
    members = [BUILDERS[architecture](3, seed) for seed in (0, 1)]
    x = torch.rand(8, 1, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stacked = StackedPullback(Ensemble(members, torch.zeros(2, 4)))
    gradient, z = stacked.gradient(x, torch.sin)
    local = stacked.local_map(x)
    for m, network in enumerate(members):
        part = slice(4 * m, 4 * m + 4)
        reference = AutogradPullback(network)
        expected, logits = reference.gradient(x[part], torch.sin)
        assert torch.allclose(z[part], logits, atol=1e-14)
        assert torch.allclose(gradient[part], expected, atol=1e-14)
        assert torch.allclose(local.V[part], reference.local_map(x[part]).V, atol=1e-14)
    assert isinstance(pullback(members[0], x), StackedPullback)
    assert isinstance(pullback(networks.Residual(members[0], members[1]), x), AutogradPullback)


@pytest.mark.parametrize("architecture", BUILDERS)
def test_a_point_outlives_the_passes_that_follow(architecture: str) -> None:
    """And other images have another map."""
    ensemble = Ensemble([BUILDERS[architecture](3, 0)])
    x, other = torch.rand(2, 1, 4, 1, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = torch.eye(3, dtype=torch.float64).expand(1, 4, -1, -1)
    expected = ensemble.pull(rows, ensemble.at(x))
    point = ensemble.at(x)
    ensemble.logits(other)
    ensemble.step(other, torch.zeros(1, 4, dtype=torch.int64), torch.tensor(0.0, dtype=torch.float64))
    assert torch.equal(ensemble.pull(rows, point), expected)
    assert not torch.allclose(ensemble.pull(rows, ensemble.at(other)), expected)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_gram_penalty_equals_autograd(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    V = torch.randn(4, 7, classes, generator=generator, dtype=torch.float64).requires_grad_()
    z = (2 * torch.randn(4, classes, generator=generator, dtype=torch.float64)).requires_grad_()
    y = torch.randint(classes, (4,), generator=generator)
    weights = torch.rand(4, 4, generator=generator, dtype=torch.float64)
    total = sum(weights[:, i] * PENALTIES[kind](V, z, y) for i, kind in enumerate(PENALTY_NAMES))
    assert isinstance(total, Tensor)
    by_V, by_z = torch.autograd.grad(total.sum(), (V, z))
    V, z = V.detach(), z.detach()
    result = gram_penalty(V.mT @ V, z, y, weights)
    assert torch.allclose(result.value, total, atol=1e-12)
    assert torch.allclose(2 * V @ result.factor @ result.factor.mT, by_V, atol=1e-12)
    assert torch.allclose(result.logits, by_z, atol=1e-12)


def test_dominant_eigenvector_equals_eigh_even_when_eigenvalues_are_close() -> None:
    generator = torch.Generator().manual_seed(0)
    Q, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    for gap in (0.5, 1e-3, 1e-7, 0.0):
        B = Q @ torch.diag(torch.tensor([1.0, 1.0 - gap, 0.3, 0.1, 0.0, 0.0], dtype=torch.float64)) @ Q.T
        u = dominant_eigenvector(B)
        assert abs(float(u @ B @ u) - 1.0) < 1e-7
    assert torch.isfinite(dominant_eigenvector(torch.zeros(3, 3))).all()


@pytest.mark.parametrize("width", [5, 96, 100])
def test_symmetric_product_equals_the_whole_one(width: int) -> None:
    X = torch.randn(2, 7, width, dtype=torch.float64)
    torch.testing.assert_close(symmetric_product(X), X.mT @ X, rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (2, 3)])
def test_pooling_equals_torch(size: tuple[int, int]) -> None:
    """Values and first positions, ties and odd edges included."""
    h = torch.randint(3, (6, 2, *size), generator=torch.Generator().manual_seed(0)).double()
    values, index = nn.functional.max_pool2d(h, 2, 2, return_indices=True)
    found = max_pool(h, 2, 2)
    assert torch.equal(found[0], values)
    assert torch.equal(found[1], index)
    assert int((h.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2).sort().values.diff()[..., -1] == 0).sum()) > 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("channels", "kernel"), [(1, 5), (2, 2), (6, 3), (6, 5)])
def test_convolutions_equal_torch(channels: int, kernel: int, dtype: torch.dtype) -> None:
    """By one product, by Fourier transforms, by oneDNN; more images than are convolved together."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, channels, kernel, kernel, generator=generator, dtype=torch.float64)
    x = torch.randn(70, channels, 9, 11, generator=generator, dtype=torch.float64)
    u = torch.randn(70, 3, 10 - kernel, 12 - kernel, generator=generator, dtype=torch.float64)
    forward, back = nn.functional.conv2d(x, weight), nn.functional.conv_transpose2d(u, weight)
    x, u, weight = (value.to(dtype) for value in (x, u, weight))
    slack = 1e-12 if dtype == torch.float64 else 3e-5
    assert float((convolve(x, weight) - forward).abs().max()) < slack
    assert float((convolve_transposed(u, weight, x.shape[1:]) - back).abs().max()) < slack
    assert float((convolve(x, weight.flip(2)) - forward).abs().max()) > 0.1


@pytest.mark.skipif(not torch.backends.nnpack.is_available(), reason="needs a torch with NNPACK")
@pytest.mark.parametrize("images", [6, 70])
def test_fourier_transforms_give_the_bits_that_torch_gives_without_onednn(images: int) -> None:
    """Trained shards on disks depend on them."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 6, 5, 5, generator=generator)
    x = torch.randn(images, 6, 9, 11, generator=generator)
    u = torch.randn(images, 3, 5, 7, generator=generator)
    turned = weight.flip(2, 3).transpose(0, 1).contiguous()
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        forward = torch.cat([nn.functional.conv2d(part, weight) for part in x.split(64)])
        back = torch.cat([nn.functional.conv2d(part, turned, padding=4) for part in u.split(64)])
    finally:
        torch.backends.mkldnn.enabled = before
    assert torch.equal(convolve(x, weight), forward)
    assert torch.equal(convolve_transposed(u, weight, x.shape[1:]), back)


def test_bad_ensembles_say_what_is_wrong() -> None:
    good = perceptron(2, 0)
    with pytest.raises(InputError, match="at least one network"):
        Ensemble([], torch.zeros(0, 4))
    with pytest.raises(InputError, match="shapes differ"):
        Ensemble([good, perceptron(3, 0)], torch.zeros(2, 4))
    with pytest.raises(InputError, match="BatchNorm1d has no stacked form"):
        Ensemble([nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))], torch.zeros(1, 4))
    with pytest.raises(InputError, match="nonnegative of shape"):
        Ensemble([good], -torch.ones(1, 4))
    with pytest.raises(InputError, match="another ensemble"):
        Ensemble([good], torch.zeros(1, 4)).load_state({})
    with pytest.raises(InputError, match="do not divide"):
        StackedPullback(Ensemble([good, good], torch.zeros(2, 4))).logits(torch.zeros(3, 36))


def test_a_policy_that_the_ensemble_would_ignore_is_refused() -> None:
    ensemble = Ensemble([networks.mlp((2, 3, 2), generator=torch.Generator().manual_seed(0))])
    with pytest.raises(InputError, match="2 times as fast as weights, got a policy with bias_rate 1"):
        next(train_ensemble(ensemble, small_task(), [0], iterations=1, policy=CaffePolicy(bias_rate=1.0)))


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_flat_parameters_hold_every_weight_of_a_member_once(
    build: Callable[[int, int], nn.Sequential],
) -> None:
    members = [build(3, seed) for seed in (4, 5)]
    flat = Ensemble(members).flat_parameters()
    for row, network in zip(flat, members, strict=True):
        expected = torch.nn.utils.parameters_to_vector(network.parameters())
        assert torch.equal(row.sort().values, expected.detach().sort().values)


def test_penalty_weights_keep_their_digits_in_float64() -> None:
    weights = torch.cat([penalty_weights(["jacobian"], [0.1]), penalty_weights(["cross-lipschitz"], [0.3])])
    ensemble = Ensemble([perceptron(2, 0)] * 2, weights)
    assert ensemble.weights[0, PENALTY_NAMES.index("jacobian")] == 0.1  # float32 would say 0.10000000149
    assert ensemble.weights.sum() == 0.1 + 0.3
