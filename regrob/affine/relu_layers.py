"""A network as what a proof works on: dense affine maps with ReLUs between them, in float64.

Convolutions, average pools, BatchNorm in eval mode and whatever else is affine are multiplied out: between
two ReLUs the weights are what autograd says, row by row, and the biases are what arrives when all ReLUs
before are silent and the image is zero.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.utils._python_dispatch import TorchDispatchMode

from regrob.affine.bends import Bend
from regrob.affine.float64 import checked_in_float64
from regrob.affine.graph import Trace, arguments_of, checked_logits, tensors_in
from regrob.affine.piecewise_linear import require_affine_operations
from regrob.checks import Images, Logits, check_images
from regrob.errors import InputError, NotPiecewiseLinearError, UnsuitableNetworkError

MOST_WEIGHTS = 2**28
"""Of all dense layers together: 2 GiB."""

ROWS = 128
"""Rows of a layer's weights that one backward pass computes, each at an image of its own."""

RECTIFIERS = ("relu", "clamp_min", "clamp")
"""The operations that are ReLU, if they bend at zero alone."""

RELU_NODES = ("ReluBackward0", "ClampMinBackward0", "ClampBackward1")
"""What autograd calls ReLU, and the clamps that may be one."""


class ReluLayers(NamedTuple):
    """z = W_L σ(… σ(W_1 x + b_1) …) + b_L with σ = ReLU, on images x that are flattened.

    Attributes:
        weights: W_1 … W_L in float64, each (outputs, inputs).
        biases: b_1 … b_L in float64, each (outputs,).
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    def preactivations(self, x: Tensor) -> list[Tensor]:
        """W_k a_(k-1) + b_k of each layer, the logits last, at inputs (…, n)."""
        heights: list[Tensor] = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            heights.append(x @ weight.T + bias)
            x = heights[-1].clamp_min(0.0)
        return heights

    def logits(self, x: Tensor) -> Logits:
        """z (…, K) at inputs (…, n).

        >>> ReluLayers((torch.eye(2), torch.eye(2)), (torch.zeros(2), torch.ones(2))).logits(
        ...     torch.tensor([3.0, -4.0])
        ... )
        tensor([4., 1.])
        """
        return self.preactivations(x)[-1]


def relu_layers(network: nn.Module, images: Images) -> ReluLayers:
    """The dense layers of a network that is a chain of affine maps and ReLUs.

    The weights are the given ones, in float64; where several affine maps follow each other, their product up
    to float64's rounding. A convolution becomes a dense matrix, which a large one has no room for.

    Args:
        network: in eval mode; each example by itself.
        images: (N, …), of which only the first two are run.

    Raises:
        InputError: images that are no finite batch, or that the network cannot read; a network that computes
            in another precision than float64 inside.
        NotPiecewiseLinearError: as `require_known_bends`.
        UnsuitableNetworkError: the network bends otherwise, as a max-pool does, or a layer is skipped; the
            dense layers would be too large.

    >>> network = nn.Sequential(nn.Conv1d(1, 1, 2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2))
    >>> [tuple(weight.shape) for weight in relu_layers(network, torch.ones(1, 1, 3)).weights]
    [(2, 3), (2, 2)]
    """
    check_images(images)
    exact, x = checked_in_float64(network, images[:2])
    first = require_affine_operations(exact, x[:1])
    if first.logits is not None and not first.logits.requires_grad:
        constant = first.logits.detach().flatten().double()
        layers = ReluLayers((constant.new_zeros(len(constant), x[0].numel()),), (constant,))
        _require_same_logits(layers, exact, x)
        return layers
    links = _chain(first)
    sizes = [x[0].numel(), *(link.shape[1:].numel() for link in links)]
    weights_in_all = sum(into * out for into, out in itertools.pairwise(sizes))
    if weights_in_all > MOST_WEIGHTS:
        raise UnsuitableNetworkError(
            f"multiplied out, the network's layers have {weights_in_all:,} weights; there is room for "
            f"{MOST_WEIGHTS:,}"
        )
    widest = max(sizes[1:])
    rows = min(ROWS, widest)
    traced = require_affine_operations(exact, x[:1].expand(rows, *x.shape[1:]))
    if traced.dtypes != {torch.float64}:
        inside = ", ".join(sorted(str(dtype) for dtype in traced.dtypes - {torch.float64}))
        raise InputError(
            f"the network computes in {inside} inside, too coarse for a certificate; call .double()"
        )
    weights = [_weight(link, rows) for link in _chain(traced)]
    blank = torch.zeros_like(x[:1])
    silent = _Silent(blank)
    with torch.no_grad(), silent:
        z = checked_logits(exact, blank)
    biases = [*silent.operands, z.detach().flatten()]
    layers = ReluLayers(tuple(weights), tuple(biases[-len(weights) :]))
    _require_same_logits(layers, exact, x)
    return layers


class _Link(NamedTuple):
    """One affine map of the chain: where autograd's graph leaves it and enters it."""

    out: GradientEdge
    shape: torch.Size
    into: GradientEdge


