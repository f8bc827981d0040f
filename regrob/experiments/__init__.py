"""Experiments: grids, sweeps that survive a kill, and what a page trains while it is built."""
