"""Section 3's opening: the network, its masks, its pieces, and which architectures have them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor, nn

from regrob.affine.local_map import local_map
from regrob.affine.polytopes import masked_product
from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw, Sample, autograd_noise, relative
from regrob.claims.oracle import autograd_derivatives
from regrob.errors import ProofError
from regrob.symbols import prove_sign
from regrob.theory import derivatives

AFFINE = "book/locally_affine"
PIECEWISE = "piecewise-linear network"

# --- Eqs. (3), (4): the network and its masks ------------------------------------------


def bias_free(sample: Sample) -> bool:
    """Whether no layer adds a constant: then z = Vᵀx."""
    return not any(name.endswith(("bias", "running_mean")) for name, _ in sample.network.state_dict().items())


def prove_induction(bias: bool = False) -> None:
    """a_{j+1} = D Wᵀ a_j and a_j = Pᵀx give a_{j+1} = (P W D)ᵀx: Eq. (5) at every depth."""
    n, h, k = sp.symbols("n h k", integer=True, positive=True)
    P, W, D = sp.MatrixSymbol("P", n, h), sp.MatrixSymbol("W", h, k), sp.MatrixSymbol("D", k, k)
    x, b = sp.MatrixSymbol("x", n, 1), sp.MatrixSymbol("b", k, 1)
    pre = W.T * P.T * x + b if bias else W.T * P.T * x
    claimed = sp.refine(((P * W * D).T * x).doit(), sp.Q.symmetric(D))
    if (D * pre).doit() != claimed.doit():
        raise ProofError(f"{D * pre} is not {claimed}")


def _homogeneous_excess(wanted: bool) -> Callable[[Draw], Tensor]:
    def excess(draw: Draw) -> Tensor:
        def one(s: Sample) -> Tensor:
            through = (s.map.V.mT @ s.images.flatten(1).unsqueeze(-1)).squeeze(-1)
            return relative(through - s.map.z, s.map.z, axes=1)

        chosen = [s for s in draw.samples(2) if bias_free(s) is wanted]
        return torch.cat([one(s) for s in chosen])

    return excess


EQ_3 = Claim(
    id="eq-3",
    where="Section 3, Eq. (3)",
    title="a network without biases is Vᵀx exactly",
    printed=r"g(\mathbf x) = W_d^T\sigma(W_{d-1}^T\sigma(\ldots\sigma(W_1^T\mathbf x)))",
    corrected=(
        r"g(\mathbf x) = V(\mathbf x)^T\mathbf x; \text{ with biases an offset } \mathbf c(\mathbf x) "
        r"\text{ is added}"
    ),
    text=Text.RESTATED,
    hypotheses=(PIECEWISE, "no biases anywhere"),
    chapter=AFFINE,
    derivation=Derivation(prove_induction, lambda: prove_induction(bias=True), "a bias in the layer"),
    checks=(
        Check(
            "z against Vᵀx where there is no bias",
            _homogeneous_excess(True),
            _homogeneous_excess(False),
            "networks with biases",
        ),
    ),
)


def _masks_excess(as_printed: bool) -> Callable[[Draw], Tensor]:
    """Multiply out W₁D₁…W_d; `as_printed` takes masks of zeros and ones in leaky layers too."""

    def excess(draw: Draw) -> Tensor:
        def one(sample: Sample) -> Tensor:
            network = sample.network
            if not isinstance(network, nn.Sequential):
                return torch.zeros(0, dtype=torch.float64)
            if as_printed:
                network = copy.deepcopy(network)
                for module in network:
                    if isinstance(module, nn.LeakyReLU):
                        module.negative_slope = 0.0
            V = torch.stack([masked_product(network, image) for image in sample.images])
            return relative(V - sample.autograd.jacobian, sample.autograd.jacobian, axes=2)

        plain = [s for s in draw.samples(3) if "MLP" in s.name]
        return torch.cat([one(s) for s in plain])

    return excess


def counterexample_eq_4() -> Counterexample:
    """One leaky unit of slope 1/10 at x = −1: σ(−1) = −1/10, but a 0/1 mask gives 0."""
    slope, x = sp.Rational(1, 10), sp.Integer(-1)
    return Counterexample(
        r"\text{leaky ReLU of slope } \tfrac1{10},\ W_1 = 1,\ x = -1: \ \sigma(W_1^Tx) \text{ against "
        r"} D_1W_1^Tx",
        sp.Max(x, slope * x),
        "=",
        sp.Integer(0) * x,
    )


EQ_4 = Claim(
    id="eq-4",
    where="Section 3, Eq. (4) and the recursion above it",
    title="the mask of a general ReLU",
    printed=(
        r"D_j(\mathbf x) = \operatorname{diag}(1_{W_j[:,1]^T\mathbf a_{j-1}>0},\ldots),\quad \mathbf a_j "
        r"= \sigma(W_j^T\mathbf a_{j-1}),\ 1\le j\le d"
    ),
    corrected=(
        r"\text{entries } \alpha \text{ instead of } 0 \text{ for a slope } \alpha;\ \text{the recursion "
        r"runs over } 1\le j\le d-1"
    ),
    text=Text.CORRECTED,
    hypotheses=(PIECEWISE, "x off the kinks", "CReLU doubles the units, so its D is not square"),
    chapter=AFFINE,
    checks=(
        Check(
            "W₁D₁…W_d against autograd's Jacobian, slopes in D",
            _masks_excess(False),
            _masks_excess(True),
            "masks of zeros and ones in a leaky network",
        ),
    ),
    counterexample=counterexample_eq_4,
    partly=True,
    expected=Verdict.PARTLY,
)

# --- the polytope Q(x) -----------------------------------------------------------------


def prove_convex(inside: bool = True) -> None:
    """Points where a unit has one sign: closed under mixing, and under scaling without biases.

    Layer by layer: where the layers below keep their signs, a unit's input is affine in x
    (linear without biases), so between two points it mixes, and keeps its sign too.
    """
    h, other, t = sp.symbols("h h_other t", positive=True)
    rest = sp.symbols("rest", positive=True)  # 1 − t
    prove_sign(t * h + rest * (other if inside else -other), "positive")
    prove_sign(t * h, "positive")


def _cone_excess(wanted: bool) -> Callable[[Draw], Tensor]:
    def excess(draw: Draw) -> Tensor:
        def one(s: Sample) -> Tensor:
            return torch.cat(
                [
                    relative(local_map(s.network, t * s.images, check=False).V - s.map.V, s.map.V, axes=2)
                    for t in (1e-3, 0.1, 30.0, 1e3)
                ]
            )

        return torch.cat([one(s) for s in draw.samples(2) if bias_free(s) is wanted])

    return excess


def _convex_excess(same_piece: bool) -> Callable[[Draw], Tensor]:
    """Midpoints of two points with the same V must have that V; a tooth mixes any two points."""

    def excess(draw: Draw) -> Tensor:
        def one(s: Sample) -> Tensor:
            generator = torch.Generator().manual_seed(draw.seed)
            shape = (40, *s.images.shape[1:])
            noise = torch.randn(shape, generator=generator, dtype=torch.float64).to(s.images)
            points = s.images[:1] + 0.3 * noise
            here = local_map(s.network, points, check=False).V
            same = relative(here - s.map.V[:1], s.map.V[:1], axes=2) < 1e-12
            chosen = points[same] if same_piece else points
            if chosen.shape[0] == 0:
                return torch.zeros(1, dtype=torch.float64)
            middle = (chosen + chosen.flip(0)) / 2
            V = local_map(s.network, middle, check=False).V
            return relative(V - s.map.V[:1], s.map.V[:1], axes=2)

        return torch.cat([one(s) for s in draw.samples(2) if "MLP" in s.name])

    return excess


POLYTOPE = Claim(
    id="remark-polytope",
    where="Section 3, above Eq. (5)",
    title="the piece Q(x) is convex, and a cone without biases",
    printed=(
        r"\text{there exists a polytope } Q(\mathbf x)\ni\mathbf x \text{ on which } D_j(\mathbf x') = "
        r"D_j(\mathbf x)"
    ),
    corrected=(
        r"Q(\mathbf x) \text{ is convex, cut out by linear inequalities; without biases it is a cone, so "
        r"never bounded}"
    ),
    text=Text.RESTATED,
    hypotheses=(PIECEWISE, "x off the kinks"),
    depends=("eq-3",),
    chapter=AFFINE,
    derivation=Derivation(prove_convex, lambda: prove_convex(False), "signs that differ"),
    checks=(
        Check(
            "V is the same at tx, t from 1e-3 to 1e3, without biases",
            _cone_excess(True),
            _cone_excess(False),
            "networks with biases",
        ),
        Check(
            "midpoints of points of Q(x) lie in Q(x)",
            _convex_excess(True),
            _convex_excess(False),
            "midpoints of points of different pieces",
        ),
    ),
)

# --- which architectures ---------------------------------------------------------------


class Attention(nn.Module):
    """Softmax self-attention over four tokens of two numbers, read out linearly: (N, 8) → (N, K)."""

    def __init__(self, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.read = nn.Linear(8, classes, dtype=torch.float64)
        with torch.no_grad():
            self.read.weight.normal_(generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Queries, keys and values are the tokens themselves."""
        tokens = x.unflatten(-1, (4, 2))
        mixed = torch.softmax(tokens @ tokens.mT, dim=-1) @ tokens
        logits: Tensor = self.read(mixed.flatten(-2))
        return logits


