(* Section 4 and Appendix E: the slack xi, the threshold log K, the chains of penalties, Eqs. (35), (42) and
   (43); what is false as printed, with counterexamples; concrete numbers for the theorems on many classes.
   *)
From Coq Require Import Reals Lra Lia Psatz Classical.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Regrob Require Import IntervalZ Definitions Sums Loss Compactness Spectral Lemma31 Binary TwoClassRadius
    Instances
  ManyClasses Proposition41.
Import IZ.
Open Scope R_scope.

(* --- one input: the Hessian is a number --------------------------------------------------------- *)

Lemma applied_one A v : applied 1 A v 0 = A 0%nat 0%nat * v 0%nat.
Proof. unfold applied; simpl. ring. Qed.

Lemma norm_one v : norm 1 v = Rabs (v 0%nat).
Proof. unfold norm, sq, dot; simpl. rewrite Rplus_0_l. apply sqrt_Rsqr_abs. Qed.

Lemma spectral_norm_one A : 0 <= A 0%nat 0%nat -> spectral_norm 1 1 A (A 0%nat 0%nat).
Proof.
  intros P. split.
  - intros v. rewrite !norm_one, applied_one, Rabs_mult, (Rabs_pos_eq (A _ _)) by easy. lra.
  - exists (fun _ => 1). rewrite !norm_one, applied_one, Rmult_1_r, Rabs_R1, Rabs_pos_eq by easy. easy.
Qed.

(* V = (1, 0, ..., 0) *)
Lemma hessian_of_first_column K p : (0 < K)%nat -> Sum K p = 1 ->
    hessian K first_column p 0 0 = p 0%nat * (1 - p 0%nat).
Proof.
  intros K0 S. unfold hessian.
  rewrite (Sum_ext K _ (fun k => delta k 0 * (p 0%nat * (1 - p 0%nat))));
      [now apply (Sum_delta K 0 (fun _ => p 0%nat * (1 - p 0%nat)))|].
  intros [|k] L.
  - rewrite (Sum_ext K _ (fun l => delta l 0 * (p 0%nat * (1 - p 0%nat)))).
    + rewrite (Sum_delta K 0 (fun _ => p 0%nat * (1 - p 0%nat)) K0). unfold delta; simpl; ring.
    + intros [|l] _; unfold first_column, delta; simpl; ring.
  - rewrite (Sum_ext K _ (fun _ => 0)), Sum_0; [unfold delta; simpl; ring|]. intros l _. unfold first_column.
      ring.
Qed.

Lemma gradient_of_first_column K p : (0 < K)%nat -> gradient K first_column 0 p 0 = p 0%nat - 1.
Proof.
  intros K0. unfold gradient. rewrite (Sum_ext K _ (fun k => delta k 0 * (p 0%nat - 1))).
  - apply (Sum_delta K 0 (fun _ => p 0%nat - 1) K0).
  - intros [|k] _; unfold first_column, delta; simpl; ring.
Qed.

Lemma sq_one u : sq 1 u = (u 0%nat)^2.
Proof. unfold sq, dot; simpl. ring. Qed.

(* --- xi ------------------------------------------------------------------------------------------ *)

Theorem slack_of_the_loss K p y : (y < K)%nat -> distribution K p ->
  ln (INR K) - - ln (p y) = ln (INR K) + ln (p y) /\ ln (INR K) + ln (p y) = ln (INR K * p y).
Proof.
  intros Y [P _]. split; [ring|]. rewrite ln_mult; [easy|apply lt_0_INR; lia|now apply P].
Qed.

Theorem slack_instance : ln 2 - - ln (3/4) = ln (3/2).
Proof.
  destruct (slack_of_the_loss 2 (two_probabilities (3/4)) 0 ltac:(lia) (two_probabilities_distribution (3/4)
      ltac:(lra))) as [A B].
  simpl INR in A, B. unfold two_probabilities in A, B. replace (1 + 1) with 2 in A, B by ring. rewrite A, B.
      f_equal. field.
Qed.

Theorem slack_false_as_printed :
  ~ (forall K p y, (y < K)%nat -> (2 <= K)%nat -> distribution K p ->
      ln (INR K) - - ln (p y) = ln (INR K) - ln (p y)).
Proof.
  intros Printed. pose proof (two_probabilities_distribution (3/4) ltac:(lra)) as D.
  specialize (Printed 2%nat _ 0%nat ltac:(lia) ltac:(lia) D). unfold two_probabilities in Printed.
  assert (ln (3/4) < ln 1) by (apply ln_increasing; lra). rewrite ln_1 in *. lra.
Qed.

(* --- Eq. (35) with its case of equality -------------------------------------------------------------- *)

(* H has rank at most one *)
Definition rank_at_most_one n (H : nat -> nat -> R) :=
  exists u w : nat -> R, forall c d, (c < n)%nat -> (d < n)%nat -> H c d = u c * w d.

Lemma applied_unit n H c d : (d < n)%nat -> applied n H (fun e => delta e d) c = H c d.
Proof.
  intros D. unfold applied. rewrite (Sum_ext n _ (fun e => delta e d * H c e)) by (intros; ring).
  exact (Sum_delta n d (fun e => H c e) D).
Qed.

Lemma quad_unit n H c : (c < n)%nat -> quad n H (fun e => delta e c) = H c c.
Proof.
  intros C. rewrite quad_applied. unfold dot. rewrite (Sum_delta n c (fun e => applied n H (fun e => delta e
      c) e) C).
  now apply applied_unit.
Qed.

Section EqualityInTheTrace.
Variables (n : nat) (H : nat -> nat -> R).
Hypothesis Symmetric : forall c d, (c < n)%nat -> (d < n)%nat -> H c d = H d c.
Hypothesis Positive : forall r, 0 <= quad n H r.

Lemma zero_trace_zero_matrix : trace n H = 0 -> forall c d, (c < n)%nat -> (d < n)%nat -> H c d = 0.
Proof.
  intros Z c d C D. assert (Diag : forall c, (c < n)%nat -> 0 <= H c c) by (intros e E;
      rewrite <- (quad_unit n H e E); easy).
  assert (Zc : H c c = 0) by (pose proof (term_le_Sum n (fun c => H c c) c Diag C); pose proof (Diag c C);
      unfold trace in Z; lra).
  pose proof (cauchy_form n H Symmetric Positive (fun e => delta e c) (fun e => delta e d)) as T.
  rewrite !quad_unit, Zc in T by easy. unfold dot in T.
  rewrite (Sum_delta n c (fun e => applied n H (fun e => delta e d) e) C), applied_unit in T by easy.
  apply Rsqr_0_uniq. unfold Rsqr. pose proof (Rle_0_sqr (H c d)) as Q. unfold Rsqr in Q. lra.
Qed.
End EqualityInTheTrace.

Lemma rank_one_reaches_the_trace n H s : (forall c d, (c < n)%nat -> (d < n)%nat -> H c d = H d c) ->
  (forall r, quad n H r <= s * sq n r) -> 0 <= s -> rank_at_most_one n H -> trace n H <= s.
Proof.
  intros Sy B S0 (u & w & E).
  assert (T : trace n H = dot n u w) by (apply Sum_ext; intros; now apply E).
  assert (Q : quad n H w = dot n u w * sq n w).
  { unfold quad, dot, sq, dot. rewrite Rmult_comm, <- Sum_scal.
    rewrite (Sum_ext n _ (fun c => u c * w c * Sum n (fun d => w d * w d))).
    - rewrite Sum_scal_r, Sum_scal. ring.
    - intros c C. rewrite <- Sum_scal. apply Sum_ext; intros d D. rewrite E by easy. ring. }
  specialize (B w). rewrite T. rewrite Q in B. pose proof (sq_ge0 n w).
  destruct (Req_dec (sq n w) 0) as [Z|Z].
  - assert (dot n u w = 0); [|lra]. unfold dot. rewrite (Sum_ext n _ (fun _ => 0)), Sum_0; [easy|].
    intros c C. rewrite (sq_0_entries n w Z c C). ring.
  - apply Rmult_le_reg_r with (sq n w); lra.
Qed.

Lemma largest_eigenvalue_is_the_trace_rank_one n H s :
  (forall c d, (c < n)%nat -> (d < n)%nat -> H c d = H d c) -> (forall r, 0 <= quad n H r) ->
  largest_eigenvalue n H s -> s = trace n H -> rank_at_most_one n H.
