"""Whether a network has an exact local map: by the operations that it runs, and by a few trials.

The operations decide (`graph`). What they cannot show is tried at two images: whether the network answers
twice the same, each image as if it were alone, and whether a step moves the logits as the gradient says. Of a
network that hides its operations (TorchScript, kernels in C++) nothing but trials can be said; the second
derivative is then tried too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine.graph import (
    Refusal,
    Trace,
    checked_logits,
    hooked,
    hooked_everywhere,
    name_of,
    trace,
    without_backward_hooks,
)
from regrob.affine.heights import along
from regrob.checks import Images, check_images
from regrob.errors import InputError, NotPiecewiseLinearError

Noise = Callable[[torch.Size], Tensor]

EXAMPLES = "ReLU, max-pooling, convolutions, skip connections and BatchNorm in eval mode are piecewise linear"


MIXED = (
    "the logits of an image depend on the other images of its batch, so the examples have no linear "
    "map of their own: is there a mean, a norm, a maximum or a condition over the first axis?"
)


class NetworkReport(NamedTuple):
    """What a network is made of, and whether it is piecewise linear.

    Attributes:
        layers: how many modules of each kind without submodules it has, in their order.
        parameters: how many numbers are trained.
        operations: how often each tensor operation runs on something that depends on the input.
        bends: (operation, module) of each that is affine on either side of an edge, in their order.
        refusal: the first operation, its module, and why it is not piecewise linear; None if all are.
    """

    layers: dict[str, int]
    parameters: int
    operations: dict[str, int]
    bends: tuple[tuple[str, str], ...]
    refusal: Refusal | None

    @property
    def piecewise_linear(self) -> bool:
        """Whether all operations that the logits depend on are known to be."""
        return self.refusal is None


def report(network: nn.Module, images: Images) -> NetworkReport:
    """What the network is made of, traced with the first images; no trials.

    Raises:
        InputError: images that are no finite batch, or that the network cannot read.

    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.Tanh())
    >>> made_of = report(network, torch.ones(1, 2))
    >>> made_of.layers, made_of.parameters, made_of.bends
    ({'Linear': 2, 'ReLU': 1, 'Tanh': 1}, 17, (('relu', "ReLU '1'"),))
    >>> made_of.piecewise_linear, made_of.refusal.module
    (False, "Tanh '3'")
    """
    check_images(images)
    return _made_of(network, trace(network, images[:2]))


def _made_of(network: nn.Module, traced: Trace) -> NetworkReport:
    layers: dict[str, int] = {}
    for module in network.modules():
        if not any(module.children()):
            layers[type(module).__name__] = layers.get(type(module).__name__, 0) + 1
    parameters = sum(p.numel() for p in network.parameters())
    bends = tuple((bend.operation, bend.module) for bend in traced.bends)
    return NetworkReport(layers, parameters, dict(traced.operations), bends, traced.refusal)


def require_frozen_statistics(network: nn.Module) -> None:
    """Raise NotPiecewiseLinearError where batch statistics or dropout tie the examples together.

    >>> require_frozen_statistics(nn.Dropout())
    Traceback (most recent call last):
    regrob.errors.NotPiecewiseLinearError: Dropout '' is random in training mode: call network.eval()
    """
    for name, module in network.named_modules():
        batch_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        if batch_norm and (module.training or module.running_mean is None):
            raise NotPiecewiseLinearError(
                f"{type(module).__name__} {name!r} normalises over the batch, so the examples have "
                "no linear map of their own: call network.eval(), with track_running_stats=True"
            )
        dropout = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
        if module.training and (dropout or isinstance(module, nn.RReLU)):
            raise NotPiecewiseLinearError(
                f"{type(module).__name__} {name!r} is random in training mode: call network.eval()"
            )


def require_affine_operations(network: nn.Module, images: Images, *, record: bool = False) -> Trace:
    """The trace of a network, all of whose operations are affine or bend in a known way.

    Args:
        record: as of `trace`.

    Raises:
        InputError: as `checked_logits`.
        NotPiecewiseLinearError: an operation is on neither list, or hidden.

    >>> len(require_affine_operations(nn.ReLU(), torch.ones(1, 2)).bends)
    1
    """
    traced = trace(network, images, record=record)
    if traced.refusal is not None:
        raise NotPiecewiseLinearError(_sentence(traced.refusal))
    return traced


def _sentence(refusal: Refusal) -> str:
    if refusal.opaque:
        return (
            f"whether the network is piecewise linear cannot be established: {refusal.module} "
            f"hides its operations ({refusal.operation}); give the plain nn.Module"
        )
    return (
        "the network is not piecewise linear: an operation not known to have no second derivative: "
        f"{refusal}; {EXAMPLES}"
    )


class _Trials(NamedTuple):
    """What the trials of a network are made with: two images, and their trace."""

    network: nn.Module
    images: Tensor
    pair: Tensor
    traced: Trace
    noise: Noise


def _prepared(network: nn.Module, images: Tensor) -> _Trials:
    """The first two images traced; with one, a second is made by noise."""
    generator = torch.Generator().manual_seed(0)

    def noise(shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(images)

    pair = images[:2].detach()
    if len(pair) == 1:
        pair = torch.cat([pair, pair + _size(images) * noise(pair.shape)])
    return _Trials(network, images.detach(), pair, trace(network, pair), noise)


def _size(images: Tensor) -> float:
    return float(images.detach().abs().amax()) or 1.0


def require_piecewise_linear(network: nn.Module, images: Images) -> None:
    """Raise NotPiecewiseLinearError unless each image has an affine map of its own, which autograd finds.

    The operations are judged with the first two images (with one, a second is made by noise), and again
    next to them. Then a few trials: an answer that changes from call to call; logits that depend on the other
    images of the batch; a backward hook that changes gradients; a step near the images that does not move the
    logits as autograd's gradient says.

    Warns:
        UserWarning: the network hides its operations, so that trials alone were made.

    >>> require_piecewise_linear(nn.Tanh(), torch.ones(1, 2))
    Traceback (most recent call last):
    regrob.errors.NotPiecewiseLinearError: the network is not piecewise linear: ... tanh, run by Tanh, ...
    """
    _require(_prepared(network, images))


class PiecewiseLinearity(NamedTuple):
    """What a network is made of, and whether its images have affine maps of their own.

    Attributes:
        report: as of `report`.
        obstacle: what `require_piecewise_linear` raises; None where it raises nothing.
    """

    report: NetworkReport
    obstacle: NotPiecewiseLinearError | None


def verdict(network: nn.Module, images: Images) -> PiecewiseLinearity:
    """`report` and `require_piecewise_linear` from the same trace.

    Raises:
        InputError: images that are no finite batch, or that the network cannot read.

    Warns:
        UserWarning: as `require_piecewise_linear`.

    >>> made_of, obstacle = verdict(nn.Sequential(nn.ReLU(), nn.Tanh()), torch.ones(1, 2))
    >>> made_of.bends, type(obstacle).__name__
    ((('relu', "ReLU '0'"),), 'NotPiecewiseLinearError')
    """
    check_images(images)
    trials = _prepared(network, images)
    made_of = _made_of(network, trials.traced)
    try:
        _require(trials)
    except NotPiecewiseLinearError as error:
        return PiecewiseLinearity(made_of, error)
    return PiecewiseLinearity(made_of, None)


def require_known_bends(network: nn.Module, images: Images) -> None:
    """`require_piecewise_linear`, and nothing may be hidden: what kinks and certificates ask.

    Raises:
        InputError: as `checked_logits`.
        NotPiecewiseLinearError: also where `require_piecewise_linear` warns.

    >>> require_known_bends(nn.ReLU(), torch.ones(1, 2))
    """
    require_frozen_statistics(network)
    _hidden(_prepared(network, images), allowed=False)


def _require(trials: _Trials) -> None:
    hidden = _hidden(trials)
    if hidden is None:
        return
    warnings.warn(f"{_sentence(hidden)}; only trials were made", stacklevel=4)
    network, images, _, _, noise = trials
    for x in (images, images + 0.1 * _size(images) * noise(images.shape)):
        _require_no_second_derivative(network, x, noise)


def _hidden(trials: _Trials, *, allowed: bool = True) -> Refusal | None:
    """Make the trials; what hides its operations, so that they alone were made, or None."""
    network, images, pair, traced = trials.network, trials.images, trials.pair, trials.traced
    noise = trials.noise
    near = pair + 0.1 * _size(images) * noise(pair.shape)
    traces = [traced, trace(network, near)]
    for refusal in (part.refusal for part in traces):
        if refusal is not None and not (refusal.opaque and allowed):
            raise NotPiecewiseLinearError(_sentence(refusal))
    opaque = next((part.refusal for part in traces if part.refusal), None)
    require_equal_constants(*traces)
    _require_own_logits(network, pair, noise)
    if opaque is None:
        _require_own_heights(traced, noise)
    _require_passive_hooks(network, pair, noise)
    _require_gradient(network, near, noise)
    return opaque


def require_equal_constants(first: Trace, second: Trace) -> None:
    """Raise NotPiecewiseLinearError where tensors from outside the network are not equal at both inputs.

    >>> scaled = nn.Linear(2, 2)
    >>> require_equal_constants(trace(scaled, torch.ones(1, 2)), trace(scaled, torch.zeros(1, 2)))
    """
    same = len(first.constants) == len(second.constants)
    if not same or not all(map(torch.equal, first.constants, second.constants)):
        raise NotPiecewiseLinearError(
            "the network computes with tensors that were not made by torch's operations, and that change "
            "from call to call: is there numpy or another library's random number inside? write it with torch"
        )


def _require_own_heights(traced: Trace, noise: Noise) -> None:
    """No unit's height depends on both images, as that of a condition on the sum of the batch does."""
    directions = torch.zeros(2, *traced.images.shape).to(traced.images)
    for i in (0, 1):
        directions[i, i] = noise(traced.images.shape[1:])
    for changes in along(traced, traced.bends, directions):
        if bool((changes.abs() > 0).all(dim=0).any()):
            raise NotPiecewiseLinearError(MIXED)


