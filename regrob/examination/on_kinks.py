"""Why images sit on a kink, and what that means for their numbers, in words."""

from __future__ import annotations

from collections import Counter

from torch import Tensor, nn

from regrob.affine import Kink, first_kinks
from regrob.examination.measure import images_at_once

BACKGROUND = 0.2
"""Share of equal pixels from which an image is said to have a constant background."""


def kink_notice(network: nn.Module, images: Tensor, on_kinks: Tensor, classes: int) -> str:
    """Which layers the kinks are in, and what they do to the numbers.

    Args:
        images: (N, …).
        on_kinks: (N,) true where an image sits on a kink; at least one does.
        classes: K.
    """
    affected = images[on_kinks]
    places = Counter(
        place
        for part in affected.split(images_at_once(images[0], classes))
        for place in first_kinks(network, part)
        if place is not None
    )
    where = "; ".join(f"{count} at {_words(place)}" for place, count in places.most_common())
    sentences = [
        f"{len(affected)} of {len(images)} images sit on a kink: {where}",
        "There the polytope's edge e and the certificate c are 0, and V, with d, ν, the gradient and all "
        "else that comes from it, is one of the maps that meet",
    ]
    share = background(affected)
    if share >= BACKGROUND:
        sentences.append(
            f"Such an image has a constant background ({100 * share:.0f} % of its numbers are equal in the "
            "median), and behind equal pixels stand equal values"
        )
    sentences.append("Noise on the pixels does not help: it leaves an edge as near as the noise is small")
    return ". ".join(sentences)


def background(images: Tensor) -> float:
    """The share of an image's numbers that equal its most frequent one, the median over images (N, …).

    >>> import torch
    >>> background(torch.tensor([[0.0, 0.0, 0.0, 0.5]]))
    0.75
    """
    flat = images.flatten(1)
    common = flat.mode(dim=1, keepdim=True).values
    return float((flat == common).double().mean(dim=1).median())


def _words(place: Kink) -> str:
    why = (
        "the largest of several entries are equal and move differently"
        if place.tie
        else "a value stands exactly at the threshold, as a convolution without bias gives over black"
    )
    return f"{place.module} ({place.operation}: {why})"
