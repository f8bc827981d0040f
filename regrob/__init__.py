"""regrob: regularisation and robustness of piecewise-linear networks, verified.

A local linear map (`local`) has properties (`probability`, `properties`); penalties, radii
and claims are functions of these; training, attacks and figures come on top.
"""

__version__ = "0.1.0"
