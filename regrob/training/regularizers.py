"""The four penalties in a training loop of your own: one term of the loss.

    penalty = regrob.CurvaturePenalty(weight=1e-3)
    loss = cross_entropy(network(images), labels) + penalty(network, images, labels)

A penalty is λ times the mean over the batch of one number an example, so that λ means the same
whatever the batch. Pixels are in [0, 1]; with other units λ changes by their square.

**Where the local map is taken.** At the images, of the network in eval mode: BatchNorm normalises by
its running statistics as they stand, dropout is off, and no example depends on another. That is the
network which is tested and attacked. Afterwards every module is in the mode in which it was found,
and no running statistic has moved: only the loop's own `network(images)` moves them. Autocast is off
inside, because small gradients vanish in half precision.

**The cheaper way, which other packages take.** `penalty.of_logits(images, logits, labels)` differentiates
the loop's own pass, and so saves another. In training mode BatchNorm ties a batch's examples together: the
derivatives are then those of the whole batch, not of any example's local map.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar
from weakref import WeakSet

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from typing_extensions import override

from regrob.affine import require_frozen_statistics, require_piecewise_linear
from regrob.checks import (
    ImageLabels,
    ImageLogits,
    Images,
    PerImage,
    Scalar,
    check_gradient,
    check_logits,
    check_pixels,
    check_size,
)
from regrob.errors import InputError
from regrob.theory.penalties import check_name
from regrob.training.columns import check_probes, penalty_by_columns, penalty_of_pass

_piecewise_linear: WeakSet[nn.Module] = WeakSet()
"""The networks that were tested: once is enough."""


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """The network in eval mode, and then every module in the mode in which it was found.

    Meanwhile normalisations that were in training hold copies of their running statistics: a pass in
    training mode may move the originals before what is computed here is differentiated.

    >>> network = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    >>> with evaluation_mode(network): print(network[0].training)
    False
    >>> network[0].training, network[1].training
    (True, False)
    """
    modes = [(module, module.training) for module in network.modules() if module.training]
    moving = [(m, m.running_mean, m.running_var) for m, _ in modes if isinstance(m, _NormBase)]
    network.eval()
    for norm, mean, var in moving:
        norm.running_mean = None if mean is None else mean.clone()
        norm.running_var = None if var is None else var.clone()
    try:
        yield
    finally:
        for norm, mean, var in moving:
            norm.running_mean, norm.running_var = mean, var
        for module, training in modes:
            module.training = training


def acts_otherwise_in_training(module: nn.Module) -> bool:
    """Whether a module in training mode may couple the examples of a batch or be random.

    Layers of PyTorch's are known; what a class from elsewhere does is not, so that it may.

    >>> modules = nn.ReLU(), nn.InstanceNorm1d(3), nn.BatchNorm1d(3), nn.BatchNorm1d(3).eval()
    >>> [acts_otherwise_in_training(module) for module in modules]
    [False, True, True, False]
    """
    known = type(module).__module__.split(".")[0] in ("torch", "regrob")
    coupled = (_NormBase, _DropoutNd, nn.RReLU, nn.MultiheadAttention, nn.RNNBase)
    return module.training and (isinstance(module, coupled) or not known)


def network_penalty(
    network: nn.Module,
    images: Images,
    labels: ImageLabels | None = None,
    *,
    kind: str,
    probes: int | None = None,
    generator: torch.Generator | None = None,
) -> PerImage:
    """`PENALTIES[kind]` of a network at each image, with a graph to its weights.

    Args:
        network: maps images (N, …) to logits (N, K). For the curvature piecewise linear, which is
            tested at its first batch; a smooth network's ‖H‖₂ has another part.
        labels: needed by the input gradient alone.
        probes: estimate the Jacobian or cross-Lipschitz penalty, without bias, from so many random
            orthonormal projections; None for the exact penalty.
        generator: of the projections; torch's global one if None.

    Raises:
        InputError: an unknown penalty, no labels, probes that do not fit, logits of the wrong shape.
        NotPiecewiseLinearError: the curvature of a network that bends; BatchNorm without
            running statistics.

    >>> network_penalty(nn.ReLU(), torch.tensor([[3.0, -4.0]]), kind="jacobian").tolist()
    [1.0]
    """
    return _penalty_and_logits(network, images, labels, kind, probes, generator)[0]


def _penalty_and_logits(
    network: nn.Module,
    images: Images,
    labels: ImageLabels | None,
    kind: str,
    probes: int | None = None,
    generator: torch.Generator | None = None,
) -> tuple[PerImage, ImageLogits]:
    """The penalty at each image, and the logits of the pass that it took, in eval mode."""
    check_name(kind)
    check_probes(kind, probes)
    check_pixels(images)
    labels = _checked_labels(kind, images, labels)
    if isinstance(network, nn.parallel.DistributedDataParallel | nn.DataParallel):
        network = network.module  # a pass of the wrapper's own hands buffers round, and overwrites them
    graph = torch.is_grad_enabled()
    full_precision = torch.autocast(images.device.type, enabled=False)
    # Validation loops run in inference mode, whose tensors autograd refuses.
    with torch.inference_mode(False), torch.enable_grad(), full_precision, evaluation_mode(network):
        x = images.clone() if images.is_inference() else images
        require_frozen_statistics(network)
        if kind == "curvature" and network not in _piecewise_linear:
            require_piecewise_linear(network, x[:2])
            _piecewise_linear.add(network)
        value, z = penalty_by_columns(network, x, labels, kind, probes=probes, generator=generator)
    return (value, z) if graph else (value.detach(), z.detach())


def _checked_labels(kind: str, images: Images, labels: ImageLabels | None) -> ImageLabels:
    """The labels; zeros for the penalties that read none."""
    if labels is not None:
        return labels
    if kind == "input-gradient":
        raise InputError("the input-gradient penalty needs the labels: penalty(network, images, labels)")
    return torch.zeros(len(images), dtype=torch.int64, device=images.device)


class Regularizer(nn.Module):
    """λ · the batch's mean penalty, as a term of a loss.

    Args:
        weight: λ ≥ 0.

    Raises:
        InputError: a negative or infinite weight. Calling it raises what `network_penalty` raises.
    """

    kind: ClassVar[str]
    """The penalty's name in `PENALTY_NAMES`."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        check_size("weight", weight)
        self.weight = weight
        self.probes: int | None = None

    @override
    def forward(self, network: nn.Module, images: Images, labels: ImageLabels | None = None) -> Scalar:
        """λ · mean penalty, a scalar with a graph to the network's weights."""
        value = network_penalty(network, images, labels, kind=self.kind, probes=self.probes)
        return self.weight * value.mean()

    def with_logits(
        self, network: nn.Module, images: Images, labels: ImageLabels | None = None
    ) -> tuple[Scalar, ImageLogits]:
        """The term, and network(images) as the loop would compute it.

        One pass serves both, unless the network acts otherwise in training or autocast is on.
        """
        coupled = any(acts_otherwise_in_training(module) for module in network.modules())
        if coupled or torch.is_autocast_enabled(images.device.type):
            z = network(images)
            return self(network, images, labels), z
        value, z = _penalty_and_logits(network, images, labels, self.kind, self.probes)
        return self.weight * value.mean(), z

    def of_logits(self, images: Images, logits: ImageLogits, labels: ImageLabels | None = None) -> Scalar:
        """The term from the loop's own pass, `logits = network(images)`, whatever mode it ran in.

            images.requires_grad_()
            logits = network(images)
            loss = cross_entropy(logits, labels) + penalty.of_logits(images, logits, labels)

        With BatchNorm or dropout in training this is the penalty of the batch as it was normalised
        and masked: row i holds the slopes by image i of all the logits together.

        Raises:
            InputError: images that require no gradient or did not lead to these logits; no labels for
                the input gradient; half precision; the curvature, which is that of one example's
                own local map.

        >>> x = torch.tensor([[3.0, -4.0]], requires_grad=True)
        >>> JacobianPenalty(0.1).of_logits(x, x.relu())
        tensor(0.1000, grad_fn=<MulBackward0>)
        """
        check_pixels(images)
        y = _checked_labels(self.kind, images, labels)
        if self.kind == "curvature":
            raise InputError(
                "the curvature is that of each example's own local map, which a batch's pass may not have: "
                "call penalty(network, images)"
            )
        if not images.requires_grad:
            raise InputError(
                "images require no gradient: call images.requires_grad_() before network(images)"
            )
        for name, tensor in (("images", images), ("logits", logits)):
            if tensor.dtype not in (torch.float32, torch.float64):
                raise InputError(
                    f"{name} are {tensor.dtype}, in which small gradients vanish: run the pass without "
                    "autocast, or call penalty(network, images, labels), which does"
                )
        check_logits(logits, images)
        check_gradient(logits)
        return self.weight * penalty_of_pass(images, logits, y, self.kind, probes=self.probes).mean()

    @override
    def extra_repr(self) -> str:
        probes = "" if self.probes is None else f", probes={self.probes}"
        return f"weight={self.weight:g}{probes}"


