"""What the many-class claims lean on: the climb, the readings of ν², and exact counterexamples."""

import pytest
import sympy as sp
import torch

from regrob.claims import combinators, comparisons, quadratic_model, samplings
from regrob.claims.claim import Claim, judge
from regrob.claims.instances import Draw
from regrob.claims.numerical.proposition_4_1 import nu_squared
from regrob.claims.statements import lemma_4_1, proposition_4_1
from regrob.errors import ProofError
from regrob.symbols import sum_over
from regrob.theory import bounds, derivatives, taylor_radius


def fan(case, radius, angles=20000):
    """The model's largest gain on a circle (n = 2), over a fan of directions."""
    t = torch.linspace(0, 2 * torch.pi, angles, dtype=torch.float64)
    d = torch.stack([t.cos(), t.sin()], dim=1)  # (angles, 2)
    r = radius[:, None, None] * d  # (T, angles, 2)
    linear = torch.einsum("ta,tka->tk", case.gradient, r)
    curved = torch.einsum("tka,tab,tkb->tk", r, case.hessian, r)
    return (linear + 0.5 * curved).amax(dim=1)


@pytest.mark.parametrize("classes", samplings.CLASSES)
def test_the_climb_reaches_the_top(classes):
    case = Draw(40, 3).instances(classes, low=0.3, inputs=2, high=4.0)
    radius = bounds.radius_l2_bracket(case.V, case.z, case.y).lower
    top = fan(case, radius)
    torch.testing.assert_close(quadratic_model.largest_gain(case, radius, steps=400), top, rtol=1e-5, atol=0)


@pytest.mark.parametrize("inputs", [3, 9])  # every corner, and a climb
@pytest.mark.parametrize("classes", samplings.CLASSES)
def test_the_top_of_a_box_is_at_a_corner(classes, inputs):
    case = Draw(40, 4).instances(classes, low=0.3, inputs=inputs, high=4.0)
    radius = bounds.radius_linf_bracket(case.V, case.z, case.y).upper
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * inputs)
    r = radius[:, None, None] * corners
    gains = torch.einsum("ta,tka->tk", case.gradient, r)
    gains = gains + 0.5 * torch.einsum("tka,tab,tkb->tk", r, case.hessian, r)
    climbed, top = quadratic_model.largest_gain(case, radius, box=True), gains.amax(dim=1)
    assert (climbed <= top * (1 + 1e-12)).all()
    if inputs == 3 or classes == 2:
        torch.testing.assert_close(climbed, top, rtol=1e-12, atol=0)


@pytest.mark.parametrize("classes", samplings.CLASSES)
def test_the_corner_radius_is_the_box_whose_best_corner_reaches_the_slack(classes):
    case = Draw(40, 5).instances(classes, low=0.3, high=4.0)
    radius = quadratic_model.corner_radius(case)
    assert quadratic_model.overshoot(case, radius, box=True).abs().max() < 1e-10
    assert quadratic_model.overshoot(case, 0.99 * radius, box=True).max() < -1e-3
    assert quadratic_model.overshoot(case, 1.01 * radius, box=True).min() > 1e-3


def test_a_chain_is_as_violated_as_its_worst_link():
    a, b, c = torch.tensor([[1.0, 3.0, 0.0], [2.0, 1.0, 0.0], [6.0, 2.0, 0.0]], dtype=torch.float64)
    assert comparisons.violation(a, b, c).tolist() == [-1 / 3, 0.5, 0.0]
    assert comparisons.violation(c, b).tolist() == [0.5, 1 / 3, 0.0]


@pytest.mark.parametrize(("tooth", "bites"), [(2.0, True), (1.0, False), (lambda case: case.xi, True)])
def test_a_tooth_is_a_wrong_argument_or_another_excess(tooth, bites):
    checks = combinators.check_both(
        "p", lambda case, factor=1.0: factor * case.p - case.p, tooth, "w", samplings.TWO_CLASSES
    )
    claim = Claim(id="x", where="new", title="t", printed="1 = 1", chapter="book/x", checks=checks)
    expected = () if bites else tuple(f"{check.name}: the tooth does not bite (w)" for check in checks)
    assert judge(claim, trials=20).failures == expected


@pytest.mark.parametrize("classes", samplings.CLASSES)
def test_readings_of_nu_squared(classes):
    V = torch.randn(7, 5, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ordered = sum(
        (V[..., i] - V[..., j]).square().sum(dim=-1) for i in range(classes) for j in range(classes)
    )
    torch.testing.assert_close(nu_squared(V, "ordered"), ordered / classes**2)
    torch.testing.assert_close(nu_squared(V, "ordered"), derivatives.cross_lipschitz_squared(V))
    torch.testing.assert_close(nu_squared(V, "unordered"), ordered / (2 * classes**2))
    torch.testing.assert_close(nu_squared(V, "mean"), ordered / (classes * (classes - 1)))


@pytest.mark.parametrize("classes", [3, 4])
def test_equation_16_fails_for_unordered_pairs(classes):
    assert proposition_4_1.counterexample_unordered(classes).refutes()


def test_the_ordered_counterexample_is_the_exact_radius():
    counterexample = proposition_4_1.counterexample_ordered()
    V, z = torch.tensor([[0.5, -0.5]]).double(), torch.tensor([9.0, 1.0]).double().log()
    assert float(counterexample.left) == pytest.approx(
        float(taylor_radius.radius_l2(V, z, torch.tensor(0))), rel=1e-12
    )


@pytest.mark.parametrize("matrix", ["outer", "scalar"])
def test_the_covariance_proof_tells_ppt_from_ptp(matrix):
    if matrix == "outer":
        lemma_4_1.prove_hessian(matrix)
    else:
        with pytest.raises(ProofError):
            lemma_4_1.prove_hessian(matrix)


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_sum_over_agrees_with_a_written_out_sum(classes):
    p, a = sp.symbols("p a")
    ps, entries = sp.symbols(f"p:{classes}"), sp.symbols(f"a:{classes}")

    def moment(i, j):
        return sum((x**i * y**j for x, y in zip(ps, entries, strict=True)), sp.S.Zero)

    expression = (2 * p - a) ** 2 * p + 3
    written_out = sum(expression.subs({p: x, a: y}) for x, y in zip(ps, entries, strict=True))
    assert sp.expand(sum_over(expression, moment, p, a) - written_out) == 0