def prove_second_derivative(keep: int = 1) -> None:
    """Along any line, φ'' = Var_p(z') + E_p z'' − z_y'', for every K: the rest is V M Vᵀ's part."""
    t = sp.symbols("t", real=True)
    k, y = sp.symbols("k y", integer=True, nonnegative=True)
    K = sp.symbols("K", integer=True, positive=True)
    z = sp.Function("z", real=True)

    def total(term: sp.Expr) -> sp.Expr:
        parts = sp.Add.make_args(sp.expand(term * sp.exp(z(k, t))))
        return sp.Add(*[sp.Sum(part, (k, 0, K - 1)) for part in parts])

    one, slope, bend = total(sp.S.One), z(k, t).diff(t), z(k, t).diff(t, 2)
    variance = total(slope**2) / one - (total(slope) / one) ** 2
    claimed = variance + keep * (total(bend) / one - z(y, t).diff(t, 2))
    second = (sp.log(one) - z(y, t)).diff(t, 2)
    split = second.replace(lambda e: isinstance(e, sp.Sum), lambda e: total(e.function / sp.exp(z(k, t))))
    if sp.expand(split - claimed) != 0:
        raise ProofError(f"the chain rule leaves {sp.expand(split - claimed)}")


def _piecewise_excess(draw: Draw) -> Tensor:
    def one(s: Sample) -> Tensor:
        formula = derivatives.hessian(s.map.V, s.map.z)
        return relative(formula - s.autograd.hessian, s.autograd.hessian, axes=2) / autograd_noise(s)

    return draw.over_samples(3, one)


