"""Lower bounds on the distance to the nearest mistake, with no Taylor model in them.

`affine`: for the affine classifier that the network is around x. `polytope`: for the network
itself, as far as the edge of its polytope. `enumeration`: the exact distance and the exact local
cross-Lipschitz constant, for two inputs. `local_network`: what of a network of dense layers can switch
around an image. `semidefinite`: the dual bound on the distance to its mistakes.
"""

from regrob.certificates.affine import AffineCertificates, affine_certificates
from regrob.certificates.enumeration import (
    distance_to_mistake,
    distances_to_mistakes,
    exact_cross_lipschitz,
    exact_cross_lipschitz_radius,
)
from regrob.certificates.local_network import LocalNetwork, local_network
from regrob.certificates.polytope import Certificate, certificate, certified_radius, edge_distance
from regrob.certificates.semidefinite import DualBound, semidefinite_bound

__all__ = [
    "AffineCertificates", "affine_certificates", "distance_to_mistake", "distances_to_mistakes",
    "exact_cross_lipschitz", "exact_cross_lipschitz_radius", "Certificate", "certificate",
    "certified_radius", "edge_distance", "LocalNetwork", "local_network", "DualBound", "semidefinite_bound",
]  # fmt: skip
