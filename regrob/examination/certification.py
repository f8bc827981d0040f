"""The distance to the nearest mistake as an interval: attacks from above, branch and bound from below."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine import checked_logits, in_float64, max_layers, relu_layers, require_frozen_statistics
from regrob.attacks import boundary_projection
from regrob.certificates import linear_radius, quadratic_radius
from regrob.certificates.complete import Search, nearest_confirmed
from regrob.checks import ImageLabels, Images, check_images, check_labels
from regrob.errors import InputError, UnsuitableNetworkError, VanishingGradientWarning
from regrob.examination.image_files import LabelledImages

HAIR = 256.0
"""By so many units of rounding of the largest logit a mistake must lead, whatever the order of summation."""


MANY_ENTRIES = 4000
"""Of maxima; of more, linear bounds take longer than quadratic ones, and are far shorter."""


class Certification(NamedTuple):
    """What is known of each image's distance to the nearest mistake in the box: certified ≤ true ≤ found.

    The mistakes are those of the network whose weights are the given ones and whose arithmetic is exact.

    Attributes:
        certified: (N,) float64, rounded down; zero where the image is misclassified.
        found: (N,) float64, rounded up: distance of the nearest mistake known; infinite if none is.
        mistakes: that image, shaped like the images; NaN where none is known.
        nodes: (N,), how many parts of the input space were bounded.
        unstable: (N,), units that may switch in the last ball around the image, as far as was then known.
        seconds: (N,), spent on each image; the attacks' share included.
        reasons: why each search ended: "closed" (certified ≥ (1 − tolerance) found), "time", "interrupted",
            "misclassified"; "exhausted", where rounding keeps the nearest mistake from being one; "bounds",
            where the network allows no search, only the bounds that one would begin with.
    """

    certified: Tensor
    found: Tensor
    mistakes: Tensor
    nodes: Tensor
    unstable: Tensor
    seconds: Tensor
    reasons: tuple[str, ...]


def certify(
    network: nn.Module,
    images: Images,
    labels: ImageLabels,
    *,
    norm: float = 2.0,
    seconds: float = 1.0,
    box: tuple[float, float] | None = (0.0, 1.0),
    tolerance: float = 0.01,
    progress: Callable[[str, float], object] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Certification:
    """Bound the distance to the nearest mistake from both sides, until the two meet or time is up.

    An attack finds a first mistake; branch and bound (`certificates.complete`) proves how near none can be,
    and on its way finds nearer ones. An interruption from the keyboard ends it; what it knows is returned.

    Args:
        network: piecewise linear, in eval mode. Branch and bound needs a chain of affine maps and ReLUs; of
            other networks what is certified is `linear_radius`; or, in ℓ2, `quadratic_radius` if that is
            larger, of chains of affine maps, ReLUs and max-pools.
        images: (N, …), in the box.
        labels: (N,) int64.
        norm: of the distance, 2 or infinity.
        seconds: an image at most, the attack not counted.
        box: least and largest value of a pixel; None for no constraint.
        tolerance: the interval is closed when certified ≥ (1 − tolerance) found.
        progress: called with a few words and the share done.
        clock: tells the seconds; `time.thread_time` counts those of this process alone, for a busy machine.

    Raises:
        InputError: images, labels or logits that do not fit together; an image outside the box; another norm.
        NotPiecewiseLinearError: the network is not piecewise linear.
        UnsuitableNetworkError: it bends in a way for which there is no relaxation.

    >>> network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    >>> for layer in (network[0], network[2]): _ = nn.init.eye_(layer.weight)
    >>> known = certify(network, torch.tensor([[0.75, 0.25]]), torch.tensor([0]))  # the true one is √2/4
    >>> round(float(known.certified), 2), round(float(known.found), 2), known.reasons
    (0.35, 0.35, ('closed',))
    """
    check_images(images)
    if not seconds >= 0.0:
        raise InputError(f"seconds must be at least 0, got {seconds}")
    require_frozen_statistics(network)
    images = images.detach()
    with torch.no_grad():
        z = checked_logits(network, images)
    check_labels(labels, z)
    notify = progress or (lambda words, share: None)
    try:
        layers = relu_layers(network, images)
    except UnsuitableNetworkError:
        return _by_bounds(network, images, labels, z, norm, box, tolerance, notify, clock)
    right = _correct(z, labels) & _correct(layers.logits(images.flatten(1).double()), labels)
    searches = [
        Search(
            layers,
            image.flatten(),
            int(label),
            norm=norm,
            box=box,
            tolerance=tolerance,
            confirm=_confirmation(network, image, int(label)),
            dtype=images.dtype,
        )
        for image, label in zip(images, labels, strict=True)
    ]
    spent = torch.zeros(len(images), dtype=torch.float64)
    reasons = ["interrupted" if good else "misclassified" for good in right.tolist()]
    try:
        chosen = right.nonzero()[:, 0]
        if len(chosen):
            notify("Attacking", 0.0)
            started = clock()
            attacked = _attacked(network, images[chosen], labels[chosen], box)
            spent[chosen] = (clock() - started) / len(chosen)
            for i, start in zip(chosen.tolist(), attacked, strict=True):
                searches[i].offer(start[None])
        for done, i in enumerate(chosen.tolist()):
            notify("Closing the intervals", done / len(chosen))
            started = clock()
            try:
                reasons[i] = searches[i].advance(seconds, clock=clock)
            finally:
                spent[i] += clock() - started
        notify("Closing the intervals", 1.0)
    except KeyboardInterrupt:  # every interval is right at any time
        pass
    return _collected(searches, images, right, spent, reasons)


def _by_bounds(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    z: Tensor,
    norm: float,
    box: tuple[float, float] | None,
    tolerance: float,
    notify: Callable[[str, float], object],
    clock: Callable[[], float],
) -> Certification:
    """For networks that are no chain of affine maps and ReLUs: bounds, the attack, no search."""
    exact = in_float64(network)
    with torch.no_grad():
        right = _correct(z, labels) & _correct(checked_logits(exact, images.double()), labels)
    known = _collected([], images, torch.zeros_like(right), torch.zeros(len(images)).double(), [])
    reasons = ["interrupted" if good else "misclassified" for good in right.tolist()]
    chosen = right.nonzero()[:, 0]
    known.found[chosen], known.mistakes[chosen] = torch.inf, torch.nan
    try:
        if len(chosen):
            x, y = images[chosen], labels[chosen]
            started = clock()
            notify("Attacking", 0.0)
            attacked = _attacked(network, x, y, box)
            for i, start in zip(chosen.tolist(), attacked, strict=True):
                nearer = _confirmed(network, exact, images[i], int(labels[i]), start, norm, box)
                if nearer is not None:
                    known.found[i], known.mistakes[i] = nearer[0], nearer[1].view_as(images[i])
            notify("Bounding", 0.5)
            radius = _bounded(network, x, y, norm, box)
            known.certified[chosen] = torch.minimum(radius, known.found[chosen])
            known.seconds[chosen] = (clock() - started) / len(chosen)
            for i in chosen.tolist():
                closed = bool(known.certified[i] >= (1.0 - tolerance) * known.found[i])
                reasons[i] = "closed" if closed else "bounds"
            notify("Bounding", 1.0)
    except KeyboardInterrupt:  # every interval is right at any time
        pass
    return known._replace(reasons=tuple(reasons))


def _bounded(
    network: nn.Module, images: Tensor, labels: Tensor, norm: float, box: tuple[float, float] | None
) -> Tensor:
    """What linear bounds certify and, where there are any, quadratic ones, whichever is more: (N,)."""
    bound = torch.zeros(len(images), dtype=torch.float64)
    entries = 0
    if norm == 2.0:
        try:
            layers = max_layers(network, images)
        except UnsuitableNetworkError:
            pass
        else:
            entries = sum(layer.windows.numel() for layer in layers.layers)
            bound = quadratic_radius(network, images, labels, box=box, layers=layers)
    if entries <= MANY_ENTRIES:
        bound = bound.maximum(linear_radius(network, images, labels, norm=norm, box=box).double().cpu())
    return bound


def _confirmed(
    network: nn.Module,
    exact: nn.Module,
    image: Tensor,
    label: int,
    start: Tensor,
    norm: float,
    box: tuple[float, float] | None,
) -> tuple[float, Tensor] | None:
    """The image that an attack found, if network and exact network both take it for another class."""
    confirm = _confirmation(network, image, label)

    def mistaken(points: Tensor) -> Tensor:
        with torch.no_grad():
            z = exact(points.double().view(-1, *image.shape))
        return confirm(points) & ~_correct(z, torch.full((len(points),), label))

    x = image.flatten().double()
    return nearest_confirmed(
        x, start.flatten()[None].double(), mistaken, norm=norm, box=box, dtype=image.dtype
    )


class CertifiedImages(NamedTuple):
    """What is known of a reader's images, with their names.

    Attributes:
        data: the images as they were read.
        labels: (N,); the network's own classes where none were given.
        known: of each image.
        norm, box, tolerance: as of `certify`.
    """

    data: LabelledImages
    labels: Tensor
    known: Certification
    norm: float
    box: tuple[float, float] | None
    tolerance: float

    def rows(self) -> list[dict[str, Any]]:
        """One an image: its name, its label, and what is known of it."""
        columns = (*self.known[:2], *self.known[3:6])
        names = ("certified", "found", "nodes", "unstable", "seconds")
        return [
            {"image": name, "label": label, **dict(zip(names, values, strict=True)), "reason": reason}
            for name, label, values, reason in zip(
                self.data.names,
                self.labels.tolist(),
                zip(*(column.tolist() for column in columns), strict=True),
                self.known.reasons,
                strict=True,
            )
        ]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain numbers and words, for JSON; infinity becomes "inf"."""
        rows = [
            {key: "inf" if value == math.inf else value for key, value in row.items()} for row in self.rows()
        ]
        norm = "inf" if math.isinf(self.norm) else self.norm
        box = None if self.box is None else list(self.box)
        return {
            "data": self.data.source, "norm": norm, "box": box, "tolerance": self.tolerance, "images": rows,
        }  # fmt: skip


