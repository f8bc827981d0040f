"""Lower bounds on the distance to the nearest mistake."""

from regrob.certificates.polytope import AffineCertificates, affine, edge_distance, network

__all__ = ["AffineCertificates", "affine", "edge_distance", "network"]