Proof.
  intros Sy P [B (u & U & Q)] T. set (H' := fun c d => H c d - s * u c * u d).
  assert (Form : forall r, quad n H' r = quad n H r - s * (dot n u r)^2).
  { intros r. unfold quad, H'. replace (s * (dot n u r)^2) with (Sum n (fun c => Sum n (fun d => r c * (s * u
      c * u d) * r d))).
    - rewrite <- Sum_minus. apply Sum_ext; intros c _. rewrite <- Sum_minus. apply Sum_ext; intros; ring.
    - rewrite (Sum_ext n _ (fun c => s * (u c * r c) * dot n u r)).
      + rewrite Sum_scal_r, Sum_scal. unfold dot. ring.
      + intros c _. unfold dot. rewrite <- Sum_scal. apply Sum_ext; intros; ring. }
  (* u is an eigenvector: H u = s u, since the form of s - H vanishes at u *)
  assert (S0 : 0 <= s) by (rewrite <- Q; apply P).
  assert (Along : forall r, dot n r (applied n H u) = s * dot n u r).
  { intros r. set (b := dot n r (applied n H u)). set (a := dot n u r).
    assert (F : forall t, quad n H r * t^2 + 2 * t * b + s <= s * (sq n r * t^2 + 2 * t * a + 1)).
    { intros t. specialize (B (fun c => u c + t * r c)). rewrite (quad_plus n H Sy), Q in B.
      replace (dot n u (applied n H r)) with b in B by (unfold b; now apply bilinear_symmetric).
      assert (E : sq n (fun c => u c + t * r c) = sq n u + 2 * t * a + t^2 * sq n r).
      { unfold sq, a, dot. rewrite <- !Sum_scal, <- !Sum_plus. apply Sum_ext; intros; ring. }
      rewrite E, U in B. lra. }
    (* m t^2 + 2 t (s a - b) >= 0 for all t *)
    set (m := s * sq n r - quad n H r). set (e := s * a - b).
    assert (G : forall t, 0 <= m * t^2 + 2 * t * e) by (intros t; specialize (F t); unfold m, e; lra).
    enough (e = 0) by (unfold e in *; lra).
    assert (M0 : 0 <= m) by (unfold m; specialize (B r); lra).
    destruct (Req_dec m 0) as [Z|Z].
    - specialize (G (- e)). rewrite Z in G. apply Rsqr_0_uniq. unfold Rsqr. nra.
    - specialize (G (- e / m)). replace (m * (- e / m)^2 + 2 * (- e / m) * e) with (- (e * e) / m) in G by
        (field; easy).
      apply Rsqr_0_uniq. unfold Rsqr. pose proof (Rle_0_sqr e) as Q2. unfold Rsqr in Q2.
      assert (0 < / m) by (apply Rinv_0_lt_compat; lra). unfold Rdiv in G. nra. }
  assert (Pos' : forall r, 0 <= quad n H' r).
  { intros r. rewrite Form. set (a := dot n u r). specialize (P (fun c => r c + - a * u c)).
    rewrite (quad_plus n H Sy), Along, Q in P. fold a in P. lra. }
  assert (Tr : trace n H' = 0).
  { unfold trace, H'. rewrite Sum_minus. fold (trace n H). rewrite <- T.
    rewrite (Sum_ext n (fun c => s * u c * u c) (fun c => s * (u c * u c))) by (intros; ring).
    rewrite Sum_scal. fold (dot n u u). fold (sq n u). rewrite U. ring. }
  exists (fun c => s * u c), u. intros c d C D.
  assert (Sy' : forall c d, (c < n)%nat -> (d < n)%nat -> H' c d = H' d c) by (intros c' d' C' D'; unfold H';
      rewrite (Sy c' d') by easy; ring).
  pose proof (zero_trace_zero_matrix n H' Sy' Pos' Tr c d C D) as Z. unfold H' in Z. lra.
Qed.

Theorem curvature_below_the_sum_over_pairs n K V p s : distribution K p ->
    spectral_norm n n (hessian K V p) s ->
  let S := Pairs K (fun i j => p i * p j * sq n (between V i j)) in
  s <= S /\ S = trace n (hessian K V p) /\ (s = S <-> rank_at_most_one n (hessian K V p)).
Proof.
  intros D Sp S. assert (T : trace n (hessian K V p) = S) by now apply trace_is_the_sum_over_pairs.
  assert (Sy : forall c d, (c < n)%nat -> (d < n)%nat -> hessian K V p c d = hessian K V p d c) by (intros;
      apply hessian_symmetric).
  assert (P : forall r, 0 <= quad n (hessian K V p) r) by (intros;
      now apply hessian_is_positive_semidefinite).
  destruct K as [|K]; [destruct D as [_ D]; simpl in D; lra|].
  assert (L : s <= S) by (rewrite <- T; apply (curvature_below_trace n (Datatypes.S K) V p 0 ltac:(lia) D s
      Sp)).
  split; [easy|]. split; [easy|]. split.
  - intros E. apply (largest_eigenvalue_is_the_trace_rank_one n _ s Sy P);
      [now apply spectral_norm_is_largest_eigenvalue|lra].
  - intros R. apply Rle_antisym; [easy|]. rewrite <- T. apply rank_one_reaches_the_trace; [easy| | |easy].
    + intros r. now apply spectral_norm_bounds_form.
    + apply (spectral_norm_ge0 _ _ _ _ Sp).
Qed.

Theorem sum_over_pairs_instance : exists s, spectral_norm 1 1 (hessian 3 first_column three_probabilities) s
    /\
  s <= Pairs 3 (fun i j => three_probabilities i * three_probabilities j * sq 1 (between first_column i j)).
Proof.
  destruct (spectral_norm_exists 1 1 (hessian 3 first_column three_probabilities) ltac:(lia)) as (s & S).
  exists s. split; [easy|].
  apply (curvature_below_the_sum_over_pairs 1 3 first_column three_probabilities s
      three_probabilities_distribution S).
Qed.

(* --- instances of the bounds of many classes ------------------------------------------------------------ *)

Lemma three_probabilities_correct : correct 3 three_probabilities 0.
Proof. intros [|k] _; unfold three_probabilities; lra. Qed.

Theorem many_classes_instance : exists s L, let p := three_probabilities in let V := first_column in
  spectral_norm 1 1 (hessian 3 V p) s /\ spectral_norm 1 3 (centred 3 V) L /\
  (sq 1 (gradient 3 V 0 p) <= 1/2 * Rmin 1 (2 * (1/2)) * L^2 /\ s <= 1/2 * Rmin 1 (2 * (1/2)) * L^2) /\
  sq 1 (gradient 3 V 0 p) / 2 <= s /\ s <= 1/2 * L^2 /\ s <= 2 / 3 * (1/4) * spread 1 3 V.
Proof.
  intros. destruct (spectral_norm_exists 1 1 (hessian 3 first_column three_probabilities) ltac:(lia)) as (s &
      S).
  destruct (spectral_norm_exists 1 3 (centred 3 first_column) ltac:(lia)) as (L & T).
  exists s, L. intros p V. pose proof three_probabilities_distribution as D.
      pose proof three_probabilities_correct as C.
  split; [easy|]. split; [easy|]. split; [|split; [|split]].
  - pose proof (sharp_bounds_of_both_norms 1 3 V p 0 ltac:(lia) D L s C T S) as B.
    unfold p, three_probabilities in *. replace (1 - 1/2) with (1/2) in B by field. exact B.
  - pose proof (squared_gradient_below_curvature_of_many 1 3 V p 0 ltac:(lia) D s ltac:(lia) C S) as B.
    simpl INR in B. replace (1 + 1 + 1 - 1) with 2 in B by ring. exact B.
  - now apply (curvature_below_half_the_cross_lipschitz 1 3 V p 0 ltac:(lia) D L s).
  - destruct (trace_below_the_spread 1 3 V p 0 ltac:(lia) D s C S) as (A & _ & B). simpl INR in B.
    replace (1 + 1 + 1) with 3 in B by ring. eapply Rle_trans; [exact A|]. eapply Rle_trans; [exact B|].
    apply Req_le. f_equal. unfold p, three_probabilities. field.
Qed.

Theorem gradient_bound_instance : exists s, spectral_norm 1 3 first_column s /\
  norm 1 (gradient 3 first_column 0 three_probabilities) <= 2 * (1 - 1/2) * s.
Proof.
  destruct (spectral_norm_exists 1 3 first_column ltac:(lia)) as (s & S). exists s. split; [easy|].
  now apply (gradient_below_lipschitz_constant 1 3 first_column three_probabilities 0 ltac:(lia)
      three_probabilities_distribution s S).
Qed.

Theorem jacobian_bound_instance : exists s, spectral_norm 1 1 (hessian 3 first_column three_probabilities) s
    /\
  s <= 2 * (1/2) * (1 - 1/2) * (frobenius 1 3 first_column)^2.
Proof.
  destruct (spectral_norm_exists 1 1 (hessian 3 first_column three_probabilities) ltac:(lia)) as (s & S).
      exists s. split; [easy|].
  destruct (curvature_below_half_the_jacobian 1 3 first_column three_probabilities 0 ltac:(lia)
      three_probabilities_distribution s S)
    as [A _]. apply A, three_probabilities_correct.
Qed.

Theorem ordered_pairs_instance : exists s, spectral_norm 1 1 (hessian 3 first_column three_probabilities) s /\
  s <= 2 * (1/2) * (1 - 1/2) * (frobenius 1 3 first_column)^2.
Proof.
  destruct (spectral_norm_exists 1 1 (hessian 3 first_column three_probabilities) ltac:(lia)) as (s & S).
      exists s. split; [easy|].
  destruct (curvature_below_ordered_pairs 1 3 first_column three_probabilities 0 ltac:(lia)
      three_probabilities_distribution s
    three_probabilities_correct S) as [A B]. eapply Rle_trans; [exact A|exact B].
Qed.

Theorem dominance_instance : exists s, spectral_norm 1 1 (hessian 3 first_column three_probabilities) s /\
  1 * sq 1 (gradient 3 first_column 0 three_probabilities) <= s.
Proof.
  destruct (spectral_norm_exists 1 1 (hessian 3 first_column three_probabilities) ltac:(lia)) as (s & S).
      exists s. split; [easy|].
  destruct (hessian_dominates_the_squared_gradient 1 3 first_column three_probabilities 0 ltac:(lia)
      three_probabilities_distribution s
    ltac:(unfold three_probabilities; lra) S) as (_ & A & _).
  unfold three_probabilities at 1 2 in A. replace (1/2 / (1 - 1/2)) with 1 in A by field. exact A.
Qed.

Theorem label_term_instance : exists s, spectral_norm 1 1 (hessian 3 first_column three_probabilities) s /\
  1/2 * sq 1 (gradient 3 first_column 0 three_probabilities) <= s.
Proof.
  destruct (spectral_norm_exists 1 1 (hessian 3 first_column three_probabilities) ltac:(lia)) as (s & S).
      exists s. split; [easy|].
  apply (curvature_above_the_label_term 1 3 first_column three_probabilities 0 ltac:(lia)
      three_probabilities_distribution s S).
  unfold three_probabilities; lra.
Qed.

(* --- Eq. (42)'s last step and the chain of Appendix E: four classes, p = (6, 5, 5, 5)/21, V = (1, 0, 0,
   0) --- *)

Definition four_probabilities (k : nat) : R := match k with 0%nat => 6/21 | _ => 5/21 end.

Lemma four_probabilities_distribution : distribution 4 four_probabilities.
Proof. split; [intros [|k] _; simpl; lra|simpl; lra]. Qed.

Lemma four_probabilities_strictly_correct : strictly_correct 4 four_probabilities 0.
Proof.
  intros [|k] _ N; [easy|].
  unfold four_probabilities; lra.
Qed.

Lemma four_classes_values : spectral_norm 1 1 (hessian 4 first_column four_probabilities) (10/49) /\
  sq 1 (gradient 4 first_column 0 four_probabilities) = 25/49.
Proof.
  pose proof four_probabilities_distribution as [_ S].
  assert (E : hessian 4 first_column four_probabilities 0 0 = 10/49).
  { rewrite hessian_of_first_column by (lia || exact S). unfold four_probabilities. field. }
  split.
  - rewrite <- E. apply spectral_norm_one. lra.
  - rewrite sq_one, gradient_of_first_column by lia. unfold four_probabilities. field.
Qed.

Theorem equation_42_false_as_printed :
  ~ (forall n K V p y s, (y < K)%nat -> (2 <= K)%nat -> distribution K p -> strictly_correct K p y ->
     spectral_norm n n (hessian K V p) s -> 1/2 * sq n (gradient K V y p) <= s).
Proof.
  intros Printed. destruct four_classes_values as [S G].
  specialize (Printed 1%nat 4%nat first_column four_probabilities 0%nat (10/49) ltac:(lia) ltac:(lia)
    four_probabilities_distribution four_probabilities_strictly_correct S). lra.
Qed.

(* --- half the squared gradient, and the chains
   --------------------------------------------------------------- *)

Lemma half_from_a_third n K V p y s : (y < K)%nat -> distribution K p -> p y < 1 -> 1/3 <= p y ->
  spectral_norm n n (hessian K V p) s -> 1/2 * sq n (gradient K V y p) <= s.
Proof.
  intros Y D Q Third S.
  destruct (hessian_dominates_the_squared_gradient n K V p y Y D s Q S) as (_ & T & _).
  eapply Rle_trans; [|exact T]. apply Rmult_le_compat_r; [apply sq_ge0|].
  apply Rmult_le_reg_r with (1 - p y); [lra|].
  replace (p y / (1 - p y) * (1 - p y)) with (p y) by (field; lra). lra.
Qed.

Theorem half_the_squared_gradient n K p y : (0 < n)%nat -> (y < K)%nat -> distribution K p -> p y < 1 ->
  ((forall V s, spectral_norm n n (hessian K V p) s -> 1/2 * sq n (gradient K V y p) <= s) <-> 1/3 <= p y).
Proof.
  intros N Y D Q. pose proof (proj1 D y Y) as P0.
  split; [|intros Third V s; now apply half_from_a_third].
  intros All. set (V := fun c k : nat => delta c 0 * delta k y).
  destruct (spectral_norm_exists n n (hessian K V p) N) as (s & S). specialize (All V s S).
  assert (A : forall r k, transposed n V r k = delta k y * r 0%nat).
  { intros r k. unfold transposed, V. rewrite <- (Sum_delta n 0 (fun c => delta k y * r c) N).
    apply Sum_ext; intros; ring. }
  assert (Up : s <= p y * (1 - p y)).
  { apply (spectral_norm_below n (hessian K V p)) with (s := s); [|intros; now apply
      hessian_is_positive_semidefinite|exact S|].
    - intros; apply hessian_symmetric.
    - intros r. rewrite hessian_is_variance. unfold dot.
      rewrite (Sum_ext K _ (fun k => delta k y * (p k * (r 0%nat)^2))).
      2:{ intros k _. rewrite A. unfold delta. destruct (Nat.eqb k y); ring. }
      rewrite (Sum_ext K (fun k => p k * transposed n V r k) (fun k => delta k y * (p k * r 0%nat))).
      2:{ intros k _. rewrite A. ring. }
      rewrite (Sum_delta K y (fun k => p k * (r 0%nat)^2) Y), (Sum_delta K y (fun k => p k * r 0%nat) Y).
      assert (R0 : (r 0%nat)^2 <= sq n r).
      { pose proof (term_le_Sum n (fun c => r c * r c) 0 (fun c _ => Rle_0_sqr (r c)) N) as T.
        unfold sq, dot. cbv beta in T. lra. }
      assert (0 < p y * (1 - p y)) by (apply Rmult_lt_0_compat; lra). nra. }
  assert (G : gradient K V y p 0 = p y - 1).
  { unfold gradient, V. rewrite (Sum_ext K _ (fun k => delta k y * (p k - delta k y))).
    - rewrite (Sum_delta K y (fun k => p k - delta k y) Y). unfold delta. rewrite Nat.eqb_refl. ring.
    - intros k _. unfold delta at 1. simpl. ring. }
  assert (Low : (1 - p y)^2 <= sq n (gradient K V y p)).
  { pose proof (term_le_Sum n (fun c => gradient K V y p c * gradient K V y p c) 0
      (fun c _ => Rle_0_sqr (gradient K V y p c)) N) as T.
    cbv beta in T. rewrite G in T. unfold sq, dot. lra. }
  nra.
Qed.

Theorem half_instance : exists s, spectral_norm 1 1 (hessian 3 first_column three_probabilities) s /\
  1/2 * sq 1 (gradient 3 first_column 0 three_probabilities) <= s.
Proof.
  destruct (spectral_norm_exists 1 1 (hessian 3 first_column three_probabilities) ltac:(lia)) as (s & S).
      exists s. split; [easy|].
  apply (proj2 (half_the_squared_gradient 1 3 three_probabilities 0 ltac:(lia) ltac:(lia)
    three_probabilities_distribution ltac:(unfold three_probabilities; lra)));
    [unfold three_probabilities; lra|easy].
Qed.

Theorem correct_label_above_a_third K p y : (y < K)%nat -> (K <= 3)%nat -> distribution K p ->
    correct K p y -> 1/3 <= p y.
Proof.
  intros Y K3 [P S] C. assert (B : 1 <= INR K * p y) by (rewrite <- S, <- Sum_const; now apply Sum_le).
  assert (INR K <= 3) by (replace 3 with (INR 3) by (simpl; lra); now apply le_INR). pose proof (P y Y). nra.
Qed.

Theorem chain_of_appendix_E_false_as_printed :
  ~ (forall n K V p y s, (y < K)%nat -> (2 <= K)%nat -> distribution K p -> strictly_correct K p y ->
     spectral_norm n n (hessian K V p) s ->
     sq n (gradient K V y p) / 2 <= s /\ s <= (frobenius n K V)^2 / 2).
Proof.
  intros Printed. destruct four_classes_values as [S G].
  destruct (Printed 1%nat 4%nat first_column four_probabilities 0%nat (10/49) ltac:(lia) ltac:(lia)
    four_probabilities_distribution four_probabilities_strictly_correct S) as [A _]. lra.
Qed.

(* the ordering of the penalties *)
Theorem ordering_of_the_penalties n K V p y s L : (y < K)%nat -> (2 <= K)%nat -> distribution K p ->
  spectral_norm n n (hessian K V p) s -> spectral_norm n K (centred K V) L ->
  (correct K p y -> sq n (gradient K V y p) / (INR K - 1) <= s) /\
  s <= 1/2 * L^2 /\ 1/2 * L^2 <= 1/2 * (frobenius n K V)^2.
Proof.
  intros Y K2 D S T. split.
  - intros C. now apply (squared_gradient_below_curvature_of_many n K V p y Y D).
  - now apply (curvature_below_half_the_cross_lipschitz n K V p y Y D).
Qed.

(* V = (1/2, -1/2, 0, ..., 0), p = (1/2, 1/2 - e, then e in equal parts) *)
Definition opposite_columns (c k : nat) : R := match k with O => 1/2 | 1%nat => -1/2 | _ => 0 end.
Definition nearly_half K e (k : nat) : R :=
  match k with O => 1/2 | 1%nat => 1/2 - e | _ => e / (INR K - 2) end.

Lemma sum_after_two m f c : (forall k, f (S (S k)) = c) -> Sum (S (S m)) f = f 0%nat + f 1%nat + INR m * c.
Proof.
  intros C. induction m as [|m IH]; [simpl; ring|].
  change (Sum (S (S (S m))) f) with (Sum (S (S m)) f + f (S (S m))). rewrite IH, C, S_INR. ring.
Qed.

Lemma nearly_half_facts K e : (3 <= K)%nat -> 0 < e <= 1/4 ->
  distribution K (nearly_half K e) /\ strictly_correct K (nearly_half K e) 0.
Proof.
  intros K3 E. pose proof (three_le_INR K K3) as N.
  assert (Part : 0 < e / (INR K - 2) <= 1/4).
  { split; [apply Rdiv_lt_0_compat; lra|].
    apply Rmult_le_reg_r with (INR K - 2); [lra|].
    replace (e / (INR K - 2) * (INR K - 2)) with e by (field; lra). lra. }
  split; [split|].
  - intros [|[|k]] _; unfold nearly_half; lra.
  - destruct K as [|[|m]]; [lia|lia|].
    rewrite (sum_after_two m _ (e / (INR (S (S m)) - 2))) by reflexivity.
    unfold nearly_half. rewrite !S_INR in *. field. lra.
  - intros [|[|k]] _ D; [easy| |]; unfold nearly_half; lra.
Qed.

Lemma opposite_columns_hessian K p : (2 <= K)%nat ->
  hessian K opposite_columns p 0 0 = (p 0%nat + p 1%nat) / 4 - (p 0%nat - p 1%nat)^2 / 4.
Proof.
  intros K2. assert (A : forall k, transposed 1 opposite_columns (fun _ => 1) k = opposite_columns 0 k).
  { intros k. unfold transposed; simpl. unfold opposite_columns. ring. }
  pose proof (hessian_is_variance 1 K opposite_columns p (fun _ => 1)) as T. unfold quad in T; simpl in T.
  transitivity (0 + (0 + 1 * hessian K opposite_columns p 0 0 * 1)); [ring|]. rewrite T.
  destruct K as [|[|m]]; [lia|lia|]. unfold dot.
  rewrite !(sum_after_two m _ 0) by (intros k; rewrite A; unfold opposite_columns; ring).
  rewrite !A. unfold opposite_columns. field.
Qed.

Lemma opposite_columns_spread K : (2 <= K)%nat ->
  (frobenius 1 K (centred K opposite_columns))^2 = 1/2 /\ spread 1 K opposite_columns = INR K / 2.
Proof.
  intros K2. assert (F : (frobenius 1 K (centred K opposite_columns))^2 = 1/2).
  { rewrite frobenius_sq. simpl Sum. destruct K as [|[|m]]; [lia|lia|].
    assert (Z : Sum (S (S m)) (opposite_columns 0) = 0).
    { rewrite (sum_after_two m _ 0) by reflexivity. unfold opposite_columns. field. }
    rewrite (Sum_ext (S (S m)) _ (fun k => (opposite_columns 0 k)^2)).
    - rewrite (sum_after_two m _ 0) by (intros; unfold opposite_columns; ring).
      unfold opposite_columns. field.
    - intros k _. unfold centred. rewrite Z. f_equal. unfold Rdiv. ring. }
  split; [exact F|]. rewrite spread_is_centred_frobenius, F by lia. field.
Qed.

(* p = (t, then 1 - t in equal parts) with the odds t / (1 - t) *)
Definition one_against_equals K odds (k : nat) : R :=
  / ((1 + odds) * (INR K - 1)) + delta k 0 * (odds / (1 + odds) - / ((1 + odds) * (INR K - 1))).

(* both constants are the best for each number of classes *)
Theorem best_constants_of_the_ordering K c : (2 <= K)%nat ->
  ((forall n V p y s, (y < K)%nat -> distribution K p -> strictly_correct K p y ->
     spectral_norm n n (hessian K V p) s -> c * sq n (gradient K V y p) <= s) -> c <= 1 / (INR K - 1)) /\
  ((forall n V p s L, distribution K p -> spectral_norm n n (hessian K V p) s ->
     spectral_norm n K (centred K V) L -> s <= c * L^2) -> 1/2 <= c).
Proof.
  intros K2. pose proof (two_le_INR K K2) as N. split.
  - intros All. apply Rnot_lt_le. intros Big. set (odds := (1 / (INR K - 1) + c) / 2).
    assert (I : 0 < 1 / (INR K - 1)) by (apply Rdiv_lt_0_compat; lra).
    assert (O : 1 / (INR K - 1) < odds < c) by (unfold odds; lra).
    set (p := one_against_equals K odds). set (w := / ((1 + odds) * (INR K - 1))).
    assert (W : 0 < w) by (apply Rinv_0_lt_compat, Rmult_lt_0_compat; lra).
    assert (T : w < odds / (1 + odds)).
    { unfold w. rewrite Rinv_mult. unfold Rdiv. rewrite Rmult_comm. apply Rmult_lt_compat_r; [|lra].
      apply Rinv_0_lt_compat; lra. }
    assert (P0 : p 0%nat = odds / (1 + odds)) by (unfold p, one_against_equals, delta; simpl; ring).
    assert (Pk : forall k, k <> 0%nat -> p k = w).
    { intros k K0. unfold p, one_against_equals, delta. destruct (Nat.eqb_spec k 0); [easy|].
      unfold w. ring. }
    assert (D : distribution K p).
    { split.
      - intros k _. destruct (Nat.eq_dec k 0) as [->|K0]; [rewrite P0; lra|now rewrite Pk].
      - unfold p, one_against_equals. rewrite Sum_plus, Sum_const.
        rewrite (Sum_delta K 0 (fun _ => odds / (1 + odds) - / ((1 + odds) * (INR K - 1)))) by lia.
        field. lra. }
    assert (C : strictly_correct K p 0) by (intros k _ K0; rewrite P0, Pk; easy).
    assert (Q : 0 < p 0%nat < 1).
    { rewrite P0. split; [apply Rdiv_lt_0_compat; lra|].
      apply Rmult_lt_reg_r with (1 + odds); [lra|].
      replace (odds / (1 + odds) * (1 + odds)) with odds by (field; lra). lra. }
    assert (E : hessian K first_column p 0 0 = p 0%nat * (1 - p 0%nat)).
    { apply hessian_of_first_column; [lia|apply D]. }
    assert (S : spectral_norm 1 1 (hessian K first_column p) (p 0%nat * (1 - p 0%nat))).
    { rewrite <- E. apply spectral_norm_one. rewrite E. apply Rlt_le, Rmult_lt_0_compat; lra. }
    specialize (All 1%nat first_column p 0%nat _ ltac:(lia) D C S).
    rewrite sq_one, gradient_of_first_column in All by lia.
    assert (R0 : p 0%nat = odds * (1 - p 0%nat)) by (rewrite P0; field; lra).
    assert (All' : c * (1 - p 0%nat)^2 <= odds * (1 - p 0%nat)^2).
    { replace (odds * (1 - p 0%nat)^2) with (odds * (1 - p 0%nat) * (1 - p 0%nat)) by ring.
      rewrite <- R0. replace ((1 - p 0%nat)^2) with ((p 0%nat - 1)^2) by ring. exact All. }
    apply Rmult_le_reg_r in All'; [lra|apply pow_lt; lra].
  - intros All. apply Rnot_lt_le. intros Small.
    assert (Bound : forall p, distribution K p -> 0 <= hessian K opposite_columns p 0 0 ->
        hessian K opposite_columns p 0 0 <= Rmax c 0 / 2).
    { intros p D H0. destruct (spectral_norm_exists 1 K (centred K opposite_columns) ltac:(lia)) as (L & T).
      specialize (All 1%nat opposite_columns p _ L D (spectral_norm_one _ H0) T).
      pose proof (spectral_norm_below_frobenius _ _ _ _ T) as B.
      pose proof (spectral_norm_ge0 _ _ _ _ T) as L0.
      assert (L2 : L^2 <= 1/2) by (rewrite <- (proj1 (opposite_columns_spread K K2)); apply pow_incr; lra).
      pose proof (pow2_ge_0 L). pose proof (Rmax_l c 0). pose proof (Rmax_r c 0). nra. }
    pose proof (Rmax_r c 0) as M0. assert (M : Rmax c 0 < 1/2) by (apply Rmax_lub_lt; lra).
    set (m := Rmax c 0) in *. destruct (Nat.eq_dec K 2) as [E|E].
    + subst K. specialize (Bound _ (two_probabilities_distribution (1/2) ltac:(lra))).
      rewrite opposite_columns_hessian in Bound by lia. unfold two_probabilities in Bound. lra.
    + set (e := (1/2 - m) / 2). destruct (nearly_half_facts K e ltac:(lia) ltac:(unfold e; lra)) as [D _].
      specialize (Bound _ D). rewrite opposite_columns_hessian in Bound by lia.
      unfold nearly_half in Bound. assert (0 < e <= 1/4) by (unfold e; lra).
      assert (e * e <= e / 4) by nra. assert (m = 1/2 - 2 * e) by (unfold e; field). lra.
Qed.

(* 2/K in the bound of the trace is the best for each number of classes *)
Theorem best_constant_of_the_trace K c : (2 <= K)%nat ->
  (forall n V p y, (y < K)%nat -> distribution K p -> strictly_correct K p y ->
     trace n (hessian K V p) <= c * (p y * (1 - p y)) * spread n K V) -> 2 / INR K <= c.
Proof.
  intros K2 All. pose proof (two_le_INR K K2) as N. apply Rnot_lt_le. intros Small.
  assert (Bound : forall p, distribution K p -> strictly_correct K p 0 ->
      (p 0%nat + p 1%nat) / 4 - (p 0%nat - p 1%nat)^2 / 4 <= c * (p 0%nat * (1 - p 0%nat)) * (INR K / 2)).
  { intros p D C. specialize (All 1%nat opposite_columns p 0%nat ltac:(lia) D C).
    unfold trace in All; simpl in All.
    rewrite opposite_columns_hessian, (proj2 (opposite_columns_spread K K2)) in All by easy. lra. }
  set (d := 1 - c * (INR K / 2)).
  assert (D0 : 0 < d).
  { unfold d. assert (c * (INR K / 2) < 2 / INR K * (INR K / 2)) by (apply Rmult_lt_compat_r; lra).
    replace (2 / INR K * (INR K / 2)) with 1 in * by (field; lra). lra. }
  destruct (Nat.eq_dec K 2) as [E|E].
  - subst K. specialize (Bound _ (two_probabilities_distribution (3/4) ltac:(lra))).
    specialize (Bound ltac:(intros [|k] _ Nk; [easy|unfold two_probabilities; lra])).
    unfold two_probabilities in Bound. unfold d in D0. lra.
  - set (e := Rmin (1/4) (d / 2)). pose proof (Rmin_l (1/4) (d / 2)) as E1.
    pose proof (Rmin_r (1/4) (d / 2)) as E2.
    fold e in E1, E2. assert (E0 : 0 < e) by (apply Rmin_glb_lt; lra).
    destruct (nearly_half_facts K e ltac:(lia) ltac:(lra)) as [D C].
    specialize (Bound _ D C). unfold nearly_half in Bound.
    assert (e * e <= e / 4) by nra. unfold d in *. lra.
Qed.

Definition quarters (c k : nat) : R := match k with 0%nat => 1/4 | _ => -1/4 end.

Lemma quarters_nu : norm 1 (between quarters 0 1) = 1/2.
Proof. rewrite norm_one. unfold between, quarters. rewrite Rabs_pos_eq; lra. Qed.

Theorem chain_of_section_4_false_as_printed :
  ~ (forall n K V p y s, (y < K)%nat -> (2 <= K)%nat -> distribution K p -> strictly_correct K p y ->
     spectral_norm n n (hessian K V p) s ->
     norm n (gradient K V y p) / 2 <= s /\ s <= frobenius n K V / 2).
Proof.
  intros Printed. pose proof (two_probabilities_distribution (3/4) ltac:(lra)) as D.
  pose proof (curvature_of_two_classes 1 quarters _ 0 ltac:(lia) D ltac:(rewrite quarters_nu; lra)) as S.
  destruct (Printed 1%nat 2%nat quarters _ 0%nat _ ltac:(lia) ltac:(lia) D
    ltac:(intros [|k] _ N; [easy|unfold two_probabilities; lra]) S) as [A _].
  rewrite norm_one, (gradient_of_two_classes quarters _ 0 ltac:(lia) D), quarters_nu in A.
  unfold between, quarters, two_probabilities in A; simpl in A. rewrite Rabs_left in A by lra. lra.
Qed.

(* --- Eq. (43) and the chain that ends in the cross-Lipschitz penalty
   ---------------------------------------- *)

Theorem curvature_against_the_cross_lipschitz_penalty n K V p y s : (y < K)%nat -> (2 <= K)%nat ->
  distribution K p -> correct K p y -> spectral_norm n n (hessian K V p) s ->
  let nu2 := ordered_spread n K V / INR K ^ 2 in
  let S := Pairs K (fun i j => p i * p j * sq n (between V i j)) in
  s <= S /\ S = trace n (hessian K V p) /\
  ((3 <= K)%nat -> S <= 1/2 * INR K * (INR K - 1) * p y * (1 - p y) * nu2 /\
    1/2 * INR K * (INR K - 1) * p y * (1 - p y) * nu2 <= 1/8 * INR K * (INR K - 1) * nu2) /\
  S <= INR K * p y * (1 - p y) * nu2 /\ INR K * p y * (1 - p y) * nu2 <= INR K / 4 * nu2.
Proof.
  intros Y K2 D C Sp nu2 S. pose proof (two_le_INR K K2) as N.
  assert (E : nu2 = 2 * spread n K V / INR K ^ 2) by (unfold nu2; now rewrite ordered_is_twice_the_spread).
  assert (Sd : spread n K V = nu2 * INR K ^ 2 / 2) by (rewrite E; field; lra).
  assert (D0 : 0 <= spread n K V) by (apply Pairs_ge0; intros; apply sq_ge0).
  assert (N0 : 0 <= nu2) by (rewrite E; apply Rmult_le_pos; [lra|apply Rlt_le, Rinv_0_lt_compat, pow_lt;
      lra]).
  destruct (trace_below_the_spread n K V p y Y D s C Sp) as (A & B & T).
  fold S in B. rewrite B in A, T. rewrite Sd in T.
  replace (2 / INR K * (p y * (1 - p y)) * (nu2 * INR K ^ 2 / 2)) with (INR K * p y * (1 - p y) * nu2) in T
      by (field; lra).
  assert (Quarter : p y * (1 - p y) <= 1/4) by (pose proof (pow2_ge_0 (2 * p y - 1)); nra).
  pose proof (q_nonnegative K p y Y D) as Q. pose proof (proj1 D y Y) as P0.
  assert (PQ : 0 <= p y * (1 - p y)) by nra.
  split; [easy|]. split; [now rewrite B|]. split; [intros K3; split|split; [easy|]].
  - pose proof (three_le_INR K K3). eapply Rle_trans; [exact T|].
    replace (INR K * p y * (1 - p y) * nu2) with (p y * (1 - p y) * (INR K * nu2)) by ring.
    replace (1/2 * INR K * (INR K - 1) * p y * (1 - p y) * nu2) with (p y * (1 - p y) * (1/2 * INR K * (INR K
        - 1) * nu2)) by ring.
    apply Rmult_le_compat_l; [easy|]. nra.
  - replace (1/2 * INR K * (INR K - 1) * p y * (1 - p y) * nu2) with (p y * (1 - p y) * (1/2 * INR K * (INR K
      - 1) * nu2)) by ring.
    replace (1/8 * INR K * (INR K - 1) * nu2) with (1/4 * (1/2 * INR K * (INR K - 1) * nu2)) by field.
    apply Rmult_le_compat_r; [apply Rmult_le_pos; [nra|easy]|easy].
  - replace (INR K * p y * (1 - p y) * nu2) with (p y * (1 - p y) * (INR K * nu2)) by ring.
    replace (INR K / 4 * nu2) with (1/4 * (INR K * nu2)) by field.
    apply Rmult_le_compat_r; [apply Rmult_le_pos; [lra|easy]|easy].
Qed.

Theorem chain_to_the_cross_lipschitz_penalty n K V p y s : (y < K)%nat -> (2 <= K)%nat ->
  distribution K p -> correct K p y -> spectral_norm n n (hessian K V p) s ->
  let nu2 := ordered_spread n K V / INR K ^ 2 in
  sq n (gradient K V y p) / (INR K - 1) <= s /\ s <= INR K / 4 * nu2 /\
  ((K <= 3)%nat -> sq n (gradient K V y p) / 2 <= s) /\ ((3 <= K)%nat -> s <= INR K * (INR K - 1) * nu2 / 8).
Proof.
  intros Y K2 D C Sp nu2. pose proof (two_le_INR K K2) as N.
  destruct (curvature_against_the_cross_lipschitz_penalty n K V p y s Y K2 D C Sp) as (A & _ & B & E & F).
      fold nu2 in B, E, F.
  pose proof (squared_gradient_below_curvature_of_many n K V p y Y D s K2 C Sp) as G.
  split; [easy|]. split; [lra|]. split.
  - intros K3. pose proof (p_below_1 K p y K2 D Y) as Q.
    pose proof (half_from_a_third n K V p y s Y D Q (correct_label_above_a_third K p y Y K3 D C) Sp). lra.
  - intros K3. specialize (B K3). lra.
Qed.

Lemma halves_ordered : ordered_spread 1 2 halves / INR 2 ^ 2 = 1/2.
Proof. unfold ordered_spread, sq, dot, between, halves; simpl. field. Qed.

Theorem equation_43_false_as_printed :
  ~ (forall n K V p y s, (y < K)%nat -> (2 <= K)%nat -> distribution K p -> strictly_correct K p y ->
     spectral_norm n n (hessian K V p) s ->
     s <= 1/2 * INR K * (INR K - 1) * p y * (1 - p y) * (ordered_spread n K V / INR K ^ 2)).
Proof.
  intros Printed. pose proof (two_probabilities_distribution (3/4) ltac:(lra)) as D.
  pose proof (curvature_of_two_classes 1 halves _ 0 ltac:(lia) D ltac:(rewrite halves_nu; lra)) as S.
  specialize (Printed 1%nat 2%nat halves _ 0%nat _ ltac:(lia) ltac:(lia) D
    ltac:(intros [|k] _ N; [easy|unfold two_probabilities; lra]) S).
  rewrite halves_nu, halves_ordered in Printed. unfold two_probabilities in Printed. simpl INR in Printed.
      lra.
Qed.

Theorem chain_to_the_cross_lipschitz_penalty_false_as_printed :
  ~ (forall n K V p y s, (y < K)%nat -> (2 <= K)%nat -> distribution K p -> strictly_correct K p y ->
     spectral_norm n n (hessian K V p) s ->
     sq n (gradient K V y p) / 2 <= s /\ s <= INR K * (INR K - 1) * (ordered_spread n K V / INR K ^ 2) / 8).
Proof.
  intros Printed. pose proof (two_probabilities_distribution (3/4) ltac:(lra)) as D.
  pose proof (curvature_of_two_classes 1 halves _ 0 ltac:(lia) D ltac:(rewrite halves_nu; lra)) as S.
  destruct (Printed 1%nat 2%nat halves _ 0%nat _ ltac:(lia) ltac:(lia) D
    ltac:(intros [|k] _ N; [easy|unfold two_probabilities; lra]) S) as [_ A].
  rewrite halves_nu, halves_ordered in A. unfold two_probabilities in A. simpl INR in A. lra.
Qed.

Theorem cross_lipschitz_instance : exists s, spectral_norm 1 1 (hessian 3 first_column three_probabilities) s
    /\
  sq 1 (gradient 3 first_column 0 three_probabilities) / (3 - 1) <= s /\
  s <= 3 / 4 * (ordered_spread 1 3 first_column / 3 ^ 2).
Proof.
  destruct (spectral_norm_exists 1 1 (hessian 3 first_column three_probabilities) ltac:(lia)) as (s & S).
      exists s. split; [easy|].
  destruct (chain_to_the_cross_lipschitz_penalty 1 3 first_column three_probabilities 0 s ltac:(lia)
      ltac:(lia)
    three_probabilities_distribution three_probabilities_correct S) as (A & B & _).
  simpl INR in A, B. replace (1 + 1 + 1) with 3 in A, B by ring. split; [exact A|exact B].
Qed.

Theorem equation_43_instance : exists s, spectral_norm 1 1 (hessian 3 first_column three_probabilities) s /\
  s <= 3 * (1/2) * (1 - 1/2) * (ordered_spread 1 3 first_column / 3 ^ 2).
Proof.
  destruct (spectral_norm_exists 1 1 (hessian 3 first_column three_probabilities) ltac:(lia)) as (s & S).
      exists s. split; [easy|].
  destruct (curvature_against_the_cross_lipschitz_penalty 1 3 first_column three_probabilities 0 s ltac:(lia)
      ltac:(lia)
    three_probabilities_distribution three_probabilities_correct S) as (A & _ & _ & B & _).
  simpl INR in B. replace (1 + 1 + 1) with 3 in B by ring. eapply Rle_trans; [exact A|exact B].
Qed.

(* --- Proposition 4.1: counterexamples at K = 2 and instances
   ------------------------------------------------- *)

Definition nine_tenths := two_probabilities (9/10).

Lemma nine_tenths_facts : distribution 2 nine_tenths /\ strictly_correct 2 nine_tenths 0.
Proof.
  split; [apply two_probabilities_distribution; lra|].
  intros [|k] _ N; [easy|].
  unfold nine_tenths, two_probabilities; lra.
Qed.

Lemma halves_frobenius : frobenius 1 2 halves = sqrt (1/2).
Proof. unfold frobenius, halves; simpl. f_equal. field. Qed.

Lemma halves_step : exists r, ln (INR 2) + ln (9/10) <= growth 1 (gradient 2 halves 0 nine_tenths) (hessian 2
    halves nine_tenths) r /\
  norm 1 r = (sqrt (1 + 2 * (9/10) * (ln (INR 2) + ln (9/10)) / (1 - 9/10)) - 1) / (9/10 * 1).
Proof.
  destruct nine_tenths_facts as [D _].
  assert (X : 0 <= ln (INR 2) + ln (9/10)) by (simpl INR; interval with (i_prec 30)).
  destruct (radius_in_the_euclidean_norm 1 halves nine_tenths 0 ltac:(lia) D _ ltac:(rewrite halves_nu;
      lra) X) as [(r & R & N) _].
  rewrite halves_nu in N. exists r. split; [exact R|exact N].
Qed.

Lemma positive_slack_at_nine_tenths : 0 < ln (INR 2) + ln (9/10).
Proof. simpl INR. interval with (i_prec 30). Qed.

Theorem equation_16_false_as_printed :
  ~ (forall n K V p y r, (y < K)%nat -> (2 <= K)%nat -> distribution K p -> strictly_correct K p y ->
     let xi := ln (INR K) + ln (p y) in let nu2 := ordered_spread n K V / INR K ^ 2 in 0 < xi -> 0 < nu2 ->
     xi <= growth n (gradient K V y p) (hessian K V p) r -> equation_16 K (p y) nu2 (frobenius n K V) xi <=
         norm n r).
Proof.
  intros Printed. destruct nine_tenths_facts as [D C]. destruct halves_step as (r & R & N).
  specialize (Printed 1%nat 2%nat halves nine_tenths 0%nat r ltac:(lia) ltac:(lia) D C).
  rewrite halves_ordered, halves_frobenius, N in Printed.
  change (nine_tenths 0%nat) with (9/10) in Printed.
  specialize (Printed positive_slack_at_nine_tenths ltac:(lra) R). unfold equation_16 in Printed.
      simpl INR in Printed.
  apply (Rle_not_lt _ _ Printed). interval with (i_prec 40).
Qed.

Theorem equation_16_unordered_false_as_printed :
  ~ (forall n K V p y r, (y < K)%nat -> (2 <= K)%nat -> distribution K p -> strictly_correct K p y ->
     let xi := ln (INR K) + ln (p y) in let nu2 := spread n K V / INR K ^ 2 in 0 < xi -> 0 < nu2 ->
     xi <= growth n (gradient K V y p) (hessian K V p) r -> equation_16 K (p y) nu2 (frobenius n K V) xi <=
         norm n r).
Proof.
  intros Printed. destruct nine_tenths_facts as [D C]. destruct halves_step as (r & R & N).
  specialize (Printed 1%nat 2%nat halves nine_tenths 0%nat r ltac:(lia) ltac:(lia) D C).
  assert (E : spread 1 2 halves / INR 2 ^ 2 = 1/4).
  { pose proof halves_ordered as O. rewrite ordered_is_twice_the_spread in O. lra. }
  rewrite E, halves_frobenius, N in Printed.
  change (nine_tenths 0%nat) with (9/10) in Printed.
  specialize (Printed positive_slack_at_nine_tenths ltac:(lra) R). unfold equation_16 in Printed.
      simpl INR in Printed.
  apply (Rle_not_lt _ _ Printed). interval with (i_prec 40).
Qed.

(* Eq. (38): as printed, its -1 under the root, the first link is false; with the -1 outside, the second is *)
Theorem equation_38_false_as_printed :
  ~ (forall n K V p y r, (y < K)%nat -> (2 <= K)%nat -> distribution K p -> strictly_correct K p y ->
     let xi := ln (INR K) + ln (p y) in let S := Pairs K (fun i j => p i * p j * sq n (between V i j)) in
     let F := frobenius n K V in 0 < xi -> 0 < S ->
     xi <= growth n (gradient K V y p) (hessian K V p) r ->
     2 * (1 - p y) * F / S * sqrt (1 + 2 * S * xi / (4 * (1 - p y)^2 * F^2) - 1) <= norm n r) /\
  ~ (forall n K V p y, (y < K)%nat -> (2 <= K)%nat -> distribution K p -> strictly_correct K p y ->
     let xi := ln (INR K) + ln (p y) in let S := Pairs K (fun i j => p i * p j * sq n (between V i j)) in
     let F := frobenius n K V in let nu2 := ordered_spread n K V / INR K ^ 2 in 0 < xi -> 0 < S ->
     equation_16 K (p y) nu2 F xi <= 2 * (1 - p y) * F / S * (sqrt (1 + 2 * S * xi / (4 * (1 - p y)^2 * F^2))
         - 1)).
Proof.
  destruct nine_tenths_facts as [D C].
  assert (E : Pairs 2 (fun i j => nine_tenths i * nine_tenths j * sq 1 (between halves i j)) = 9/100).
  { unfold Pairs, sq, dot, between, halves, nine_tenths, two_probabilities; simpl. field. }
  split; intros Printed.
  - destruct halves_step as (r & R & N).
    specialize (Printed 1%nat 2%nat halves nine_tenths 0%nat r ltac:(lia) ltac:(lia) D C).
    rewrite E, halves_frobenius, N in Printed. change (nine_tenths 0%nat) with (9/10) in Printed.
    specialize (Printed positive_slack_at_nine_tenths ltac:(lra) R). simpl INR in Printed.
    apply (Rle_not_lt _ _ Printed). interval with (i_prec 40).
  - specialize (Printed 1%nat 2%nat halves nine_tenths 0%nat ltac:(lia) ltac:(lia) D C).
    rewrite E, halves_frobenius, halves_ordered in Printed. change (nine_tenths 0%nat) with (9/10) in Printed.
    specialize (Printed positive_slack_at_nine_tenths ltac:(lra)). unfold equation_16 in Printed.
        simpl INR in Printed.
    apply (Rle_not_lt _ _ Printed). interval with (i_prec 40).
Qed.

(* Eq. (37): its middle as printed, without xi *)
Theorem equation_37_false_as_printed :
  ~ (forall n K V p y r, (y < K)%nat -> (2 <= K)%nat -> distribution K p -> strictly_correct K p y ->
     let xi := ln (INR K) + ln (p y) in let F := frobenius n K V in 0 < xi -> 0 < F ->
     xi <= growth n (gradient K V y p) (hessian K V p) r ->
     2 * (1 - p y) * F / (2 * p y * (1 - p y) * F^2) *
       (sqrt (1 + 4 * p y * (1 - p y) * F^2 / (4 * (1 - p y)^2 * F^2)) - 1) <= norm n r).
Proof.
  intros Printed. destruct nine_tenths_facts as [D C]. destruct halves_step as (r & R & N).
  specialize (Printed 1%nat 2%nat halves nine_tenths 0%nat r ltac:(lia) ltac:(lia) D C).
  rewrite halves_frobenius, N in Printed. change (nine_tenths 0%nat) with (9/10) in Printed.
  specialize (Printed positive_slack_at_nine_tenths ltac:(apply sqrt_lt_R0; lra) R). simpl INR in Printed.
  apply (Rle_not_lt _ _ Printed). interval with (i_prec 40).
Qed.

(* instances: V = (1, 0, ..., 0), a step of length ten *)
Lemma first_column_spread : spread 1 3 first_column = 2.
Proof. unfold spread, Pairs, sq, dot, between, first_column; simpl. field. Qed.

Lemma first_column_frobenius : 0 < frobenius 1 3 first_column.
Proof. apply sqrt_lt_R0. unfold first_column; simpl. lra. Qed.

Definition long_step (c : nat) : R := -10.

Lemma long_step_reaches_one : 1 <= growth 1 (gradient 3 first_column 0 three_probabilities) (hessian 3
    first_column three_probabilities) long_step.
Proof.
  unfold growth, dot, quad, gradient, hessian, first_column, three_probabilities, delta, long_step; simpl.
      lra.
Qed.

(* xi = log (K p_y) with three classes and p_y = 1/2 *)
Lemma slack_of_three : 0 < ln (3/2) < 1 /\ ln (3/2) = ln (INR 3 * three_probabilities 0).
Proof.
  split; [split; interval with (i_prec 30)|].
  f_equal. unfold three_probabilities; simpl. field.
Qed.

Lemma long_step_reaches : ln (3/2) <= growth 1 (gradient 3 first_column 0 three_probabilities) (hessian 3
    first_column three_probabilities) long_step.
Proof.
  pose proof long_step_reaches_one. pose proof slack_of_three. lra.
Qed.

Theorem proposition_41_instance : let p := three_probabilities in let V := first_column in let F := frobenius
    1 3 V in let xi := ln (3/2) in
  equation_16 3 (1/2) (ordered_spread 1 3 V / INR 3 ^ 2) F xi <= norm 1 long_step /\
  equation_16 3 (1/2) (1 / (INR 3 * (INR 3 - 1)) * ordered_spread 1 3 V) F xi <= norm 1 long_step /\
  equation_17 (1/2) F xi <= norm 1 long_step.
Proof.
  intros p V F xi. pose proof three_probabilities_distribution as D.
  pose proof three_probabilities_correct as C.
  pose proof (proj1 slack_of_three) as X. fold xi in X.
  assert (O : ordered_spread 1 3 V = 4) by (unfold V; rewrite ordered_is_twice_the_spread,
      first_column_spread; ring).
  split; [|split].
  - apply (bound_with_ordered_pairs 1 3 V p 0 ltac:(lia) ltac:(lia) D C xi); [lia|lra|rewrite O; simpl;
      lra|apply long_step_reaches].
  - apply (bound_with_the_mean 1 3 V p 0 ltac:(lia) ltac:(lia) D C xi); [lra|rewrite O; simpl;
      lra|apply long_step_reaches].
  - apply (bound_with_the_jacobian 1 3 V p 0 ltac:(lia) ltac:(lia) D C xi);
      [lra|apply first_column_frobenius|apply long_step_reaches].
Qed.

(* five classes, the label with one half *)
Definition half_and_eighths (k : nat) : R := match k with O => 1/2 | _ => 1/8 end.

Theorem five_classes_instance :
  equation_16 5 (1/2) (spread 1 5 first_column / INR 5 ^ 2) (frobenius 1 5 first_column) (ln (5/2)) <=
  norm 1 long_step.
Proof.
  assert (D : distribution 5 half_and_eighths).
  { split; [intros [|k] _; unfold half_and_eighths; lra|unfold half_and_eighths; simpl; lra]. }
  assert (X : 0 < ln (5/2) < 1) by (split; interval with (i_prec 30)).
  apply (bound_with_unordered_pairs 1 5 first_column half_and_eighths 0 ltac:(lia) ltac:(lia) D);
    [intros [|k] _; unfold half_and_eighths; lra|lia|lra| |].
  - unfold spread, Pairs, sq, dot, between, first_column; simpl. lra.
  - apply Rle_trans with 1; [lra|].
    unfold growth, dot, quad, gradient, hessian, first_column, half_and_eighths, delta, long_step; simpl. lra.
Qed.

Theorem equation_38_instance : let p := three_probabilities in let V := first_column in let F := frobenius 1
    3 V in
  equation_16 3 (1/2) (ordered_spread 1 3 V / INR 3 ^ 2) F (ln (3/2)) <=
  2 * (1 - 1/2) * F / (1/4) * (sqrt (1 + 2 * (1/4) * ln (3/2) / (4 * (1 - 1/2)^2 * F^2)) - 1).
Proof.
  intros p V F. pose proof three_probabilities_distribution as D. pose proof three_probabilities_correct as C.
  assert (E : Pairs 3 (fun i j => p i * p j * sq 1 (between V i j)) = 1/4).
  { unfold p, V, Pairs, sq, dot, between, first_column, three_probabilities; simpl. field. }
  destruct (chain_to_equation_16 1 3 V p 0 ltac:(lia) ltac:(lia) D C (ln (3/2)) long_step
    (proj1 (proj1 slack_of_three)) ltac:(rewrite E; lra)
    first_column_frobenius long_step_reaches) as [_ B]. rewrite E in B. apply B. lia.
Qed.

Theorem two_sided_instance : exists L rho, spectral_norm 1 3 (centred 3 first_column) L /\
  least_step (norm 1) (growth 1 (gradient 3 first_column 0 three_probabilities) (hessian 3 first_column
      three_probabilities)) (ln (3/2)) rho /\
  Rmax (1 / sqrt 2) (sqrt (1 - 1/2)) * (bracket (1/2) (ln (3/2)) / (1/2 * L)) <= rho.
Proof.
  destruct (spectral_norm_exists 1 3 (centred 3 first_column) ltac:(lia)) as (L & T). exists L.
  destruct (radius_between_two_closed_forms 1 3 first_column three_probabilities 0 ltac:(lia) ltac:(lia)
      three_probabilities_distribution
    three_probabilities_correct L (ln (3/2)) T (proj1 (proj1 slack_of_three))) as (rho & A & B & _).
  - rewrite sq_one, gradient_of_first_column by lia. unfold three_probabilities. lra.
  - exists rho. split; [easy|]. split; [exact A|exact B].
Qed.

Theorem dominates_instance : exists L, spectral_norm 1 3 (centred 3 first_column) L /\
  equation_17 (1/2) (frobenius 1 3 first_column) (ln (3/2)) <=
  Rmax (1 / sqrt 2) (sqrt (1 - 1/2)) * (bracket (1/2) (ln (3/2)) /
      (1/2 * L)).
Proof.
  destruct (spectral_norm_exists 1 3 (centred 3 first_column) ltac:(lia)) as (L & T). exists L. split;
      [easy|].
  assert (L0 : 0 < L).
  { pose proof (spectral_norm_ge0 _ _ _ _ T) as L0. destruct (Req_dec L 0) as [Z|Z]; [|lra].
    pose proof (spectral_bounds_centred 1 3 first_column L (fun _ => 1) T) as B. rewrite Z in B.
    unfold sq, dot, transposed, centred, first_column in B; simpl in B. lra. }
  now apply (lower_end_dominates 1 3 first_column three_probabilities 0 ltac:(lia) ltac:(lia)
      three_probabilities_distribution L (ln (3/2)) T L0 (proj1 (proj1 slack_of_three))).
Qed.

Theorem which_bound_instance : let F := frobenius 1 3 first_column in
  equation_17 (1/2) F (ln (3/2)) <=
  equation_16 3 (1/2) (ordered_spread 1 3 first_column / INR 3 ^ 2) F (ln (3/2)).
Proof.
  intros F. assert (O : ordered_spread 1 3 first_column = 4) by (rewrite ordered_is_twice_the_spread,
      first_column_spread; ring).
  destruct (which_bound_is_tighter 1 3 first_column three_probabilities 0 ltac:(lia) ltac:(lia)
      three_probabilities_distribution (ln (3/2)) (proj1 (proj1 slack_of_three)))
    as [_ B]. destruct (B ltac:(rewrite O; simpl; lra)) as [_ T]. apply T. lia.
Qed.

(* --- the threshold log K
   ---------------------------------------------------------------------------------------- *)

Theorem loss_below_log_2_is_correct K y z : (y < K)%nat -> cross_entropy K y z < ln 2 ->
  forall j, (j < K)%nat -> j <> y -> z j < z y.
Proof.
  intros Y L j J N. pose proof (sum_exp_gt0 K z ltac:(lia)) as D. rewrite cross_entropy_log_sum in L by lia.
  assert (E : Sum K (fun k => exp (z k)) < 2 * exp (z y)).
  { apply ln_lt_inv; [easy|pose proof (exp_pos (z y)); lra|]. rewrite ln_mult, ln_exp by (auto using exp_pos;
      lra). lra. }
  pose proof (two_terms_le_Sum K (fun k => exp (z k)) y j (fun i _ => Rlt_le _ _ (exp_pos (z i))) Y J
      (not_eq_sym N)).
  apply exp_lt_inv. lra.
Qed.

Theorem loss_above_log_K_is_wrong K y z : (y < K)%nat -> ln (INR K) < cross_entropy K y z ->
  exists j, (j < K)%nat /\ z y < z j.
Proof.
  intros Y L. apply NNPP. intros None. apply (Rlt_not_le _ _ L).
  assert (N0 : 0 < INR K) by (apply lt_0_INR; lia). pose proof (sum_exp_gt0 K z ltac:(lia)) as D.
  rewrite cross_entropy_log_sum by lia.
  assert (B : Sum K (fun k => exp (z k)) <= INR K * exp (z y)).
  { rewrite <- Sum_const. apply Sum_le; intros k Hk. destruct (Rle_lt_dec (z k) (z y)) as [[A|A]|A].
    - now apply Rlt_le, exp_increasing.
    - rewrite A; lra.
    - elim None. now exists k. }
  assert (ln (Sum K (fun k => exp (z k))) <= ln (INR K * exp (z y))).
  { destruct B as [B|B]; [now apply Rlt_le, ln_increasing|rewrite B; lra]. }
  rewrite ln_mult, ln_exp in H by (easy || apply exp_pos). lra.
Qed.

Definition first_logit t (k : nat) : R := match k with O => t | _ => 0 end.
Definition two_high a K (k : nat) : R :=
  match k with O => a | 1%nat => 1/2 | _ => (1 - 2 * a) / (2 * (INR K - 2)) end.

(* between log 2 and log K both a correct and a wrong answer have any given loss: so no constant above log 2
   certifies *)
Theorem between_the_thresholds K L : (3 <= K)%nat -> ln 2 < L -> L < ln (INR K) ->
  (exists z, cross_entropy K 0 z = L /\ forall j, (j < K)%nat -> j <> 0%nat -> z j < z 0%nat) /\
  (exists z, cross_entropy K 0 z = L /\ z 0%nat < z 1%nat).
Proof.
  intros K3 L2 LK. pose proof (three_le_INR K K3) as N. destruct K as [|[|[|m]]]; [lia|lia|lia|].
      set (K := S (S (S m))) in *.
  assert (E2 : 2 < exp L) by (rewrite <- (exp_ln 2) by lra; now apply exp_increasing).
  assert (EK : exp L < INR K) by (rewrite <- (exp_ln (INR K)) by lra; now apply exp_increasing).
  assert (Tail : forall (f : nat -> R) l c, (forall k, f (l + k)%nat = c) -> forall j,
      Sum (l + j) f = Sum l f + INR j * c).
  { intros f l c C j. induction j as [|j IH]; [rewrite Nat.add_0_r; simpl; ring|].
    rewrite Nat.add_succ_r. simpl Sum. rewrite IH, C, S_INR. ring. }
  assert (NK : INR K = INR m + 3) by (unfold K; rewrite !S_INR; ring). split.
  - set (w := (exp L - 1) / (INR K - 1)). assert (W : 0 < w < 1).
    { unfold w. split; [apply Rdiv_lt_0_compat; lra|]. apply Rmult_lt_reg_r with (INR K - 1); [lra|].
        field_simplify; lra. }
    exists (first_logit (- ln w)). split.
    + rewrite cross_entropy_log_sum by (unfold K; lia).
      change K with (1 + S (S m))%nat. rewrite (Tail (fun k => exp (first_logit (- ln w) k)) 1%nat 1).
      * simpl Sum. simpl first_logit. rewrite exp_Ropp, exp_ln by lra. rewrite Rplus_0_l.
        replace (/ w + INR (S (S m)) * 1) with (exp L * / w).
        -- rewrite ln_mult, ln_exp, ln_Rinv by (try apply exp_pos; try apply Rinv_0_lt_compat; lra). ring.
        -- rewrite !S_INR. unfold w. rewrite NK. pose proof (pos_INR m). field. lra.
      * intros k. simpl. apply exp_0.
    + intros [|j] J N0; [easy|]. simpl. assert (ln w < ln 1) by (apply ln_increasing; lra).
        rewrite ln_1 in *. lra.
  - set (a := exp (- L)). assert (A : 0 < a < 1/2).
    { unfold a. rewrite exp_Ropp. split; [apply Rinv_0_lt_compat; lra|]. replace (1/2) with (/ 2) by field.
      apply Rinv_lt_contravar; lra. }
    assert (D : distribution K (two_high a K)).
    { pose proof (pos_INR m) as M. split.
      - intros [|[|k]] _; cbv beta iota delta [two_high]; try lra. apply Rdiv_lt_0_compat; lra.
      - change K with (2 + S m)%nat at 1. rewrite (Tail (two_high a K) 2%nat ((1 - 2 * a) / (2 * (INR K -
          2)))) by reflexivity.
        simpl Sum. rewrite S_INR, NK. cbv beta iota delta [two_high]. field. lra. }
    exists (fun k => ln (two_high a K k)). split.
    + unfold cross_entropy. rewrite softmax_of_logarithms by (easy || unfold K; lia).
        change (two_high a K 0) with a. unfold a. rewrite ln_exp. ring.
    + change (ln a < ln (1/2)). apply ln_increasing; lra.
Qed.

Theorem threshold_instance : cross_entropy 3 0 (first_logit (ln 4)) < ln 2 /\
    first_logit (ln 4) 1 < first_logit (ln 4) 0.
Proof.
  assert (L : cross_entropy 3 0 (first_logit (ln 4)) < ln 2).
  { rewrite cross_entropy_log_sum by lia. simpl. rewrite exp_ln, exp_0 by lra. rewrite Rplus_0_l.
    replace (4 + 1 + 1) with (3/2 * 4) by field. rewrite ln_mult by lra.
    assert (ln (3/2) < ln 2) by (apply ln_increasing; lra). lra. }
  split; [easy|]. apply (loss_below_log_2_is_correct 3 0 _ ltac:(lia) L); lia.
Qed.

Definition undecided_logits (k : nat) : R := match k with O => ln 4 | 1%nat => ln 5 | _ => 0 end.

Theorem threshold_log_K_false_as_printed :
  ~ (forall K y z, (y < K)%nat -> (3 <= K)%nat -> cross_entropy K y z < ln (INR K) ->
     forall j, (j < K)%nat -> j <> y -> z j < z y).
Proof.
  intros Printed. specialize (Printed 3%nat 0%nat undecided_logits ltac:(lia) ltac:(lia)).
  assert (L : cross_entropy 3 0 undecided_logits < ln (INR 3)).
  { rewrite cross_entropy_log_sum by lia. simpl. rewrite !exp_ln, exp_0 by lra. rewrite Rplus_0_l.
    replace (4 + 5 + 1) with (5/2 * 4) by field. rewrite ln_mult by lra.
    assert (ln (5/2) < ln (1 + 1 + 1)) by (apply ln_increasing; lra). lra. }
  specialize (Printed L 1%nat ltac:(lia) ltac:(lia)). simpl in Printed.
  assert (ln 4 < ln 5) by (apply ln_increasing; lra). lra.
Qed.
