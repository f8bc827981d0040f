(* Propositions 3.1, 3.2 and 3.3 with Eqs. (8), (9), (10) and (24): the smallest step of the quadratic model
   of two classes in the Euclidean norm, the maximum norm and any norm, and the model's worst case in a box.
   Eq. (8), with the -1 under the root, and the equality in Eq. (24) are false as printed. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Regrob Require Import IntervalZ Definitions Sums Hoelder Loss Compactness Spectral Lemma31 Binary.
Import IZ.
Open Scope R_scope.

Section TwoClasses.
Variables (n : nat) (V : nat -> nat -> R) (p : nat -> R) (y : nat).
Hypothesis Label : (y < 2)%nat.
Hypothesis Softmax : distribution 2 p.
Let s := between V 0 1.
Let g := gradient 2 V y p.
Let H := hessian 2 V p.
Let L := - ln (p y).

Lemma positive_slack : 1/2 < p y -> 0 < ln 2 - L.
Proof.
  intros P. unfold L. replace (ln 2 - - ln (p y)) with (ln 2 + ln (p y)) by ring.
  rewrite <- ln_mult by lra. rewrite <- ln_1. apply ln_increasing; lra.
Qed.

(* for any threshold, or any xi *)
Theorem radius_in_the_euclidean_norm xi : 0 < norm n s -> 0 <= xi ->
  least_step (norm n) (growth n g H) xi (bracket (p y) xi / (p y * norm n s)).
Proof.
  intros N X. apply (least_step_along_s n V p y Label Softmax); [easy|easy|intros; apply dot_le_norm|].
  exists (fun c => / norm n s * s c). split.
  - change (between V 0 1) with s. rewrite dot_sym, dot_scal. fold (sq n s). rewrite <- norm_sq. field. lra.
  - intros t. rewrite norm_scal, norm_scal. fold s. rewrite (Rabs_pos_eq (/ norm n s)); [field; lra|].
    apply Rlt_le, Rinv_0_lt_compat, N.
Qed.

(* Proposition 3.1, as the last line of Eq. (20) has it *)
Theorem taylor_radius : 1/2 < p y -> 0 < norm n s ->
  least_step (norm n) (fun r => L + growth n g H r) (ln 2)
    (1 / (p y * norm n s) * (sqrt (1 + 2 * p y * (ln 2 - L) / (1 - p y)) - 1)).
Proof.
  intros P N. pose proof (positive_slack P) as X.
  destruct (radius_in_the_euclidean_norm (ln 2 - L) N (Rlt_le _ _ X)) as [(r & F & E) Least].
      unfold bracket in *.
  split.
  - exists r. split; [lra|]. rewrite E. field. split; lra.
  - intros r' F'. eapply Rle_trans; [|apply (Least r'); lra]. apply Req_le. field. split; lra.
Qed.

(* Proposition 3.2 *)
Theorem taylor_radius_in_the_maximum_norm : 1/2 < p y -> 0 < norm n s ->
  least_step (norm_inf n) (fun r => L + growth n g H r) (ln 2)
    (1 / (p y * norm_1 n s) * (sqrt (1 + 2 * p y * (ln 2 - L) / (1 - p y)) - 1)).
Proof.
  intros P N2. pose proof (positive_slack P) as X.
  assert (N : 0 < norm_1 n s).
  { pose proof (norm_1_ge0 n s) as S0. destruct S0 as [S0|S0]; [easy|]. pose proof (hoelder n s s) as T.
    rewrite <- S0, Rmult_0_l in T. fold (sq n s) in T. rewrite <- norm_sq in T.
    pose proof (Rle_abs (norm n s ^ 2)). assert (0 < norm n s ^ 2) by (apply pow_lt; easy). lra. }
  destruct (least_step_along_s n V p y Label Softmax (norm_inf n) (norm_1 n s) (ln 2 - L)) as [(r & F & E)
      Least];
    [easy|lra|intros; apply hoelder| |].
  - exists (fun c => sgn (s c)). split; [apply dot_with_signs|]. intros t.
    apply norm_inf_of_signs, (norm_1_positive_size n s N).
  - unfold bracket in *. split.
    + exists r. split; [unfold g, H; lra|]. rewrite E. field. split; lra.
    + intros r' F'. eapply Rle_trans; [|apply (Least r'); unfold g, H in F'; lra]. apply Req_le. field.
        split; lra.
Qed.

(* any norm: N is positive and homogeneous, D the largest s^T r over N r <= 1 *)
Theorem taylor_radius_in_any_norm (N : (nat -> R) -> R) D : 1/2 < p y ->
  (forall r, 0 <= N r) -> (forall t r, N (fun c => t * r c) = Rabs t * N r) ->
  (forall r, N r <= 1 -> dot n s r <= D) -> (exists u, N u <= 1 /\ dot n s u = D) -> 0 < norm n s ->
  least_step N (fun r => L + growth n g H r) (ln 2)
    ((sqrt (1 + 2 * p y * (ln 2 - L) / (1 - p y)) - 1) / p y / D).
Proof.
  intros P Pos Hom Dual (u & U1 & U) S0. pose proof (positive_slack P) as X.
  assert (D0 : 0 < D).
  { pose proof (Pos s) as Ns. assert (I : 0 < / (N s + 1)) by (apply Rinv_0_lt_compat; lra).
    eapply Rlt_le_trans; [|apply (Dual (fun c => / (N s + 1) * s c))].
    - rewrite (dot_sym n s (fun c => _)), dot_scal. fold (sq n s). rewrite <- norm_sq.
      apply Rmult_lt_0_compat; [easy|apply pow_lt; easy].
    - rewrite Hom, Rabs_pos_eq by lra. apply Rmult_le_reg_l with (N s + 1); [lra|].
      rewrite <- Rmult_assoc, Rinv_r, Rmult_1_l by lra. lra. }
  assert (Bound : forall r, dot n s r <= D * N r).
  { intros r. destruct (Req_dec (N r) 0) as [Z|Z].
    - rewrite Z, Rmult_0_r. apply Rnot_lt_le. intros B.
      assert (T := Dual (fun c => (D + 1) / dot n s r * r c)). rewrite Hom, Z, Rmult_0_r in T.
          specialize (T Rle_0_1).
      rewrite (dot_sym n s (fun c => _)), dot_scal, (dot_sym n r s) in T.
      replace ((D + 1) / dot n s r * dot n s r) with (D + 1) in T by (field; lra). lra.
    - assert (Q : 0 < N r) by (pose proof (Pos r); lra). assert (I : 0 < / N r) by now apply Rinv_0_lt_compat.
      assert (T := Dual (fun c => / N r * r c)). rewrite Hom, (Rabs_pos_eq (/ N r)) in T by lra.
      rewrite Rinv_l in T by lra. specialize (T (Rle_refl 1)).
      rewrite (dot_sym n s (fun c => _)), dot_scal, (dot_sym n r s) in T.
      apply Rmult_le_reg_l with (/ N r); [easy|]. replace (/ N r * (D * N r)) with D by (field; lra). easy. }
  assert (Holder : forall r, Rabs (dot n s r) <= D * N r).
  { intros r. apply Rabs_le. split; [|apply Bound]. specialize (Bound (fun c => -1 * r c)).
    rewrite Hom, (Rabs_left (-1)) in Bound by lra. rewrite (dot_sym n s (fun c => _)), dot_scal,
        (dot_sym n r s) in Bound. lra. }
  assert (N1 : N u = 1).
  { apply Rle_antisym; [easy|]. specialize (Bound u). rewrite U in Bound.
    apply Rmult_le_reg_l with D; [easy|]. lra. }
  destruct (least_step_along_s n V p y Label Softmax N D (ln 2 - L)) as [(r & F & E) Least]; [easy|lra|easy|
      |].
  - exists u. split; [easy|]. intros t. rewrite Hom, N1. ring.
  - unfold bracket in *. split.
    + exists r. split; [unfold g, H; lra|]. rewrite E. field. split; lra.
    + intros r' F'. eapply Rle_trans; [|apply (Least r'); unfold g, H in F'; lra]. apply Req_le. field.
        split; lra.
Qed.

(* --- Eqs. (24) and (10) ---------------------------------------------------------------------- *)

Lemma norm_1_of_the_gradient : norm_1 n g = (1 - p y) * norm_1 n s.
Proof.
  pose proof (q_bounds p y Label Softmax) as Q. unfold norm_1. rewrite <- Sum_scal. apply Sum_ext; intros c _.
  unfold g. rewrite (gradient_of_two_classes V p y Label Softmax). fold s. rewrite !Rabs_mult.
  rewrite (Rabs_left (p y - 1)) by lra.
  replace (Rabs (label_sign y)) with 1; [ring|]. destruct y; simpl; [now rewrite Rabs_R1|rewrite Rabs_left;
      lra].
Qed.

(* Hoelder's inequality for the model *)
Theorem growth_in_the_box r eps : norm_inf n r <= eps ->
  let t := norm_inf n r * norm_1 n g in
  growth n g H r <= t + p y / (2 * (1 - p y)) * t^2 /\
  t + p y / (2 * (1 - p y)) * t^2 <= eps * norm_1 n g + p y / (2 * (1 - p y)) * (eps * norm_1 n g)^2.
Proof.
  intros E t. pose proof (py_bounds p y Label Softmax) as P. pose proof (q_bounds p y Label Softmax) as Q.
  assert (C0 : 0 < p y / (2 * (1 - p y))) by (apply Rdiv_lt_0_compat; lra).
  pose proof (norm_inf_ge0 n r) as R0. pose proof (norm_1_ge0 n g) as G0.
  assert (T0 : 0 <= t) by (apply Rmult_le_pos; easy).
  assert (T1 : t <= eps * norm_1 n g) by (apply Rmult_le_compat_r; easy). split.
  - pose proof (proj1 (constraint_in_the_gradient n V p y Label Softmax (growth n g H r) r) (Rle_refl _)) as
      F.
    fold g in F. pose proof (hoelder n g r) as Ho. rewrite Rmult_comm in Ho. fold t in Ho.
    pose proof (Rle_abs (dot n g r)). pose proof (Rabs_pos (dot n g r)).
    assert ((dot n g r)^2 <= t^2) by (rewrite <- pow2_abs; nra).
    assert (p y / (2 * (1 - p y)) * (dot n g r)^2 <= p y / (2 * (1 - p y)) * t^2) by (apply
        Rmult_le_compat_l; lra). lra.
  - apply Rplus_le_compat; [easy|]. apply Rmult_le_compat_l; [lra|]. nra.
Qed.

(* Proposition 3.3: the worst case of the model in the box, whatever the label *)
Theorem worst_case_of_the_model eps : 0 <= eps ->
  let eta := L + eps * (1 - p y) * norm_1 n s + 1/2 * eps^2 * p y * (1 - p y) * (norm_1 n s)^2 in
  (forall r, norm_inf n r <= eps -> L + growth n g H r <= eta) /\
  exists r, norm_inf n r <= eps /\ L + growth n g H r = eta.
Proof.
  intros E eta. pose proof (q_bounds p y Label Softmax) as Q.
  assert (Eta : eta = L + (eps * norm_1 n g + p y / (2 * (1 - p y)) * (eps * norm_1 n g)^2)).
  { unfold eta. rewrite norm_1_of_the_gradient. field. lra. }
  split.
  - intros r R. rewrite Eta. apply Rplus_le_compat_l. destruct (growth_in_the_box r eps R). lra.
  - exists (fun c => eps * sgn (g c)). split.
    + apply norm_inf_le; [easy|]. intros c _. rewrite Rabs_mult, Rabs_sgn, Rabs_pos_eq; lra.
    + rewrite Eta. f_equal.
      assert (D : dot n g (fun c => eps * sgn (g c)) = eps * norm_1 n g).
      { rewrite dot_sym, dot_scal, dot_sym, dot_with_signs. ring. }
      rewrite <- D. set (r := fun c => eps * sgn (g c)). apply Rle_antisym.
      * pose proof (proj1 (constraint_in_the_gradient n V p y Label Softmax (growth n g H r) r) (Rle_refl
          _)). unfold g in *. lra.
      * apply (constraint_in_the_gradient n V p y Label Softmax). fold g. lra.
Qed.

(* --- Lemma 3.1's two roots are equal --------------------------------------------------------- *)

Theorem both_roots_are_the_radius xi u : 0 < norm n s -> 0 < xi -> norm n u = 1 ->
  let s2 := p y * (1 - p y) * (norm n s)^2 in
  (forall c, (c < n)%nat -> applied n H u c = s2 * u c) ->
  spectral_norm n n H s2 /\
  ((forall c, (c < n)%nat -> u c = g c / norm n g) \/ (forall c, (c < n)%nat -> u c = - (g c / norm n g))) /\
  root (Rabs (dot n g u)) s2 xi = root (norm n g) s2 xi /\
  least_step (norm n) (growth n g H) xi (root (norm n g) s2 xi).
Proof.
  intros N X U s2 Eig. pose proof (py_bounds p y Label Softmax) as P.
      pose proof (q_bounds p y Label Softmax) as Q.
  destruct (gradient_is_the_first_eigenvector n V p y Label Softmax N) as (_ & _ & G0 & Multiple).
  fold g in G0. destruct (Multiple u Eig) as (t & T). fold g in T.
  assert (NG : 0 < norm n g) by (apply sqrt_lt_R0; easy).
  assert (At : Rabs t * norm n g = 1) by (rewrite <- norm_scal, <- U; apply norm_ext; intros; symmetry; auto).
  assert (D : Rabs (dot n g u) = norm n g).
  { rewrite (dot_ext n g g u (fun c => t * g c)) by easy. rewrite dot_sym, dot_scal, Rabs_mult. fold (sq n g).
    rewrite (Rabs_pos_eq (sq n g)) by lra. rewrite <- norm_sq.
    replace (Rabs t * norm n g ^ 2) with ((Rabs t * norm n g) * norm n g) by ring. rewrite At. ring. }
  split; [now apply curvature_of_two_classes|]. split; [|split].
  - assert (Ti : Rabs t = / norm n g) by (apply Rmult_eq_reg_r with (norm n g); [rewrite At; field; lra|lra]).
    unfold Rabs in Ti. destruct (Rcase_abs t).
    + right. intros c C. rewrite T by easy. unfold Rdiv. rewrite <- Ti. ring.
    + left. intros c C. rewrite T by easy. unfold Rdiv. rewrite <- Ti. ring.
  - now rewrite D.
  - assert (G2 : norm n g = (1 - p y) * norm n s).
    { assert (E : (norm n g)^2 = ((1 - p y) * norm n s)^2).
      { rewrite norm_sq. unfold g. rewrite squared_gradient_of_two_classes by easy. fold s. ring. }
      pose proof (norm_ge0 n s). apply Rle_antisym; apply le_from_squares; try lra; nra. }
    rewrite <- root_as_printed; [|easy|unfold s2; apply Rmult_lt_0_compat; [nra|apply pow_lt; lra]|lra].
    replace (printed_root (norm n g) s2 xi) with (bracket (p y) xi / (p y * norm n s)).
    + apply radius_in_the_euclidean_norm; [easy|lra].
    + unfold printed_root, bracket, s2. rewrite G2.
      replace (2 * (p y * (1 - p y) * norm n s ^ 2) * xi / ((1 - p y) * norm n s)^2) with (2 * p y * xi / (1
          - p y)) by (field; lra).
      field. lra.
Qed.
End TwoClasses.

(* --- a network with one input: v_+ = 1/2, v_- = -1/2, so nu = 1 ------------------------------ *)

Definition halves (c k : nat) : R := match k with 0%nat => 1/2 | _ => -1/2 end.
Definition two_probabilities a (k : nat) : R := match k with 0%nat => a | _ => 1 - a end.

Lemma two_probabilities_distribution a : 0 < a < 1 -> distribution 2 (two_probabilities a).
Proof.
  intros A. split; [|simpl; ring]. intros [|[|k]] L; simpl; lra || lia.
Qed.

Lemma halves_nu : norm 1 (between halves 0 1) = 1.
Proof.
  unfold norm, sq, dot, between, halves; simpl.
  replace (0 + (1/2 - -1/2) * (1/2 - -1/2)) with 1 by field. apply sqrt_1.
Qed.

Lemma halves_norm_1 : norm_1 1 (between halves 0 1) = 1.
Proof.
  unfold norm_1, between, halves; simpl. replace (1/2 - -1/2) with 1 by field. rewrite Rabs_R1. ring.
Qed.

Theorem taylor_radius_instance : let p := two_probabilities (4/5) in
  least_step (norm 1) (fun r => - ln (4/5) + growth 1 (gradient 2 halves 0 p) (hessian 2 halves p) r) (ln 2)
    (1 / (4/5 * 1) * (sqrt (1 + 2 * (4/5) * (ln 2 - - ln (4/5)) / (1 - 4/5)) - 1)).
Proof.
  intros p. pose proof (taylor_radius 1 halves p 0 ltac:(lia) (two_probabilities_distribution (4/5)
      ltac:(lra))
    ltac:(simpl; lra) ltac:(rewrite halves_nu; lra)) as T.
  rewrite halves_nu in T. exact T.
Qed.

(* Eq. (8) as printed, its -1 under the root *)
Theorem equation_8_false_as_printed :
  ~ (forall n V p y, (y < 2)%nat -> distribution 2 p -> 1/2 < p y -> 0 < norm n (between V 0 1) ->
     least_step (norm n) (fun r => - ln (p y) + growth n (gradient 2 V y p) (hessian 2 V p) r) (ln 2)
       (1 / (p y * norm n (between V 0 1)) * sqrt (1 + 2 * p y * (ln 2 - - ln (p y)) / (1 - p y) - 1))).
Proof.
  intros Printed. set (p := two_probabilities (4/5)).
  pose proof (two_probabilities_distribution (4/5) ltac:(lra)) as D. fold p in D.
  destruct (Printed 1%nat halves p 0%nat ltac:(lia) D ltac:(simpl; lra) ltac:(rewrite halves_nu;
      lra)) as [_ Low].
  destruct taylor_radius_instance as [(r & F & E) _]. fold p in F. specialize (Low r F). rewrite E,
      halves_nu in Low.
  simpl p in Low. unfold two_probabilities in Low.
  assert (1 / (4/5 * 1) * (sqrt (1 + 2 * (4/5) * (ln 2 - - ln (4/5)) / (1 - 4/5)) - 1) + 9/10
        < 1 / (4/5 * 1) * sqrt (1 + 2 * (4/5) * (ln 2 - - ln (4/5)) / (1 - 4/5) - 1)) by (interval with
            (i_prec 30)). lra.
Qed.

Theorem maximum_norm_instance : let p := two_probabilities (4/5) in
  least_step (norm_inf 1) (fun r => - ln (4/5) + growth 1 (gradient 2 halves 0 p) (hessian 2 halves p) r) (ln
      2)
    (1 / (4/5 * 1) * (sqrt (1 + 2 * (4/5) * (ln 2 - - ln (4/5)) / (1 - 4/5)) - 1)).
Proof.
  intros p. pose proof (taylor_radius_in_the_maximum_norm 1 halves p 0 ltac:(lia)
      (two_probabilities_distribution (4/5) ltac:(lra))
    ltac:(simpl; lra) ltac:(rewrite halves_nu; lra)) as T.
  rewrite halves_norm_1 in T. exact T.
Qed.

(* the maximum norm with its dual, the sum norm *)
Theorem any_norm_instance : let p := two_probabilities (4/5) in
  least_step (norm_inf 1) (fun r => - ln (4/5) + growth 1 (gradient 2 halves 0 p) (hessian 2 halves p) r) (ln
      2)
    ((sqrt (1 + 2 * (4/5) * (ln 2 - - ln (4/5)) / (1 - 4/5)) - 1) / (4/5) / 1).
Proof.
  intros p. apply (taylor_radius_in_any_norm 1 halves p 0 ltac:(lia) (two_probabilities_distribution (4/5)
      ltac:(lra)) (norm_inf 1) 1).
  - simpl; lra.
  - intros; apply norm_inf_ge0.
  - intros; apply norm_inf_scal.
  - intros r R. pose proof (hoelder 1 (between halves 0 1) r) as T. rewrite halves_norm_1 in T.
    pose proof (Rle_abs (dot 1 (between halves 0 1) r)). lra.
  - exists (fun _ => 1). split.
    + apply norm_inf_le; [lra|]. intros; rewrite Rabs_R1; lra.
    + unfold dot, between, halves; simpl. field.
  - rewrite halves_nu. lra.
Qed.

Theorem worst_case_instance : let p := two_probabilities (1/4) in
  exists r, norm_inf 1 r <= 1 /\
    - ln (1/4) + growth 1 (gradient 2 halves 0 p) (hessian 2 halves p) r = - ln (1/4) + 3/4 + 3/32.
Proof.
  intros p. destruct (worst_case_of_the_model 1 halves p 0 ltac:(lia) (two_probabilities_distribution (1/4)
      ltac:(lra)) 1 Rle_0_1)
    as [_ (r & R & E)].
  exists r. split; [easy|]. rewrite halves_norm_1 in E. simpl p in E. unfold two_probabilities in E.
      rewrite E. field.
Qed.

Theorem box_instance : let p := two_probabilities (3/4) in
  growth 1 (gradient 2 halves 0 p) (hessian 2 halves p) (fun _ => 1/2) <= 1/4 + 3/32.
Proof.
  intros p. assert (B : norm_inf 1 (fun _ => 1/2) <= 1) by (apply norm_inf_le; [lra|]; intros;
      rewrite Rabs_pos_eq; lra).
  destruct (growth_in_the_box 1 halves p 0 ltac:(lia) (two_probabilities_distribution (3/4) ltac:(lra)) (fun
      _ => 1/2) 1 B) as [A C].
  eapply Rle_trans; [apply A|]. eapply Rle_trans; [apply C|].
  rewrite (norm_1_of_the_gradient 1 halves p 0 ltac:(lia) (two_probabilities_distribution (3/4) ltac:(lra))),
      halves_norm_1.
  unfold p, two_probabilities. lra.
Qed.

(* Eq. (24)'s equality between its second and third lines *)
Theorem equation_24_false_as_printed :
  ~ (forall n V p y eps r, (y < 2)%nat -> distribution 2 p -> 1/2 < p y -> 0 < eps -> norm_inf n r <= eps ->
     let g := gradient 2 V y p in
     norm_inf n r * norm_1 n g + p y / (2 * (1 - p y)) * (norm_inf n r * norm_1 n g)^2 =
     eps * norm_1 n g + p y / (2 * (1 - p y)) * (eps * norm_1 n g)^2).
Proof.
  intros Printed. pose proof (two_probabilities_distribution (3/4) ltac:(lra)) as D.
  assert (Z : norm_inf 1 (fun _ => 0) = 0) by (apply norm_inf_const; [lia|lra|intros; apply Rabs_R0]).
  specialize (Printed 1%nat halves (two_probabilities (3/4)) 0%nat 1 (fun _ => 0) ltac:(lia) D
    ltac:(unfold two_probabilities; lra) Rlt_0_1 ltac:(rewrite Z; lra)).
  cbv zeta in Printed. rewrite Z, (norm_1_of_the_gradient 1 halves _ 0 ltac:(lia) D),
      halves_norm_1 in Printed.
  unfold two_probabilities in Printed. lra.
Qed.

Theorem both_roots_instance : let p := two_probabilities (4/5) in let g := gradient 2 halves 0 p in
  root (Rabs (dot 1 g (fun _ => 1))) (4/25) 1 = root (norm 1 g) (4/25) 1.
Proof.
  intros p g. pose proof (two_probabilities_distribution (4/5) ltac:(lra)) as D. fold p in D.
  destruct (both_roots_are_the_radius 1 halves p 0 ltac:(lia) D 1 (fun _ => 1)) as (_ & _ & E & _).
  - rewrite halves_nu; lra.
  - lra.
  - unfold norm, sq, dot; simpl. replace (0 + 1 * 1) with 1 by ring. apply sqrt_1.
  - intros c L. rewrite (hessian_applied 1 halves p 0 ltac:(lia) D), halves_nu.
    replace c with 0%nat by lia. unfold dot, between, halves, p; simpl. field.
  - replace (4/25) with (p 0%nat * (1 - p 0%nat) * (norm 1 (between halves 0 1))^2); [exact E|].
    rewrite halves_nu. unfold p, two_probabilities. field.
Qed.
