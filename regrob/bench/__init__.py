"""Speed, as a ratio against a peer in the same run; and what is checked and measured on a GPU.

`harness` runs contenders by turns, `run` measures the rows of `training`, `attacks`, `examination`,
`certificates` and `device`.
`steps` and `peers` are the contenders; `profile` and `step_cost` say where a step's time goes.
`device_checks` are the checks on a GPU, and `gpu` is the program of `make gpu`.
"""
