"""Lower bounds on the distance to the nearest mistake, with no Taylor model in them.

`affine`: for the affine classifier that the network is around x. `polytope`: for the network itself, as far
as the edge of its polytope. `enumeration`: the exact distance and the exact local cross-Lipschitz constant,
for two inputs. `cross_lipschitz`: Hein and Andriushchenko's guarantee, from bounds on that constant.
`complete`: branch and bound, an interval around the exact distance. It stands on linear bounds of a
`dense_network` in caps of the ball; on `semidefinite`, the dual bound on the distance in a
`local_network`, of what can switch around an image; and on the `leaf`, where nothing can. `linear_bounds`:
every bend between two lines, so that margins are bounded over a whole ball; `relaxation` has the lines,
`balls` the least value of a linear function on a ball that box and half-space cut, and `radius_search` the
largest radius certified so. `quadratic_bounds`: a paraboloid below the margin, for networks in which nearly
every unit may switch. `rounded`: what rounding may change, and certified distances rounded down.
"""

from regrob.certificates.affine import AffineCertificates, affine_certificates
from regrob.certificates.complete import Search
from regrob.certificates.cross_lipschitz import cross_lipschitz_radius, local_cross_lipschitz
from regrob.certificates.enumeration import (
    distance_to_mistake,
    distances_to_mistakes,
    exact_cross_lipschitz,
    exact_cross_lipschitz_radius,
)
from regrob.certificates.linear_bounds import OperandBounds, linear_bounds, operand_bounds
from regrob.certificates.local_network import LocalNetwork, local_network
from regrob.certificates.polytope import Certificate, certificate, certified_radius, edge_distance
from regrob.certificates.quadratic_bounds import quadratic_radius
from regrob.certificates.radius_search import linear_radius
from regrob.certificates.semidefinite import DualBound, semidefinite_bound

__all__ = [
    "AffineCertificates", "affine_certificates", "Search", "cross_lipschitz_radius", "local_cross_lipschitz",
    "distance_to_mistake", "distances_to_mistakes", "exact_cross_lipschitz", "exact_cross_lipschitz_radius",
    "Certificate", "certificate", "certified_radius", "edge_distance", "LocalNetwork", "local_network",
    "DualBound", "semidefinite_bound", "OperandBounds", "linear_bounds", "operand_bounds", "linear_radius",
    "quadratic_radius",
]  # fmt: skip
