"""Dropping the examples that are done changes nothing for those that are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from regrob import networks
from regrob.attacks import AttackResult, boundary_projection, carlini_wagner, deepfool, pgd
from regrob.ensembles import network_view
from regrob.ensembles.ensemble import Ensemble, Point
from regrob.ensembles.network_view import AutogradPullback, Pullback, StackedPullback
from regrob.theory.margin import Boundary

Attack = Callable[..., AttackResult]
ALWAYS, NEVER = 0.0, 2.0  # as values of WORTHWHILE

INPUTS = 30


def perceptron(seed: int, *, scale: float = 1.0) -> nn.Sequential:
    network = networks.mlp((INPUTS, 12, 8, 4)).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return network


def members() -> list[nn.Sequential]:
    """Their sizes differ, and so do the steps that an attack needs."""
    return [perceptron(seed, scale=0.2 + 0.2 * seed) for seed in range(5)]


def stacked() -> StackedPullback:
    return StackedPullback(Ensemble(members(), torch.zeros(5, 4)))


def batch(count: int = 12) -> tuple[Tensor, Tensor]:
    """The same images for each of the five members, each with its own labels."""
    x = torch.rand(count, INPUTS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        return x.repeat(5, 1), torch.cat([network(x).argmax(dim=1) for network in members()])


# --- the way in -------------------------------------------------------------------------


def answers(view: Pullback, x: Tensor, y: Tensor) -> list[Tensor]:
    gradient, z = view.gradient(x, torch.sin)
    local = view.local_map(x)
    return [z, gradient, local.V, local.z, *view.nearest(x, y)]


def test_what_is_kept_answers_as_before() -> None:
    """Twice in a row, so that parts are packed too; members differ in how many go on, one has none."""
    x, y = batch()
    view: Pullback = stacked()
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.9, 0.3, 0.0, 0.6, 0.1]).repeat_interleave(12)
    going = torch.rand(60, generator=generator) < shares
    for _ in range(2):
        packed = view.pack(going)
        assert packed is not None
        kept, narrower = packed
        assert set(going.nonzero().squeeze(1).tolist()) <= set(kept.tolist())
        assert len(set(kept.tolist())) == len(kept) < 0.8 * len(x)
        assert len(kept) <= int(going.sum()) / network_view.ALIKE
        for before, after in zip(answers(view, x, y), answers(narrower, x[kept], y[kept]), strict=True):
            torch.testing.assert_close(after, before[kept], atol=1e-12, rtol=0)
        wrong = answers(narrower, x[kept.flip(0)], y[kept.flip(0)])[0]  # another member's weights
        assert not torch.allclose(wrong, answers(view, x, y)[0][kept.flip(0)])
        x, y, view, going = x[kept], y[kept], narrower, going[kept]
        going &= torch.rand(len(x), generator=generator) < 0.6
    mostly = torch.ones(len(x), dtype=torch.bool)
    mostly[0] = False
    assert view.pack(mostly) is None


@pytest.mark.parametrize("count", [1, 40])
def test_nearest_boundary_equals_the_local_maps(count: int) -> None:
    """Few examples pull every row, many take lengths from the first layer's Gram matrix."""
    for network in (perceptron(3), networks.lenet_5(4).double()):
        shape = (count, INPUTS) if isinstance(network[0], nn.Flatten) else (count, 1, 28, 28)
        x = torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        y = torch.arange(count) % 4
        oracle = AutogradPullback(network)
        V, z = oracle.local_map(x)
        toward = V - V.take_along_dim(y[:, None, None], dim=2)  # (N, n, K)
        distance = (z.take_along_dim(y[:, None], dim=1) - z).abs() / toward.norm(dim=1)
        distance = distance.scatter(1, y[:, None], torch.inf)
        least, rival = distance.min(dim=1)
        normal = nn.functional.normalize(toward.take_along_dim(rival[:, None, None], dim=2).squeeze(2), dim=1)
        for view in (oracle, network_view.pullback(network, x)):
            found: Boundary = view.nearest(x, y)
            torch.testing.assert_close(found.distance, least, atol=1e-12, rtol=1e-11)
            torch.testing.assert_close(found.normal.flatten(1), normal, atol=1e-11, rtol=0)
        assert float(distance.sort(dim=1).values.diff(dim=1)[:, 0].max()) > 1e-3  # another rival is farther
        if isinstance(view, StackedPullback):
            assert (view.gram is not None) == (count == 40 and isinstance(network[0], nn.Flatten))


# --- attacks ----------------------------------------------------------------------------

ATTACKS: dict[str, tuple[Attack, dict[str, object]]] = {
    "pgd": (pgd, {"epsilon": 0.05, "stop_at_success": True, "restarts": 2}),
    "deepfool": (deepfool, {}),
    "cw": (carlini_wagner, {"binary_search_steps": 3, "max_iterations": 60, "learning_rate": 0.05}),
    "projection": (boundary_projection, {"steps": 12}),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_do_not_feel_the_packing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropped as soon as may be or never, all members at once or one by one: the same images."""
    attack, settings = ATTACKS[name]
    x, y = batch()
    sizes: list[int] = []
    at = Ensemble.at

    def counted(self: Ensemble, images: Tensor) -> Point:
        sizes.append(images.shape[0] * images.shape[1])
        return at(self, images)

    monkeypatch.setattr(Ensemble, "at", counted)
    found, work = {}, {}
    for worthwhile in (ALWAYS, network_view.WORTHWHILE, NEVER):
        monkeypatch.setattr(network_view, "WORTHWHILE", worthwhile)
        sizes.clear()
        found[worthwhile] = attack(stacked(), x, y, **settings)
        work[worthwhile] = sum(sizes)
    never = found[NEVER]
    assert never.success_rate > 0.0
    assert work[ALWAYS] < 0.95 * work[NEVER]
    for result in found.values():
        assert torch.equal(result.success, never.success)
        torch.testing.assert_close(result.images, never.images, atol=1e-9, rtol=0)
    for m, network in enumerate(members() if name != "pgd" else []):  # pgd draws its starts for the batch
        part = slice(12 * m, 12 * m + 12)
        alone = attack(network, x[part], y[part], **settings)
        assert torch.equal(alone.success, never.success[part])
        torch.testing.assert_close(alone.images, never.images[part], atol=1e-9, rtol=0)


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("targeted", [False, True])
def test_stopping_at_success_fools_the_same_examples(restarts: int, targeted: bool) -> None:
    """And spends no step on them: their score is that of the first success, not the highest."""
    network = perceptron(2)
    x, y = (value[:12] for value in batch())
    x = torch.cat([x, x.flip(1)])
    with torch.no_grad():
        y = network(x).argmax(dim=1)
    targets = (y + 1) % 4 if targeted else None
    rates = []
    for epsilon in (0.01, 0.05, 0.2):
        settings = {"epsilon": epsilon, "restarts": restarts, "targets": targets}
        full = pgd(network, x, y, **settings)  # type: ignore[arg-type]
        stopped = pgd(network, x, y, stop_at_success=True, **settings)  # type: ignore[arg-type]
        assert torch.equal(full.success, stopped.success)
        failed = ~full.success
        torch.testing.assert_close(full.images[failed], stopped.images[failed], atol=1e-12, rtol=0)
        rates.append(full.success_rate)
        if full.success_rate > 0.5:
            assert not torch.allclose(full.images, stopped.images, atol=1e-3)
    assert max(rates) > 0.0
    assert min(rates) < 1.0
