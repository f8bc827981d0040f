"""The local map against autograd one derivative at a time, and everything it must refuse."""

from __future__ import annotations

from collections.abc import Callable

import oracles
import pytest
import torch
from cases import NAMES, case
from torch import Tensor, nn

import regrob
from regrob import attacks, certificates, networks
from regrob.affine import kinks, local_map, masked_product, report
from regrob.checks import check_labels
from regrob.errors import InputError, NotPiecewiseLinearError, RegrobError
from regrob.training import network_penalty


def relative_error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm().clamp_min(1e-300))


@pytest.mark.parametrize("name", NAMES)
def test_local_map_is_the_jacobian_with_the_logits(name: str) -> None:
    c = case(name)
    V, z = local_map(c.network, c.images)
    assert V.shape == (3, c.images[0].numel(), c.classes)
    assert not V.requires_grad
    assert not z.requires_grad
    torch.testing.assert_close(z, c.network(c.images).detach(), rtol=0, atol=0)
    for i, image in enumerate(c.images):
        assert relative_error(V[i], oracles.jacobian(c.network, image)) < 1e-13


@pytest.mark.parametrize("name", NAMES)
def test_network_is_affine_in_the_map(name: str) -> None:
    c = case(name)
    V, z = local_map(c.network, c.images)
    step = 1e-7 * torch.randn(c.images.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    moved = c.network(c.images + step).detach() - z
    predicted = torch.einsum("nak,na->nk", V, step.flatten(1))
    assert relative_error(moved, predicted) < 1e-7


@pytest.mark.parametrize(("build", "shape"), [("lenet-300-100", (1, 28, 28)), ("lenet-5", (1, 28, 28))])
@pytest.mark.parametrize("classes", [2, 10])
def test_the_papers_networks_are_read_exactly(build: str, shape: tuple[int, ...], classes: int) -> None:
    generator = torch.Generator().manual_seed(3)
    network = networks.NETWORKS[build](classes, generator=generator).double()
    images = torch.rand(2, *shape, generator=generator, dtype=torch.float64)
    V, _ = local_map(network, images)
    for i, image in enumerate(images):
        assert relative_error(V[i], oracles.jacobian(network, image)) < 1e-13


def test_each_examples_map_is_its_own_whatever_the_batch() -> None:
    c = case("with_bias-3")
    V, z = local_map(c.network, c.images)
    alone = [local_map(c.network, image[None]) for image in c.images]
    torch.testing.assert_close(V, torch.cat([a.V for a in alone]), rtol=1e-14, atol=0)
    torch.testing.assert_close(z, torch.cat([a.z for a in alone]), rtol=1e-14, atol=0)


def test_a_weights_gradient_flows_through_the_map_if_asked() -> None:
    c = case("with_bias-3")
    V, _ = local_map(c.network, c.images, create_graph=True)
    V.square().sum().backward()
    last = c.network[-1].weight
    assert last.grad is not None
    # V = B W: d‖V‖²/dW = 2 BᵀV, and ⟨W, that⟩ = 2‖V‖².
    assert float((last * last.grad).sum().detach()) == pytest.approx(
        2 * float(V.detach().square().sum()), rel=1e-12
    )


def test_the_map_is_the_same_under_no_grad_and_with_the_check_off() -> None:
    c = case("skip-3")
    reference = local_map(c.network, c.images)
    with torch.no_grad():
        inside = local_map(c.network, c.images, check=False)
    assert torch.equal(inside.V, reference.V)


def test_frozen_weights_and_constant_logits_have_maps_too() -> None:
    c = case("relu_then_pool-3")
    expected = local_map(c.network, c.images).V
    assert torch.equal(local_map(c.network.requires_grad_(False), c.images).V, expected)

    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = nn.Parameter(torch.tensor([1.0, 2.0]))

        def forward(self, x: Tensor) -> Tensor:
            return self.logits.expand(len(x), 2)

    assert torch.equal(local_map(Constant(), torch.rand(2, 4)).V, torch.zeros(2, 4, 2))


# --- the paper's product of masked weights -------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("slope", [0.0, 0.3, -0.5])
@pytest.mark.parametrize("classes", [2, 5])
def test_masked_product_is_the_same_map(bias: bool, slope: float, classes: int) -> None:
    generator = torch.Generator().manual_seed(5)
    network = networks.mlp((6, 9, 8, classes), bias=bias, slope=slope, generator=generator).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    image = torch.rand(6, generator=generator, dtype=torch.float64)
    assert relative_error(masked_product(network, image), oracles.jacobian(network, image)) < 1e-14


def test_masked_product_refuses_what_it_cannot_read() -> None:
    with pytest.raises(InputError, match=r"reads Linear, ReLU and LeakyReLU, got Tanh"):
        masked_product(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), torch.rand(2))


