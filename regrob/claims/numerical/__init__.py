"""The claims in numbers, one file for each page of the book, named like the file of `statements`.

A file holds the excesses of numerical checks and the checks built of them, under the name that the claim
has in `statements`; its table `CHECKS` says by id which claim they belong to.
"""
