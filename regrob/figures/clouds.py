"""The class vectors v_k as a cloud of weighted points in the plane, and the ellipse of their covariance H."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from regrob.figures.planes import ellipse
from regrob.figures.theme import COLOURS, GREY, MARKERS
from regrob.theory import derivatives

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def class_cloud(V: Tensor, z: Tensor) -> Figure:
    """The class vectors, as large as their probabilities; the arrow is ∇, the ellipse H, for label 0.

    Args:
        V: (2, K), at most seven classes.
        z: the logits, (K,).
    """
    import matplotlib.pyplot as plt

    p, H = torch.softmax(z, dim=0), derivatives.hessian(V, z)
    mean, count = V @ p, V.shape[1]
    figure, axes = plt.subplots(figsize=(5.6, 4.2))
    axes.scatter(V[0], V[1], s=40 + 900 * p, color=COLOURS[:count], alpha=0.75)
    for k in range(count):
        name = f"$v_{k}$" + (" (label)" if k == 0 else "")
        axes.annotate(name, (float(V[0, k]), float(V[1, k])), xytext=(12, 12), textcoords="offset points")
    axes.plot(*ellipse(mean, H), "--", color="black", linewidth=2)
    arrow = {"arrowstyle": "->", "linewidth": 2}
    tip, tail = ((float(point[0]), float(point[1])) for point in (mean, V[:, 0]))
    axes.annotate("", tip, tail, arrowprops=arrow)
    axes.plot(*mean, "kx", markersize=9)
    axes.set(xlim=(-2.1, 2.4), ylim=(-2.0, 1.7), aspect="equal")
    size, curvature = float((mean - V[:, 0]).norm()), float(torch.linalg.eigvalsh(H)[-1])
    axes.set_title(f"gradient {size:.2f}, curvature {curvature:.2f}")
    return figure


def triangle_and_curvature(V: Tensor, p: Tensor, path: Tensor) -> Figure:
    """Three class vectors with their covariance's ellipse, beside trace and norm of H along a path.

    Args:
        V: (2, 3).
        p: the probabilities shown, (3,).
        path: probabilities in order of p_0, (T, 3).
    """
    import matplotlib.pyplot as plt

    mean, H = V @ p, derivatives.hessian(V, p.log())
    values, vectors = torch.linalg.eigh(H)
    sizes = torch.linalg.eigvalsh(derivatives.hessian(V.expand(len(path), 2, 3), path.log()))
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.4))
    left.plot(*V[:, [0, 1, 2, 0]], "-", color=GREY, linewidth=1)
    for k in range(3):
        size = 4 + 16 * float(p[k]) ** 0.5
        left.plot(*V[:, k : k + 1], color=COLOURS[k], marker=MARKERS[k], markersize=size)
    left.plot(*ellipse(mean, H, 100), "-", color="black")
    tip = mean + vectors[:, 1] * values[1].sqrt()
    left.plot(*torch.stack([mean, tip], 1), "--", color="black")
    left.set(xlim=(-1.1, 3.0), ylim=(-1.0, 2.8), aspect="equal")
    right.plot(path[:, 0], sizes.sum(1), "--", label="trace $T$")
    right.plot(path[:, 0], sizes[:, 1], "-", label="$\\|H\\|_2$")
    right.plot([float(p[0])], [float(values[1])], "o", color="black")
    right.set(xlabel="$p_0$", ylim=(0, 1.6))
    right.legend()
    return figure