# --- kinks: the tie-break is pinned, and seen ------------------------------------------------


@pytest.mark.parametrize(("activation", "slope"), [(nn.ReLU(), 0.0), (nn.LeakyReLU(0.25), 0.25)])
def test_at_a_zero_preactivation_the_slope_is_the_left_one(activation: nn.Module, slope: float) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), activation)
    with torch.no_grad():
        network[1].weight.copy_(torch.eye(2))
        network[1].bias.zero_()
    image = torch.tensor([[0.0, 3.0]])
    V, _ = local_map(network, image)
    expected = torch.tensor([[slope, 0.0], [0.0, 1.0]])
    assert torch.equal(V[0], expected)
    assert torch.equal(masked_product(network, image[0]), expected)
    assert kinks(network, image).tolist() == [True]
    assert kinks(network, torch.tensor([[1.0, 3.0], [-1.0, 0.0]])).tolist() == [False, True]


def pooling(pool: nn.MaxPool2d, side: int = 2) -> nn.Sequential:
    """A pool that reads the image itself, and an identity, twice, to make two logits of it."""
    network = nn.Sequential(pool, nn.Flatten(), nn.Linear(1, 2, bias=False))
    with torch.no_grad():
        network[2].weight.copy_(torch.tensor([[1.0], [2.0]]))
    return network


def test_in_a_tied_pool_the_first_position_in_row_major_order_wins() -> None:
    network = pooling(nn.MaxPool2d(2))
    image = torch.tensor([[[[1.0, 5.0], [5.0, 5.0]]]])
    V, _ = local_map(network, image)
    assert V[0, :, 0].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert kinks(network, image).tolist() == [True]
    assert kinks(network, torch.tensor([[[[1.0, 5.0], [4.0, 4.0]]]])).tolist() == [False]


def test_a_tie_at_zero_matters_in_the_image_but_not_behind_a_relu() -> None:
    black = torch.zeros(1, 1, 2, 2)
    assert kinks(pooling(nn.MaxPool2d(2)), black).tolist() == [True]
    # Behind a ReLU whose inputs are all negative, every choice of the maximum gives slope 0.
    shifted = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), *pooling(nn.MaxPool2d(2)))
    with torch.no_grad():
        shifted[0].weight.fill_(1.0)
        shifted[0].bias.fill_(-1.0)
    assert kinks(shifted, black).tolist() == [False]
    assert kinks(shifted, black + 3.0).tolist() == [True]


def test_kinks_knows_padding_strides_and_ceil_mode() -> None:
    # Padding is −∞ to a max-pool, so no padded zero can tie or win.
    negative = torch.tensor([[[[-4.0, -3.0], [-2.0, -1.0]]]])
    assert kinks(pooling(nn.MaxPool2d(2, stride=3, padding=1)), negative).tolist() == [False]
    # With ceil_mode the last column has a window of its own, in which 7 stands twice.
    tied = torch.tensor([[[[1.0, 2.0, 7.0], [3.0, 4.0, 7.0], [0.5, 0.6, 0.7]]]])
    network = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(4, 2))
    assert kinks(network, tied).tolist() == [True]
    assert kinks(network, tied + torch.arange(9.0).reshape(3, 3) / 100).tolist() == [False]
    floor = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 2))
    assert kinks(floor, tied).tolist() == [False]


def test_kinks_leaves_no_hook_behind() -> None:
    c = case("relu_then_pool-2")
    assert kinks(c.network, c.images).tolist() == [False] * 3
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in c.network.modules())


# --- not piecewise linear --------------------------------------------------------------------


