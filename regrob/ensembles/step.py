"""One step of members that are computed at once: loss and penalties, differentiated in closed form.

A step never differentiates twice. In a piecewise-linear network the signal that carries the
loss back is a combination of the same rows that make up V: output directions pulled back
through the transposed layers. So one pull serves loss and penalties; what the penalties
say of V (`theory.penalties`) is pushed forward again; and each layer's gradient is one product.

    forward x → z        pull rows R → V        S = VᵀV → F, ∂P/∂z        push 2VF
    ∂/∂W_l = Σ rows_l ⊗ (s·h_{l−1} + tangent_{l−1})

Many rows need not travel to the image if the first layer is linear. With U the rows at its
output, S = U (WᵀW) Uᵀ; and the penalties' part of its own gradient is W · Σ 2 UᵀFFᵀU, where
the sum over the batch comes first. `multiplications` counts which way has fewer multiplications.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from regrob.ensembles import multiplications
from regrob.ensembles.kernels import split, symmetric_product
from regrob.ensembles.layers import Layer, LayerTrace, StackedLinear, WeightedLayer
from regrob.theory.penalties import gram_penalty


@dataclass
class Step:
    """What one step saw, before it changed the weights.

    Attributes:
        loss: (M,), mean cross-entropy of the batch, nats.
        penalty: (M,), mean weighted penalty.
    """

    loss: Tensor
    penalty: Tensor


class _Pass(NamedTuple):
    """A forward pass: each layer's input and its trace, and the logits."""

    inputs: list[Tensor]
    traces: list[LayerTrace]
    logits: Tensor


