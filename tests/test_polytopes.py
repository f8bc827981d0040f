"""Q(x) against its definition: the inputs at which every unit is on the same side as at x."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from regrob.affine import local_map, masked_product, polytopes
from regrob.errors import HypothesisError, InputError
from regrob.networks import lenet_5, mlp, scatter_biases


def network(widths: tuple[int, ...], *, bias: bool = True, slope: float = 0.0) -> nn.Sequential:
    """Caffe's weights, and biases that are not zero."""
    generator = torch.Generator().manual_seed(3)
    made = mlp(widths, bias=bias, slope=slope, generator=generator)
    return scatter_biases(made.double(), 0.5, generator)


def signs(made: nn.Sequential, x: Tensor) -> Tensor:
    """On which side every hidden unit is, at each row of x, by running the layers."""
    found = []
    for module in made:
        if isinstance(module, nn.ReLU | nn.LeakyReLU):
            found.append(x > 0)
        x = module(x)
    return torch.cat(found, dim=1)


CASES = [(True, 0.0), (False, 0.0), (True, 0.2), (False, -0.5)]


@pytest.mark.parametrize(("bias", "slope"), CASES)
def test_half_spaces_are_the_activation_pattern(bias: bool, slope: float) -> None:
    made = network((4, 9, 7, 3), bias=bias, slope=slope)
    x = torch.randn(1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    normals, offsets = polytopes.half_spaces(made, x)
    assert normals.shape == (16, 4)
    assert offsets.shape == (16,)
    near = x + 0.2 * torch.randn(4000, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    inside = (near @ normals.T + offsets > 0).all(dim=1)
    same = (signs(made, near) == signs(made, x)).all(dim=1)
    assert torch.equal(inside, same)
    assert 20 < int(inside.sum()) < 3980  # the test looked at both sides
    if not bias:
        assert not offsets.any()


@pytest.mark.parametrize(("bias", "slope"), CASES)
def test_the_edge_is_where_the_pattern_first_changes(bias: bool, slope: float) -> None:
    made = network((4, 9, 7, 3), bias=bias, slope=slope)
    x = torch.randn(1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    distance = polytopes.distance_to_edge(made, x)
    r = torch.randn(3000, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    r /= r.norm(dim=1, keepdim=True)
    assert (signs(made, x + 0.999999 * distance * r) == signs(made, x)).all()
    normals, offsets = polytopes.half_spaces(made, x)
    height = (normals @ x[0] + offsets) / normals.norm(dim=1)
    step = -normals[height.argmin()] / normals[height.argmin()].norm()
    assert not torch.equal(signs(made, x + 1.000001 * distance * step), signs(made, x))


@pytest.mark.parametrize("widths", [(2, 5, 2), (2, 8, 8, 3), (2, 4, 4, 4, 2)])
def test_regions_tile_the_square_and_carry_the_network(widths: tuple[int, ...]) -> None:
    made = network(widths, slope=0.1)
    pieces = polytopes.regions(made, low=-2.0, high=1.0)
    assert sum(area(piece.corners) for piece in pieces) == pytest.approx(9.0, rel=1e-12)
    centres = torch.stack([piece.corners.mean(dim=0) for piece in pieces])
    local = local_map(made, centres)
    for piece, centre, V, z in zip(pieces, centres, local.V, local.z, strict=True):
        torch.testing.assert_close(piece.V, V, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(piece.V, masked_product(made, centre), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(piece.V.T @ centre + piece.c, z, rtol=1e-12, atol=1e-12)
    patterns = {tuple(row.tolist()) for row in signs(made, centres)}
    assert len(patterns) == len(pieces)


def area(corners: Tensor) -> float:
    """The shoelace formula."""
    x, y = corners.T
    return 0.5 * abs(float((x * y.roll(-1) - y * x.roll(-1)).sum()))


def test_a_line_for_each_unit_makes_the_classical_number_of_regions() -> None:
    made = mlp((2, 4, 2)).double()
    first = made[1]
    angles = torch.tensor([0.1, 0.9, 1.7, 2.5], dtype=torch.float64)
    first.weight.data = torch.stack([angles.cos(), angles.sin()], dim=1)
    first.bias.data = torch.tensor([0.05, -0.1, 0.2, 0.1], dtype=torch.float64)
    # Four lines in general position, all crossings within the square: 1 + 4 + 6.
    assert len(polytopes.regions(made, low=-9.0, high=9.0)) == 11


def test_two_units_by_hand() -> None:
    made = mlp((2, 2, 2), bias=False).double()
    made[1].weight.data = torch.tensor([[1.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    x = torch.tensor([2.0, 1.0], dtype=torch.float64)
    assert float(polytopes.distance_to_edge(made, x)) == pytest.approx(2.0, abs=1e-15)  # 10/5 = 2 too
    assert len(polytopes.regions(made)) == 4


def test_a_linear_network_has_one_region() -> None:
    made = mlp((2, 3)).double()
    assert len(polytopes.regions(made)) == 1
    assert float(polytopes.distance_to_edge(made, torch.ones(2, dtype=torch.float64))) == math.inf


def test_a_thin_part_is_cut_off_and_one_as_thin_as_rounding_is_not() -> None:
    triangle = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]], dtype=torch.float64)

    def areas(at: float) -> list[float]:
        return [area(part) for part in polytopes.cut(triangle, triangle[:, 0] - at)]

    assert areas(1e-6) == pytest.approx([2 - 2e-6 + 5e-13, 2e-6 - 5e-13], rel=1e-9)
    assert areas(1e-14) == pytest.approx([2.0])


def test_what_it_cannot_read() -> None:
    made = network((2, 3, 2), bias=False)
    with pytest.raises(HypothesisError, match="kink"):
        polytopes.half_spaces(made, torch.zeros(2, dtype=torch.float64))
    with pytest.raises(InputError, match="Conv2d"):
        polytopes.half_spaces(lenet_5(2), torch.rand(1, 28, 28))
    with pytest.raises(InputError, match="two inputs"):
        polytopes.regions(network((3, 3, 2)))
    with pytest.raises(InputError, match="below"):
        polytopes.regions(made, low=1.0, high=1.0)


def test_exactly_one_piece_holds_a_point():
    net = network((2, 6, 5, 2))
    pieces = polytopes.regions(net)
    for point in 2 * torch.rand(20, 2, generator=torch.Generator().manual_seed(4)).double() - 1:
        around = [piece for piece in pieces if piece.holds(point)]
        assert len(around) == 1
        assert torch.allclose(around[0].V, local_map(net, point[None]).V[0])