class Attention(nn.Module):
    """Softmax self-attention over three tokens of two numbers, then logits."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(2, 1, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(-1, 3, 2)
        mixed, _ = self.attend(tokens, tokens, tokens)
        return self.head(mixed.flatten(1))


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ([nn.GELU()], "GELU"),
        ([nn.Tanh()], "Tanh"),
        ([nn.SiLU()], "SiLU"),
        ([nn.LayerNorm(6)], "LayerNorm"),
        ([nn.Softmax(dim=1)], "Softmax"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_bent_network_is_refused_by_name(layers: list[nn.Module], named: str, dtype: torch.dtype) -> None:
    network = nn.Sequential(nn.Linear(6, 6), *layers, nn.Linear(6, 3)).to(dtype)
    with pytest.raises(NotPiecewiseLinearError, match=rf"not piecewise linear.*second derivative.*{named}"):
        local_map(network, torch.rand(4, 6, dtype=dtype))


def test_softmax_attention_is_refused() -> None:
    with pytest.raises(NotPiecewiseLinearError, match="not piecewise linear"):
        local_map(Attention(), torch.rand(2, 6))


def test_tanh_is_refused_even_where_its_second_derivative_vanishes() -> None:
    network = nn.Sequential(nn.Linear(6, 3, bias=False), nn.Tanh())
    with pytest.raises(NotPiecewiseLinearError, match="Tanh"):
        local_map(network, torch.zeros(1, 6))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)),
            r"BatchNorm1d '1' normalises over the batch",
        ),
        (
            nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, track_running_stats=False)).eval(),
            r"track_running_stats",
        ),
        (
            nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5), nn.Linear(4, 2)),
            r"Dropout '1' is random.*eval\(\)",
        ),
        (nn.Sequential(nn.Linear(6, 4), nn.RReLU(), nn.Linear(4, 2)), r"RReLU '1' is random"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_layers_that_mix_or_roll_dice_are_refused_in_training_mode(
    network: nn.Module, message: str, check: bool
) -> None:
    with pytest.raises(NotPiecewiseLinearError, match=message):
        local_map(network, torch.rand(3, 6), check=check)


def test_a_refused_batch_norm_keeps_its_statistics() -> None:
    network = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))
    before = network[1].running_mean.clone()
    with pytest.raises(NotPiecewiseLinearError):
        local_map(network, torch.rand(3, 6))
    assert torch.equal(network[1].running_mean, before)


def test_harmless_modules_in_training_mode_are_read() -> None:
    c = case("relu_then_pool-3")
    assert torch.equal(local_map(c.network.train(), c.images).V, local_map(c.network.eval(), c.images).V)


# --- bad input -------------------------------------------------------------------------------

MLP = networks.mlp((6, 5, 3), generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 2])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(0, 6), r"N ≥ 1, got \(0, 6\).*not empty"),
        (torch.rand(6), r"shape \(N, …\).*got \(6,\).*images\[None\]"),
        (torch.zeros(2, 6, dtype=torch.uint8), r"floating-point tensor, got torch.uint8: call .float\(\)"),
        ([[0.0] * 6], r"floating-point tensor, got list"),
        (torch.full((2, 6), float("nan")), "image 0 holds NaN or infinity"),
        (torch.tensor([[0.0] * 6, [float("inf")] + [0.0] * 5]), "image 1 holds NaN or infinity"),
        (torch.rand(2, 7), r"cannot read images of shape \(2, 7\), torch.float32"),
        (torch.rand(2, 6, dtype=torch.float64), r"cannot read images of shape \(2, 6\), torch.float64"),
    ],
)
@pytest.mark.parametrize("read", [local_map, kinks])
def test_bad_images_are_refused(read: object, images: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(MLP, images)  # type: ignore[operator]


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch calls these layouts beta
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
@pytest.mark.parametrize(
    "read",
    [
        local_map,
        kinks,
        report,
        certificates.edge_distance,
        lambda network, x: certificates.certified_radius(network, x, LABELS),
        lambda network, x: attacks.pgd(network, x, LABELS, epsilon=0.1),
        lambda network, x: attacks.boundary_projection(network, x, LABELS),
        lambda network, x: regrob.examine(network, x, LABELS),
        lambda network, x: network_penalty(network, x, kind="jacobian"),
    ],
)
def test_images_that_are_not_dense_are_refused(
    read: Callable[[nn.Module, Tensor], object], layout: torch.layout
) -> None:
    images = torch.rand(2, 6).to_sparse(layout=layout)
    with pytest.raises(
        InputError, match=rf"images must be a dense tensor, got {layout}: call \.to_dense\(\)"
    ):
        read(MLP, images)


def test_sparse_labels_are_refused() -> None:
    with pytest.raises(InputError, match=r"labels must be a dense tensor, got torch\.sparse_coo"):
        check_labels(LABELS.to_sparse(), torch.zeros(2, 3))


class Returns(nn.Module):
    """A network that returns what it is told to."""

    def __init__(self, wanted: object) -> None:
        super().__init__()
        self.wanted = wanted
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> object:
        z = self.layer(x)
        return self.wanted(z)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (lambda z: z[:, :1], r"shape \(2, K\) with K ≥ 2, got \(2, 1\); for one logit use two"),
        (lambda z: z[:, 0], r"got \(2,\)"),
        (lambda z: z[:1], r"got \(1, 3\)"),
        (lambda z: (z, z), r"got a tuple"),
        (lambda z: z.detach(), r"carry no gradient"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_bad_logits_are_refused(wanted: object, message: str, check: bool) -> None:
    with pytest.raises(InputError, match=message):
        local_map(Returns(wanted), torch.rand(2, 6), check=check)


def test_diverged_weights_are_named_as_such() -> None:
    network = networks.mlp((6, 5, 3))
    with torch.no_grad():
        network[1].weight[0, 0] = float("nan")
    with pytest.raises(InputError, match="NaN or infinity; did the weights diverge"):
        local_map(network, torch.rand(2, 6))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (torch.tensor([0, 3]), "label 3 is outside 0 … 2: the network has 3 classes"),
        (torch.tensor([-1, 0]), "label -1 is outside 0 … 2"),
        (torch.tensor([0.0, 1.0]), r"int64 tensor, got torch.float32: call .long\(\)"),
        (torch.tensor([0, 1], dtype=torch.int32), r"int64 tensor, got torch.int32"),
        ([0, 1], "int64 tensor, got list"),
        (torch.tensor([0, 1, 2]), r"labels must have shape \(2,\), got \(3,\)"),
        (torch.tensor(0), r"labels must have shape \(2,\), got \(\)"),
    ],
)
def test_bad_labels_are_refused(y: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_labels(y, torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("z", "got"),
    [
        (torch.zeros(2, 1), r"got torch.float32, \(2, 1\)"),
        (torch.zeros(2, 3, dtype=torch.int64), r"got torch.int64"),
        (torch.tensor(0.0), r"got torch.float32, \(\)"),
        ([[0.0, 1.0]], "got list"),
    ],
)
def test_bad_logits_beside_labels_are_refused(z: Tensor, got: str) -> None:
    with pytest.raises(InputError, match=r"floating-point tensor \(…, K\) with K ≥ 2, " + got):
        check_labels(torch.tensor([0, 0]), z)


def test_every_error_is_a_regrob_error_and_a_value_error() -> None:
    for kind in (InputError, NotPiecewiseLinearError):
        assert issubclass(kind, RegrobError)
        assert issubclass(kind, ValueError)


# --- the networks ----------------------------------------------------------------------------


def test_networks_have_the_papers_sizes() -> None:
    sizes = [tuple(m.weight.shape) for m in networks.lenet_300_100().modules() if isinstance(m, nn.Linear)]
    assert sizes == [(300, 784), (100, 300), (10, 100)]
    lenet = networks.lenet_5(2)
    assert [tuple(p.shape) for p in lenet.parameters() if p.ndim > 1] == [
        (20, 1, 5, 5),
        (50, 20, 5, 5),
        (500, 800),
        (2, 500),
    ]
    assert sum(isinstance(m, nn.ReLU) for m in lenet) == 3
    assert sum(isinstance(m, nn.ReLU) for m in networks.lenet_5(relu_after_convolution=False)) == 1
    with_bias, without = networks.mlp((4, 3, 2)), networks.mlp((4, 3, 2), bias=False)
    assert len(list(with_bias.parameters())) == 2 * len(list(without.parameters())) == 4
    assert isinstance(networks.mlp((4, 3, 2), slope=0.1)[2], nn.LeakyReLU)
    for network in (with_bias, networks.lenet_300_100(), networks.lenet_5()):
        assert isinstance(network[-1], nn.Linear)  # logits are free to be negative


def test_initial_weights_are_caffes() -> None:
    network = networks.lenet_5(generator=torch.Generator().manual_seed(0))
    for module in network:
        if isinstance(module, nn.Linear | nn.Conv2d):
            bound = (3 / module.weight[0].numel()) ** 0.5
            largest = float(module.weight.detach().abs().max())
            assert 0.97 * bound < largest <= bound
            assert not module.bias.detach().any()
    again = networks.lenet_5(generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("widths", [(5,), (), (4, 0, 2)])
def test_mlp_refuses_impossible_widths(widths: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="at least two positive sizes"):
        networks.mlp(widths)


def test_residual_adds_its_branches() -> None:
    x = torch.rand(2, 3)
    assert torch.equal(networks.Residual(nn.Identity())(x), 2 * x)
    assert torch.equal(networks.Residual(nn.Identity(), nn.ReLU())(-x), -x)


def test_the_trials_do_not_depend_on_whether_gradients_are_recorded_outside() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    x = torch.rand(5, 3, dtype=torch.float64)
    expected = local_map(network, x).V
    with torch.no_grad():
        assert torch.equal(local_map(network, x).V, expected)
        assert not bool(kinks(network, x).any())