def _chain(traced: Trace) -> list[_Link]:
    """The affine maps from the images to the logits; UnsuitableNetworkError if they are no chain."""
    z = traced.logits
    assert z is not None  # what hides its operations is refused
    for bend in traced.bends:
        if bend.operation not in RECTIFIERS:
            raise UnsuitableNetworkError(
                f"{bend.operation}, run by {bend.module}, is no ReLU; dense layers have no other bend"
            )
    bends = {bend.edges[0][:2]: bend for bend in traced.bends}
    entrance = get_gradient_edge(traced.images)
    links: list[_Link] = []
    out, shape = get_gradient_edge(z), z.shape
    while True:
        met = _first_rectifiers(out.node, bends, entrance.node)
        if len(met) > 1:
            names = ["the images" if node is entrance.node else bends[_operand(node)].module for node in met]
            raise UnsuitableNetworkError(
                "the network is no chain of affine maps and ReLUs: a map takes in several of "
                + ", ".join(sorted(names))
            )
        if not met or met == {entrance.node}:
            links.append(_Link(out, shape, entrance))
            return links[::-1]
        (node,) = met
        bend = bends[_operand(node)]
        if not _is_relu(node):
            raise UnsuitableNetworkError(
                f"{bend.operation}, run by {bend.module}, bends elsewhere than at zero"
            )
        links.append(_Link(out, shape, GradientEdge(node, 0)))
        out, shape = bend.edges[0], bend.units.operands[0].shape


def _first_rectifiers(top: Node, bends: dict[tuple[Node, int], Bend], entrance: Node) -> set[Node]:
    """The nodes of ReLUs, and that of the images, from which something reaches `top` with no ReLU between."""
    met: set[Node] = set()
    seen, todo = {top}, [top]
    while todo:
        node = todo.pop()
        if node is entrance or _rectifies(node, bends):
            met.add(node)
            continue
        below = {child for child, _ in node.next_functions if child is not None} - seen
        seen |= below
        todo += below
    return met


def _rectifies(node: Node, bends: dict[tuple[Node, int], Bend]) -> bool:
    return node.name().startswith(("Relu", "Clamp")) and node.next_functions[0] in bends


def _operand(node: Node) -> tuple[Node, int]:
    """Whence a ReLU's operand comes."""
    node_before, output = node.next_functions[0]
    assert node_before is not None
    return node_before, output


def _is_relu(node: Node) -> bool:
    if node.name() not in RELU_NODES:  # the bound is a tensor
        return False
    low, high = getattr(node, "_saved_min", 0.0), getattr(node, "_saved_max", None)
    return low == 0.0 and high is None


def _weight(link: _Link, rows: int) -> Tensor:
    """The derivative of what leaves a link by what enters it, `rows` of its rows a pass."""
    blocks: list[Tensor] = []
    width = link.shape[1:].numel()
    for start in range(0, width, rows):
        chosen = torch.zeros(rows, width, dtype=torch.float64)
        chosen.diagonal(start)[: width - start] = 1.0
        (part,) = torch.autograd.grad([link.out], [link.into], [chosen.view(link.shape)], retain_graph=True)
        blocks.append(part.detach().flatten(1)[: width - start])
    return torch.cat(blocks)


class _Silent(TorchDispatchMode):
    """While open, every ReLU of what depends on the images returns zero; what it was given is kept."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.varying = [images]
        self.operands: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation; note what depends on the images, by storage."""
        arguments = arguments_of(func, args, kwargs or {})
        known = {t.untyped_storage().data_ptr() for t in self.varying}
        varies = any(t.untyped_storage().data_ptr() in known for t in tensors_in(list(arguments.values())))
        rectifies = varies and str(func.overloadpacket.__name__).removesuffix("_") in RECTIFIERS
        if rectifies:
            self.operands.append(arguments["self"].detach().clone().flatten())
        returned = func(*args, **(kwargs or {}))
        if varies:
            self.varying += tensors_in(returned)
        return returned.zero_() if rectifies else returned


def _require_same_logits(layers: ReluLayers, network: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        expected = checked_logits(network, x)
    found = layers.logits(x.flatten(1))
    off = float((found - expected).abs().max())
    if not off <= 1e-9 * float(1.0 + expected.abs().max()):
        raise NotPiecewiseLinearError(
            f"the network's logits are not those of its layers, by {off:.1e}: is a value computed where the "
            "trace cannot see it?"
        )