def certify_images(
    network: nn.Module,
    data: LabelledImages,
    *,
    norm: float = 2.0,
    seconds: float = 1.0,
    tolerance: float = 0.01,
    box: tuple[float, float] | Literal["auto"] | None = "auto",
    progress: Callable[[str, float], object] | None = None,
) -> CertifiedImages:
    """`certify` on images that were read: the network is put into eval mode, and they into its dtype.

    Args:
        data: where labels are unknown, the classes that the network sees stand for them.
        box: "auto": [0, 1] if all pixels are in it, else none.
        norm, seconds, tolerance, progress: as of `certify`.

    Raises:
        InputError, NotPiecewiseLinearError, UnsuitableNetworkError: as `certify`.
    """
    network = network.eval()
    like = next((p for p in [*network.parameters(), *network.buffers()] if p.is_floating_point()), None)
    images = data.images if like is None else data.images.to(like)
    if box == "auto":
        inside = bool(((images >= 0) & (images <= 1)).all())
        box = (0.0, 1.0) if inside else None
    if data.labels is None:
        with torch.no_grad():
            labels = checked_logits(network, images).argmax(dim=1)
    else:
        labels = data.labels.to(images.device)
    known = certify(
        network, images, labels, norm=norm, seconds=seconds, box=box, tolerance=tolerance, progress=progress
    )
    return CertifiedImages(data, labels, known, norm, box, tolerance)