def _require_own_logits(network: nn.Module, pair: Tensor, noise: Noise) -> None:
    """The same logits twice, and alone; and no gradient of an image's logits by another image."""
    with torch.no_grad():
        z, alone = (checked_logits(network, x).detach() for x in (pair, pair[:1]))
    _require_finite(z)
    x = pair.clone().requires_grad_(True)
    with torch.enable_grad():
        again = checked_logits(network, x)
        first = again[0]
    eps = torch.finfo(z.dtype).eps
    change = float((z - again.detach()).abs().max())
    if change > 1e3 * eps * float(z.abs().max()):
        raise NotPiecewiseLinearError(
            "the network is random, or remembers: two calls with the same images gave logits that differ by "
            f"{change:.1e}; call network.eval(), and take out noise and counters"
        )
    if again.requires_grad:
        try:
            (slope,) = torch.autograd.grad(first, x, noise(first.shape), materialize_grads=True)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise InputError(
                f"autograd cannot differentiate the network's logits: {error}; "
                "does it overwrite in place what the backward pass needs?"
            ) from error
        if bool((slope[1] != 0).any()):
            raise NotPiecewiseLinearError(MIXED)
    require_equal_alone(z[:1], alone)


def require_equal_alone(z: Tensor, alone: Tensor) -> None:
    """Raise NotPiecewiseLinearError where an image has other logits alone than in its batch.

    >>> require_equal_alone(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    """
    tolerance = torch.finfo(z.dtype).eps ** (1 / 3) * float(z.detach().abs().max())
    if float((z - alone).detach().abs().max()) > tolerance:
        raise NotPiecewiseLinearError(MIXED)


