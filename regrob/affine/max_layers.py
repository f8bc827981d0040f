"""A network as a chain of dense affine maps with maxima between them: ReLUs, max-pools, or both at once.

A ReLU that is followed by a max-pool is one maximum, of the window's entries and zero; so is a ReLU behind
one. Taken together they have as many outputs as the pool has, and not as many as the ReLU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine.float64 import checked_in_float64
from regrob.affine.rectified import Clamped, Largest, Recorded, Site, plain, recorded
from regrob.checks import Images
from regrob.errors import UnsuitableNetworkError

MOST_NUMBERS = 2**27
"""In one dense map: a gibibyte."""

ROWS = 128
"""Columns of a dense map that one run computes, each at an image of its own."""

FAR = 1e6
"""What is put in where nothing may depend on it."""


@dataclass(frozen=True)
class MaxLayer:
    """h_w = the largest of (W a + b)_i over the window i ∈ w, and of zero if there is a floor.

    Attributes:
        weight: W (M, K), float64.
        bias: b (M,).
        windows: (outputs, n), places of W's rows.
        floor: whether zero is among the entries.
    """

    weight: Tensor
    bias: Tensor
    windows: Tensor
    floor: bool

    def values(self, heights: Tensor) -> Tensor:
        """h (outputs,) of W a + b (M,).

        >>> layer = MaxLayer(torch.eye(2), torch.zeros(2), torch.tensor([[0, 1], [1, 1]]), floor=True)
        >>> layer.values(torch.tensor([3.0, -4.0]))
        tensor([3., 0.])
        """
        largest: Tensor = heights[self.windows].amax(dim=1)
        return largest.clamp_min(0.0) if self.floor else largest


class MaxLayers(NamedTuple):
    """z = W_L h_{L−1} + b_L behind a chain of layers, on images that are flattened.

    Attributes:
        layers: from the pixels on.
        weight, bias: of the logits.
        record: what the network ran, on one image.
    """

    layers: tuple[MaxLayer, ...]
    weight: Tensor
    bias: Tensor
    record: Recorded


def max_layers(network: nn.Module, images: Images) -> MaxLayers:
    """The dense maps of a network, if it is a chain of affine maps, ReLUs and max-pools.

    Args:
        network: in eval mode; each example by itself.
        images: (N, …), of which only the first is run.

    Raises:
        InputError, NotPiecewiseLinearError: as `recorded` and `require_known_bends`.
        UnsuitableNetworkError: it bends otherwise, a layer is skipped, or a dense map has no room.

    >>> network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.MaxPool1d(2), nn.Linear(2, 2))
    >>> [(tuple(layer.windows.shape), layer.floor) for layer in max_layers(network, torch.ones(1, 3)).layers]
    [((2, 2), True)]
    """
    exact, x = checked_in_float64(network, images[:1])
    return MaxLayers(*_chain(recorded(exact, x.expand(ROWS, *x.shape[1:]).contiguous())), recorded(exact, x))


def _chain(made: Recorded) -> tuple[tuple[MaxLayer, ...], Tensor, Tensor]:
    layers: list[MaxLayer] = []
    sites = list(made.sites.values())
    for place, site in enumerate(sites):
        grown = _grown(made, layers[-1], place, site) if layers else None
        if grown is not None:
            layers[-1] = grown
            continue
        weight, bias = _map(made, place, len(layers[-1].windows) if layers else made.inside[0].numel())
        rows = torch.arange(len(bias))
        windows = rows[:, None]
        if isinstance(site.kind, Largest) and site.kind.sign > 0:
            windows = rows.view(-1, site.kind.entries)
        elif not _is_relu(site):
            raise _unsuitable(site, "is neither a ReLU nor a max-pool")
        layers.append(MaxLayer(weight, bias, windows, floor=isinstance(site.kind, Clamped)))
    weight, bias = _map(made, len(sites), len(layers[-1].windows) if layers else made.inside[0].numel())
    return tuple(layers), weight, bias


def _unsuitable(site: Site, why: str) -> UnsuitableNetworkError:
    return UnsuitableNetworkError(f"{site.operation}, run by {site.module}, {why}")


def _is_relu(site: Site) -> bool:
    kind = site.kind
    if not isinstance(kind, Clamped):
        return False
    flat = (kind.base == 0) & (kind.gain == 1) & (kind.low == 0) & (kind.high == torch.inf)
    return bool(flat.all())


def _grown(made: Recorded, layer: MaxLayer, place: int, site: Site) -> MaxLayer | None:
    """The layer and the bend behind it as one, if the bend's operands are outputs of the layer."""
    numbers = 1.0 + torch.arange(len(layer.windows), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(len(numbers), dtype=torch.float64, generator=generator)
    zero = torch.zeros_like(made.inside[:1])
    chosen, also = (_operands(made, place, zero, value[None])[0] for value in (numbers, noise))
    index = (chosen.round().long() - 1).clamp(0, len(numbers) - 1)
    if not (torch.equal(numbers[index], chosen) and torch.equal(noise[index], also)):
        return None
    _require_nothing_else(made, place, len(numbers))
    windows = layer.windows[index]
    if isinstance(site.kind, Largest) and site.kind.sign > 0:
        return replace(layer, windows=windows.view(-1, site.kind.entries * layer.windows.shape[1]))
    return replace(layer, windows=windows, floor=True) if _is_relu(site) else None


def _operands(made: Recorded, place: int, pixels: Tensor, outputs: Tensor) -> Tensor:
    """What the bend at `place`, or the logits, get: (C, M).

    Args:
        pixels: (C, …) or one, what the first bend gets its operands from.
        outputs: (C, K) or one, of the bend before; all bends before that give zero.
    """
    rows = len(made.inside)
    count = -1

    def bend(site: Site, operands: list[Tensor]) -> list[Tensor]:
        nonlocal count
        count += 1
        if count == place:
            raise _Reached(operands[0].clone())
        here = torch.zeros(rows, site.shape.numel(), dtype=torch.float64)
        if count == place - 1:
            here[: len(outputs)] = outputs
        return [here]

    given = torch.zeros_like(made.inside)
    given[: len(pixels)] = pixels
    try:
        with torch.no_grad():
            (z,) = made.sweep([given], [plain], bend)
    except _Reached as reached:
        return reached.operands
    return z


class _Reached(Exception):  # noqa: N818
    """What a bend gets is known; what comes behind it is not needed."""

    def __init__(self, operands: Tensor) -> None:
        super().__init__()
        self.operands = operands


def _map(made: Recorded, place: int, inputs: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of the affine map to a bend's operands, or to the logits."""
    zero, nothing = torch.zeros_like(made.inside[:1]), torch.zeros(1, 0 if place == 0 else inputs).double()
    bias = _operands(made, place, zero, nothing)[0]
    if len(bias) * inputs > MOST_NUMBERS:
        raise UnsuitableNetworkError(
            f"a dense map from {inputs} to {len(bias)} numbers has more than {MOST_NUMBERS} entries"
        )
    if place:
        _require_nothing_else(made, place, inputs)
    weight = torch.empty(len(bias), inputs, dtype=torch.float64)
    for start in range(0, inputs, len(made.inside)):
        width = min(len(made.inside), inputs - start)
        unit = torch.zeros(width, inputs, dtype=torch.float64)
        unit.diagonal(start).fill_(1.0)
        given = (zero, unit) if place else (unit.view(width, *made.inside.shape[1:]), nothing)
        weight[:, start : start + width] = (_operands(made, place, *given)[:width] - bias).T
    return weight, bias


def _require_nothing_else(made: Recorded, place: int, inputs: int) -> None:
    """What a bend gets must come through the one before alone."""
    rows, before = len(made.inside), [0]
    generator = torch.Generator().manual_seed(0)
    seen: list[Tensor] = []
    for size in (0.0, FAR):

        def bend(site: Site, operands: list[Tensor], size: float = size) -> list[Tensor]:
            before[0] += 1
            if before[0] == place + 1:
                seen.append(operands[0].clone())
            noise = torch.rand(rows, site.shape.numel(), dtype=torch.float64, generator=generator)
            return [torch.zeros_like(noise) if before[0] == place else size * noise]

        before[0] = 0
        noise = torch.rand(made.inside.shape, dtype=torch.float64, generator=generator)
        with torch.no_grad():
            (z,) = made.sweep([size * noise], [plain], bend)
        if len(seen) < 1 + (size > 0):
            seen.append(z)
    if not torch.equal(*seen):
        raise UnsuitableNetworkError("the network is no chain: a layer is skipped")
