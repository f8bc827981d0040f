(* Proposition 4.1 and Appendix E: lower bounds (16), (17), (37), (38) of the shortest step of the quadratic
   model of many classes, the sharper two-sided bound, and which of them is tighter. Eq. (16) is false at K
   = 2. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Regrob Require Import IntervalZ Definitions Sums Loss Compactness Spectral Lemma31 Binary TwoClassRadius
    ManyClasses.
Import IZ.
Open Scope R_scope.

(* the sum of ||v_i - v_j||_2^2 over all ordered pairs *)
Definition ordered_spread n K V := Sum K (fun i => Sum K (fun j => sq n (between V i j))).

(* the right-hand sides of Eqs. (16) and (17); F is ||V||_F *)
Definition equation_16 K p nu2 F xi := 4 * F / (INR K * (INR K - 1) * p * nu2) *
  (sqrt (1 + INR K * (INR K - 1) * p * nu2 * xi / (4 * (1 - p) * F^2)) - 1).
Definition equation_17 p F xi := 1 / (p * F) * (sqrt (1 + p * xi / (1 - p)) - 1).

Lemma ordered_is_twice_the_spread n K V : ordered_spread n K V = 2 * spread n K V.
Proof.
  apply Sum_Pairs; intros; unfold sq, dot, between.
  - apply Sum_ext; intros; ring.
  - rewrite (Sum_ext n _ (fun _ => 0)), Sum_0 by (intros; ring). easy.
Qed.

Lemma two_le_INR K : (2 <= K)%nat -> 2 <= INR K.
Proof. intros L. replace 2 with (INR 2) by (simpl; lra). now apply le_INR. Qed.

(* what xi = log (K p_y) needs: the label alone has the highest probability *)
Theorem slack_is_positive K p y : (y < K)%nat -> (2 <= K)%nat -> distribution K p -> strictly_correct K p y ->
  0 < ln (INR K) + ln (p y).
Proof.
  intros Y K2 [P S] C. pose proof (two_le_INR K K2) as N. pose proof (P y Y) as Py.
  rewrite <- ln_mult by lra. rewrite <- ln_1. apply ln_increasing; [lra|].
  assert (J : exists j, (j < K)%nat /\ j <> y) by (destruct y; [exists 1%nat|exists 0%nat]; lia).
  destruct J as (j & Hj & Nj). pose proof (C j Hj Nj).
  assert (T : p y - p j <= Sum K (fun k => p y - p k)).
  { apply (term_le_Sum K (fun k => p y - p k) j); [|easy]. intros k Hk.
    destruct (Nat.eq_dec k y) as [->|D]; [lra|]. pose proof (C k Hk D). lra. }
  rewrite Sum_minus, Sum_const, S in T. lra.
Qed.

Lemma three_le_INR K : (3 <= K)%nat -> 3 <= INR K.
Proof. intros L. replace 3 with (INR 3) by (simpl; lra). now apply le_INR. Qed.

Lemma five_le_INR K : (5 <= K)%nat -> 5 <= INR K.
Proof. intros L. replace 5 with (INR 5) by (simpl; lra). now apply le_INR. Qed.

Lemma equation_16_is_a_root K p nu2 F xi : (2 <= K)%nat -> 0 < p < 1 -> 0 < nu2 -> 0 < F -> 0 <= xi ->
  equation_16 K p nu2 F xi = root (2 * (1 - p) * F) (1/2 * INR K * (INR K - 1) * p * (1 - p) * nu2) xi.
Proof.
  intros K2 P N F0 X. pose proof (two_le_INR K K2). 
  assert (B : 0 < 1/2 * INR K * (INR K - 1) * p * (1 - p) * nu2) by (repeat apply Rmult_lt_0_compat; lra).
  assert (A : 0 < 2 * (1 - p) * F) by (repeat apply Rmult_lt_0_compat; lra).
  rewrite <- root_as_printed by easy. unfold equation_16, printed_root.
  replace (2 * (1/2 * INR K * (INR K - 1) * p * (1 - p) * nu2) * xi / (2 * (1 - p) * F)^2)
    with (INR K * (INR K - 1) * p * nu2 * xi / (4 * (1 - p) * F^2)) by (field; lra).
  field. lra.
Qed.

Lemma equation_17_is_a_root p F xi : 0 < p < 1 -> 0 < F -> 0 <= xi ->
  equation_17 p F xi = root (2 * (1 - p) * F) (2 * p * (1 - p) * F^2) xi.
Proof.
  intros P F0 X.
  assert (B : 0 < 2 * p * (1 - p) * F^2) by (repeat apply Rmult_lt_0_compat; lra || apply pow_lt; lra).
  assert (A : 0 < 2 * (1 - p) * F) by (repeat apply Rmult_lt_0_compat; lra).
  rewrite <- root_as_printed by easy. unfold equation_17, printed_root.
  replace (2 * (2 * p * (1 - p) * F^2) * xi / (2 * (1 - p) * F)^2) with (p * xi / (1 - p)) by (field; lra).
  field. lra.
Qed.

Section ManyClasses.
Variables (n K : nat) (V : nat -> nat -> R) (p : nat -> R) (y : nat).
Hypothesis Label : (y < K)%nat.
Hypothesis Classes : (2 <= K)%nat.
Hypothesis Softmax : distribution K p.
Hypothesis Correct : correct K p y.
Let q := 1 - p y.
Let g := gradient K V y p.
Let H := hessian K V p.
Let F := frobenius n K V.
Let S := Pairs K (fun i j => p i * p j * sq n (between V i j)).

Lemma label_bounds : 0 < p y < 1.
Proof. split; [now apply Softmax|now apply (p_below_1 K)]. Qed.

Lemma gradient_below_frobenius : norm n g <= 2 * q * F.
Proof.
  pose proof label_bounds. pose proof (frobenius_ge0 n K V) as F0. fold F in F0.
  apply norm_le_squares; [unfold q; nra|]. apply Rle_trans with (2 * q^2 * F^2).
  - apply (gradient_below n K V p y Label Softmax).
    + intros r. apply (frobenius_bounds_centred n K V y Label).
    + now apply residual_below_2q2.
  - pose proof (pow2_ge_0 (q * F)). nra.
Qed.

Lemma trace_is_S : trace n H = S.
Proof. apply (trace_is_the_sum_over_pairs n K V p Softmax). Qed.

Lemma S_below_spread : S <= 2 / INR K * (p y * q) * spread n K V.
Proof.
  rewrite <- trace_is_S. eapply Rle_trans; [apply (trace_below_centred n K V p y Label Softmax Correct)|].
  pose proof (two_le_INR K Classes). rewrite spread_is_centred_frobenius by lia. apply Req_le. unfold q.
      field. lra.
Qed.

Lemma frobenius_positive : 0 < spread n K V -> 0 < F.
Proof.
  intros D. pose proof (frobenius_ge0 n K V) as F0. fold F in F0. destruct (Req_dec F 0) as [Z|Z]; [|lra].
  pose proof (two_le_INR K Classes). rewrite spread_is_centred_frobenius in D by lia.
  pose proof (centred_frobenius_below n K V ltac:(lia)) as C. fold F in C. rewrite Z in C.
  pose proof (pow2_ge_0 (frobenius n K (centred K V))). nra.
Qed.

(* one bound for the gradient, one for the Hessian *)
Lemma step_above_root b xi r : 0 < xi -> 0 <= b -> S <= b -> xi <= growth n g H r ->
    root (2 * q * F) b xi <= norm n r.
Proof.
  intros X B SB G. apply (root_bounds_every_step n g H); [easy|apply gradient_below_frobenius|easy| |easy].
  intros v. eapply Rle_trans; [apply (form_below_trace n K V p y Label Softmax)|]. fold H. rewrite trace_is_S.
  apply Rmult_le_compat_r; [apply sq_ge0|easy].
Qed.

(* Eq. (16), for three normalisations of nu^2 *)
Lemma equation_16_bounds_every_step nu2 xi r : 0 < nu2 -> 0 < xi ->
  2 / INR K * spread n K V <= 1/2 * INR K * (INR K - 1) * nu2 -> 0 < F ->
  xi <= growth n g H r -> equation_16 K (p y) nu2 F xi <= norm n r.
Proof.
  intros N X B F0 G. pose proof label_bounds as P. pose proof (two_le_INR K Classes).
  rewrite equation_16_is_a_root by (easy || lra). apply step_above_root; [easy| | |easy].
  - repeat apply Rmult_le_pos; unfold q; lra.
  - eapply Rle_trans; [apply S_below_spread|].
    assert (PQ : 0 <= p y * q) by (unfold q; nra).
    replace (2 / INR K * (p y * q) * spread n K V) with (p y * q * (2 / INR K * spread n K V)) by ring.
    replace (1/2 * INR K * (INR K - 1) * p y * (1 - p y) * nu2) with (p y * q * (1/2 * INR K * (INR K - 1) *
        nu2))
      by (unfold q; ring).
    now apply Rmult_le_compat_l.
Qed.

Theorem bound_with_ordered_pairs xi r : (3 <= K)%nat -> 0 < xi ->
  let nu2 := ordered_spread n K V / INR K ^ 2 in 0 < nu2 ->
  xi <= growth n g H r -> equation_16 K (p y) nu2 F xi <= norm n r.
Proof.
  intros K3 X nu2 N G. pose proof (three_le_INR K K3).
  assert (E : nu2 = 2 * spread n K V / INR K ^ 2) by (unfold nu2; now rewrite ordered_is_twice_the_spread).
  assert (D : spread n K V = nu2 * INR K ^ 2 / 2) by (rewrite E; field; lra).
  assert (D0 : 0 < spread n K V) by (rewrite D; pose proof (pow_lt (INR K) 2 ltac:(lra)); nra).
  apply equation_16_bounds_every_step; [easy|easy| |now apply frobenius_positive|easy].
  rewrite D. replace (2 / INR K * (nu2 * INR K ^ 2 / 2)) with (INR K * nu2) by (field; lra). nra.
Qed.

Theorem bound_with_unordered_pairs xi r : (5 <= K)%nat -> 0 < xi ->
  let nu2 := spread n K V / INR K ^ 2 in 0 < nu2 ->
  xi <= growth n g H r -> equation_16 K (p y) nu2 F xi <= norm n r.
Proof.
  intros K5 X nu2 N G. pose proof (five_le_INR K K5).
  assert (D : spread n K V = nu2 * INR K ^ 2) by (unfold nu2; field; lra).
  assert (D0 : 0 < spread n K V) by (rewrite D; pose proof (pow_lt (INR K) 2 ltac:(lra)); nra).
  apply equation_16_bounds_every_step; [easy|easy| |now apply frobenius_positive|easy].
  rewrite D. replace (2 / INR K * (nu2 * INR K ^ 2)) with (2 * INR K * nu2) by (field; lra). nra.
Qed.

Theorem bound_with_the_mean xi r : 0 < xi ->
  let nu2 := 1 / (INR K * (INR K - 1)) * ordered_spread n K V in 0 < nu2 ->
  xi <= growth n g H r -> equation_16 K (p y) nu2 F xi <= norm n r.
Proof.
  intros X nu2 N G. pose proof (two_le_INR K Classes) as K2.
  assert (E : nu2 = 1 / (INR K * (INR K - 1)) * (2 * spread n K V)) by (unfold nu2;
      now rewrite ordered_is_twice_the_spread).
  assert (D : spread n K V = nu2 * (INR K * (INR K - 1)) / 2) by (rewrite E; field; lra).
  assert (Q : 0 < INR K * (INR K - 1)) by (apply Rmult_lt_0_compat; lra).
  assert (D0 : 0 < spread n K V) by (rewrite D; nra).
  apply equation_16_bounds_every_step; [easy|easy| |now apply frobenius_positive|easy].
  rewrite D. replace (2 / INR K * (nu2 * (INR K * (INR K - 1)) / 2)) with ((INR K - 1) * nu2) by (field;
      lra). nra.
Qed.

(* Eq. (38), its -1 outside the root *)
Theorem chain_to_equation_16 xi r : 0 < xi -> 0 < S -> 0 < F -> xi <= growth n g H r ->
  2 * (1 - p y) * F / S * (sqrt (1 + 2 * S * xi / (4 * (1 - p y)^2 * F^2)) - 1) <= norm n r /\
  ((3 <= K)%nat -> let nu2 := ordered_spread n K V / INR K ^ 2 in
   equation_16 K (p y) nu2 F xi <= 2 * (1 - p y) * F / S * (sqrt (1 + 2 * S * xi / (4 * (1 - p y)^2 * F^2)) -
       1)).
Proof.
  intros X S0 F0 G. pose proof label_bounds as P.
  assert (A0 : 0 < 2 * q * F) by (unfold q; repeat apply Rmult_lt_0_compat; lra).
  assert (R : 2 * (1 - p y) * F / S * (sqrt (1 + 2 * S * xi / (4 * (1 - p y)^2 * F^2)) - 1) = root (2 * q *
      F) S xi).
  { rewrite <- root_as_printed by lra. unfold printed_root. fold q. do 4 f_equal. field. unfold q; lra. }
  rewrite R. split; [apply step_above_root; lra|]. intros K3 nu2. pose proof (three_le_INR K K3).
  assert (E : nu2 = 2 * spread n K V / INR K ^ 2) by (unfold nu2; now rewrite ordered_is_twice_the_spread).
  assert (PQ : 0 < p y * q) by (unfold q; nra).
  assert (D0 : 0 < spread n K V).
  { pose proof S_below_spread as B. apply Rnot_le_lt. intros L.
    assert (0 < 2 / INR K * (p y * q)) by (apply Rmult_lt_0_compat; [apply Rdiv_lt_0_compat; lra|easy]). nra.
        }
  assert (N : 0 < nu2) by (rewrite E; apply Rdiv_lt_0_compat; [lra|apply pow_lt; lra]).
  rewrite equation_16_is_a_root by (easy || lra). apply root_decreases; unfold q in *; try lra.
  eapply Rle_trans; [apply S_below_spread|]. unfold q.
  assert (D : spread n K V = nu2 * INR K ^ 2 / 2) by (rewrite E; field; lra). rewrite D.
  replace (2 / INR K * (p y * (1 - p y)) * (nu2 * INR K ^ 2 / 2)) with (p y * (1 - p y) * (INR K * nu2)) by
      (field; lra).
  replace (1/2 * INR K * (INR K - 1) * p y * (1 - p y) * nu2) with (p y * (1 - p y) * (1/2 * INR K * (INR K -
      1) * nu2)) by ring.
  apply Rmult_le_compat_l; [lra|]. nra.
Qed.

(* Eqs. (37) and (17) *)
Theorem bound_with_the_jacobian xi r : 0 < xi -> 0 < F -> xi <= growth n g H r ->
  let middle := 2 * q * F / (2 * p y * q * F^2) * (sqrt (1 + 4 * p y * q * F^2 * xi / (4 * q^2 * F^2)) - 1) in
  middle <= norm n r /\ middle = 1 / (p y * F) * (sqrt (1 + p y * xi / (1 - p y)) - 1) /\
  1 / (p y * F) * (sqrt (1 + p y * xi / (1 - p y)) - 1) <= norm n r.
Proof.
  intros X F0 G middle. pose proof label_bounds as P.
  assert (E : middle = equation_17 (p y) F xi).
  { unfold middle, equation_17. replace (4 * p y * q * F^2 * xi / (4 * q^2 * F^2)) with (p y * xi / (1 - p
      y)) by (unfold q; field; lra).
    unfold q. field. lra. }
  assert (B : equation_17 (p y) F xi <= norm n r).
  { rewrite equation_17_is_a_root by lra. apply (root_bounds_every_step n g H);
      [|apply gradient_below_frobenius|easy| |easy].
    - pose proof (pow_lt F 2 F0). repeat apply Rmult_le_pos; lra.
    - intros v. eapply Rle_trans; [apply (form_below n K V p Softmax (p y * q)),
        (product_below K p y Label Softmax Correct)|].
      pose proof (frobenius_bounds_centred n K V y Label v) as T. fold F in T.
          assert (0 <= p y * q) by (unfold q; nra).
      unfold q in *. nra. }
  split; [now rewrite E|]. split; [exact E|exact B].
Qed.

(* --- the two-sided bound --------------------------------------------------------------------- *)

Lemma largest_of_two_roots : sqrt (q / Rmin 1 (2 * q)) = Rmax (1 / sqrt 2) (sqrt q).
Proof.
  pose proof label_bounds as P. assert (Q : 0 < q) by (unfold q; lra).
  assert (R2 : 0 < sqrt 2) by (apply sqrt_lt_R0; lra).
  assert (I : 1 / sqrt 2 = sqrt (1/2)).
  { unfold Rdiv. rewrite sqrt_mult by lra. rewrite sqrt_1, sqrt_inv. easy. }
  rewrite I. unfold Rmin. destruct (Rle_dec 1 (2 * q)).
  - rewrite Rmax_right; [f_equal; field|]. apply sqrt_le_1_alt. lra.
  - rewrite Rmax_left; [f_equal; field; lra|]. apply sqrt_le_1_alt. lra.
Qed.

Lemma lower_end_is_a_root L xi : 0 < L -> 0 < xi -> let c := Rmin 1 (2 * q) in
  Rmax (1 / sqrt 2) (sqrt q) * (bracket (p y) xi / (p y * L)) = root (sqrt (q * c) * L) (p y * c * L^2) xi.
Proof.
  intros L0 X c. pose proof label_bounds as P. assert (Q : 0 < q) by (unfold q; lra).
  assert (C0 : 0 < c) by (unfold c; apply Rmin_glb_lt; lra).
  assert (QC : 0 < q * c) by (apply Rmult_lt_0_compat; easy).
  assert (W0 : 0 < sqrt (q * c)) by (apply sqrt_lt_R0; easy).
  assert (L2 : 0 < L^2) by (apply pow_lt; easy).
  rewrite <- root_as_printed; [|now apply Rmult_lt_0_compat|repeat apply Rmult_lt_0_compat; lra|lra].
  unfold printed_root. rewrite <- largest_of_two_roots. fold c.
  replace (sqrt (q / c)) with (sqrt (q * c) / c).
  - rewrite Rpow_mult_distr, pow2_sqrt by lra.
    replace (2 * (p y * c * L^2) * xi / (q * c * L^2)) with (2 * p y * xi / (1 - p y)) by (unfold q in *;
        field; lra).
    unfold bracket. field. lra.
  - replace (q / c) with (q * c / c^2) by (field; lra). rewrite sqrt_div by (lra || apply pow_lt; lra).
    now rewrite sqrt_pow2 by lra.
Qed.

Lemma lower_end_bounds_every_step L xi r : spectral_norm n K (centred K V) L -> 0 < L -> 0 < xi ->
  xi <= growth n g H r -> Rmax (1 / sqrt 2) (sqrt q) * (bracket (p y) xi / (p y * L)) <= norm n r.
Proof.
  intros Sp L0 X G. pose proof label_bounds as P. assert (Q : 0 < q) by (unfold q; lra).
  rewrite lower_end_is_a_root by easy. set (c := Rmin 1 (2 * q)).
  assert (C0 : 0 < c) by (unfold c; apply Rmin_glb_lt; lra).
  assert (QC : 0 < q * c) by (apply Rmult_lt_0_compat; easy).
  apply (root_bounds_every_step n g H); [| |easy| |easy].
  - apply Rmult_le_pos; [apply Rmult_le_pos; lra|apply pow2_ge_0].
  - apply norm_le_squares; [apply Rmult_le_pos; [apply sqrt_pos|lra]|].
    rewrite Rpow_mult_distr, pow2_sqrt by lra.
    apply (gradient_below n K V p y Label Softmax); [intros; now apply spectral_bounds_centred|now apply
        residual_below_min].
  - intros v. apply (form_below_min n K V p y Label Softmax); [easy|intros;
      now apply spectral_bounds_centred].
Qed.

(* the mean of the rivals' columns *)
Definition rival_mean c := / (1 - p y) * Sum K (fun k => (1 - delta k y) * p k * V c k).

Lemma gradient_is_rivals_less_label c : g c = q * (rival_mean c - V c y).
Proof.
  pose proof label_bounds as P. unfold rival_mean, g, gradient, q.
  replace ((1 - p y) * (/ (1 - p y) * Sum K (fun k => (1 - delta k y) * p k * V c k) - V c y))
    with (Sum K (fun k => (1 - delta k y) * p k * V c k) - (1 - p y) * V c y) by (field; lra).
  rewrite (Sum_ext K _ (fun k => p k * V c k - delta k y * V c k)) by (intros; ring).
  rewrite (Sum_ext K (fun k => (1 - delta k y) * p k * V c k) (fun k => p k * V c k - delta k y * (p k * V c
      k))) by (intros; ring).
  rewrite !Sum_minus, !Sum_delta by easy. ring.
Qed.

Lemma upper_end_is_reached xi : 0 < sq n g -> 0 < xi ->
  exists r, xi <= growth n g H r /\ norm n r = bracket (p y) xi / (p y * norm n (fun c => V c y - rival_mean
      c)).
Proof.
  intros G X. pose proof label_bounds as P. assert (Q : 0 < q) by (unfold q; lra). set (nu := norm n g).
  assert (N2 : nu^2 = sq n g) by apply norm_sq. assert (N0 : 0 < nu) by (apply sqrt_lt_R0; easy).
  assert (E : nu = q * norm n (fun c => V c y - rival_mean c)).
  { unfold nu. rewrite (norm_ext n g (fun c => - q * (V c y - rival_mean c))).
    - rewrite norm_scal, Rabs_Ropp, Rabs_pos_eq; lra.
    - intros c _. rewrite gradient_is_rivals_less_label. ring. }
  set (w := norm n (fun c => V c y - rival_mean c)) in *. assert (W0 : 0 < w) by nra.
  assert (R1 : 0 < p y / q) by (apply Rdiv_lt_0_compat; lra).
  destruct (root_solves 1 (p y / q) xi ltac:(lra) ltac:(lra) ltac:(lra) X) as [T0 T].
  rewrite <- root_as_printed in T0, T by lra. set (t := printed_root 1 (p y / q) xi) in *.
  assert (TE : t = q * bracket (p y) xi / p y).
  { unfold t, printed_root, bracket. replace (2 * (p y / q) * xi / 1^2) with (2 * p y * xi / (1 - p y)) by
      (unfold q in *; field; lra).
    unfold q in *. field. lra. }
  exists (fun c => (t / nu^2) * g c).
  assert (D : dot n g (fun c => t / nu^2 * g c) = t) by (rewrite dot_sym, dot_scal; fold (sq n g);
      rewrite <- N2; field; lra).
  split.
  - assert (Id := dominance_identity n K V p y Label Softmax (fun c => t / nu^2 * g c) ltac:(lra)).
      fold g H in Id.
    assert (0 <= / (1 - p y) * Pairs K (fun i j => rivals p y i * rivals p y j *
       (transposed n V (fun c => t / nu^2 * g c) i - transposed n V (fun c => t / nu^2 * g c) j)^2)).
    { apply Rmult_le_pos; [apply Rlt_le, Rinv_0_lt_compat; lra|]. apply Pairs_ge0; intros i j Hi Hj.
      pose proof (rivals_nonnegative K p y Softmax i Hi). pose proof (rivals_nonnegative K p y Softmax j Hj).
      apply Rmult_le_pos; [nra|apply pow2_ge_0]. }
    unfold growth. rewrite D. rewrite D in Id. unfold q in *. lra.
  - rewrite norm_scal. fold nu. rewrite Rabs_pos_eq.
    + rewrite TE, E. field. lra.
    + apply Rmult_le_pos; [lra|]. apply Rlt_le, Rinv_0_lt_compat. nra.
Qed.

Theorem radius_between_two_closed_forms L xi : spectral_norm n K (centred K V) L -> 0 < xi -> 0 < sq n g ->
  exists rho, least_step (norm n) (growth n g H) xi rho /\
  Rmax (1 / sqrt 2) (sqrt (1 - p y)) * (bracket (p y) xi / (p y * L)) <= rho /\
  rho <= bracket (p y) xi / (p y * norm n (fun c => V c y - rival_mean c)).
Proof.
  intros Sp X G. destruct (upper_end_is_reached xi G X) as (r & R & N).
  destruct (shortest_step_exists n g H xi r R) as (rho & Least). exists rho. split; [easy|].
  assert (L0 : 0 < L).
  { pose proof (spectral_norm_ge0 _ _ _ _ Sp). destruct (Req_dec L 0) as [Z|Z]; [|lra].
    assert (T := gradient_below n K V p y Label Softmax L _ (fun r => spectral_bounds_centred n K V L r Sp)
        (Rle_refl _)).
    rewrite Z in T. fold g in T. replace (0^2) with 0 in T by ring. lra. }
  split.
  - destruct Least as [(u & U & <-) _]. now apply lower_end_bounds_every_step.
  - rewrite <- N. now apply Least.
Qed.

(* the lower end is never below Eq. (17), nor below Eq. (16) for three classes or more *)
Theorem lower_end_dominates L xi : spectral_norm n K (centred K V) L -> 0 < L -> 0 < xi ->
  equation_17 (p y) F xi <= Rmax (1 / sqrt 2) (sqrt (1 - p y)) * (bracket (p y) xi / (p y * L)) /\
  ((3 <= K)%nat ->
   equation_16 K (p y) (ordered_spread n K V / INR K ^ 2) F xi <=
   Rmax (1 / sqrt 2) (sqrt (1 - p y)) * (bracket (p y) xi / (p y * L))).
Proof.
  intros Sp L0 X. pose proof label_bounds as P. assert (Q : 0 < q) by (unfold q; lra).
  pose proof (two_le_INR K Classes) as K2.
  pose proof (spectral_norm_below_frobenius _ _ _ _ Sp) as LC. set (FC := frobenius n K (centred K V)) in *.
  pose proof (centred_frobenius_below n K V ltac:(lia)) as CF. fold FC F in CF.
  assert (L2 : L^2 <= FC^2) by nra. assert (L20 : 0 < L^2) by (apply pow_lt; easy).
  pose proof (frobenius_ge0 n K V) as F0'. fold F in F0'. assert (F0 : 0 < F) by nra.
  assert (LF : L <= F) by (apply le_from_squares; lra).
  fold q. rewrite lower_end_is_a_root by easy. set (c := Rmin 1 (2 * q)).
  assert (C0 : 0 < c) by (unfold c; apply Rmin_glb_lt; lra). assert (C2 : c <= 2 * q) by apply Rmin_r.
  assert (QC : 0 < q * c) by (apply Rmult_lt_0_compat; easy).
  assert (W0 : 0 < sqrt (q * c)) by (apply sqrt_lt_R0; easy).
  assert (WA : sqrt (q * c) <= 2 * q) by (apply le_from_squares; [lra|rewrite pow2_sqrt; nra]).
  assert (A : sqrt (q * c) * L <= 2 * (1 - p y) * F).
  { fold q. apply Rmult_le_compat; lra. }
  assert (A0 : 0 < sqrt (q * c) * L) by now apply Rmult_lt_0_compat.
  assert (PC : 0 < p y * c) by (apply Rmult_lt_0_compat; lra).
  assert (B0 : 0 < p y * c * L^2) by now apply Rmult_lt_0_compat. split.
  - rewrite equation_17_is_a_root by lra. apply root_decreases; try lra.
    replace (2 * p y * (1 - p y) * F^2) with (p y * (2 * q) * F^2) by (unfold q; ring).
    apply Rmult_le_compat; try lra. apply Rmult_le_compat_l; lra.
  - intros K3. pose proof (three_le_INR K K3). set (nu2 := ordered_spread n K V / INR K ^ 2).
    assert (E : nu2 = 2 * FC^2 / INR K).
    { unfold nu2. rewrite ordered_is_twice_the_spread, spread_is_centred_frobenius by lia. fold FC. field.
        lra. }
    assert (N : 0 < nu2) by (rewrite E; apply Rdiv_lt_0_compat; lra).
    rewrite equation_16_is_a_root by (easy || lra). apply root_decreases; try lra.
    rewrite E. fold q.
    replace (1/2 * INR K * (INR K - 1) * p y * q * (2 * FC^2 / INR K)) with (p y * ((INR K - 1) * q) * FC^2)
        by (field; lra).
    apply Rmult_le_compat; try lra. apply Rmult_le_compat_l; [lra|]. nra.
Qed.

(* which of Eqs. (16) and (17) is tighter *)
Definition plain_mean c := Sum K (V c) / INR K.

Theorem which_bound_is_tighter xi : 0 < xi ->
  let nu2 := ordered_spread n K V / INR K ^ 2 in
  let rest := F^2 - INR K * sq n plain_mean in
  INR K * (INR K - 1) / 4 * nu2 = (INR K - 1) / 2 * rest /\
  (0 < nu2 ->
   (equation_17 (p y) F xi < equation_16 K (p y) nu2 F xi <-> (INR K - 1) * rest < 2 * F^2) /\
   ((K <= 3)%nat -> equation_17 (p y) F xi <= equation_16 K (p y) nu2 F xi)).
Proof.
  intros X nu2 rest. pose proof label_bounds as P. pose proof (two_le_INR K Classes) as K2.
  assert (R : rest = (frobenius n K (centred K V))^2).
  { unfold rest, F. rewrite !frobenius_sq. unfold sq, dot. rewrite <- Sum_scal, <- Sum_minus. apply Sum_ext;
      intros c _.
    unfold plain_mean, centred. set (m := Sum K (V c) / INR K).
    rewrite (Sum_ext K (fun k => (V c k - m)^2) (fun k => (V c k)^2 - 2 * m * V c k + m^2)) by (intros; ring).
    rewrite Sum_plus, Sum_minus, Sum_scal, Sum_const. assert (E : Sum K (V c) = INR K * m) by (unfold m;
        field; lra).
    rewrite E. ring. }
  assert (E : nu2 = 2 * rest / INR K).
  { unfold nu2. rewrite ordered_is_twice_the_spread, spread_is_centred_frobenius, R by lia. field. lra. }
  split; [rewrite E; field; lra|]. intros N.
  assert (D0 : 0 < spread n K V).
  { unfold nu2 in N. rewrite ordered_is_twice_the_spread in N. apply Rnot_le_lt. intros L.
    assert (0 < / INR K ^ 2) by (apply Rinv_0_lt_compat, pow_lt; lra). unfold Rdiv in N. nra. }
  pose proof (frobenius_positive D0) as F0. pose proof (pow_lt F 2 F0) as F2.
  pose proof (centred_frobenius_below n K V ltac:(lia)) as CF. rewrite <- R in CF. fold F in CF.
  rewrite equation_16_is_a_root, equation_17_is_a_root by (easy || lra). rewrite E.
  replace (1/2 * INR K * (INR K - 1) * p y * (1 - p y) * (2 * rest / INR K))
    with (p y * (1 - p y) * ((INR K - 1) * rest)) by (field; lra).
  replace (2 * p y * (1 - p y) * F^2) with (p y * (1 - p y) * (2 * F^2)) by ring.
  assert (PQ : 0 < p y * (1 - p y)) by nra.
  assert (A0 : 0 < 2 * (1 - p y) * F) by (repeat apply Rmult_lt_0_compat; lra).
  assert (R0 : 0 < rest).
  { apply Rmult_lt_reg_l with (2 / INR K); [apply Rdiv_lt_0_compat; lra|].
      replace (2 / INR K * rest) with (2 * rest / INR K) by (field; lra). lra. }
  assert (B16 : 0 < p y * (1 - p y) * ((INR K - 1) * rest)) by (repeat apply Rmult_lt_0_compat; lra).
  assert (B17 : 0 < p y * (1 - p y) * (2 * F^2)) by (repeat apply Rmult_lt_0_compat; lra).
  split; [split|].
  - intros L. apply Rnot_le_lt. intros M. apply (Rlt_not_le _ _ L).
    apply root_decreases; try lra. apply Rmult_le_compat_l; lra.
  - intros L. apply root_decreases_strictly_in_b; try lra. apply Rmult_lt_compat_l; lra.
  - intros K3. assert (INR K <= 3) by (replace 3 with (INR 3) by (simpl; lra); now apply le_INR).
    apply root_decreases; try lra. apply Rmult_le_compat_l; [lra|]. nra.
Qed.
End ManyClasses.
