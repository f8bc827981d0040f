"""Section 3's opening and Eq. (5): the network, its masks, its affine pieces, and which architectures have them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, Counterexample, Verdict, proof
from regrob.claims.hypotheses import OFF_KINKS, OFF_KINKS_SHORT, PIECEWISE
from regrob.errors import ProofError
from regrob.symbols import for_every_size, note_classes, prove_sign, prove_zero

statement = partial(Claim, chapter="book/locally_affine")

# --- Eqs. (3), (4): the network and its masks ------------------------------------------


def prove_induction(bias: bool = False) -> None:
    """a_{j+1} = D Wᵀ a_j and a_j = Pᵀx give a_{j+1} = (P W D)ᵀx: Eq. (5) at every depth."""
    for_every_size("matrices of symbolic sizes")
    n, h, k = sp.symbols("n h k", integer=True, positive=True)
    P, W, D = sp.MatrixSymbol("P", n, h), sp.MatrixSymbol("W", h, k), sp.MatrixSymbol("D", k, k)
    x, b = sp.MatrixSymbol("x", n, 1), sp.MatrixSymbol("b", k, 1)
    pre = W.T * P.T * x + b if bias else W.T * P.T * x
    claimed = sp.refine(((P * W * D).T * x).doit(), sp.Q.symmetric(D))
    if (D * pre).doit() != claimed.doit():
        raise ProofError(f"{D * pre} is not {claimed}")


EQ_3 = statement(
    id="eq-3",
    where="Section 3, Eq. (3)",
    title="a network without biases is Vᵀx exactly",
    printed=r"g(\mathbf x) = W_d^T\sigma(W_{d-1}^T\sigma(\ldots\sigma(W_1^T\mathbf x)))",
    corrected=r"g(\mathbf x) = V(\mathbf x)^T\mathbf x; \text{ with biases an offset } \mathbf c(\mathbf x) \text{ is added}",
    restated=True,
    hypotheses=(PIECEWISE, "no biases anywhere"),
    derivation=proof(prove_induction, wrong=True, mistake="a bias in the layer"),
)


def counterexample_eq_4() -> Counterexample:
    """One leaky unit of slope 1/10 at x = −1: σ(−1) = −1/10, but a 0/1 mask gives 0."""
    slope, x = sp.Rational(1, 10), sp.Integer(-1)
    return Counterexample(
        r"\text{leaky ReLU of slope } \tfrac1{10},\ W_1 = 1,\ x = -1: \ \sigma(W_1^Tx) \text{ against } D_1W_1^Tx",
        sp.Max(x, slope * x),
        "=",
        sp.Integer(0) * x,
    )


EQ_4 = statement(
    id="eq-4",
    where="Section 3, Eq. (4) and the recursion above it",
    title="the mask of a general ReLU",
    printed=r"D_j(\mathbf x) = \operatorname{diag}(1_{W_j[:,1]^T\mathbf a_{j-1}>0},\ldots),\quad \mathbf a_j = \sigma(W_j^T\mathbf a_{j-1}),\ 1\le j\le d",
    corrected=r"\text{entries } \alpha \text{ instead of } 0 \text{ for a slope } \alpha;\ \text{the recursion runs over } 1\le j\le d-1",
    hypotheses=(PIECEWISE, OFF_KINKS_SHORT, "CReLU doubles the units, so its D is not square"),
    counterexample=counterexample_eq_4,
    expected=Verdict.PARTLY,
)

# --- the polytope Q(x) -----------------------------------------------------------------


def prove_convex(power: int = 1) -> None:
    """Where every unit keeps its sign is cut out by linear inequalities: convex, and without biases an unbounded cone.

    Layer by layer: while the layers below keep their signs, a unit's input is affine in x, h(x) = wᵀx + b. Between
    two points it mixes, so it keeps the sign that it has at both. With b = 0 it scales with x, so all multiples of
    x > 0 keep every sign, and they go on for ever.
    """
    for_every_size("one unit after the other, and wᵀx is one number, whatever n and K")
    along, other_along, b = sp.symbols("along other_along b", real=True)  # wᵀx, wᵀx'
    t, rest, h, other, scale = sp.symbols("t rest h h_other scale", positive=True)  # rest = 1 − t

    def unit(value: sp.Expr, bias: sp.Expr = b) -> sp.Expr:
        return value**power + bias

    mixed = unit(t * along + (1 - t) * other_along)
    prove_zero(mixed - t * unit(along) - (1 - t) * unit(other_along), because="a unit's input mixes")
    prove_sign(t * h + rest * other, "positive")  # either sign: turn h and h' round together
    prove_zero(
        unit(scale * along, sp.S.Zero) - scale * unit(along, sp.S.Zero), because="and scales without b"
    )
    prove_sign(scale * h, "positive")


POLYTOPE = statement(
    id="remark-polytope",
    where="Section 3, above Eq. (5)",
    title="the piece Q(x) is convex, and a cone without biases",
    printed=r"\text{there exists a polytope } Q(\mathbf x)\ni\mathbf x \text{ on which } D_j(\mathbf x') = D_j(\mathbf x)",
    corrected=r"Q(\mathbf x) \text{ is convex, cut out by linear inequalities; without biases it is a cone, so never bounded}",
    restated=True,
    hypotheses=(PIECEWISE, OFF_KINKS_SHORT),
    depends=("eq-3",),
    derivation=proof(prove_convex, prove_induction, wrong=2, mistake="units that square their input"),
)

# --- which architectures ---------------------------------------------------------------


def prove_second_derivative(keep: int = 1) -> None:
    """Along any line, φ'' = Var_p(z') + E_p z'' − z_y'', for every K: the rest is V M Vᵀ's part."""
    t = sp.symbols("t", real=True)
    k, y = sp.symbols("k y", integer=True, nonnegative=True)
    K = sp.symbols("K", integer=True, positive=True)
    z = sp.Function("z", real=True)

    def total(term: sp.Expr) -> sp.Expr:
        parts = sp.Add.make_args(sp.expand(term * sp.exp(z(k, t))))
        return sp.Add(*[sp.Sum(part, (k, 0, K - 1)) for part in parts])

    partition, slope, bend = total(sp.S.One), z(k, t).diff(t), z(k, t).diff(t, 2)
    variance = total(slope**2) / partition - (total(slope) / partition) ** 2
    claimed = variance + keep * (total(bend) / partition - z(y, t).diff(t, 2))
    note_classes(partition)
    second = (sp.log(partition) - z(y, t)).diff(t, 2)
    split = second.replace(lambda e: isinstance(e, sp.Sum), lambda e: total(e.function / sp.exp(z(k, t))))
    if sp.expand(split - claimed) != 0:
        raise ProofError(f"the chain rule leaves {sp.expand(split - claimed)}")


def counterexample_attention() -> Counterexample:
    """Two tokens (x, 0): attention's first output is x·sigmoid(x²), which bends at x = 1."""
    x = sp.symbols("x", real=True)
    output = x / (1 + sp.exp(-(x**2)))
    bend = sp.simplify(sp.diff(output, x, 2).subs(x, 1))
    return Counterexample(
        r"\text{tokens } (x, 0),\ \text{output } x\,\operatorname{sigmoid}(x^2): \text{ its second derivative at } x = 1",
        bend,
        "=",
        sp.Integer(0),
    )


ARCHITECTURES = statement(
    id="remark-self-attention",
    where="Section 3, in parentheses above Eq. (3)",
    title="which architectures the theory covers",
    printed=r"\text{generalises to DNNs with convolutions, poolings, skip-connections, self-attentions, etc.}",
    corrected=r"\text{convolution, pooling, skip connections and BatchNorm in evaluation mode are covered; softmax self-attention is not, for there } H = VMV^T + \sum_k (p-\mathbf y)_k\nabla^2z_k",
    hypotheses=(OFF_KINKS_SHORT, "frozen statistics"),
    depends=("eq-5",),
    derivation=proof(prove_second_derivative, wrong=0, mistake="the logits' own bend left out"),
    counterexample=counterexample_attention,
    expected=Verdict.PARTLY,
)

# --- Eq. (5): affine inside the polytope -----------------------------------------------


def prove_affine(order: Callable[..., sp.MatrixExpr] = lambda W1, D, W2: W1 * D * W2) -> None:
    """With the mask D fixed, W₂ᵀD(W₁ᵀx + b₁) + b₂ = Vᵀx + c for V = W₁DW₂, at every size.

    W₁ᵀx + b₁ stands for the affine map that all layers below make, so this is the step of an
    induction over the layers; D is diagonal, hence symmetric.
    """
    for_every_size("matrices of symbolic sizes")
    n, h, k = sp.symbols("n h k", integer=True, positive=True)
    W1, W2 = sp.MatrixSymbol("W1", n, h), sp.MatrixSymbol("W2", h, k)
    D, x = sp.MatrixSymbol("D", h, h), sp.MatrixSymbol("x", n, 1)
    b1, b2 = sp.MatrixSymbol("b1", h, 1), sp.MatrixSymbol("b2", k, 1)
    logits = W2.T * D * (W1.T * x + b1) + b2
    offset = W2.T * D * b1 + b2
    gap = logits - order(W1, D, W2).T * x - offset
    left = sp.expand(sp.refine(gap.doit(), sp.Q.symmetric(D))).doit()
    if left != sp.ZeroMatrix(k, 1):
        raise ProofError(f"the affine map leaves {left}")


EQ_5 = statement(
    id="eq-5",
    where="Section 3, Eq. (5)",
    title="the logits are affine around x",
    printed=r"g(\mathbf x')|_{\mathbf x'\in Q(\mathbf x)} = V^T\mathbf x'",
    corrected=r"g(\mathbf x') = V^T\mathbf x' + \mathbf c \text{ on } Q(\mathbf x), \quad \mathbf c = 0 \text{ without biases}",
    restated=True,
    hypotheses=(PIECEWISE, OFF_KINKS, "no biases, or an offset c"),
    derivation=proof(prove_affine, wrong=lambda W1, D, W2: W1 * D * D * W2, mistake="the mask applied twice"),
)

# --- Appendix F: how many layers -------------------------------------------------------


def counterexample_layers() -> Counterexample:
    """LeNet-300-100 has a matrix between each two of its widths 784, 300, 100 and K."""
    widths = (784, 300, 100, "K")
    return Counterexample(
        r"\text{widths } 784, 300, 100, K: \text{ weight matrices against } 2",
        sp.Integer(len(widths) - 1),
        "=",
        sp.Integer(2),
    )


LENET = statement(
    id="remark-lenet-layers",
    where="Appendix F, Experimental Settings",
    title="how many layers LeNet-300-100 has",
    printed=r"\text{LeNet-300-100 “is comprised of two parameterized fully-connected layers”}",
    corrected=r"\text{three: two hidden ones, of 300 and 100 units, and the layer of logits}",
    transcription=True,  # the network's name has its two hidden widths
    hypotheses=("LeNet-300-100 as in [31], 784-300-100-K",),
    counterexample=counterexample_layers,
)

APPENDIX = (LENET,)

CLAIMS = (EQ_3, EQ_4, POLYTOPE, ARCHITECTURES, EQ_5)
