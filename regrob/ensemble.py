"""Many small networks trained as one, with any weights on the four penalties.

A step never differentiates twice. In a piecewise-linear network the signal that carries the
loss back is a combination of the same rows that make up V: output directions pulled back
through the transposed layers. So one pull serves loss and penalties; what the penalties
say of V (`gram`) is pushed forward again; and each layer's gradient is one product.

    forward x → z        pull rows R → V        S = VᵀV → F, ∂P/∂z        push 2VF
    ∂/∂W_l = Σ rows_l ⊗ (s·h_{l−1} + tangent_{l−1})
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.errors import InputError
from regrob.gram import ORDER, gram_penalty
from regrob.kernels import split
from regrob.local import LocalMap
from regrob.stacked import Layer, WeightedLayer, stack


@dataclass
class Step:
    """What one step saw, before it changed the weights.

    Attributes:
        loss: (M,), mean cross-entropy of the batch, nats.
        penalty: (M,), mean weighted penalty.
    """

    loss: Tensor
    penalty: Tensor


class Ensemble:
    """M networks of one architecture, each with its own weights, data and penalty weights.

    Args:
        networks: M `nn.Sequential`s of Linear, Conv2d, ReLU, LeakyReLU, MaxPool2d, Flatten.
            Their parameters are copied; `member` writes one back into a network.
        penalty_weights: (M, 4), λ for each penalty in the order of `gram.ORDER`.
        momentum, weight_decay: Caffe's.

    Raises:
        InputError: architectures differ or cannot be stacked; weights negative or misshapen.
    """

    def __init__(
        self,
        networks: Sequence[nn.Sequential],
        penalty_weights: Tensor,
        *,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
    ) -> None:
        self.layers: list[Layer] = stack(networks)
        self.members = len(networks)
        if penalty_weights.shape != (self.members, len(ORDER)) or bool((penalty_weights < 0).any()):
            raise InputError(
                f"penalty_weights must be nonnegative of shape ({self.members}, {len(ORDER)}), "
                f"got shape {tuple(penalty_weights.shape)}, smallest {float(penalty_weights.min()):g}"
            )
        reference = next(networks[0].parameters())
        self.weights = penalty_weights.to(reference)
        self.momentum, self.weight_decay = momentum, weight_decay
        self.kinds = tuple(kind for i, kind in enumerate(ORDER) if bool((self.weights[:, i] > 0).any()))
        last = next(layer for layer in reversed(self.layers) if isinstance(layer, WeightedLayer))
        self.classes = int(last.weight.shape[-1])
        self._choose_directions(reference)

    def _choose_directions(self, like: Tensor) -> None:
        """Which combinations of logits are pulled back: (r, K), orthonormal rows.

        Only the Jacobian penalty needs all K. The others, and the loss, see differences of
        logits alone, and K − 1 rows that are orthogonal to (1, …, 1) span those.
        """
        identity = torch.eye(self.classes, dtype=torch.float64)
        if "jacobian" in self.kinds:
            self.directions = identity.to(like)
        else:
            helmert = torch.tril(torch.ones_like(identity), -1) - torch.diag(torch.arange(self.classes))
            self.directions = torch.nn.functional.normalize(helmert[1:], dim=1).to(like)

    def to(self, device: torch.device | str) -> Ensemble:
        """Move to a device, in place."""
        device = torch.device(device)
        for layer in self.layers:
            if isinstance(layer, WeightedLayer):
                layer.move(device)
        self.weights, self.directions = self.weights.to(device), self.directions.to(device)
        return self

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """(M, N, channels, height, width) or (M, N, n) → (M, N, K)."""
        h = images
        for layer in self.layers:
            h = layer.forward(h)
        return h

    @torch.no_grad()
    def pull(self, rows: Tensor) -> Tensor:
        """V·row for rows (M, N, r, K), at the images that `logits` saw last: (M, N, r, …)."""
        u = rows
        for layer in reversed(self.layers):
            u = layer.pull(u)
        return u

    def local_maps(self, images: Tensor) -> LocalMap:
        """V (M, N, n, K) and z (M, N, K) of every member at its own images."""
        z = self.logits(images)
        identity = torch.eye(self.classes, dtype=z.dtype, device=z.device)
        rows = self.pull(identity.expand(*z.shape[:2], -1, -1))
        return LocalMap(rows.flatten(3).mT, z)

    @torch.no_grad()
    def step(self, images: Tensor, y: Tensor, rate: Tensor) -> Step:
        """One step of Caffe's SGD on mean cross-entropy plus weighted mean penalties.

        Args:
            images: (M, N, …), each member's own batch.
            y: (M, N), labels.
            rate: the learning rate, a 0-d tensor (biases move twice as fast).
        """
        inputs: list[Tensor] = []  # each layer's input activation
        h = images
        for layer in self.layers:
            inputs.append(h)
            h = layer.forward(h)
        z = h
        p = torch.softmax(z, dim=-1)
        residual = p - functional.one_hot(y, self.classes).to(p)
        loss = -torch.log_softmax(z, dim=-1).gather(-1, y[..., None]).mean(dim=(1, 2))
        scale = rate / z.shape[1]
        if not self.kinds:
            self._descend_plain(inputs, residual * scale, rate)
            return Step(loss, torch.zeros_like(loss))

        signals: list[Tensor] = []  # rows at each layer's output
        u = self.directions.expand(*z.shape[:2], -1, -1)  # (M, N, r, K)
        for layer in reversed(self.layers):
            signals.append(u)
            u = layer.pull(u)
        signals.reverse()
        rows = u.flatten(3)  # (M, N, r, n): V's columns, or their difference
        gram = self.directions.mT @ (rows @ rows.mT) @ self.directions  # (M, N, K, K)
        penalty = gram_penalty(gram, z, y, self.weights[:, None], self.kinds)
        coefficients = ((residual + penalty.logits) @ self.directions.mT) * scale  # (M, N, r)
        factor = self.directions @ penalty.factor  # (M, N, r, f)
        few = factor.shape[-1] + 1 < factor.shape[-2]
        # ∂P/∂rows, or, where the penalty has few columns, only its factor.
        spread = factor if few else factor @ factor.mT
        t = split((2 * scale * spread).mT @ rows, -1, images.shape[2:])
        mixing = coefficients.unsqueeze(2)  # (M, N, 1, r): the loss's signal
        if few:
            mixing = torch.cat([mixing, factor.mT], dim=2)  # (M, N, 1 + f, r)
        for i, (layer, h) in enumerate(zip(self.layers, inputs, strict=True)):
            if isinstance(layer, WeightedLayer):
                mixed = self._mixed(mixing, signals, i)
                carried = mixed[:, :, 0]  # (M, N, …)
                if few:
                    layer.accumulate(self.momentum, torch.cat([h.unsqueeze(2), t], dim=2), mixed, carried)
                else:
                    own = coefficients.view(*coefficients.shape, *(1,) * (h.ndim - 2))
                    x = torch.addcmul(t, own, h.unsqueeze(2))
                    layer.accumulate(self.momentum, x, signals[i], carried)
            if layer is not self.layers[-1]:
                t = layer.push(t)
        self._descend(rate)
        return Step(loss, penalty.value.mean(dim=1))

    def _mixed(self, mixing: Tensor, signals: list[Tensor], index: int) -> Tensor:
        """Combinations (M, N, c, r) of the rows at a weighted layer's output: (M, N, c, …).

        They are formed above the activations and poolings that follow the layer, where the
        rows are smallest, and the few combinations are then pulled through those.
        """
        top = index
        while top + 1 < len(self.layers) and not isinstance(self.layers[top + 1], WeightedLayer):
            top += 1
        rows = signals[top]
        u = split(mixing @ rows.flatten(3), -1, rows.shape[3:])
        for layer in reversed(self.layers[index + 1 : top + 1]):
            u = layer.pull(u)
        return u

    def _descend_plain(self, inputs: list[Tensor], signal: Tensor, rate: Tensor) -> None:
        """Back-propagation without penalties: one row, the loss's own signal."""
        u = signal.unsqueeze(2)
        last_weighted = next(i for i, layer in enumerate(self.layers) if isinstance(layer, WeightedLayer))
        for i in range(len(self.layers) - 1, last_weighted - 1, -1):
            layer = self.layers[i]
            pulled = layer.pull(u) if i > last_weighted else u
            if isinstance(layer, WeightedLayer):
                layer.accumulate(self.momentum, inputs[i].unsqueeze(2), u, u.squeeze(2))
            u = pulled
        self._descend(rate)

    def _descend(self, rate: Tensor) -> None:
        for layer in self.layers:
            if isinstance(layer, WeightedLayer):
                layer.descend(rate * self.weight_decay)

    @torch.no_grad()
    def member(self, index: int, network: nn.Sequential) -> nn.Sequential:
        """Write member `index` into a network of the same architecture and return it."""
        for layer, module in zip(self.layers, network, strict=True):
            if isinstance(layer, WeightedLayer):
                layer.write(index, module)
        return network

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
