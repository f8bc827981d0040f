"""Networks as other people write them: what bends is found, measured or refused, whatever it is called."""

from __future__ import annotations

import ctypes
import io
import itertools
import math
import pickle
import re
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from regrob import networks
from regrob.affine import Trace, kinks, local_map, piecewise_linear, relu_layers, report, trace, verdict
from regrob.certificates import certified_radius, edge_distance, polytope
from regrob.certificates.linear_bounds import LinearAnalysis
from regrob.errors import InputError, NotPiecewiseLinearError
from regrob.examination import certify, examine


class Written(nn.Module):
    """A network that is a function, with the layers that it may use."""

    def __init__(self, function: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, **dict(self.named_children()))


def two(t: Tensor) -> Tensor:
    """One number an example as two logits: (t, 0)."""
    return torch.stack([t, torch.zeros_like(t)], dim=1)


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build().eval()


class Scaled(torch.autograd.Function):
    """The identity, with a gradient ten times too small."""

    @staticmethod
    def forward(_: object, h: Tensor) -> Tensor:
        return h

    @staticmethod
    def backward(_: object, *grads: Tensor) -> Tensor:
        return 0.1 * grads[0]


def hooked_gate(h: Tensor) -> Tensor:
    gate = 1 * h
    if gate.requires_grad:
        gate.register_hook(lambda gradient: 0.1 * gradient)
    return h * (gate > 0)


def saved_and_loaded(h: Tensor) -> Tensor:
    file = io.BytesIO()
    torch.save(h, file)
    file.seek(0)
    loaded: Tensor = torch.load(file)
    return loaded


def copied_by_address(h: Tensor) -> Tensor:
    copied = torch.zeros_like(h)
    ctypes.memmove(copied.data_ptr(), h.contiguous().data_ptr(), h.numel() * h.element_size())
    return copied


def hooked_node(h: Tensor) -> Tensor:
    if h.grad_fn is not None:
        h.grad_fn.register_prehook(lambda gradients: tuple(0.1 * gradient for gradient in gradients))
    return h


def through_an_alias(h: Tensor) -> Tensor:
    """An array that shares a tensor's memory, taken while the tensor held nothing of the input."""
    shared = torch.zeros_like(h)
    array = shared.numpy()
    shared.copy_(h)
    return torch.from_numpy(array.copy())


