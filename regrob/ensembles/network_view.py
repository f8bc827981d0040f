"""Logits, and the gradient of any combination of them, at a batch of images.

Attacks ask one thing of a network: z(x), then combinations V·c for coefficients c that
depend on z. A network of stackable layers answers without autograd, and so does a whole
ensemble, which poses as one network with M·N examples. Anything else goes through autograd:
a layer that has a stacked form but does more than it (a subclass, a hook), too.
"""

from __future__ import annotations

import contextlib
import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from regrob.affine.local_map import LocalMap, local_map
from regrob.ensembles.ensemble import Ensemble, Point
from regrob.ensembles.kernels import split, symmetric_product
from regrob.ensembles.layers import StackedFlatten, StackedLinear, WeightedLayer
from regrob.errors import InputError
from regrob.theory.margin import Boundary, nearest_boundary, rival_differences

ALIKE = 0.75
"""Members run side by side if the least busy one has at least this share of the busiest one's examples."""

CACHED = 4_500_000
"""Bytes of weights that a processor's cache holds through all steps of an attack."""

WORTHWHILE = 1 / 8
"""Dropping examples copies images and weights: not for less than this share of them."""

COMPARED = 8
"""At so many images, stacked layers must give the logits of the network they stand for."""

REPAYING_STEPS = 3
"""How many steps an attack with `nearest` is expected to take at least."""

Coefficients = Callable[[Tensor], Tensor]


class Packed(NamedTuple):
    """What is left after `pack`.

    Attributes:
        kept: (A,), positions in the batch before. In an ensemble some of them may be done:
            members that run side by side hold equally many.
        view: for these examples, in this order.
    """

    kept: Tensor
    view: Pullback


