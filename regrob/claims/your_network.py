"""The ledger's checks on a network of the reader's own: closed forms against its own derivatives.

Prepare a network, hold the closed forms against it. A claim's check asks a `Draw` for sample
networks; here it is handed the reader's network instead, in float64. Checks that never look
at a network say nothing about it and are left out; so are those that ask for more classes
than it has.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from regrob.affine import kinks, local_map, require_frozen_statistics
from regrob.checks import check_images, check_labels
from regrob.claims.check import Check
from regrob.claims.claim import Claim
from regrob.claims.groups import Values, flat
from regrob.claims.instances import Draw, Instance, NoInstanceError, Sample
from regrob.claims.oracle import autograd_derivatives
from regrob.errors import InputError, NotPiecewiseLinearError, UnsuitableNetworkError

DENSE = 100
"""Above this many inputs, derivatives are taken in a random choice of so many coordinates."""

LARGEST = 32
"""No more images than this: every one costs a dense Hessian."""


# --- preparing -------------------------------------------------------------------------


class Restriction(nn.Module):
    """A network seen through some coordinates of one image, and some of its logits.

    u ↦ the first `classes` logits at the image with the coordinates `index` set to u. A
    piecewise-linear network stays one: V keeps some rows and columns, H some of both.
    """

    index: Tensor
    base: Tensor

    def __init__(self, network: nn.Module, base: Tensor, index: Tensor, classes: int) -> None:
        super().__init__()
        self.network, self.classes = network, classes
        self.register_buffer("index", index)
        self.register_buffer("base", base)

    def forward(self, u: Tensor) -> Tensor:
        """(N, coordinates) → (N, classes)."""
        flat = self.base.flatten().expand(len(u), -1)
        whole = flat.index_copy(1, self.index, u).unflatten(1, self.base.shape)
        z: Tensor = self.network(whole)[:, : self.classes]
        return z


@dataclass
class PreparedNetwork:
    """A network at some images, ready to be asked for samples.

    Attributes:
        network: a copy in float64 and eval mode.
        images: (N, …) float64, off the kinks.
        labels: (N,).
        left_out: how many of the images used were on or next to a kink.
        coordinates: which inputs are differentiated, as positions in the flattened image.
        steps: (N,), for every image the size of a step that a check may take: `Sample.step`.
    """

    network: nn.Module
    images: Tensor
    labels: Tensor
    left_out: int
    coordinates: Tensor
    steps: Tensor
    _samples: dict[int, tuple[Sample, ...]] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """n, before any choice of coordinates."""
        return self.images[0].numel()

    def samples(self, classes: int) -> tuple[Sample, ...]:
        """One sample an image, seen through the first `classes` logits; none if there are fewer."""
        if classes not in self._samples:
            with torch.no_grad():
                enough = self.network(self.images[:1]).shape[1] >= classes
            self._samples[classes] = tuple(self._sample(i, classes) for i in range(len(self.images) * enough))
        return self._samples[classes]

    def _sample(self, i: int, classes: int) -> Sample:
        part = Restriction(self.network, self.images[i], self.coordinates, classes).eval()
        u = self.images[i].flatten()[self.coordinates][None]
        local = local_map(part, u, check=False)
        y = self.labels[i : i + 1].remainder(classes)
        derivatives = autograd_derivatives(part, u, y)
        return Sample("your network", part, u, local, y, derivatives, float(self.steps[i]))


def prepare(
    network: nn.Module, images: Tensor, labels: Tensor | None = None, *, jitter: float = 0.0, seed: int = 0
) -> PreparedNetwork:
    """Copy a network to float64, check it, and drop the images on or next to a kink.

    Args:
        images: (N, …), floating point; the first 32 are used.
        labels: (N,), int64; the predicted classes if None, all but one of them.
        jitter: size of uniform noise added to every pixel. Digits on a black ground sit on
            a max-pool's ties; 0.05 moves most of them off.

    Raises:
        InputError: bad shapes, labels or pixels, or no image off the kinks.
        NotPiecewiseLinearError: the network bends.
    """
    try:
        network = copy.deepcopy(network).double().eval()
    except (RuntimeError, TypeError) as error:
        raise InputError(f"the network cannot be copied to float64: {error}") from error
    require_frozen_statistics(network)
    check_images(images)
    generator = torch.Generator().manual_seed(seed)
    first = next(network.parameters(), None)
    images = images[:LARGEST].double().to(None if first is None else first.device)
    given = len(images)
    noise = 2 * torch.rand(images.shape, generator=generator, dtype=torch.float64) - 1
    images = images + jitter * noise.to(images)
    V, z = local_map(network, images)  # the one call that checks
    if labels is None:
        labels = z.argmax(dim=1)
        labels[-1] = (labels[-1] + 1) % z.shape[1]
    else:
        labels = labels[:LARGEST].to(images.device)
        check_labels(labels, z)
    n = images[0].numel()
    coordinates = torch.randperm(n, generator=generator)[:DENSE].sort().values.to(images.device)
    steps = _steps(V, z, images, coordinates)
    keep = ~_on_a_kink(network, images) & ~_at_an_edge(network, images, V, 2 * steps, generator)
    if not bool(keep.any()):
        raise InputError(
            f"each of the {given} images sits on a kink (a zero pre-activation, a tie in a max-pool) or "
            f"within {10 * float(steps.max()):.0e} of one, where no derivative exists; move them off by "
            f"--jitter {0.05 * (float(images.abs().amax()) or 1.0):.2g}"
        )
    left_out = given - int(keep.sum())
    return PreparedNetwork(network, images[keep], labels[keep], left_out, coordinates, steps[keep])


def _steps(V: Tensor, z: Tensor, images: Tensor, coordinates: Tensor) -> Tensor:
    """1e-7 of the pixels' size, or more where the logits would not move by 1e7 times their rounding: (N,)."""
    pixels = images.flatten(1)
    least = 1e-7 * torch.where(pixels.any(dim=1), pixels.abs().amax(dim=1).clamp_min(1e-300), 1.0)
    summed = (V.abs().mT @ pixels.abs()[..., None]).squeeze(-1)  # what may have cancelled in z
    rounding = torch.finfo(z.dtype).eps * torch.maximum(z.abs(), summed).amax(dim=1)
    slope = torch.linalg.matrix_norm(V[:, coordinates, :2])  # checks look at two classes at least
    return torch.where(slope > 0, torch.maximum(least, 1e7 * rounding / slope), least)


