"""The distance to the nearest mistake as an interval: attacks from above, proofs from below.

Branch and bound (`certificates.complete`) closes the interval of a chain of affine maps and ReLUs, in ℓ2 and
ℓ∞. Other networks, and other norms, get linear bounds alone.
"""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine import (
    MaxLayers,
    ReluLayers,
    checked_logits,
    in_float64,
    max_layers,
    relu_layers,
    require_frozen_statistics,
)
from regrob.attacks import boundary_projection
from regrob.attacks._common import FunctionNetwork, check_dtype
from regrob.certificates import linear_radius, quadratic_radius
from regrob.certificates.balls import ball_around
from regrob.certificates.complete import FURTHER, NORMS, STRETCHES, Search, nearest_confirmed
from regrob.certificates.linear_bounds import LinearAnalysis
from regrob.checks import (
    ImageLabels,
    Images,
    check_box,
    check_budget,
    check_images,
    check_labels,
    check_norm,
    check_pixels,
    check_tolerance,
)
from regrob.errors import InputError, UnsuitableNetworkError, VanishingGradientWarning
from regrob.examination.image_files import LabelledImages
from regrob.examination.ready import ready

HAIR = 256.0
"""By so many units of rounding of the largest logit a mistake must lead, whatever the order of summation."""

AT_ONCE = 16
"""Images that are attacked, and given linear bounds, together."""

POLISHING = 8
"""Steps from the nearest mistake known along the network's local maps."""

ROUNDS = 8
"""Of the search for the best quadratic bound, which ends before if no change is better, or time is up."""

LINEAR_SHARE = 0.5
"""Of a search's time at most, for the linear bounds that it starts from."""

SAMPLES = 256
"""Points of the box, or around the image, among which a mistake is looked for if the attack found none."""


class Certification(NamedTuple):
    """What is known of each image's distance to the nearest mistake in the box: certified ≤ true ≤ found.

    The mistakes are those of the network whose weights are the given ones and whose arithmetic is exact. A
    tie of the label's logit with another is a mistake.

    Attributes:
        certified: (N,) float64, rounded down; zero where the image is misclassified, infinite where no point
            of the box is a mistake.
        found: (N,) float64, rounded up: distance of the nearest mistake known; infinite if none is.
        mistakes: that image, shaped like the images; NaN where none is known.
        nodes: (N,), how many parts of the input space were bounded.
        unstable: (N,), units that may switch in the last ball around the image, as far as was then known.
        seconds: (N,), spent on each image; the attacks' share included.
        reasons: why each search ended: "closed" (certified ≥ (1 − tolerance) found), "time", "interrupted",
            "misclassified"; "exhausted", where rounding keeps the nearest mistake from being one; "linear",
            where network or norm allow no search, and linear bounds, or quadratic ones, are all there is.
    """

    certified: Tensor
    found: Tensor
    mistakes: Tensor
    nodes: Tensor
    unstable: Tensor
    seconds: Tensor
    reasons: tuple[str, ...]


class _Task(NamedTuple):
    """What is asked of `certify`, checked."""

    network: nn.Module
    images: Tensor
    labels: Tensor
    norm: float
    seconds: float
    box: tuple[float, float] | None
    tolerance: float
    starts: Tensor | None
    notify: Callable[[str, float], object]
    clock: Callable[[], float]