class InputGradientPenalty(Regularizer):
    """λ · mean ‖∇‖₂², the squared length of the loss's gradient by the image.

    >>> InputGradientPenalty(0.1)(nn.ReLU(), torch.tensor([[3.0, 0.0]]), torch.tensor([0])).shape
    torch.Size([])
    """

    kind = "input-gradient"


class CurvaturePenalty(Regularizer):
    """λ · mean ‖H‖₂, the largest eigenvalue of the loss's Hessian by the image; exact for any K."""

    kind = "curvature"


class _ProjectedRegularizer(Regularizer):
    """A penalty with many columns, exact or by random projections.

    Args:
        weight: λ ≥ 0.
        probes: how many random orthonormal projections estimate it, without bias; None for the
            exact penalty, which costs one more differentiation a class.
    """

    def __init__(self, weight: float, *, probes: int | None = None) -> None:
        super().__init__(weight)
        check_probes(self.kind, probes)
        self.probes = probes


class JacobianPenalty(_ProjectedRegularizer):
    """λ · mean ‖V‖_F², exact or from `probes` random projections."""

    kind = "jacobian"


class CrossLipschitzPenalty(_ProjectedRegularizer):
    """λ · mean Σ_{i,j} ‖v_i − v_j‖² / K², exact or from `probes` random projections."""

    kind = "cross-lipschitz"


REGULARIZERS = (InputGradientPenalty, JacobianPenalty, CurvaturePenalty, CrossLipschitzPenalty)
"""One for each of `PENALTY_NAMES`, in its order."""