def _on_a_kink(network: nn.Module, images: Tensor) -> Tensor:
    try:
        return kinks(network, images)
    except NotPiecewiseLinearError:  # its operations are hidden, and `local_map` has warned of it
        return torch.zeros(len(images), dtype=torch.bool, device=images.device)


def _at_an_edge(
    network: nn.Module, images: Tensor, V: Tensor, steps: Tensor, generator: torch.Generator
) -> Tensor:
    """Whether V changes within some two steps, so that a check's step would leave Q(x): (N,) bool."""
    near = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    sizes = steps.view(-1, *(1,) * (images.ndim - 1))
    for _ in range(4):
        noise = torch.randn(images.shape, generator=generator, dtype=torch.float64).to(images)
        change = local_map(network, images + sizes * noise, check=False).V - V
        near |= change.abs().amax(dim=(1, 2)) > 1e-9 * V.abs().amax(dim=(1, 2))
    return near


# --- examining -------------------------------------------------------------------------


class _AboutBareInstancesError(Exception):
    """A check asked for instances without a network."""


@dataclass(frozen=True)
class NetworkDraw(Draw):
    """A draw whose every sample is the reader's network."""

    prepared: PreparedNetwork | None = None
    served: list[int] = field(default_factory=list)

    def instances(
        self, classes: int, *, inputs: int = 5, correct: bool = True, low: float = 1e-2, high: float = 30.0
    ) -> Instance:
        """Nothing to draw: the check is left out."""
        raise _AboutBareInstancesError

    def samples(self, classes: int) -> tuple[Sample, ...]:
        """The reader's network, once an image, and a note of how many samples that made."""
        assert self.prepared is not None
        samples = self.prepared.samples(classes)
        self.served.append(len(samples))
        return samples


@dataclass(frozen=True)
class Finding:
    """What one check says about the network.

    Attributes:
        claim, check: what was tested.
        count: numbers compared.
        worst: the largest excess, NaN where a derivative was.
        conclusive: the check's wrong variant is caught on this network.
    """

    claim: Claim
    check: Check
    count: int
    worst: float
    conclusive: bool

    @property
    def holds(self) -> bool:
        """Whether the closed form agrees with autograd to the check's tolerance."""
        return self.worst <= self.check.tolerance

    def as_record(self) -> dict[str, object]:
        """One JSON object."""
        return {
            "id": self.claim.id,
            "check": self.check.name,
            "holds": self.holds,
            "conclusive": self.conclusive,
            "count": self.count,
            "worst": self.worst if self.worst == self.worst else None,
            "tolerance": self.check.tolerance,
        }


def examine(prepared: PreparedNetwork, claims: Iterable[Claim], *, seed: int = 0) -> Iterator[Finding]:
    """Run every check of the claims that looks at a network, on this one."""
    seen: set[int] = set()
    for claim in claims:
        for check in claim.checks:
            if id(check) in seen:  # claims share some checks
                continue
            seen.add(id(check))
            values = _values(check.excess, prepared, seed)
            if values is None:
                continue
            tooth = _values(check.tooth, prepared, seed)
            conclusive = tooth is not None and float(tooth.max()) > check.tolerance
            yield Finding(claim, check, values.numel(), float(values.max()), conclusive)


def _values(excess: Callable[[Draw], Values], prepared: PreparedNetwork, seed: int) -> Tensor | None:
    """The excess on the network, or None if it is not about a network like this one."""
    draw = NetworkDraw(1, seed, str(prepared.images.device), prepared)
    try:
        values = flat(excess(draw))
    except (_AboutBareInstancesError, NoInstanceError, UnsuitableNetworkError):
        return None
    except (RuntimeError, TypeError, ValueError) as error:
        # Nothing to concatenate: no sample had the classes, or the shape, that the check is about.
        if not any(draw.served) or "non-empty" in str(error):
            return None
        raise
    return values if any(draw.served) and values.numel() else None