def certify(
    network: nn.Module,
    images: Images,
    labels: ImageLabels,
    *,
    norm: float = 2.0,
    seconds: float = 1.0,
    box: tuple[float, float] | None = (0.0, 1.0),
    tolerance: float = 0.01,
    starts: Images | None = None,
    progress: Callable[[str, float], object] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Certification:
    """Bound the distance to the nearest mistake from both sides, until the two meet or time is up.

    An attack finds a first mistake, and linear bounds a first radius without one; from there branch and bound
    proves how near none can be, and on its way finds nearer mistakes. Where a search is not to be had, linear
    bounds are the proof. An interruption from the keyboard ends it; what it knows is returned.

    Args:
        network: piecewise linear, in eval mode, in float32 or float64. A chain of affine maps and ReLUs is
            searched; of another `linear_radius` is certified, or in ℓ2 `quadratic_radius`.
        images: (N, …), in the box and in the network's dtype.
        labels: (N,) int64.
        norm: p of the distance ‖·‖_p, from 1 to infinity. A search is for 2 and infinity; what is certified
            in another norm is `linear_radius`.
        seconds: an image at most, the attack not counted.
        box: least and largest value of a pixel, rounded to the images' precision; None for no constraint.
        tolerance: the interval is closed when certified ≥ (1 − tolerance) found.
        starts: for each image one that may be a mistake, shaped like the images, in place of the attack;
            those of an earlier call, say. NaN where there is none.
        progress: called with a few words and the share done.
        clock: tells the seconds; `time.thread_time` counts those of this process alone, for a busy machine.

    Raises:
        InputError: images, labels or logits that do not fit together; an image outside the box; half
            precision; a function in place of a module; a norm below 1; a budget or tolerance that is none.
        NotPiecewiseLinearError: the network is not piecewise linear, or in training mode.
        UnsuitableNetworkError: it bends in a way for which there is no relaxation.

    >>> network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    >>> for layer in (network[0], network[2]): _ = nn.init.eye_(layer.weight)
    >>> known = certify(network, torch.tensor([[0.75, 0.25]]), torch.tensor([0]))  # the true one is √2/4
    >>> round(float(known.certified), 2), round(float(known.found), 2), known.reasons
    (0.35, 0.35, ('closed',))
    """
    with torch.inference_mode(mode=False):
        task = _checked(network, images, labels, norm, seconds, box, tolerance)
        if starts is not None:
            check_pixels(starts)
            if starts.shape != images.shape:
                raise InputError(
                    f"starts must be shaped like the images, {tuple(images.shape)}, got {tuple(starts.shape)}"
                )
            task = task._replace(starts=starts.detach().to(task.images))
        return _certified(task._replace(notify=progress or _silently, clock=clock))


def _silently(words: str, share: float) -> None:
    """No progress is shown."""


def _checked(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    norm: float,
    seconds: float,
    box: tuple[float, float] | None,
    tolerance: float,
) -> _Task:
    check_images(images)
    if not isinstance(network, nn.Module) or isinstance(network, FunctionNetwork):
        raise InputError(
            f"network must be an nn.Module, whose weights a proof can take to float64, got {_kind(network)}; "
            "put the function into the forward of a module that owns its weights"
        )
    check_norm(norm)
    check_budget(seconds)
    check_tolerance(tolerance)
    require_frozen_statistics(network)
    check_dtype(network, images)
    check_box(box, images)
    images = images.detach().clone()
    with torch.no_grad():
        check_labels(labels, checked_logits(network, images[:1]).expand(len(images), -1))
    if box is not None:  # a pixel that is at its edge in the images' precision is then in it exactly
        low, high = (float(torch.tensor(bound, dtype=images.dtype)) for bound in box)
        box = low, high
    labels = labels.detach().clone()
    return _Task(
        network, images, labels, float(norm), seconds, box, tolerance, None, _silently, time.perf_counter
    )


def _kind(network: object) -> str:
    return "a function" if callable(network) else type(network).__name__


def _certified(task: _Task) -> Certification:
    if task.norm not in NORMS:
        return _by_linear_bounds(task)
    try:
        layers = relu_layers(task.network, task.images)
    except UnsuitableNetworkError:
        return _by_linear_bounds(task)
    return _by_search(task, layers)


def _by_search(task: _Task, layers: ReluLayers) -> Certification:
    images, labels = task.images, task.labels
    right = _right(task, layers.logits(images.flatten(1).double()))
    searches = [
        Search(
            layers,
            image.flatten(),
            int(label),
            norm=task.norm,
            box=task.box,
            tolerance=task.tolerance,
            confirm=_confirmation(task.network, image, int(label)),
            dtype=images.dtype,
        )
        for image, label in zip(images, labels, strict=True)
    ]
    exact = in_float64(task.network)
    spent, bounding = torch.zeros(2, len(images), dtype=torch.float64).unbind()
    reasons = ["interrupted" if good else "misclassified" for good in right.tolist()]
    chosen = right.nonzero()[:, 0]
    try:
        for part in _parts(task, chosen, "Attacking" if task.starts is None else ""):
            started = task.clock()
            attacked = _attacked(task, part)
            spent[part] = (task.clock() - started) / len(part)
            for i, start in zip(part.tolist(), attacked, strict=True):
                searches[i].offer(start[None])
        for part in _parts(task, chosen, "Bounding"):
            started = task.clock()
            radius = _linear_radius(task, exact, part, started + LINEAR_SHARE * task.seconds * len(part))
            for i, certified in zip(part.tolist(), radius.tolist(), strict=True):
                searches[i].admit(certified)
            bounding[part] = (task.clock() - started) / len(part)
        spent += bounding
        for done, i in enumerate(chosen.tolist()):
            task.notify("Closing the intervals", done / len(chosen))
            started = task.clock()
            try:
                reasons[i] = searches[i].advance(task.seconds - float(bounding[i]), clock=task.clock)
            finally:
                spent[i] += task.clock() - started
        task.notify("Closing the intervals", 1.0)
    except KeyboardInterrupt:  # every interval is right at any time
        pass
    return _collected(searches, images, right, spent, reasons)


def _by_linear_bounds(task: _Task) -> Certification:
    """For networks and norms without a search: linear bounds, and mistakes along the local maps."""
    network, images = task.network, task.images
    exact = in_float64(network)
    with torch.no_grad():
        right = _right(task, checked_logits(exact, images.double()))
    known = _collected([], images, torch.zeros_like(right), torch.zeros(len(images)).double(), [])
    reasons = ["interrupted" if good else "misclassified" for good in right.tolist()]
    chosen = right.nonzero()[:, 0]
    known.found[chosen], known.mistakes[chosen] = torch.inf, torch.nan
    LinearAnalysis(network, images[:1])  # what it refuses, it refuses before anything is attacked
    layers = _layers_with_pools(task)
    try:
        words = "Attacking and bounding" if task.starts is None else "Bounding"
        for part in _parts(task, chosen, words):
            started = task.clock()
            attacked = _attacked(task, part)
            for i, start in zip(part.tolist(), attacked, strict=True):
                nearer = _nearest_mistake(task, exact, i, start)
                if nearer is not None:
                    known.found[i], known.mistakes[i] = nearer[0], nearer[1].view_as(images[i])
            ends = task.clock() + task.seconds * len(part)
            curved = _quadratic_radius(task, part, layers)
            radius = _linear_radius(task, exact, part, ends).maximum(curved)
            known.certified[part] = torch.minimum(radius, known.found[part])
            ended = task.clock()
            for i in part.tolist():
                closed = bool(known.certified[i] >= (1.0 - task.tolerance) * known.found[i])
                reasons[i] = "closed" if closed else "linear" if ended < ends else "time"
            known.seconds[part] = (ended - started) / len(part)
    except KeyboardInterrupt:  # every interval is right at any time
        pass
    return known._replace(reasons=tuple(reasons))


def _linear_radius(task: _Task, exact: nn.Module, part: Tensor, ends: float) -> Tensor:
    """What linear bounds certify of some images by then: (P,), on the CPU."""
    if not task.seconds > 0:
        return torch.zeros(len(part), dtype=torch.float64)
    return linear_radius(
        exact, task.images[part].double(), task.labels[part], norm=task.norm, box=task.box, check=False,
        going=_before(ends, task.clock),
    ).cpu()  # fmt: skip


def _layers_with_pools(task: _Task) -> MaxLayers | None:
    """What quadratic bounds need: they are for ℓ2, and for chains of affine maps, ReLUs and max-pools."""
    if task.norm != 2.0 or not task.images.is_cpu or not task.seconds > 0:
        return None
    try:
        return max_layers(task.network, task.images[:1])
    except UnsuitableNetworkError:
        return None


def _quadratic_radius(task: _Task, part: Tensor, layers: MaxLayers | None) -> Tensor:
    """What quadratic bounds certify of some images, each in its own time; zero where there are none."""
    radius = torch.zeros(len(part), dtype=torch.float64)
    for place, i in enumerate(part.tolist() if layers is not None else ()):
        going = _before(task.clock() + task.seconds, task.clock)
        alone = slice(i, i + 1)
        radius[place] = quadratic_radius(
            task.network, task.images[alone], task.labels[alone], box=task.box, rounds=ROUNDS, layers=layers,
            going=going,
        )  # fmt: skip
    return radius


def _before(ends: float, clock: Callable[[], float]) -> Callable[[], bool]:
    """Whether it is not yet so late."""
    return lambda: clock() < ends


def _parts(task: _Task, chosen: Tensor, words: str) -> Iterator[Tensor]:
    """Some of the images at a time; without words no progress is shown."""
    notify, done = task.notify if words else _silently, 0
    for part in chosen.split(AT_ONCE) if len(chosen) else ():
        notify(words, done / len(chosen))
        yield part
        done += len(part)
    notify(words, 1.0)


def _nearest_mistake(task: _Task, exact: nn.Module, at: int, start: Tensor) -> tuple[float, Tensor] | None:
    """The nearest image found that network and exact network both take for another class.

    From what the attack found, or from points at random where it failed, a few steps: the margin's local map
    at the nearest mistake so far says where the next one may be.
    """
    image, label = task.images[at], int(task.labels[at])
    x = image.flatten().double()
    confirm = _confirmation(task.network, image, label)
    ball = ball_around(image[None], 0.0, norm=task.norm, box=task.box)

    def mistaken(points: Tensor) -> Tensor:
        with torch.no_grad():
            z = exact(points.double().view(-1, *image.shape))
        return confirm(points) & ~_correct(z, torch.full((len(points),), label))

    def confirmed(points: Tensor) -> tuple[float, Tensor] | None:
        return nearest_confirmed(
            x, points, mistaken, norm=task.norm, box=task.box, dtype=image.dtype,
            stretches=(*STRETCHES, *FURTHER),
        )  # fmt: skip

    best = confirmed(start.flatten()[None].double())
    if best is None:
        best = confirmed(_scattered(x, task.box))
    point = x if best is None else best[1].double()
    for _ in range(POLISHING):
        slope, margin = _local_margin(exact, point.view(image.shape), label)
        _, step = ball.nearest(slope[None], (margin - slope @ (point - x))[None])
        point = x + step[0] if task.box is None else (x + step[0]).clamp(*task.box)
        nearer = confirmed(point[None]) if bool(point.isfinite().all()) else None
        if nearer is None or (best is not None and nearer[0] >= best[0]):
            break
        best = nearer
    return best


def _scattered(x: Tensor, box: tuple[float, float] | None) -> Tensor:
    """Points at random and corners of the box, or points ever farther from the image: (SAMPLES, n)."""
    generator = torch.Generator().manual_seed(0)
    if box is None:
        noise = torch.randn(SAMPLES, len(x), generator=generator, dtype=torch.float64)
        return x + torch.logspace(-2, 2, SAMPLES, dtype=torch.float64)[:, None] * noise
    share = torch.rand(SAMPLES, len(x), generator=generator, dtype=torch.float64)
    share[::2] = share[::2].round()
    return box[0] + (box[1] - box[0]) * share


def _local_margin(network: nn.Module, point: Tensor, label: int) -> tuple[Tensor, Tensor]:
    """Gradient (n,) and value of z_y − z_j at a point, for the rival j that leads there."""
    with torch.enable_grad():
        x = point[None].clone().requires_grad_(True)
        z = network(x)[0]
        others = z.clone()
        others[label] = -torch.inf
        margin = z[label] - others.amax()
        if not margin.requires_grad:
            return torch.zeros(point.numel(), dtype=torch.float64), margin.detach()
        (slope,) = torch.autograd.grad(margin, x, materialize_grads=True)
    return slope.flatten(), margin.detach()


class CertifiedImages(NamedTuple):
    """What is known of a reader's images, with their names.

    Attributes:
        data: the images as they were read.
        labels: (N,); the network's own classes where none were given.
        known: of each image.
        norm, box, tolerance: as of `certify`.
        notices: what a reader should know before trusting a number.
    """

    data: LabelledImages
    labels: Tensor
    known: Certification
    norm: float
    box: tuple[float, float] | None
    tolerance: float
    notices: tuple[str, ...] = ()

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
            "data": self.data.source, "norm": norm, "box": box, "tolerance": self.tolerance,
            "notices": list(self.notices), "images": rows,
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
    """`certify` on images that were read, by a copy of the network that is made ready for them.

    Args:
        network: in training mode or half precision too; the copy is in eval mode, and in float32 then.
        data: where labels are unknown, the classes that the network sees stand for them.
        box: "auto": [0, 1] if all pixels are in it, else none.
        norm, seconds, tolerance, progress: as of `certify`.

    Raises:
        InputError, NotPiecewiseLinearError, UnsuitableNetworkError: as `certify`.
    """
    notices = list(data.notices)
    with torch.inference_mode(mode=False):
        model, images, labels, pixels, _ = ready(network, data, box, notices)
    known = certify(
        model, images, labels, norm=norm, seconds=seconds, box=pixels, tolerance=tolerance, progress=progress
    )
    return CertifiedImages(data, labels, known, norm, pixels, tolerance, tuple(notices))


def median_bracket(certified: Sequence[float], found: Sequence[float]) -> tuple[float, float]:
    """Between what the median true distance lies, from what is known of each; no two are averaged.

    >>> median_bracket([0.1, 0.2], [0.3, math.inf])
    (0.1, inf)
    """
    return statistics.median_low(certified), statistics.median_high(found)


def _attacked(task: _Task, part: Tensor) -> Tensor:
    """Images that are mistakes, or were meant to be: where the attack fails, the search goes on without."""
    if task.starts is not None:
        return task.starts[part]
    with torch.enable_grad():
        z = task.network(task.images[part[:1]].clone().requires_grad_(True))
    if not z.requires_grad:  # constant logits: nothing to climb
        return task.images[part]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VanishingGradientWarning)
        found = boundary_projection(task.network, task.images[part], task.labels[part], box=task.box)
    return found.images


def _right(task: _Task, exact: Tensor) -> Tensor:
    """Which images the network classifies correctly, as it computes and with these exact logits."""
    with torch.no_grad():
        z = torch.cat([checked_logits(task.network, part) for part in task.images.split(64)])
    return _correct(z, task.labels) & _correct(exact, task.labels)


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