def _attacked(network: nn.Module, images: Tensor, labels: Tensor, box: tuple[float, float] | None) -> Tensor:
    """Images that are mistakes, or were meant to be: where the attack fails, the search goes on without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VanishingGradientWarning)
        found: Tensor = boundary_projection(network, images, labels, box=box).images
    return found


def _correct(z: Tensor, labels: Tensor) -> Tensor:
    """Where no other class's logit reaches the label's."""
    own = z.gather(1, labels[:, None])
    others = z.scatter(1, labels[:, None], -torch.inf)
    return (others < own).all(dim=1)


def _confirmation(network: nn.Module, image: Tensor, label: int) -> Callable[[Tensor], Tensor]:
    """Tells which images (M, n) the network itself, as it computes, takes for another class."""

    def confirm(points: Tensor) -> Tensor:
        with torch.no_grad():
            z = network(points.to(image).view(-1, *image.shape))
        hair = HAIR * torch.finfo(z.dtype).eps * z.abs().amax(dim=1)
        others = z.clone()
        others[:, label] = -torch.inf
        leads: Tensor = others.amax(dim=1) >= z[:, label] + hair
        return leads

    return confirm


def _collected(
    searches: list[Search], images: Tensor, right: Tensor, spent: Tensor, reasons: list[str]
) -> Certification:
    certified, found, mistakes = torch.zeros_like(spent), torch.zeros_like(spent), images.clone()
    nodes, unstable = (torch.zeros(len(images), dtype=torch.int64) for _ in range(2))
    for i in right.nonzero()[:, 0].tolist():
        search = searches[i]
        certified[i], found[i] = search.certified, search.found
        nodes[i], unstable[i] = search.nodes, search.unstable
        mistakes[i] = torch.nan if search.mistake is None else search.mistake.view_as(images[i])
    return Certification(certified, found, mistakes, nodes, unstable, spent, tuple(reasons))