@dataclass
class Block:
    """M members and what a step needs to know of them.

    Attributes:
        layers: stacked, changed in place.
        weights: (M, 4), of the penalties, in the order of `PENALTY_NAMES`.
        kinds: the penalties that any member has.
        directions: (r, K), orthonormal, which combinations of logits are pulled back.
        momentum, weight_decay: Caffe's.
    """

    layers: Sequence[Layer]
    weights: Tensor
    kinds: tuple[str, ...]
    directions: Tensor
    momentum: float
    weight_decay: float

    @torch.no_grad()
    def step(self, images: Tensor, y: Tensor, rate: Tensor) -> Step:
        """See `ensemble.Ensemble.step`."""
        inputs, traces, z = [], [], images
        for layer in self.layers:
            inputs.append(z)
            z, trace = layer.forward(z)
            traces.append(trace)
        run = _Pass(inputs, traces, z)
        log_p = torch.log_softmax(z, dim=-1)
        own = log_p.gather(-1, y[..., None])
        loss = -own.mean(dim=(1, 2))
        residual = log_p.exp().scatter_(-1, y[..., None], 0.0)
        q = residual.sum(dim=-1, keepdim=True)  # from the rivals: log_p has rounded it away
        residual.scatter_(-1, y[..., None], -q)  # p − e_y
        scale = rate / z.shape[1]
        if not self.kinds:
            self._propagate(run, residual * scale)
            penalty = torch.zeros_like(loss)
        else:
            penalty = self._penalised(run, y, residual, scale)
        for layer in self.layers:
            if isinstance(layer, WeightedLayer):
                layer.descend(rate * self.weight_decay)
        return Step(loss, penalty)

    def _penalised(self, run: _Pass, y: Tensor, residual: Tensor, scale: Tensor) -> Tensor:
        """Accumulate the gradients of loss and penalties; return the mean penalty (M,)."""
        inputs, traces, z = run
        first = self._square_layer(z.shape[1])
        last = -1 if first is None else first
        signals: list[Tensor] = []  # rows at the outputs of all layers from the last one on down
        u = self.directions.expand(*z.shape[:2], -1, -1)  # (M, N, r, K)
        for i in range(len(self.layers) - 1, last, -1):
            signals.append(u)
            u = self.layers[i].pull(u, traces[i])
        if first is None:
            back = u.flatten(3)  # (M, N, r, n): V's columns, or their differences
            gram = back @ back.mT
        else:
            back = self._linear(first).round_trip(u)  # (M, N, r, h): U WᵀW
            gram = back @ u.mT
            signals.append(u)
        signals = [*(u for _ in range(len(inputs) - len(signals))), *reversed(signals)]
        S = self.directions.mT @ gram @ self.directions  # (M, N, K, K)
        penalty = gram_penalty(S, z, y, self.weights[:, None], self.kinds)
        coefficients = ((residual + penalty.logits) @ self.directions.mT) * scale  # (M, N, r)
        factor = self.directions @ penalty.factor  # (M, N, r, f)
        few = multiplications.few(*factor.shape[-2:])
        # ∂P/∂rows, or, where the penalties have few columns, only their factor.
        spread = factor if few else factor @ factor.mT
        mixing = coefficients.unsqueeze(2)  # (M, N, 1, r): the loss's signal
        if few:
            mixing = torch.cat([mixing, factor.mT], dim=2)  # (M, N, 1 + f, r)
        t = (2 * scale * spread).mT @ back
        if first is None:
            t = split(t, -1, inputs[0].shape[2:])
        else:
            self._first_gradient(first, run, mixing @ u, factor, u, scale)
        for i in range(last + 1, len(self.layers)):
            layer, h = self.layers[i], inputs[i]
            if isinstance(layer, WeightedLayer) and few:
                mixed = self._mixed(mixing, signals, i, traces)
                x = torch.cat([h.unsqueeze(2), t], dim=2)
                layer.accumulate(self.momentum, x, mixed, mixed[:, :, 0])
            elif isinstance(layer, WeightedLayer):
                x = torch.addcmul(
                    t, coefficients.view(*coefficients.shape, *(1,) * (h.ndim - 2)), h.unsqueeze(2)
                )
                carried = self._carried(coefficients, signals, i, traces)
                layer.accumulate(self.momentum, x, signals[i], carried)
            if layer is not self.layers[-1]:
                t = layer.push(t, traces[i])
        return penalty.value.mean(dim=1)

    def _square_layer(self, examples: int) -> int | None:
        """The first layer with weights, if its WᵀW saves multiplications."""
        first = self._first_weighted()
        layer = self.layers[first]
        if not isinstance(layer, StackedLinear):
            return None
        n, h = layer.weight.shape[1:]
        rows, classes = self.directions.shape
        f = multiplications.columns(self.kinds, classes)
        return first if multiplications.square_pays(n, h, examples, rows, f) else None

    def _first_weighted(self) -> int:
        return next(i for i, layer in enumerate(self.layers) if isinstance(layer, WeightedLayer))

    def _linear(self, index: int) -> StackedLinear:
        layer = self.layers[index]
        assert isinstance(layer, StackedLinear)
        return layer

    def _first_gradient(
        self, first: int, run: _Pass, mixed: Tensor, factor: Tensor, u: Tensor, scale: Tensor
    ) -> None:
        """The first layer's gradient where its rows u (M, N, r, h) were not pulled to the image."""
        layer, x = self._linear(first), run.inputs[first].unsqueeze(2)
        few = mixed.shape[2] > 1
        if few:  # pull just these columns
            x = torch.cat([x, layer.pull(2 * scale * mixed[:, :, 1:], run.traces[first])], dim=2)
        layer.accumulate(self.momentum, x, mixed, mixed[:, :, 0])
        if not few:
            columns = (factor.mT @ u).flatten(1, 2)  # (M, N·f, h)
            layer.weight_velocity.baddbmm_(layer.weight, 2 * scale * symmetric_product(columns))

    def _carried(
        self, coefficients: Tensor, signals: list[Tensor], index: int, traces: list[LayerTrace]
    ) -> Tensor:
        """The loss's signal at a weighted layer's output, per example or summed over them already."""
        if isinstance(self.layers[index], StackedLinear):
            return torch.bmm(coefficients.flatten(1).unsqueeze(1), signals[index].flatten(1, 2))
        return self._mixed(coefficients.unsqueeze(2), signals, index, traces)[:, :, 0]

    def _mixed(self, mixing: Tensor, signals: list[Tensor], index: int, traces: list[LayerTrace]) -> Tensor:
        """Combinations (M, N, c, r) of the rows at a weighted layer's output: (M, N, c, …).

        They are formed above the activations and poolings that follow the layer, where the
        rows are smallest, and the few combinations are then pulled through those.
        """
        top = index
        while top + 1 < len(self.layers) and not isinstance(self.layers[top + 1], WeightedLayer):
            top += 1
        rows = signals[top]
        u = split(mixing @ rows.flatten(3), -1, rows.shape[3:])
        for i in range(top, index, -1):
            u = self.layers[i].pull(u, traces[i])
        return u

    def _propagate(self, run: _Pass, signal: Tensor) -> None:
        """Back-propagation without penalties: one row, the loss's own signal."""
        u = signal.unsqueeze(2)
        first = self._first_weighted()
        for i in range(len(self.layers) - 1, first - 1, -1):
            layer = self.layers[i]
            pulled = layer.pull(u, run.traces[i]) if i > first else u
            if isinstance(layer, WeightedLayer):
                layer.accumulate(self.momentum, run.inputs[i].unsqueeze(2), u, u.squeeze(2))
            u = pulled