def in_another_thread(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


# --- certificates: every spelling of a bend is measured ------------------------------------

H = 0.1  # the bend at x = 0.1; the label flips at 0.2


def late(rest: Callable[[Tensor], Tensor]) -> Written:
    """1 − x − 9·relu(x − 0.1) and 0, with relu spelled by `rest`."""
    return Written(lambda x: two(1 - x[:, 0] - 9 * rest(x - H)[:, 0]))


def assigned(h: Tensor) -> Tensor:
    h = h.clone()
    h[h < 0] = 0.0
    return h


def branched(h: Tensor) -> Tensor:
    return h if bool((h > 0).all()) else torch.zeros_like(h)


SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "in place": lambda h: F.relu(h.clone(), inplace=True),
    "a mask": lambda h: h * (h > 0),
    "a float mask": lambda h: h * (h > 0).to(h),
    "where": lambda h: torch.where(h > 0, h, 0.0),
    "masked_fill": lambda h: h.masked_fill(h < 0, 0.0),
    "an assignment": assigned,
    "a branch": branched,
    "clamp": lambda h: h.clamp(min=0),
    "clamp_min by a tensor": lambda h: torch.clamp(h, min=torch.zeros(1, dtype=h.dtype)),
    "maximum": lambda h: torch.maximum(h, torch.zeros_like(h)),
    "minimum": lambda h: -torch.minimum(-h, torch.zeros_like(h)),
    "max": lambda h: torch.stack([h, torch.zeros_like(h)]).max(dim=0).values,
    "amax": lambda h: torch.stack([h, torch.zeros_like(h)]).amax(0),
    "sort": lambda h: torch.cat([h, torch.zeros_like(h)], 1).sort(dim=1).values[:, 1:],
    "topk": lambda h: torch.cat([h, 0 * h], 1).topk(1, dim=1).values,
    "kthvalue": lambda h: torch.cat([h, 0 * h], 1).kthvalue(2, dim=1, keepdim=True).values,
    "median": lambda h: torch.cat([h, 0 * h, 0 * h + 9], 1).median(dim=1, keepdim=True).values,
    "cummax": lambda h: torch.cat([0 * h, h], 1).cummax(dim=1).values[:, 1:],
    "a norm": lambda h: (h + torch.linalg.vector_norm(h, 1, dim=1, keepdim=True)) / 2,
    "abs": lambda h: (h + h.abs()) / 2,
    "sign": lambda h: h * (1 + h.sign()) / 2,
    "max-pool": lambda h: F.max_pool1d(torch.cat([h, torch.zeros_like(h)], 1)[:, None], 2)[:, 0],
    "threshold": lambda h: F.threshold(h, 0.0, 0.0),
    "leaky": lambda h: F.leaky_relu(h, 0.0),
    "RReLU in eval mode": nn.RReLU(0.0, 0.0).eval(),
    "prelu": lambda h: F.prelu(h, torch.zeros(1, dtype=h.dtype)),
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_bend_is_measured_however_it_is_written(name: str, dtype: torch.dtype) -> None:
    x = torch.zeros(1, 1, dtype=dtype)
    certified = certified_radius(late(SPELLINGS[name]), x, torch.tensor([0]))
    assert certified.dtype == dtype
    assert float(certified) == pytest.approx(H, rel=1e-6)  # today's list took some for affine: 1.0
    assert float(certified) <= H * (1 + 1e-12)


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("logcumsumexp", lambda h: h.logcumsumexp(1)),
        ("max", lambda h: torch.cat([h, 0 * h]).max()[None, None]),  # over the batch
        ("linalg_vector_norm", lambda h: torch.linalg.vector_norm(torch.cat([h, 0 * h], 1), dim=1)[:, None]),
        ("round", torch.round),
        ("floor", torch.floor),
        ("gelu", F.gelu),
        ("hardswish", F.hardswish),
        ("pow", lambda h: h.relu() ** 2),
        ("mul, run by Written, multiplies two", lambda h: h * h),
        ("div, run by Written, has an argument 'other'", lambda h: h / (2 + h)),
        (
            "div, run by Written, has an argument 'rounding_mode'",
            lambda h: torch.div(h, 3, rounding_mode="floor"),
        ),
        ("_to_copy, run by Written, converts to torch.int64", lambda h: h.long().to(h)),
        ("cumprod", lambda h: torch.cat([h, h], 1).cumprod(1)[:, 1:]),
        ("lerp", lambda h: torch.lerp(h, -h, h)),
        ("prod", lambda h: torch.cat([h, h], 1).prod(1, keepdim=True)),
    ],
)
def test_what_is_not_on_the_list_is_refused_by_name(name: str, rest: Callable[[Tensor], Tensor]) -> None:
    network, x = late(rest), torch.full((1, 1), 0.3)
    for read in (local_map, kinks, edge_distance):
        with pytest.raises(NotPiecewiseLinearError, match=f"no second derivative.*: {name}"):
            read(network, x)


def test_a_bounded_activation_that_calls_itself_a_relu_has_two_edges() -> None:
    class Clipped(nn.ReLU):
        def forward(self, h: Tensor) -> Tensor:
            return h.clamp(0, 1)

    network = Written(lambda x, act: two(act(x)[:, 0] - 0.5), act=Clipped())
    x = torch.tensor([[0.9], [1.0], [0.3], [5.0]], dtype=torch.float64)
    assert edge_distance(network, x).tolist() == pytest.approx([0.1, 0.0, 0.3, 4.0])
    assert kinks(network, x).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("function", "edges"),
    [
        (F.relu6, [1.0, 1.0, 3.0]),
        (F.hardtanh, [0.0, 4.0, 2.0]),
        (F.hardsigmoid, [2.0, 2.0, 0.0]),
        (lambda h: F.softshrink(h, 0.25), [0.75, 4.75, 2.75]),
        (lambda h: F.hardshrink(h, 0.25), [0.75, 4.75, 2.75]),
        (lambda h: torch.clamp(h, max=4.0), [5.0, 1.0, 1.0]),
    ],
)
def test_the_edges_of_activations_with_bounds(
    function: Callable[[Tensor], Tensor], edges: list[float]
) -> None:
    network = Written(lambda x: two(function(x)[:, 0]))
    x = torch.tensor([[-1.0], [5.0], [3.0]], dtype=torch.float64)
    assert edge_distance(network, x).tolist() == pytest.approx(edges)