def _require_passive_hooks(network: nn.Module, pair: Tensor, noise: Noise) -> None:
    """Backward hooks, which a trace leaves out, may look at the gradients but not change them."""
    hooks = hooked(network.modules())
    if not hooks and not hooked_everywhere():
        return
    x = pair.clone().requires_grad_(True)
    coefficients: list[Tensor] = []

    def slope() -> Tensor:
        with torch.enable_grad():
            z = checked_logits(network, x)
            if not coefficients:
                coefficients.append(noise(z.shape))
            combination = (z * coefficients[0]).sum()
            return torch.autograd.grad(combination, x, materialize_grads=True)[0]

    with without_backward_hooks(hooks):
        true = slope()
    tolerance = 1e3 * torch.finfo(true.dtype).eps * float(true.abs().max())

    def differs(slope: Tensor) -> bool:
        return not float((slope - true).abs().max()) <= tolerance

    if not differs(slope()):
        return
    culprit = "a hook of all modules"
    for name, module in network.named_modules():
        if module in hooks:
            with without_backward_hooks([other for other in hooks if other is not module]):
                if differs(slope()):
                    culprit = name_of(module, name)
    raise NotPiecewiseLinearError(
        f"autograd's gradient is not the network's: a backward hook of {culprit} changes it; take it away "
        "with handle.remove(), or return None from the hook"
    )


