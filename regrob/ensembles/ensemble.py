"""Many small networks trained as one, with any weights on the four penalties.

The members' parameters lie side by side in stacked layers. `Ensemble.step` works
through the members in blocks that fit the memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine.local_map import LocalMap
from regrob.ensembles.layers import MOMENTUM, WEIGHT_DECAY, Layer, LayerTrace, WeightedLayer, stack
from regrob.ensembles.step import Block, Step
from regrob.errors import InputError
from regrob.theory.penalties import PENALTY_NAMES, check_name, zero_sum_basis

CPU_MEMORY = 64 * 2**20
"""Larger blocks lose on a processor: one LeNet-5 at a time, or some twenty LeNet-300-100, is fastest."""


class Point(NamedTuple):
    """Where an ensemble was evaluated.

    Attributes:
        logits: (M, N, K).
        traces: one a layer.
    """

    logits: Tensor
    traces: list[LayerTrace]


def penalty_weights(penalties: Sequence[str], weights: Sequence[float]) -> Tensor:
    """(M, 4) float64 for `Ensemble`: each member's λ in the columns of these penalties, 0 elsewhere.

    Args:
        penalties: their names; () for training without a penalty.
        weights: one λ a member.

    Raises:
        InputError: no penalty has one of these names.

    >>> penalty_weights(["jacobian"], [0.5, 2.0])
    tensor([[0.0000, 0.5000, 0.0000, 0.0000],
            [0.0000, 2.0000, 0.0000, 0.0000]], dtype=torch.float64)
    """
    for name in penalties:
        check_name(name)
    columns = [float(name in penalties) for name in PENALTY_NAMES]
    return torch.outer(*(torch.tensor(v, dtype=torch.float64, device="cpu") for v in (weights, columns)))


class Ensemble:
    """M networks of one architecture, each with its own weights, data and penalty weights.

    Args:
        networks: M `nn.Sequential`s of Linear, Conv2d, ReLU, LeakyReLU, MaxPool2d, Flatten.
            Their parameters are copied; `member` writes one back into a network.
        penalty_weights: (M, 4), λ for each penalty in the order of `PENALTY_NAMES`; None for
            zeros, as for networks that are only looked at.
        memory: bytes that a step may use beside the parameters; by default half of what is
            free on a CUDA device, and on the CPU `CPU_MEMORY`.

    Attributes:
        recorded: whether a training on CUDA records its step once and replays it; otherwise it
            launches each kernel anew.

    Raises:
        InputError: architectures differ or cannot be stacked; weights negative or misshapen.

    >>> members = Ensemble([nn.Sequential(nn.Linear(2, 3)) for _ in range(4)])
    >>> members.logits(torch.zeros(4, 5, 2)).shape  # (M, N, K)
    torch.Size([4, 5, 3])
    """

    def __init__(
        self,
        networks: Sequence[nn.Sequential],
        penalty_weights: Tensor | None = None,
        *,
        memory: int | None = None,
    ) -> None:
        self.layers: list[Layer] = stack(networks)
        self.members = len(networks)
        if penalty_weights is None:
            penalty_weights = torch.zeros(self.members, len(PENALTY_NAMES), device="cpu")
        if penalty_weights.shape != (self.members, len(PENALTY_NAMES)) or bool((penalty_weights < 0).any()):
            raise InputError(
                f"penalty_weights must be nonnegative of shape ({self.members}, {len(PENALTY_NAMES)}), "
                f"got shape {tuple(penalty_weights.shape)}, smallest {float(penalty_weights.min()):g}"
            )
        reference = next(networks[0].parameters())
        self.weights = penalty_weights.to(reference)
        self.memory = memory
        self.recorded = True
        self._sizes: dict[tuple[int, ...], int] = {}
        self.kinds = tuple(
            kind for i, kind in enumerate(PENALTY_NAMES) if bool((self.weights[:, i] > 0).any())
        )
        last = next(layer for layer in reversed(self.layers) if isinstance(layer, WeightedLayer))
        self.classes = int(last.weight.shape[-1])
        self._choose_directions(reference)

    def _choose_directions(self, like: Tensor) -> None:
        """Which combinations of logits are pulled back: (r, K), orthonormal rows.

        Only the Jacobian penalty needs all K. The others, and the loss, see differences of
        logits alone, and K − 1 rows that are orthogonal to (1, …, 1) span those.
        """
        if "jacobian" in self.kinds:
            self.directions = torch.eye(self.classes, dtype=like.dtype, device=like.device)
        else:
            self.directions = zero_sum_basis(self.classes, like).T

    def to(self, device: torch.device | str) -> Ensemble:
        """Move to a device, in place."""
        device = torch.device(device)
        for layer in self.layers:
            if isinstance(layer, WeightedLayer):
                layer.move(device)
        self.weights, self.directions = self.weights.to(device), self.directions.to(device)
        return self

    def logits(self, images: Tensor) -> Tensor:
        """(M, N, channels, height, width) or (M, N, n) → (M, N, K)."""
        return self.at(images).logits

    @torch.no_grad()
    def at(self, images: Tensor) -> Point:
        """The logits, and what `pull` needs to know of these images."""
        h, traces = images, []
        for layer in self.layers:
            h, trace = layer.forward(h)
            traces.append(trace)
        return Point(h, traces)

    @torch.no_grad()
    def pull(self, rows: Tensor, point: Point, *, after: int = 0) -> Tensor:
        """V·row for rows (M, N, r, K) at the images of a point: (M, N, r, …).

        Args:
            rows: combinations of logits.
            point: from `at`.
            after: how many of the first layers are left out; the rows then end at their output.
        """
        for layer, trace in zip(reversed(self.layers[after:]), reversed(point.traces[after:]), strict=True):
            rows = layer.pull(rows, trace)
        return rows

    def local_maps(self, images: Tensor) -> LocalMap:
        """V (M, N, n, K) and z (M, N, K) of every member at its own images."""
        point = self.at(images)
        z = point.logits
        identity = torch.eye(self.classes, dtype=z.dtype, device=z.device)
        rows = self.pull(identity.expand(*z.shape[:2], -1, -1), point)
        return LocalMap(rows.flatten(3).mT, z)

    @torch.no_grad()
    def step(
        self,
        images: Tensor,
        y: Tensor,
        rate: Tensor,
        *,
        momentum: float = MOMENTUM,
        weight_decay: float = WEIGHT_DECAY,
    ) -> Step:
        """One step of Caffe's SGD on mean cross-entropy plus weighted mean penalties.

        Args:
            images: (M, N, …), each member's own batch.
            y: (M, N), labels.
            rate: the learning rate, a 0-d tensor (biases move twice as fast).
            momentum, weight_decay: the solver's.
        """

        def block(layers: list[Layer], weights: Tensor) -> Block:
            return Block(layers, weights, self.kinds, self.directions, momentum, weight_decay)

        size = self.block_size(images)
        if size >= self.members:
            return block(self.layers, self.weights).step(images, y, rate)
        steps: list[Step] = []
        for start in range(0, self.members, size):
            part = slice(start, start + size)
            some = block([layer.part(part) for layer in self.layers], self.weights[part])
            steps.append(some.step(images[part], y[part], rate))
        return Step(torch.cat([s.loss for s in steps]), torch.cat([s.penalty for s in steps]))

    def block_size(self, images: Tensor) -> int:
        """How many members a step treats at once: blocks of nearly equal size that fit the memory.

        Args:
            images: (M, N, …), the batch.
        """
        largest = max(1, self._memory() // self.bytes_per_member(images))
        return math.ceil(self.members / math.ceil(self.members / largest))

    def _memory(self) -> int:
        if self.memory is None:
            device = self.weights.device
            on_cuda = device.type == "cuda"
            self.memory = int(0.5 * torch.cuda.mem_get_info(device)[0]) if on_cuda else CPU_MEMORY
        return self.memory

    def bytes_per_member(self, images: Tensor) -> int:
        """About what a step needs for one member beside its parameters.

        Every layer holds an activation, a tangent, and r rows of signals, and makes as many
        again on its way.
        """
        shape = tuple(images.shape[2:])
        if shape not in self._sizes:
            h = images.new_zeros(1, 1, *shape)
            self._sizes[shape] = h.numel()
            for layer in self.layers:
                h, _ = layer.part(slice(0, 1)).forward(h)
                self._sizes[shape] += h.numel()
        numbers = images.shape[1] * self._sizes[shape] * (2 + 2 * len(self.directions))
        return numbers * self.weights.element_size()

    @torch.no_grad()
    def member(self, index: int, network: nn.Sequential) -> nn.Sequential:
        """Write member `index` into a network of the same architecture and return it."""
        for layer, module in zip(self.layers, network, strict=True):
            if isinstance(layer, WeightedLayer):
                layer.write(index, module)
        return network

    def flat_parameters(self) -> Tensor:
        """(M, P): the weights and biases of each member in one row, layer by layer."""
        layers = [layer for layer in self.layers if isinstance(layer, WeightedLayer)]
        stacked = [value for layer in layers for value in (layer.weight, layer.bias) if value is not None]
        return torch.cat([value.flatten(1) for value in stacked], dim=1)

    def members_into(self, networks: Sequence[nn.Sequential]) -> list[nn.Sequential]:
        """Write every member into its network, as `member` does, and return these."""
        return [self.member(index, network) for index, network in enumerate(networks)]

    @torch.no_grad()
    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Copy what `state` returned back in.

        Raises:
            InputError: other names or shapes than this ensemble's.
        """
        own = self.state()
        if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in tensors.items()}:
            raise InputError("the saved state belongs to another ensemble: names or shapes differ")
        for name, value in own.items():
            value.copy_(tensors[name])

    def state(self) -> dict[str, Tensor]:
        """All tensors of the ensemble, by name: weights and velocities."""
        return {
            f"{i}.{name}": value
            for i, layer in enumerate(self.layers)
            if isinstance(layer, WeightedLayer)
            for name, value in layer.tensors().items()
        }