POOLS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "padding": (lambda x: F.max_pool2d(x, 3, 2, 1), (1, 6, 7)),
    "ceil_mode": (lambda x: F.max_pool2d(x, 2, ceil_mode=True), (2, 5, 5)),
    "dilation": (lambda x: F.max_pool2d(x, 2, 1, dilation=2), (1, 6, 6)),
    "another padding on each axis": (lambda x: F.max_pool2d(x, 4, 3, (0, 2)), (1, 7, 7)),
    "another window on each axis": (lambda x: F.max_pool2d(x, (2, 3), (1, 2), dilation=(2, 1)), (1, 6, 6)),
    "one axis": (lambda x: F.max_pool1d(x, 3, 2), (2, 9)),
    "three axes": (lambda x: F.max_pool3d(x, 2), (1, 4, 4, 4)),
    "adaptive": (lambda x: F.adaptive_max_pool2d(x, (2, 3)), (1, 5, 7)),
    "adaptive, one axis": (lambda x: F.adaptive_max_pool1d(x, 3), (2, 7)),
    "ceil_mode and padding": (lambda x: F.max_pool2d(x, 3, 3, 1, ceil_mode=True), (1, 8, 8)),
}


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("tolist", lambda h: h if h.tolist()[0][0] > 0 else 0 * h),
        ("numpy", lambda h: h if h.detach().numpy()[0, 0] > 0 else 0 * h),
        ("__array__", lambda h: h if np.asarray(h.detach())[0, 0] > 0 else 0 * h),
        ("tensor", lambda h: h if torch.tensor([h.detach()[0, 0], 1.0])[0] > 0 else 0 * h),
        ("new_tensor", lambda h: h if h.new_tensor([h.detach()[0, 0]]) > 0 else 0 * h),
        ("__repr__", lambda h: 0 * h if "-" in repr(h.detach()) else h),
        ("Scaled", lambda h: h * (Scaled.apply(h) > 0)),
        ("register_hook", hooked_gate),
        ("untyped_storage", lambda h: h * (saved_and_loaded(h.detach()) > 0)),
        ("untyped_storage", lambda h: h * (pickle.loads(pickle.dumps(h.detach())) > 0)),
        ("data_ptr", lambda h: h * (copied_by_address(h.detach()) > 0)),
        ("__format__", lambda h: 0 * h if "-" in f"{h.detach()}" else h),
        ("__dlpack__", lambda h: h * torch.from_numpy(np.from_dlpack(h.detach()) > 0)),
        ("_local_scalar_dense", lambda h: h * (1.0 if bytes(h.detach().untyped_storage())[-1] < 128 else 0)),
        ("grad_fn", lambda h: h * (hooked_node(1 * h) > 0)),
        ("copy", lambda h: h * (through_an_alias(h.detach()) > 0)),
    ],
)
@pytest.mark.filterwarnings("ignore:whether the network is piecewise linear:UserWarning")
def test_nothing_is_certified_past_a_value_or_a_gradient_that_left_the_trace(
    name: str, rest: Callable[[Tensor], Tensor]
) -> None:
    x = torch.zeros(1, 1, dtype=torch.float64)
    for read in (edge_distance, kinks):
        with pytest.raises(NotPiecewiseLinearError, match=name):
            read(late(rest), x)
    with pytest.raises(NotPiecewiseLinearError, match=rf"{name}|tensors that were not made by torch"):
        certified_radius(late(rest), x, torch.tensor([0]))


