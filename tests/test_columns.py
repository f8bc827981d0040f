"""Penalties by columns: values and gradients are those of the definitions, whatever the network."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from regrob import networks
from regrob.affine import local_map
from regrob.theory import PENALTIES
from regrob.training import columns
from regrob.training.single import objective


def pieces(kind: str, classes: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A random network in float64, images and labels."""
    generator = torch.Generator().manual_seed(classes)
    if kind == "dense":
        network: nn.Module = networks.mlp((12, 10, 8, classes), generator=generator)
        shape: tuple[int, ...] = (12,)
    else:
        body = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1))
        network = nn.Sequential(
            nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), networks.Residual(body), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, classes),
        )  # fmt: skip
        networks.initialise_caffe(network, generator)
        shape = (3, 6, 6)
    images = torch.rand(5, *shape, generator=generator, dtype=torch.float64)
    return network.double().eval(), images, torch.arange(5) % classes


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("network", ["dense", "deep"])
@pytest.mark.parametrize("kind", PENALTIES)
def test_value_and_gradient_are_those_of_the_penalty(kind: str, network: str, classes: int) -> None:
    f, x, y = pieces(network, classes)
    V, z = local_map(f, x, create_graph=True)
    expected = PENALTIES[kind](V, z, y)
    value, logits = columns.penalty_by_columns(f, x, y, kind)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(logits, z, rtol=1e-14, atol=1e-14)
    parameters = list(f.parameters())

    def gradient(of: Tensor) -> Tensor:
        found = torch.autograd.grad(of.mean(), parameters, allow_unused=True, retain_graph=True)
        flat = [(torch.zeros_like(p) if g is None else g) for p, g in zip(parameters, found, strict=True)]
        return torch.cat([g.flatten() for g in flat])

    right = gradient(expected)
    size = right.abs().max()
    assert (gradient(value) - right).abs().max() < 1e-10 * size
    # The logits' share is part of it: a C without its graph would be caught.
    if kind in ("input-gradient", "curvature"):
        at = x.clone().requires_grad_(True)
        C = columns.penalty_columns(kind, at, f(at), y).detach()
        frozen = (V @ C).square().sum(dim=(1, 2))
        torch.testing.assert_close(frozen, expected, rtol=1e-12, atol=1e-14)
        assert (gradient(frozen) - right).abs().max() > 1e-4 * size


@pytest.mark.parametrize("classes", [2, 10])
def test_no_more_differentiations_than_columns(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    f, x, y = pieces("dense", classes)
    usual, twice = torch.autograd.grad, []

    def counted(*arguments: object, **settings: object) -> object:
        if settings.get("create_graph"):
            twice.append(1)
        return usual(*arguments, **settings)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    needed = {"input-gradient": 1, "curvature": 1, "cross-lipschitz": classes - 1, "jacobian": classes}
    for kind, count in needed.items():
        twice.clear()
        columns.penalty_by_columns(f, x, y, kind)
        assert len(twice) == count, kind


def test_the_training_objective_takes_a_name_as_it_takes_the_function() -> None:
    f, x, y = pieces("deep", 3)
    for kind, penalty in PENALTIES.items():
        by_name = objective(copy.deepcopy(f), x, y, kind)
        by_function = objective(copy.deepcopy(f), x, y, penalty)
        torch.testing.assert_close(by_name, by_function, rtol=1e-12, atol=1e-14)


def test_what_is_not_finite_comes_out_as_such() -> None:
    f, x, y = pieces("dense", 3)
    with torch.no_grad():
        f[1].weight.fill_(float("nan"))  # type: ignore[index, union-attr]
    for kind in PENALTIES:
        value, _ = columns.penalty_by_columns(f, x, y, kind)
        assert value.isnan().all(), kind
