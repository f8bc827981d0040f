"""The statements, one file for each page of the book that proves them."""