def _require_gradient(network: nn.Module, images: Tensor, noise: Noise) -> None:
    """Small steps move the logits as autograd's gradient says, at one size of the steps at least."""
    with torch.enable_grad():
        x = images.clone().requires_grad_(True)
        z = checked_logits(network, x)
        if not z.requires_grad:
            return
        _require_finite(z)
        weights = noise(z.shape)
        (slope,) = torch.autograd.grad((z * weights).sum(), x, materialize_grads=True)
        z = z.detach()
    eps = torch.finfo(z.dtype).eps
    size = float(images.detach().abs().amax()) or 1.0
    rounding = 100 * eps * float(z.abs().amax()) * float(weights.abs().sum())
    tolerance = 4 * eps ** (1 / 6)  # 28 % in float32, 1 % in float64
    least = torch.full((len(images),), torch.inf).to(z)
    for exponent in range(2, 7):  # sizes of steps, down to where rounding would hide them
        step = size * eps ** (exponent / 8) * noise(torch.Size([3, *images.shape]))
        with torch.no_grad():
            there = checked_logits(network, (images + step).flatten(0, 1)).unflatten(0, (3, len(images)))
        moved = ((there - z) * weights).double().sum(dim=2).detach()
        predicted = (slope * step).double().flatten(2).sum(dim=2)
        error, length = (torch.linalg.vector_norm(t, dim=0) for t in (moved - predicted, predicted))
        off = (error / length).nan_to_num(0.0)
        if exponent == 2:  # logits that hardly move at all are as good as constant
            off = torch.where(error <= rounding, 0.0, off)
        least = torch.minimum(least, off.to(least))
        if bool((least <= tolerance).all()):
            return
    raise NotPiecewiseLinearError(
        "autograd's gradient is not the network's: a small step moves the logits otherwise than it says, "
        f"by {100 * float(least.max()):.0f} %; is there a hook or a backward function that changes "
        "gradients, or a value computed outside torch?"
    )


def _require_no_second_derivative(network: nn.Module, images: Tensor, noise: Noise) -> None:
    """Autograd differentiates a piecewise-linear network to a Hessian of exact zeros."""
    with torch.enable_grad():
        x = images.clone().requires_grad_(True)
        z = checked_logits(network, x)
        if not z.requires_grad:
            return
        try:
            combination = (z * noise(z.shape)).sum()
            (slope,) = torch.autograd.grad(combination, x, create_graph=True, materialize_grads=True)
            if not slope.requires_grad:
                return
            (bend,) = torch.autograd.grad((slope * noise(x.shape)).sum(), x, materialize_grads=True)
        except RuntimeError as error:
            raise NotPiecewiseLinearError(
                f"whether the network is piecewise linear cannot be tried: no second derivative ({error})"
            ) from error
    if bool((bend != 0).any()):
        raise NotPiecewiseLinearError(
            "the network is not piecewise linear: its logits have a second derivative of "
            f"{float(bend.abs().max()):.1e}; {EXAMPLES}"
        )


def _require_finite(z: Tensor) -> None:
    if not bool(torch.isfinite(z).all()):
        raise InputError("the logits hold NaN or infinity; did the weights diverge in training?")
