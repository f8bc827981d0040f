"""Every certificate held against every attack, more than a million times: is one ever above what is found?

    python -m regrob.experiments.certificates_attacked book/results

Small random networks, on which branch and bound mostly closes. A pair is an image and one run of an attack;
the mistake that it finds, if any, must not be nearer than a certificate says, in either norm. Linear bounds
are held against all pairs, what takes longer against those of a few images of each network.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine import relu_layers
from regrob.attacks import apgd, boundary_projection, deepfool, pgd
from regrob.certificates import Search, certified_radius, cross_lipschitz_radius, linear_radius
from regrob.errors import VanishingGradientWarning
from regrob.experiments.provenance import provenance
from regrob.experiments.stored_measurement import StoredMeasurement
from regrob.networks import mlp, scatter_biases

WIDTHS: tuple[tuple[int, ...], ...] = (
    (2, 8, 3), (3, 12, 2), (4, 6, 6, 3), (6, 10, 10, 2),
    (8, 8, 8, 10), (5, 6, 6, 6, 4), (16, 12, 5), (9, 16, 3),
)  # fmt: skip
SEEDS, IMAGES, CLOSELY = 1, 1280, 6
"""Networks of each shape; images of each network, and of these how many get every certificate."""

EPSILONS = (0.03, 0.06, 0.12, 0.25, 0.5)
CLIMBS, ADAPTIVE_CLIMBS, STEPS = 8, 4, 40
"""Runs of PGD and APGD at each ε, and random steps, an image."""

NODES = 12
"""Of branch and bound, an image and norm."""

ROUNDING = 1e-12
"""Relative: a distance measured in float64 is not known better."""

NORMS = {"l2": 2.0, "linf": math.inf}

Radii = dict[str, Tensor]
"""Certified radii by certificate and norm, of the first images."""

Perturbation = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Network, images, labels ↦ perturbed images."""


