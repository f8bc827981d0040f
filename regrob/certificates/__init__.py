"""Lower bounds on the distance to the nearest mistake, with no Taylor model in them.

`affine`: for the affine classifier that the network is around x. `polytope`: for the network
itself, as far as the edge of its polytope. `enumeration`: the exact distance, for two inputs.
"""

from regrob.certificates.affine import AffineCertificates, affine_certificates
from regrob.certificates.enumeration import distance_to_mistake
from regrob.certificates.polytope import Certificate, certificate, certified_radius, edge_distance

__all__ = [
    "AffineCertificates", "affine_certificates", "distance_to_mistake", "Certificate", "certificate",
    "certified_radius", "edge_distance",
]  # fmt: skip