@pytest.mark.parametrize(
    "rest",
    [
        lambda h: h * in_another_thread(lambda: h.detach() > 0),
        lambda h: h * torch.from_numpy(in_another_thread(lambda: h.detach().numpy() > 0)),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_what_no_trace_can_see_is_tried_as_far_as_the_edge(
    rest: Callable[[Tensor], Tensor], check: bool
) -> None:
    x = torch.zeros(1, 1, dtype=torch.float64)
    assert trace(late(rest), x).refusal is None
    for read in (
        edge_distance,
        lambda *given, **by_name: certified_radius(*given, torch.tensor([0]), **by_name),
    ):
        with pytest.raises(NotPiecewiseLinearError, match="not affine as far as its nearest known bend"):
            read(late(rest), x, check=check)


class Remembering(nn.Module):
    """Writes what it computes into a buffer that others may read."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(1, 1, dtype=torch.float64))
        self.array = self.last.numpy()

    def forward(self, x: Tensor) -> Tensor:
        self.last.resize_(x.shape) if len(x) > 1 else self.last.copy_((x - H).detach())
        return two(1 - x[:, 0] - 9 * (x - H)[:, 0] * float(self.array[0, 0] > 0))


def test_nothing_is_certified_past_memory_that_others_may_read() -> None:
    x = torch.zeros(1, 1, dtype=torch.float64)
    traced = trace(Remembering(), x)
    assert "writes to memory of others" in str(traced.refusal)
    with pytest.raises(NotPiecewiseLinearError, match="hides its operations"):
        edge_distance(Remembering(), x, check=False)


def test_nothing_is_certified_past_memory_that_no_operation_wrote() -> None:
    """As a kernel in C++ would, which is given addresses that no function of Python sees."""
    blank = torch.empty

    def kernel(h: Tensor) -> Tensor:
        written = blank(h.shape, dtype=h.dtype)
        written.numpy()[...] = 1.0
        return h * (written > 0)

    x = torch.zeros(1, 1, dtype=torch.float64)
    refusal = trace(late(kernel), x).refusal
    assert refusal is not None
    assert refusal.opaque
    assert "reads memory that no operation wrote" in str(refusal)
    filled = late(lambda h: torch.empty_like(h).copy_(h).relu())
    assert float(edge_distance(filled, x)) == pytest.approx(H)
    halves = late(lambda h: assigned_by_halves(h).relu()[:, :1])
    assert float(edge_distance(halves, x)) == pytest.approx(H)


def assigned_by_halves(h: Tensor) -> Tensor:
    both = torch.empty(len(h), 2, dtype=h.dtype)
    both[:, 0] = h[:, 0]
    both[:, 1] = -h[:, 0]
    return both


def test_what_says_nothing_of_the_values_may_be_asked() -> None:
    def curious(h: Tensor) -> Tensor:
        asked = (h.shape, h.dtype, len(h), h.is_contiguous(), h.stride(), h.device, h.dim(), hash(h), h.ndim)
        assert all(part is not None for part in asked)
        return torch.cat([row[None] for row in h]).relu()

    assert float(edge_distance(late(curious), torch.zeros(1, 1, dtype=torch.float64))) == pytest.approx(H)


@pytest.mark.parametrize("read", [edge_distance, kinks])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.relu() * (1 + calls()), "random, or remembers"),
        (lambda x: x.relu() / len(x), "depend on the other images"),
        (lambda x: x - (x > x.mean(dim=0)).to(x), "depend on the other images"),
        (lambda x: (x.relu() * torch.tensor([2.0]).exp_()).to(x) + 0 * x.new_zeros(()).fill_(1), None),
    ],
)
def test_kinks_and_edges_ask_for_the_same_trials_as_the_local_map(
    function: Callable[[Tensor], Tensor], message: str | None, read: Callable[..., Tensor]
) -> None:
    x = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))
    if message is None:
        assert torch.isfinite(read(Written(function), x)).all()
        return
    for ask in (local_map, read):
        with pytest.raises(NotPiecewiseLinearError, match=message):
            ask(Written(function), x)
    if read is kinks:
        read(Written(function), x, check=False)  # the tooth: the operations alone do not show it
    else:
        with pytest.raises(NotPiecewiseLinearError, match="not affine as far as its nearest known bend"):
            read(Written(function), x, check=False)


def calls(counter: Any = itertools.count()) -> int:  # noqa: B008
    return next(counter)


def test_the_verdict_is_the_report_and_what_the_trials_raise_from_one_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    for network in (Written(F.relu), Written(F.gelu), Written(lambda x: x - x.mean(dim=0))):
        made_of, obstacle = verdict(network, x)
        assert made_of == report(network, x)
        if obstacle is None:
            local_map(network, x)
        else:
            with pytest.raises(NotPiecewiseLinearError, match=re.escape(str(obstacle))):
                local_map(network, x)
    traced: list[Tensor] = []

    def counted(network: nn.Module, images: Tensor) -> Trace:
        traced.append(images)
        return trace(network, images)

    monkeypatch.setattr(piecewise_linear, "trace", counted)
    verdict(Written(F.relu), x)
    assert len(traced) == 2
    assert not torch.equal(*traced)


# --- backward hooks --------------------------------------------------------------------------


@pytest.mark.parametrize("register", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_a_backward_hook_that_looks_changes_nothing(register: str) -> None:
    network = networks.mlp((4, 6, 3), generator=torch.Generator().manual_seed(0)).double()
    x = torch.rand(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = network(x).argmax(dim=1)
    plain = [edge_distance(network, x), certified_radius(network, x, y), local_map(network, x).V]
    seen: list[object] = []
    getattr(network[1], register)(lambda module, *gradients: seen.append(gradients))
    hooks = [dict(module._backward_hooks) for module in network]
    for value, expected in zip(
        [edge_distance(network, x), certified_radius(network, x, y), local_map(network, x).V],
        plain,
        strict=True,
    ):
        torch.testing.assert_close(value, expected)
    assert not kinks(network, x).any()
    assert verdict(network, x).obstacle is None
    assert examine(network, x, y).network.piecewise_linear
    assert seen
    assert [dict(module._backward_hooks) for module in network] == hooks


def test_a_backward_hook_that_changes_gradients_is_named() -> None:
    network = networks.mlp((4, 6, 3), generator=torch.Generator().manual_seed(0))
    x = torch.rand(3, 4, generator=torch.Generator().manual_seed(1))
    network[1].register_full_backward_hook(lambda module, inputs, outputs: None)
    handle = network[2].register_full_backward_hook(
        lambda module, inputs, outputs: tuple(1.001 * gradient for gradient in inputs)
    )
    for read in (local_map, kinks, edge_distance):
        with pytest.raises(NotPiecewiseLinearError, match=r"a backward hook of ReLU '2' changes it"):
            read(network, x)
    handle.remove()
    local_map(network, x)
    everywhere = nn.modules.module.register_module_full_backward_hook(
        lambda module, inputs, outputs: tuple(1.001 * g for g in inputs) if inputs[0] is not None else None
    )
    try:
        with pytest.raises(NotPiecewiseLinearError, match="a hook of all modules"):
            local_map(network, x)
    finally:
        everywhere.remove()


def test_a_gradient_on_the_weights_alone_may_be_anything() -> None:
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    gated = late(lambda h: F.relu(h * Scaled.apply(weight)))
    assert float(edge_distance(gated, torch.zeros(1, 1, dtype=torch.float64))) == pytest.approx(H)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200])
def test_the_square_of_a_slope_may_be_too_small_or_too_large(scale: float) -> None:
    scaled = late(lambda h: (h * scale).relu() / scale)
    for pixels in (1, 40):  # all directions, and estimated lengths
        x = torch.zeros(1, pixels, dtype=torch.float64)
        assert float(edge_distance(scaled, x)) == pytest.approx(H)


def test_a_unit_behind_an_operation_without_a_second_derivative() -> None:
    net = late(lambda h: 6 * (F.hardsigmoid(h) - 0.5).relu())
    x = torch.zeros(1, 1, dtype=torch.float64)
    assert float(edge_distance(net, x)) == pytest.approx(H, rel=1e-6)
    assert kinks(net, x + H).tolist() == [True]


def test_the_branch_that_another_image_chose_is_not_certified() -> None:
    def branched(x: Tensor) -> Tensor:
        return two(1 + 0 * x[:, 0]) if bool(x.sum() > 0) else two(1.1 + x[:, 0])

    x, y = torch.tensor([[10.0], [10.0], [-1.0]]), torch.zeros(3, dtype=torch.int64)
    for read in (local_map, lambda net, images: certified_radius(net, images, y)):
        with pytest.raises(NotPiecewiseLinearError, match="other images of its batch"):
            read(Written(branched), x)


def test_what_autograd_cannot_differentiate_is_a_clear_error() -> None:
    overwritten = Written(lambda x: (1 * x).relu_().mul_(2))
    with pytest.raises(InputError, match="overwrite in place"):
        local_map(overwritten, torch.ones(1, 2))


@pytest.mark.parametrize("name", POOLS)
def test_the_edge_of_a_pool_is_where_its_gradient_changes(name: str) -> None:
    """Any two entries of a window: half the gap, over √2, to the nearest overtaking."""
    pool, shape = POOLS[name]
    network = Written(lambda x: pool(x).flatten(1))
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    edge = float(edge_distance(network, x))
    V = local_map(network, x).V[0]
    nearest = math.inf
    for k in range(V.shape[1]):
        winner = V[:, k].argmax()
        for rival in range(V.shape[0]):
            gap = float(x.flatten()[winner] - x.flatten()[rival])
            pushed = x.clone().flatten()
            pushed[winner] -= gap / 2 + 1e-9
            pushed[rival] += gap / 2 + 1e-9
            if 0 < gap / math.sqrt(2) < nearest:
                there = local_map(network, pushed.view_as(x), check=False).V[0]
                if there[:, k].argmax() == rival:
                    nearest = gap / math.sqrt(2)
    assert edge == pytest.approx(nearest, rel=1e-9)


@pytest.mark.parametrize("directions", [1, 32])
def test_the_estimated_lengths_never_lose_the_nearest_unit(
    directions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polytope, "DIRECTIONS", directions)
    if directions == 1:
        monkeypatch.setattr(polytope, "SHORT", 1e9)  # one direction tells little: look at every unit
    network = networks.mlp((40, 30, 20, 3), generator=torch.Generator().manual_seed(0)).double()
    x = torch.rand(4, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = edge_distance(network, x)
    monkeypatch.setattr(polytope, "DIRECTIONS", 40)  # the true lengths
    torch.testing.assert_close(found, edge_distance(network, x), rtol=1e-12, atol=0)
    monkeypatch.setattr(polytope, "DIRECTIONS", 2)
    monkeypatch.setattr(polytope, "SHORT", 1.0)  # the tooth: an estimate taken at its word
    assert not torch.allclose(edge_distance(network, x), found, rtol=1e-6)


def test_certificates_in_float32_are_those_of_float64_rounded_down() -> None:
    network = networks.mlp((20, 30, 3), generator=torch.Generator().manual_seed(0))
    x = torch.rand(30, 20, generator=torch.Generator().manual_seed(1))
    y = network(x).argmax(dim=1)
    single = certified_radius(network, x, y)
    double = certified_radius(network.double(), x.double(), y)
    assert single.dtype == torch.float32
    assert bool((single.double() <= double).all())
    torch.testing.assert_close(single.double(), double, rtol=2e-7, atol=0)


def test_certificates_refuse_coarse_arithmetic_inside() -> None:
    network = Written(lambda x: x.float().relu().to(x))
    with pytest.raises(InputError, match=r"computes in torch\.float32 inside"):
        edge_distance(network, torch.rand(1, 3, dtype=torch.float64))


# --- local_map: established, not guessed ---------------------------------------------------


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return (8 * x).relu()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


def hooked(x: Tensor) -> Tensor:
    h = 3 * x
    if h.requires_grad:
        h.register_hook(lambda gradient: 0.5 * gradient)
    return h


def in_numpy(x: Tensor) -> Tensor:
    return x * torch.from_numpy(x.detach().numpy().mean(axis=1, keepdims=True))


def no_gradient(x: Tensor) -> Tensor:
    with torch.no_grad():
        h = x.relu()
    return x + h


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x - x.mean(), "depend on the other images"),
        (lambda x: x - 1e-3 * x.mean(dim=0), "depend on the other images"),
        (lambda x: x / len(x), "depend on the other images"),
        (lambda x: F.dropout(x, training=True), "bernoulli.*is random"),
        (lambda x: x + 0.1 * torch.randn_like(x), "randn_like"),
        (lambda x: x + 0.1 * torch.randn(x.shape), "randn.*is random"),
        (lambda x: x * torch.sigmoid(x).detach(), "sigmoid"),
        (lambda x: x / x.norm(dim=1, keepdim=True).detach(), "linalg_vector_norm"),
        (lambda x: x * x.data[:, :1].relu(), "hidden from autograd"),
        (lambda x: x + (x.round() - x).detach(), "round"),
        (lambda x: x + 2 * x.detach(), "hidden from autograd"),
        (StraightThrough.apply, "hidden from autograd"),
        (no_gradient, "hidden from autograd"),
        (hooked, "gradient is not the network's"),
        (in_numpy, "not made by torch's operations|gradient is not"),
        (lambda x: x * (1 if x.sum().item() > 0 else 2), "_local_scalar_dense"),
        (lambda x: (x - 50).relu() ** 2 + x, "pow"),  # off at the probe
        (
            lambda x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])[:, 0],
            "scaled_dot|softmax|bmm",
        ),
        (lambda x: F.batch_norm(x, None, None, training=True), "normalises over the batch"),
        (lambda x: F.embedding(x.abs().long().clamp(0, 3), torch.eye(4)).sum(1), "converts to torch.int64"),
        (
            lambda x: (
                F.grid_sample(x[:, None, None], x[:, None, None, :2], align_corners=False)
                .flatten(1)
                .expand(-1, 2)
            ),
            "grid",
        ),
    ],
)
def test_what_is_not_the_networks_own_affine_map_is_refused(
    function: Callable[[Tensor], Tensor], message: str
) -> None:
    x = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)) + 0.1
    with pytest.raises(NotPiecewiseLinearError, match=message):
        local_map(Written(function), x)


def test_a_memory_is_found() -> None:
    class Counts(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x * self.calls

    with pytest.raises(NotPiecewiseLinearError, match="random, or remembers"):
        local_map(Counts(), torch.rand(2, 3))


def test_the_module_is_named_by_its_place() -> None:
    inner = nn.Sequential(nn.Linear(4, 4), nn.SiLU())
    found = report(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), inner, nn.Linear(4, 2)), torch.rand(2, 4))
    assert found.refusal is not None
    assert found.refusal.operation == "silu"
    assert found.refusal.module == "SiLU '2.1'"
    assert found.bends == (("relu", "ReLU '1'"),)
    assert not found.piecewise_linear


def test_what_the_logits_do_not_use_may_be_anything() -> None:
    seen = []

    def watched(x: Tensor) -> Tensor:
        seen.append(x.detach().softmax(dim=1))
        return x.relu()

    assert torch.equal(
        local_map(Written(watched), torch.tensor([[1.0, -1.0]])).V[0], torch.tensor([[1.0, 0], [0, 0]])
    )
    assert seen


def test_weights_may_be_computed_in_any_way() -> None:
    network = seeded(
        lambda: nn.Sequential(
            parametrizations.weight_norm(nn.Linear(4, 5)),
            nn.ReLU(),
            parametrizations.spectral_norm(nn.Linear(5, 5)),
            nn.ReLU(),
            parametrizations.orthogonal(nn.Linear(5, 3)),
        )
    ).double()
    x = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    V, z = local_map(network, x)
    step = 1e-3 * edge_distance(network, x)[:, None] * torch.ones_like(x)
    moved = network(x + step).detach() - z
    torch.testing.assert_close(moved, torch.einsum("nak,na->nk", V, step), rtol=1e-6, atol=1e-12)


def test_modules_with_two_inputs_keywords_and_shared_bends() -> None:
    class Pair(nn.ReLU):
        def forward(self, left: Tensor, *, right: Tensor) -> Tensor:
            return F.relu(left) - F.relu(right)

    act = Pair()
    network = Written(lambda x, act: two(act(x[:, 0], right=x[:, 1]) + act(x[:, 1], right=x[:, 0])), act=act)
    assert edge_distance(network, torch.tensor([[0.5, -0.2]])).tolist() == pytest.approx([0.2])


def test_script_modules_get_trials_alone_and_no_certificate() -> None:
    x = torch.rand(2, 6, generator=torch.Generator().manual_seed(0))
    plain = seeded(lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.trace(plain, x)
        bent = torch.jit.trace(seeded(lambda: nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 3))), x)
    with pytest.warns(UserWarning, match="cannot be established.*only trials were made"):
        V = local_map(scripted, x).V
    torch.testing.assert_close(V, local_map(plain, x).V)
    for read in (edge_distance, kinks, relu_layers, LinearAnalysis):
        with pytest.raises(NotPiecewiseLinearError, match="hides its operations"):
            read(scripted, x)
    with pytest.raises(NotPiecewiseLinearError, match="hides its operations"):
        certify(scripted, x, plain(x).argmax(dim=1))
    bends = pytest.raises(NotPiecewiseLinearError, match="second derivative")
    with pytest.warns(UserWarning, match="trials"), bends:
        local_map(bent, x)


def test_compiled_networks_are_judged_uncompiled() -> None:
    x = torch.rand(2, 6, generator=torch.Generator().manual_seed(0))
    plain = seeded(lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)))
    compiled = torch.compile(plain, backend="eager")
    compiled(x)
    assert [bend.operation for bend in trace(compiled, x).bends] == ["relu"]
    bent = torch.compile(seeded(lambda: nn.Sequential(nn.Linear(6, 5), nn.GELU())), backend="eager")
    bent(x)
    with pytest.raises(NotPiecewiseLinearError, match="gelu"):
        local_map(bent, x)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 255.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_honest_networks_pass_at_every_scale(scale: float, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    for build, shape in ((networks.lenet_5, (1, 28, 28)), (networks.conv_bn, (3, 32, 32))):
        network = build(10, generator=generator).to(dtype).eval()
        with torch.no_grad():
            network[-1].weight.mul_(1e-7)
        local_map(network, scale * torch.rand(2, *shape, generator=generator, dtype=dtype))
        local_map(network, torch.zeros(1, *shape, dtype=dtype))


# --- kinks: a zero that stays is none ------------------------------------------------------


def test_a_pool_over_a_functional_relu_is_no_kink() -> None:
    network = seeded(
        lambda: Written(
            lambda x, conv, head: head(F.max_pool2d(F.relu(conv(x)), 2).flatten(1)),
            conv=nn.Conv2d(1, 6, 3),
            head=nn.Linear(6 * 9, 3),
        )
    )
    x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert any(bool((b.units.heights == 0).any()) for b in trace(network, x).bends)
    assert kinks(network, x).tolist() == [False] * 8


def test_pruned_channels_relus_after_relus_and_fresh_residual_blocks_are_none() -> None:
    pruned = networks.mlp((6, 9, 3), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pruned[1].weight[0] = 0.0
    x = torch.rand(5, 6, generator=torch.Generator().manual_seed(1))
    assert kinks(pruned, x).tolist() == [False] * 5
    assert kinks(nn.Sequential(pruned[:3], nn.ReLU(), pruned[3]), x).tolist() == [False] * 5
    fresh = networks.resnet_32(3, width=4, generator=torch.Generator().manual_seed(0))
    assert (
        kinks(fresh, torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))).tolist()
        == [False] * 2
    )
    with torch.no_grad():
        pruned[1].bias[0] = 0.0
        pruned[1].weight[0] = torch.tensor([1.0, -1, 0, 0, 0, 0])
    assert kinks(pruned, x.index_fill(1, torch.tensor([0, 1]), 0.5)).tolist() == [True] * 5  # the tooth


def test_ties_that_move_together_are_none_and_ties_that_part_are() -> None:
    twins = Written(lambda x: two(torch.stack([3 * x[:, 0], 3 * x[:, 0], x[:, 1]]).amax(dim=0)))
    x = torch.tensor([[1.0, 0.0], [1.0, 3.0], [0.1, 0.7]], dtype=torch.float64)
    assert kinks(twins, x).tolist() == [False, True, False]
    many = Written(
        lambda x: two((x @ torch.full((2, 7), 0.1, dtype=x.dtype)).amax(dim=1))
    )  # seven equal rows
    assert kinks(many, x).tolist() == [False] * 3


def test_a_kink_is_where_a_height_is_zero_and_not_merely_small() -> None:
    x = torch.tensor([[1e-12], [0.0], [-1e-300]], dtype=torch.float64)
    assert kinks(Written(lambda x: two(F.relu(x[:, 0]))), x).tolist() == [False, True, False]
    flat = Written(lambda x: two(F.relu(1e-12 * x[:, 0])))  # a small slope bends as well
    assert kinks(flat, x[:2]).tolist() == [False, True]


def test_the_zero_of_a_unit_behind_a_kink_is_seen_in_the_one_before() -> None:
    network = Written(lambda x: two(F.relu(F.relu(x[:, 0]))))
    assert kinks(network, torch.tensor([[0.0], [-1.0], [1.0]])).tolist() == [True, False, False]


def test_hooks_are_gone_and_weights_unchanged_after_a_trace() -> None:
    network = seeded(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)))
    trace(network, torch.rand(1, 3))
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in network.modules())
    assert all(p.grad is None for p in network.parameters())
