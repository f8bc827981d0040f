"""The paper's quantities, each a function of the local Jacobian V, the logits z and the label y.

`probability`: what follows from z and y alone. `derivatives`: gradient, Hessian, curvature and
Lipschitz constants. `margin`, `taylor_radius`, `exact_radius` and `bounds`: how far the decision
boundary is, exactly, in the paper's model with two classes and with many, and between two bounds.
`penalties`: the four penalties, their definition and the forms in which training computes them.
"""

from regrob.theory.bounds import (
    Bracket,
    centred_norm,
    curvature_bracket,
    gradient_norm,
    has_bracket,
    radius_l2_bracket,
    radius_linf_bracket,
    require_bracket,
    rival_gap,
)
from regrob.theory.derivatives import (
    column,
    cross_lipschitz,
    cross_lipschitz_squared,
    curvature,
    curvature_gram,
    hessian,
    hessian_factor,
    input_gradient,
    lipschitz,
    lipschitz_squared,
)
from regrob.theory.exact_radius import (
    Minimum,
    exact_perturbation_l2,
    exact_radius_l2,
    exact_radius_linf_three_classes,
    minimum_l2,
)
from regrob.theory.margin import (
    Boundary,
    margin_l2,
    nearest_boundary,
    rival_differences,
    rival_distances,
    rival_lengths,
    rivals,
)
from regrob.theory.penalties import (
    PENALTIES,
    PENALTY_NAMES,
    GramPenalty,
    Penalty,
    check_name,
    cross_lipschitz_penalty,
    curvature_penalty,
    dominant_eigenvector,
    gram_penalty,
    input_gradient_penalty,
    jacobian_penalty,
    zero_sum_basis,
)
from regrob.theory.probability import (
    binary_slack,
    correctly_classified,
    label_probability,
    logit_margin,
    loss,
    residual_probability,
    rival_probability,
    root_rival_probability,
    slack,
)
from regrob.theory.taylor_radius import (
    has_taylor_radius,
    positive_root,
    radius_l2,
    radius_linf,
    require_taylor_radius,
    taylor_margin,
    taylor_reach,
    worst_case_loss,
)

__all__ = [
    "Bracket", "centred_norm", "curvature_bracket", "gradient_norm", "has_bracket",
    "radius_l2_bracket", "radius_linf_bracket", "require_bracket", "rival_gap", "column", "cross_lipschitz",
    "cross_lipschitz_squared", "curvature", "curvature_gram", "hessian", "hessian_factor",
    "input_gradient", "lipschitz", "lipschitz_squared", "Minimum", "exact_perturbation_l2",
    "exact_radius_l2", "exact_radius_linf_three_classes", "minimum_l2", "Boundary", "rival_differences",
    "margin_l2", "nearest_boundary", "rival_distances", "rival_lengths", "rivals", "PENALTIES",
    "PENALTY_NAMES", "GramPenalty", "Penalty", "check_name", "cross_lipschitz_penalty",
    "curvature_penalty", "dominant_eigenvector", "gram_penalty", "input_gradient_penalty",
    "jacobian_penalty", "zero_sum_basis", "binary_slack",
    "correctly_classified", "label_probability", "logit_margin", "loss", "residual_probability",
    "rival_probability", "root_rival_probability", "slack", "has_taylor_radius", "positive_root",
    "radius_l2", "radius_linf", "require_taylor_radius", "taylor_margin", "taylor_reach",
    "worst_case_loss",
]  # fmt: skip