def _attention_excess(draw: Draw) -> Tensor:
    generator = torch.Generator().manual_seed(draw.seed)
    network = Attention(3, generator)
    x = torch.randn(6, 8, generator=generator, dtype=torch.float64)
    y = network(x).argmax(dim=-1)
    truth = autograd_derivatives(network, x, y)
    formula = derivatives.hessian(truth.jacobian, network(x).detach())
    return relative(formula - truth.hessian, truth.hessian, axes=2)


def counterexample_attention() -> Counterexample:
    """Two tokens (x, 0): attention's first output is x·sigmoid(x²), which bends at x = 1."""
    x = sp.symbols("x", real=True)
    output = x / (1 + sp.exp(-(x**2)))
    bend = sp.simplify(sp.diff(output, x, 2).subs(x, 1))
    return Counterexample(
        r"\text{tokens } (x, 0),\ \text{output } x\,\operatorname{sigmoid}(x^2): \text{ its second "
        r"derivative at } x = 1",
        bend,
        "=",
        sp.Integer(0),
    )


ARCHITECTURES = Claim(
    id="remark-self-attention",
    where="Section 3, in parentheses above Eq. (3)",
    title="which architectures the theory covers",
    printed=(
        r"\text{generalises to DNNs with convolutions, poolings, skip-connections, self-attentions, etc.}"
    ),
    corrected=(
        r"\text{convolution, pooling, skip connections, BatchNorm in evaluation mode: yes; softmax "
        r"self-attention: no, there } H = VMV^T + \sum_k (p-\mathbf y)_k\nabla^2z_k"
    ),
    text=Text.CORRECTED,
    hypotheses=("x off the kinks", "frozen statistics"),
    depends=("eq-5",),
    chapter=AFFINE,
    derivation=Derivation(
        prove_second_derivative, lambda: prove_second_derivative(0), "the logits' own bend left out"
    ),
    checks=(
        Check(
            "H = V M Vᵀ for convolution, pooling, skip connection, BatchNorm",
            _piecewise_excess,
            _attention_excess,
            "softmax self-attention",
        ),
    ),
    counterexample=counterexample_attention,
    partly=True,
    expected=Verdict.PARTLY,
)

CLAIMS = (EQ_3, EQ_4, POLYTOPE, ARCHITECTURES)
