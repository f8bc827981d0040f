"""Experiments: what a figure needs, sweeps that survive a kill, and what a page trains while it is built.

`grid` says what is computed and how much; `sweep` computes and stores it, on the workers of
`backends`, with the files of `checkpoint`; `paper_runs` does so at the paper's own scale, and
`parcels` carries a sweep from one machine to another. `proved` closes in on the true distances of
networks with each penalty. `in_memory` is the sweep of a page; `one_network`, `two_arcs` and
`checkerboard` train a single network for one, `closing_interval` follows a search around it,
`finite_differences` and `along_line` follow a network away from an image.
`predictions` holds the theory's lengths against those of attacks; `reproduction` asks why our
numbers differ from the paper's. A `stored_measurement` is one file among the results: `certificates_attacked`
holds every certificate against every attack, `digit_networks` has the cover's two networks.
"""