def centred_network(widths: tuple[int, ...], seed: int) -> nn.Sequential:
    """A random network, float64, whose mean logits over the box are equal: no class wins everywhere."""
    generator = torch.Generator().manual_seed(seed)
    network = scatter_biases(mlp(widths, generator=generator), 0.4, generator).double()
    points = torch.rand(256, widths[0], generator=generator, dtype=torch.float64)
    last = network[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.bias.sub_(network(points).mean(dim=0))
    return network


def certificates(network: nn.Sequential, x: Tensor, y: Tensor, closely: int = CLOSELY) -> Radii:
    """Of all images by linear bounds, of the first few by everything that the package has."""
    radii = {f"linear bounds, {name}": linear_radius(network, x, y, norm=p) for name, p in NORMS.items()}
    layers, few, own = relu_layers(network, x), x[:closely], y[:closely]
    radii["polytope, l2"] = certified_radius(network, few, own)
    for name, p in NORMS.items():
        for analysis in ("interval", "linear"):
            radius = cross_lipschitz_radius(network, few, own, norm=p, analysis=analysis)
            radii[f"cross-Lipschitz by {analysis} analysis, {name}"] = radius
        searches = [Search(layers, image, int(label), norm=p) for image, label in zip(few, own, strict=True)]
        for search in searches:
            search.advance(nodes=NODES)
        certified = [search.certified for search in searches]
        radii[f"branch and bound, {name}"] = torch.tensor(certified, dtype=torch.float64)
    return radii


def attacks(radii: Radii) -> Iterator[tuple[str, Perturbation]]:
    """Every run of an attack, by name."""
    yield "boundary projection", lambda *given: boundary_projection(*given).images
    yield "DeepFool", lambda *given: deepfool(*given).images
    for epsilon in EPSILONS:
        for seed in range(CLIMBS):
            yield "PGD", partial(_climb, epsilon, seed)
        for seed in range(ADAPTIVE_CLIMBS):
            yield "APGD", partial(_climb_adaptively, epsilon, seed)
    for seed in range(STEPS):
        yield "random step", partial(_step, radii["linear bounds, l2"], seed)


def _climb(epsilon: float, seed: int, network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return pgd(network, x, y, epsilon=epsilon, step_size=epsilon / 10, seed=seed).images


def _climb_adaptively(epsilon: float, seed: int, network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return apgd(network, x, y, epsilon=epsilon, steps=30, seed=seed).images


def _step(length: Tensor, seed: int, network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """In a random direction, just as long as is certified, and back into the box."""
    generator = torch.Generator().manual_seed(seed)
    step = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    size = length.nan_to_num(posinf=1.0) / torch.linalg.vector_norm(step, dim=1)
    there: Tensor = x + step * size[:, None]
    return there.clamp(0.0, 1.0)


class AttackCounts(NamedTuple):
    """What was counted, by attack or by certificate and norm.

    Attributes:
        runs: of each attack: pairs, and in how many of them a mistake was found.
        pairs, beaten: of each certificate: pairs that it was held against, and those whose mistake is nearer.
        shares: of each certificate, image by image: what it is of the least distance found.
    """

    runs: dict[str, tuple[int, int]]
    pairs: dict[str, int]
    beaten: dict[str, int]
    shares: dict[str, list[float]]


def hold(network: nn.Module, x: Tensor, y: Tensor, radii: Radii, tally: AttackCounts) -> None:
    """Run the attacks on one network's images, and count."""
    least = {name: torch.full(y.shape, math.inf, dtype=torch.float64) for name in NORMS}
    for attack, run in attacks(radii):
        tried = run(network, x, y)
        with torch.no_grad():
            fooled = network(tried).argmax(dim=1) != y
        pairs, mistakes = tally.runs.get(attack, (0, 0))
        tally.runs[attack] = pairs + len(y), mistakes + int(fooled.sum())
        for name, p in NORMS.items():
            distance = torch.linalg.vector_norm(tried - x, ord=p, dim=1).where(fooled, math.inf)
            least[name] = torch.minimum(least[name], distance)
            for key, radius in radii.items():
                if key.endswith(name):
                    nearer = distance[: len(radius)] < radius * (1 - ROUNDING)
                    tally.pairs[key] = tally.pairs.get(key, 0) + len(radius)
                    tally.beaten[key] = tally.beaten.get(key, 0) + int(nearer.sum())
    for key, radius in radii.items():
        share = radius / least[key.rsplit(", ", 1)[1]][: len(radius)]
        tally.shares.setdefault(key, []).extend(share[share > 0].tolist())  # zero: none was found


def measure(
    widths: tuple[tuple[int, ...], ...] = WIDTHS,
    seeds: int = SEEDS,
    images: int = IMAGES,
    closely: int = CLOSELY,
) -> dict[str, Any]:
    """All networks, images, certificates and attacks, as the plain data that is stored."""
    tally = AttackCounts({}, {}, {}, {})
    for seed in range(seeds):
        for shape in widths:
            network = centred_network(shape, seed)
            generator = torch.Generator().manual_seed(seed)
            x = torch.rand(images, shape[0], generator=generator, dtype=torch.float64)
            with torch.no_grad():
                y = network(x).argmax(dim=1)
            radii = certificates(network, x, y, closely)
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", VanishingGradientWarning
                )  # on a flat piece an attack may fail
                hold(network, x, y, radii, tally)
    return {
        "networks": len(widths) * seeds,
        "images": len(widths) * seeds * images,
        "pairs": sum(pairs for pairs, _ in tally.runs.values()),
        "attacks": {name: {"pairs": run[0], "mistakes": run[1]} for name, run in tally.runs.items()},
        "certificates": {
            key: {
                "pairs": tally.pairs[key],
                "beaten": tally.beaten[key],
                "median share": float(torch.tensor(shares).median()),
                "largest share": max(shares),
            }
            for key, shares in tally.shares.items()
        },
        "provenance": provenance(),
    }


STORED = StoredMeasurement("certificates_attacked.json", measure)

if __name__ == "__main__":
    STORED.command()
