"""Lower bounds on the distance to the nearest mistake, with no Taylor model in them."""

from regrob.certificates.affine import AffineCertificates, affine_certificates
from regrob.certificates.polytope import certified_radius, edge_distance

__all__ = ["AffineCertificates", "affine_certificates", "certified_radius", "edge_distance"]