class Pullback(ABC):
    """What an attack may ask of a network; N examples, member by member for an ensemble."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """(N, …) → (N, K)."""

    @abstractmethod
    def gradient(self, images: Tensor, coefficients: Coefficients) -> tuple[Tensor, Tensor]:
        """Σ_k c_k ∇z_k with c = coefficients(z), and z: (N, …) and (N, K)."""

    @abstractmethod
    def local_map(self, images: Tensor) -> LocalMap:
        """V (N, n, K) and z (N, K)."""

    @abstractmethod
    def nearest(
        self, images: Tensor, labels: Tensor, candidates: Tensor | None = None, unit: Tensor | None = None
    ) -> Boundary:
        """The boundary of the labels' class that is nearest in each image's own affine map.

        Args:
            images: (N, …).
            labels: (N,).
            candidates: (N, R), the other classes that count; None for all of them.
            unit: (N,), what each example's logits are measured in; None for one.
        """

    def pack(self, going: Tensor) -> Packed | None:
        """Drop the examples that are done, or None if there are too few of them.

        Args:
            going: (N,) bool, at least one. All of these are kept.
        """
        if not _worthwhile(int(going.sum()), going):
            return None
        return Packed(going.nonzero().squeeze(1), self)

    def blocks(self, images: Tensor) -> list[Packed]:
        """The examples, images (N, …), in blocks that an attack may go through one after the other."""
        return [Packed(torch.arange(len(images), device=images.device), self)]


class AutogradPullback(Pullback):
    """Any network, through autograd; logits of a lower precision than the images (autocast) are lifted."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    @override
    def logits(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            z: Tensor = self.network(images)
        return z.to(images.dtype)

    @override
    def gradient(self, images: Tensor, coefficients: Coefficients) -> tuple[Tensor, Tensor]:
        with recorded(images) as x:
            z = self.network(x).to(x.dtype)
            (gradient,) = torch.autograd.grad(z, x, coefficients(z.detach()), materialize_grads=True)
        return gradient, z.detach()

    @override
    def local_map(self, images: Tensor) -> LocalMap:
        with recorded(images) as x:
            return local_map(self.network, x, check=False)

    @override
    def nearest(
        self, images: Tensor, labels: Tensor, candidates: Tensor | None = None, unit: Tensor | None = None
    ) -> Boundary:
        if candidates is None:
            V, z = self.local_map(images)
            differences = in_units(rival_differences(labels, z), unit)
            rows = (differences @ V.mT).view(len(z), -1, *images.shape[1:])
            return _nearest(rows, labels, candidates, in_units(z, unit))
        with recorded(images) as x:
            z = self.network(x).to(x.dtype)
            differences = in_units(candidate_differences(labels, candidates, z), unit)
            pulled = [
                torch.autograd.grad(z, x, difference, retain_graph=True, materialize_grads=True)[0]
                for difference in differences.unbind(dim=1)
            ]
        return _nearest(torch.stack(pulled, dim=1), labels, candidates, in_units(z.detach(), unit))


class StackedPullback(nn.Module, Pullback):
    """M stacked networks posing as one: example m·N + i is image i of member m.

    Args:
        ensemble: the members; a batch must hold the same number of images for each.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        self.ensemble = ensemble
        self.gram: Tensor | None = None  # (M, h, h) of the first layer / `size`, once `nearest` wants it
        self.size: Tensor | None = None  # (M, 1, 1), of the first layer's weights

    def forward(self, images: Tensor) -> Tensor:
        """As `logits`."""
        return self.logits(images)

    @override
    def logits(self, images: Tensor) -> Tensor:
        return self.ensemble.logits(self._by_member(images)).flatten(0, 1)

    @override
    def gradient(self, images: Tensor, coefficients: Coefficients) -> tuple[Tensor, Tensor]:
        point = self.at(images)
        z = point.logits.flatten(0, 1)
        return self.pull(coefficients(z), point), z

    def at(self, images: Tensor) -> Point:
        """The members' logits (M, N/M, K), and what `pull` needs to know of these images."""
        return self.ensemble.at(self._by_member(images))

    def pull(self, coefficients: Tensor, point: Point) -> Tensor:
        """V·c for c (N, K) at the images of a point: (N, …)."""
        rows = self._by_member(coefficients).unsqueeze(2)
        return self.ensemble.pull(rows, point).squeeze(2).flatten(0, 1)

    @override
    def local_map(self, images: Tensor) -> LocalMap:
        V, z = self.ensemble.local_maps(self._by_member(images))
        return LocalMap(V.flatten(0, 1), z.flatten(0, 1))

    @override
    @torch.no_grad()
    def nearest(
        self, images: Tensor, labels: Tensor, candidates: Tensor | None = None, unit: Tensor | None = None
    ) -> Boundary:
        point = self.at(images)
        z = point.logits.flatten(0, 1)
        differences = (
            rival_differences(labels, z)
            if candidates is None
            else candidate_differences(labels, candidates, z)
        )
        z = in_units(z, unit)
        rows = self._by_member(in_units(differences, unit))  # (M, N, R, K)
        layers = self.ensemble.layers
        start = next(i for i, layer in enumerate(layers) if not isinstance(layer, StackedFlatten))
        first = layers[start]
        if not isinstance(first, StackedLinear) or not self._gram_pays(first, rows.shape[1] * rows.shape[2]):
            rows = self.ensemble.pull(rows, point).flatten(0, 1)
            return _nearest(rows, labels, candidates, z)
        # The first layer is the widest. Its Gram matrix gives the lengths of all rows, and
        # only the row that is chosen goes through it.
        if self.gram is None or self.size is None:
            self.size = power_of_two(first.weight.abs().amax(dim=(1, 2), keepdim=True))
            self.gram = symmetric_product(first.weight / self.size)
        rows = self.ensemble.pull(rows, point, after=start + 1).flatten(1, 2)  # (M, N·R, h)
        sized = rows * self.size
        squared = torch.linalg.vecdot(torch.bmm(sized, self.gram), sized)
        by_example = (len(z), rows.shape[1] * len(rows) // len(z))
        length = squared.clamp_min(0).sqrt().view(by_example)
        chosen = _nearest(rows.view(*by_example, -1), labels, candidates, z, length)
        normal = first.pull(self._by_member(chosen.normal).unsqueeze(2), point.traces[start])
        return chosen._replace(normal=normal.view(images.shape))

    def _gram_pays(self, first: StackedLinear, rows: int) -> bool:
        """Whether it is there, or a few steps of so many rows a member repay its multiplications."""
        _, inputs, outputs = first.weight.shape
        return self.gram is not None or REPAYING_STEPS * rows * (inputs - outputs) >= inputs * outputs

    @override
    def pack(self, going: Tensor) -> Packed | None:
        return super().pack(going) if self.ensemble.members == 1 else _packed(going, [(self, going)])

    @override
    def blocks(self, images: Tensor) -> list[Packed]:
        """On the CPU, as many members at once as the cache holds: one more would have all fetched anew."""
        weights = [w.weight for w in self.ensemble.layers if isinstance(w, WeightedLayer)]
        M = self.ensemble.members
        each = sum(w[0].numel() * w.element_size() for w in weights)
        together = M if weights[0].device.type != "cpu" else max(1, CACHED // each)
        starts = range(0, M, together)
        groups = [list(range(start, min(start + together, M))) for start in starts]
        kept = torch.arange(len(images), device=images.device).view(M, -1)
        return [Packed(kept[group].flatten(), self.subset(group)) for group in groups]

    def pieces(self, going: Tensor) -> list[_Piece]:
        """The busy members in groups, each with as many examples a member as its busiest one needs."""
        by_member = self._by_member(going)
        first = by_member.int().argsort(dim=1, descending=True, stable=True)  # those that go on
        first += by_member.shape[1] * torch.arange(len(first), device=first.device)[:, None]
        count: list[int] = by_member.sum(dim=1).tolist()
        groups = _alike(count)
        return [_Piece(first[g, : max(count[m] for m in g)].flatten(), self, g) for g in groups]

    def subset(self, group: list[int]) -> StackedPullback:
        """These members alone, for logits and pulls; never to be trained."""
        if len(group) == self.ensemble.members:
            return self
        part = copy.copy(self.ensemble)
        part.members = len(group)
        part.layers = list(self.ensemble.layers)
        for i, layer in enumerate(part.layers):
            if isinstance(layer, WeightedLayer):
                part.layers[i] = chosen = copy.copy(layer)
                chosen.weight = layer.weight[group]
                chosen.bias = None if layer.bias is None else layer.bias[group]
        view = StackedPullback(part)
        view.gram = None if self.gram is None else self.gram[group]
        view.size = None if self.size is None else self.size[group]
        return view

    def _by_member(self, examples: Tensor) -> Tensor:
        members = self.ensemble.members
        if examples.shape[0] % members:
            raise InputError(f"{examples.shape[0]} images do not divide among {members} members")
        return split(examples, 0, (members, -1))


class _Piece(NamedTuple):
    """Examples that go on together: their positions, and the members `group` of `owner` they belong to."""

    kept: Tensor
    owner: StackedPullback
    group: list[int]


class Parts(Pullback):
    """Several ensembles that share a batch, one part after the other.

    Args:
        parts: the ensembles.
        sizes: how many examples each has.
    """

    def __init__(self, parts: Sequence[StackedPullback], sizes: Sequence[int]) -> None:
        self.parts, self.sizes = list(parts), list(sizes)

    @override
    def logits(self, images: Tensor) -> Tensor:
        return torch.cat([part.logits(x) for part, x in self._split(images)])

    @override
    def gradient(self, images: Tensor, coefficients: Coefficients) -> tuple[Tensor, Tensor]:
        points = [part.at(x) for part, x in self._split(images)]
        z = torch.cat([point.logits.flatten(0, 1) for point in points])
        split_coefficients = self._split(coefficients(z))
        pulled = [part.pull(c, point) for (part, c), point in zip(split_coefficients, points, strict=True)]
        return torch.cat(pulled), z

    @override
    def local_map(self, images: Tensor) -> LocalMap:
        maps = [part.local_map(x) for part, x in self._split(images)]
        return LocalMap(torch.cat([m.V for m in maps]), torch.cat([m.z for m in maps]))

    @override
    def nearest(
        self, images: Tensor, labels: Tensor, candidates: Tensor | None = None, unit: Tensor | None = None
    ) -> Boundary:
        settings = [
            [None] * len(self.parts) if setting is None else setting.split(self.sizes)
            for setting in (candidates, unit)
        ]
        examples = zip(self._split(images), labels.split(self.sizes), *settings, strict=True)
        boundaries = [part.nearest(x, y, rivals, units) for (part, x), y, rivals, units in examples]
        return Boundary(*(torch.cat(values) for values in zip(*boundaries, strict=True)))

    @override
    def pack(self, going: Tensor) -> Packed | None:
        return _packed(going, self._split(going))

    def _split(self, examples: Tensor) -> Iterator[tuple[StackedPullback, Tensor]]:
        return zip(self.parts, examples.split(self.sizes), strict=True)


class ScaledPullback(Pullback):
    """A view whose logits are measured in units of their own size, a power of two for each example.

    A network s·z decides as z does, for every s > 0, so the smallest perturbation of the one is that of
    the other. But float32 squares nothing below 1e-19 or above 1e19, and a constant that suits
    logits near one suits no others. Dividing by a power of two rounds nothing.

    Args:
        view: of the network.
        z: (N, K), the logits at the images.
    """

    def __init__(self, view: Pullback, z: Tensor) -> None:
        self.view, self.unit = view, power_of_two(z.abs().amax(dim=1))

    @override
    def logits(self, images: Tensor) -> Tensor:
        return in_units(self.view.logits(images), self.unit)

    @override
    def gradient(self, images: Tensor, coefficients: Coefficients) -> tuple[Tensor, Tensor]:
        def scaled(z: Tensor) -> Tensor:
            return in_units(coefficients(in_units(z, self.unit)), self.unit)

        gradient, z = self.view.gradient(images, scaled)
        return gradient, in_units(z, self.unit)

    @override
    def local_map(self, images: Tensor) -> LocalMap:
        V, z = self.view.local_map(images)
        return LocalMap(in_units(V, self.unit), in_units(z, self.unit))

    @override
    def nearest(
        self, images: Tensor, labels: Tensor, candidates: Tensor | None = None, unit: Tensor | None = None
    ) -> Boundary:
        return self.view.nearest(images, labels, candidates, self.unit if unit is None else unit * self.unit)

    @override
    def pack(self, going: Tensor) -> Packed | None:
        packed = self.view.pack(going)
        return None if packed is None else self._of(packed)

    @override
    def blocks(self, images: Tensor) -> list[Packed]:
        return [self._of(block) for block in self.view.blocks(images)]

    def _of(self, packed: Packed) -> Packed:
        """The same of some examples."""
        part = copy.copy(self)
        part.view, part.unit = packed.view, self.unit[packed.kept]
        return Packed(packed.kept, part)


def power_of_two(size: Tensor) -> Tensor:
    """The largest power of two that is no larger than each size; 1 where that is 0, infinite or NaN.

    Those below 2⁻¹⁰⁰ count as 2⁻¹⁰⁰, so that one over it is a float32.

    >>> power_of_two(torch.tensor([0.3, 1.0, 7.0, 0.0]))
    tensor([0.2500, 1.0000, 4.0000, 1.0000])
    """
    power = (size / (2 * torch.frexp(size).mantissa)).clamp_min(2.0**-100)
    return torch.where((size > 0) & size.isfinite(), power, 1.0)


def in_units(values: Tensor, unit: Tensor | None) -> Tensor:
    """Each example's values (N, …) over its unit (N,); as they are for None."""
    return values if unit is None else values / unit.view(-1, *(1,) * (values.ndim - 1))


def pullback(network: nn.Module, images: Tensor) -> Pullback:
    """The fastest way into a network that computes the same: stacked layers where it has only those.

    The stacked layers must give the network's own logits at a few of the images; else, or where a
    layer has no stacked form, autograd is the way. What is kept of the weights holds until they
    change: ask for a new one for each attack.

    Raises:
        InputError: autograd cannot differentiate through the network's parameters.

    >>> x = torch.zeros(1, 2)
    >>> [type(pullback(net, x)).__name__ for net in (nn.Sequential(nn.Linear(2, 2)), nn.ReLU())]
    ['StackedPullback', 'AutogradPullback']
    """
    if isinstance(network, StackedPullback):
        return StackedPullback(network.ensemble)
    if isinstance(network, nn.Sequential):
        try:
            view = StackedPullback(Ensemble([network]))
        except InputError:
            pass
        else:
            if _same_logits(view, network, images[:COMPARED]):
                return view
    if any(parameter.is_inference() for parameter in network.parameters()):
        raise InputError(
            "the network was made inside torch.inference_mode(), so autograd cannot pass through it; "
            "make it, or load its weights, outside"
        )
    return AutogradPullback(network)


def alike(z: Tensor, others: Tensor) -> bool:
    """Whether two tensors of logits agree up to rounding.

    >>> z = torch.tensor([[1.0, 2.0]])
    >>> alike(z, z + 1e-6), alike(z, z + 0.1), alike(1e-12 * z, 1.1e-12 * z)
    (True, False, False)
    """
    if z.shape != others.shape:
        return False
    tolerance = math.sqrt(torch.finfo(z.dtype).eps)
    scale = float(z.nan_to_num().abs().max())
    return torch.allclose(z, others.to(z), rtol=0.0, atol=tolerance * scale, equal_nan=True)


@contextlib.contextmanager
def recorded(images: Tensor) -> Iterator[Tensor]:
    """The images as a leaf that autograd records, inside `no_grad` and `inference_mode` too."""
    with torch.inference_mode(False), torch.enable_grad():
        x = images.clone() if images.is_inference() else images.detach()
        yield x.requires_grad_(True)


def candidate_differences(labels: Tensor, candidates: Tensor, z: Tensor) -> Tensor:
    """e_j − e_y for the candidates j (N, R): (N, R, K).

    >>> candidate_differences(torch.tensor([1]), torch.tensor([[3]]), torch.zeros(1, 4))
    tensor([[[ 0., -1.,  0.,  1.]]])
    """
    differences = z.new_zeros(*candidates.shape, z.shape[1])
    differences.scatter_(2, candidates[:, :, None], 1.0)
    own = labels[:, None, None].expand(*candidates.shape, 1)
    return differences.scatter_(2, own, -1.0)


def _nearest(
    rows: Tensor, labels: Tensor, candidates: Tensor | None, z: Tensor, length: Tensor | None = None
) -> Boundary:
    """`nearest_boundary` among the candidates (N, R), or among all rivals for None."""
    if length is None:
        length = torch.linalg.vector_norm(rows.flatten(2), dim=2)
    if candidates is None:
        return nearest_boundary(rows, length, labels, z)
    # As if the label and its candidates were all the classes.
    few = z.gather(1, torch.cat([labels[:, None], candidates], dim=1))
    return nearest_boundary(rows, length, torch.zeros_like(labels), few)._replace(z=z)


def _same_logits(view: Pullback, network: nn.Module, images: Tensor) -> bool:
    """Whether the stacked layers compute what the network does."""
    with torch.no_grad():
        z = network(images)
    try:
        return alike(z, view.logits(images))
    except (RuntimeError, InputError, IndexError):  # more axes than the stacked layers know, say
        return False


def _packed(going: Tensor, parts: Iterable[tuple[StackedPullback, Tensor]]) -> Packed | None:
    """What is left of several ensembles that share a batch, each with its part of `going`."""
    if not _worthwhile(int(going.sum()), going):
        return None
    pieces: list[_Piece] = []
    offset = 0
    for part, going_here in parts:
        pieces += [piece._replace(kept=piece.kept + offset) for piece in part.pieces(going_here)]
        offset += len(going_here)
    sizes = [len(piece.kept) for piece in pieces]
    if not _worthwhile(sum(sizes), going):
        return None
    views = [piece.owner.subset(piece.group) for piece in pieces]
    kept = torch.cat([piece.kept for piece in pieces])
    return Packed(kept, views[0] if len(views) == 1 else Parts(views, sizes))


def _worthwhile(left: int, going: Tensor) -> bool:
    return left <= (1 - WORTHWHILE) * len(going)


def _alike(count: Sequence[int]) -> list[list[int]]:
    """Members in groups of similar counts, without those that count zero.

    >>> _alike([90, 0, 20, 100, 19])
    [[0, 3], [2, 4]]
    """
    groups: list[list[int]] = []
    for member in sorted(range(len(count)), key=lambda m: -count[m]):
        if groups and count[member] >= ALIKE * count[groups[-1][0]]:
            groups[-1].append(member)
        elif count[member]:
            groups.append([member])
    return [sorted(group) for group in groups]
