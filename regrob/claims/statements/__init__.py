"""The statements, one file for each page of the book that proves them.

A file holds proofs (`prove_…`), exact counterexamples, and the claims built of these; nothing in it needs
torch. It exports them in tuples, `CLAIMS` and others named for their place in the paper; the ledger joins
the tuples in the paper's order. Their checks stand in the file of `numerical` with the same name.
"""
