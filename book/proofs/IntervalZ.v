(* The tactic `interval` computed with Coq's own integers, so that no machine floats or 63-bit integers have
   to be trusted. Nothing here is the paper's own. *)
From Coq Require Import Reals.
From Interval Require Import Tactic Specific_stdz Specific_ops.
Module SZ := SpecificFloat StdZRadix2.
Module IZ := Interval.Tactic.IntervalTactic SZ.
