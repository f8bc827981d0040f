"""Speed, as a ratio against a peer in the same run; and what is checked and measured on a GPU."""
