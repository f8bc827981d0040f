(* Proposition 3.4 and Appendix D: Jacobian against cross-Lipschitz regularisation, for every number of
   classes, any data and any trained lower layers, when the last layer is linear and free. As a set equality
   it is false. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Loss Compactness Spectral ManyClasses Proposition41.
Open Scope R_scope.

(* K ||V||_F^2 = ||V 1||^2 + the sum over pairs *)
Theorem jacobian_penalty_identity n K V : (0 < K)%nat ->
  let nu2 := ordered_spread n K V / INR K ^ 2 in let sum_of_columns c := Sum K (V c) in
  INR K * (frobenius n K V)^2 = (norm n sum_of_columns)^2 + spread n K V /\
  (frobenius n K V)^2 = INR K / 2 * nu2 + 1 / INR K * (norm n sum_of_columns)^2.
Proof.
  intros K0 nu2 total. assert (N : 0 < INR K) by now apply lt_0_INR.
  assert (E : INR K * (frobenius n K V)^2 = (norm n total)^2 + spread n K V).
  { rewrite frobenius_sq, norm_sq, spread_by_rows. unfold sq, dot. rewrite <- Sum_scal, <- Sum_plus.
      apply Sum_ext; intros c _.
    rewrite (Pairs_ext K _ (fun i j => 1 * 1 * (V c i - V c j)^2)) by (intros; ring).
        rewrite (pairs_of_weights K (fun _ => 1) (V c)).
    unfold dot, total. rewrite Sum_const, (Sum_ext K (fun k => 1 * V c k) (V c)) by (intros; ring).
    rewrite (Sum_ext K (fun k => 1 * (V c k)^2) (fun k => (V c k)^2)) by (intros; ring). ring. }
  split; [easy|]. unfold nu2. rewrite ordered_is_twice_the_spread.
  apply Rmult_eq_reg_l with (INR K); [|lra]. rewrite E. field. lra.
Qed.

Section Training.
(* T: the values that the trained lower layers may take. Sample i of N has the features a t i,
   their Jacobian B t i (n x m), an
   offset c t i of its logits and a label; the last layer W is m x K and free. *)
Variables (T : Type) (N n m K : nat).
Variables (a : T -> nat -> nat -> R) (B : T -> nat -> nat -> nat -> R) (c : T -> nat -> nat -> R) (y : nat ->
    nat) (lam : R).
Hypothesis Samples : (0 < N)%nat.
Hypothesis Classes : (0 < K)%nat.

Definition mean f := Sum N f / INR N.
Definition V_of t (W : nat -> nat -> R) i d k := Sum m (fun j => B t i d j * W j k).
Definition logits_of t (W : nat -> nat -> R) i k := Sum m (fun j => W j k * a t i j) + c t i k.
Definition loss_of t W i := cross_entropy K (y i) (logits_of t W i).
Definition jacobian_objective t W := mean (fun i => loss_of t W i + lam * (frobenius n K (V_of t W i))^2).
Definition cross_lipschitz_objective t W :=
  mean (fun i => loss_of t W i + lam * (INR K / 2 * (ordered_spread n K (V_of t W i) / INR K ^ 2))).

(* the sum of the columns of W, and what G = E B^T B makes of it *)
Definition column_sum (W : nat -> nat -> R) j := Sum K (W j).
Definition moved_by_G t (w : nat -> R) j := mean (fun i => Sum n (fun d => B t i d j * applied m (B t i) w
    d)).
Definition centre (W : nat -> nat -> R) j k := W j k - column_sum W j / INR K.
Definition rest t W := mean (fun i => sq n (applied m (B t i) (column_sum W))).
Definition minimises (F : T -> (nat -> nat -> R) -> R) t W := forall t' W', F t W <= F t' W'.

Lemma K_positive : 0 < INR K. Proof. now apply lt_0_INR. Qed.
Lemma N_positive : 0 < INR N. Proof. now apply lt_0_INR. Qed.

Lemma sum_of_V t W i d : Sum K (V_of t W i d) = applied m (B t i) (column_sum W) d.
Proof. unfold V_of, applied, column_sum. rewrite Sum_swap. apply Sum_ext; intros j _. now rewrite Sum_scal.
    Qed.

Lemma objectives_differ_by_the_rest t W : jacobian_objective t W = cross_lipschitz_objective t W + lam / INR
    K * rest t W.
Proof.
  pose proof K_positive. pose proof N_positive. unfold jacobian_objective, cross_lipschitz_objective, rest,
      mean.
  rewrite (Sum_ext N _ (fun i => (loss_of t W i + lam * (INR K / 2 * (ordered_spread n K (V_of t W i) / INR K
      ^ 2)))
    + lam / INR K * sq n (applied m (B t i) (column_sum W)))).
  - rewrite Sum_plus, Sum_scal. field. lra.
  - intros i _. destruct (jacobian_penalty_identity n K (V_of t W i) Classes) as [_ E]. rewrite E, norm_sq.
    replace (sq n (fun d => Sum K (V_of t W i d))) with (sq n (applied m (B t i) (column_sum W))); [field;
        lra|].
    unfold sq, dot. apply Sum_ext; intros d _. now rewrite sum_of_V.
Qed.

Lemma rest_nonnegative t W : 0 <= rest t W.
Proof.
  pose proof N_positive. apply Rmult_le_pos; [apply Sum_ge0; intros; apply sq_ge0|apply Rlt_le,
      Rinv_0_lt_compat; lra].
Qed.

(* the rest vanishes exactly if G w = 0 for the sum w of the columns, exactly if V 1 = 0 at every sample *)
Lemma rest_zero_samples t W : rest t W = 0 -> forall i, (i < N)%nat ->
    sq n (applied m (B t i) (column_sum W)) = 0.
Proof.
  intros Z i I. pose proof N_positive. unfold rest, mean in Z.
  assert (S : Sum N (fun i => sq n (applied m (B t i) (column_sum W))) = 0).
  { apply Rmult_eq_reg_r with (/ INR N); [|apply Rgt_not_eq, Rinv_0_lt_compat; lra]. rewrite Rmult_0_l.
      exact Z. }
  pose proof (term_le_Sum N (fun i => sq n (applied m (B t i) (column_sum W))) i (fun i _ => sq_ge0 n _) I)
      as L.
  pose proof (sq_ge0 n (applied m (B t i) (column_sum W))). cbv beta in L. lra.
Qed.

Lemma rest_zero_G t W : rest t W = 0 <-> forall j, (j < m)%nat -> moved_by_G t (column_sum W) j = 0.
Proof.
  pose proof N_positive as N0. split.
  - intros Z j J. unfold moved_by_G, mean. rewrite (Sum_ext N _ (fun _ => 0)), Sum_0; [unfold Rdiv; ring|].
      intros i I.
    rewrite (Sum_ext n _ (fun _ => 0)), Sum_0; [easy|]. intros d D.
    rewrite (sq_0_entries n _ (rest_zero_samples t W Z i I) d D). ring.
  - intros Z. transitivity (Sum m (fun j => column_sum W j * moved_by_G t (column_sum W) j)).
    + unfold moved_by_G, rest, mean. unfold Rdiv. rewrite (Sum_ext m _ (fun j => Sum N (fun i => column_sum W
        j * Sum n (fun d => B t i d j * applied m (B t i) (column_sum W) d)) * / INR N)).
      * rewrite Sum_scal_r, Sum_swap. f_equal. apply Sum_ext; intros i _.
          set (u := applied m (B t i) (column_sum W)).
        rewrite (Sum_ext m _ (fun j => Sum n (fun d => column_sum W j * (B t i d j * u d)))) by (intros;
            now rewrite Sum_scal).
        rewrite Sum_swap. unfold sq, dot. apply Sum_ext; intros d _. unfold u at 1, applied.
            rewrite <- Sum_scal_r.
        apply Sum_ext; intros; ring.
      * intros j _. rewrite <- Sum_scal_r, <- Sum_scal, <- Sum_scal_r. apply Sum_ext; intros; ring.
    + rewrite (Sum_ext m _ (fun _ => 0)), Sum_0; [easy|]. intros j J. rewrite Z by easy. ring.
Qed.

Lemma rest_zero_columns t W : rest t W = 0 <-> forall i d, (i < N)%nat -> (d < n)%nat ->
    Sum K (V_of t W i d) = 0.
Proof.
  split.
  - intros Z i d I D. rewrite sum_of_V. exact (sq_0_entries n _ (rest_zero_samples t W Z i I) d D).
  - intros Z. unfold rest, mean. rewrite (Sum_ext N _ (fun _ => 0)), Sum_0; [unfold Rdiv; ring|]. intros i I.
    unfold sq, dot. rewrite (Sum_ext n _ (fun _ => 0)), Sum_0; [easy|]. intros d D. rewrite <- sum_of_V,
        Z by easy. ring.
Qed.

(* centring the last layer changes neither the loss nor the cross-Lipschitz penalty, and removes the rest *)
Lemma column_sum_of_centre W j : column_sum (centre W) j = 0.
Proof.
  pose proof K_positive. unfold column_sum at 1, centre. rewrite Sum_minus, Sum_const. fold (column_sum W j).
      field. lra.
Qed.

Lemma rest_of_centre t W : rest t (centre W) = 0.
Proof.
  apply rest_zero_columns. intros i d _ _. rewrite sum_of_V. unfold applied.
  rewrite (Sum_ext m _ (fun _ => 0)), Sum_0; [easy|]. intros j _. rewrite column_sum_of_centre. ring.
Qed.

Lemma loss_of_centre t W i : loss_of t (centre W) i = loss_of t W i.
Proof.
  unfold loss_of. rewrite !cross_entropy_log_sum by easy. set (u := Sum m (fun j => column_sum W j / INR K *
      a t i j)).
  assert (L : forall k, logits_of t (centre W) i k = logits_of t W i k - u).
  { intros k. unfold logits_of, centre, u. rewrite (Sum_ext m _ (fun j => W j k * a t i j - column_sum W j /
      INR K * a t i j)) by (intros; ring).
    rewrite Sum_minus. ring. }
  rewrite (Sum_ext K (fun k => exp (logits_of t (centre W) i k)) (fun k => exp (- u) * exp (logits_of t W i
      k))).
  - rewrite Sum_scal, L, ln_mult, ln_exp by (auto using exp_pos, sum_exp_gt0). ring.
  - intros k _. rewrite L, <- exp_plus. f_equal. ring.
Qed.

Lemma objective_of_centre t W : cross_lipschitz_objective t (centre W) = cross_lipschitz_objective t W.
Proof.
  pose proof K_positive. unfold cross_lipschitz_objective, mean. f_equal. apply Sum_ext; intros i _.
      rewrite loss_of_centre. do 4 f_equal.
  unfold ordered_spread. apply Sum_ext; intros k _. apply Sum_ext; intros l _. unfold sq, dot. apply Sum_ext;
      intros d _.
  assert (E : between (V_of t (centre W) i) k l d = between (V_of t W i) k l d); [|now rewrite E].
  unfold between, V_of, centre. rewrite <- !Sum_minus. apply Sum_ext; intros; ring.
Qed.

(* the two objectives have the same infimum, and which minimisers they share *)
Theorem shared_minimisers : 0 <= lam ->
  (forall b, (forall t W, b <= jacobian_objective t W) <-> (forall t W,
      b <= cross_lipschitz_objective t W)) /\
  (forall t W, 0 < lam -> (minimises jacobian_objective t W <->
     minimises cross_lipschitz_objective t W /\
     forall j, (j < m)%nat -> moved_by_G t (column_sum W) j = 0)) /\
  (forall t W, 0 < lam -> (minimises jacobian_objective t W <->
     minimises cross_lipschitz_objective t W /\
     forall i d, (i < N)%nat -> (d < n)%nat -> Sum K (V_of t W i d) = 0)) /\
  (lam = 0 -> forall t W, jacobian_objective t W = cross_lipschitz_objective t W).
Proof.
  intros L. pose proof K_positive as K0.
  assert (Below : forall t W, cross_lipschitz_objective t W <= jacobian_objective t W).
  { intros t W. rewrite objectives_differ_by_the_rest. pose proof (rest_nonnegative t W).
    assert (0 <= lam / INR K) by (apply Rmult_le_pos; [easy|apply Rlt_le, Rinv_0_lt_compat; lra]). nra. }
  assert (Centred : forall t W, jacobian_objective t (centre W) = cross_lipschitz_objective t W).
  { intros t W. rewrite objectives_differ_by_the_rest, rest_of_centre, objective_of_centre. ring. }
  assert (Main : forall t W, 0 < lam -> (minimises jacobian_objective t W <->
      minimises cross_lipschitz_objective t W /\ rest t W = 0)).
  { intros t W L0. assert (Q : 0 < lam / INR K) by (apply Rdiv_lt_0_compat; lra). split.
    - intros M. assert (Z : rest t W = 0).
      { specialize (M t (centre W)). rewrite Centred, objectives_differ_by_the_rest in M.
          pose proof (rest_nonnegative t W). nra. }
      split; [|easy]. intros t' W'. specialize (M t' (centre W')). rewrite Centred,
          objectives_differ_by_the_rest, Z in M. lra.
    - intros [M Z] t' W'. rewrite objectives_differ_by_the_rest, Z. specialize (M t' W').
        pose proof (Below t' W'). lra. }
  split; [|split; [|split]].
  - intros b. split; intros All t W; [rewrite <- Centred; apply All|eapply Rle_trans;
      [apply All|apply Below]].
  - intros t W L0. rewrite (Main t W L0), rest_zero_G. easy.
  - intros t W L0. rewrite (Main t W L0), rest_zero_columns. easy.
  - intros Z t W. rewrite objectives_differ_by_the_rest, Z. field. lra.
Qed.

(* Eqs. (29) to (32), for any number of classes: what centring does, and the chain of equal minima *)
Theorem centring_lowers_the_jacobian_loss : 0 <= lam ->
  (forall t W, jacobian_objective t (centre W) - jacobian_objective t W = - (lam / INR K * rest t W) /\
    - (lam / INR K * rest t W) <= 0) /\
  (0 < lam -> forall t W, minimises jacobian_objective t W -> rest t W = 0 /\ jacobian_objective t W =
      cross_lipschitz_objective t W) /\
  (forall t W, minimises cross_lipschitz_objective t W ->
    jacobian_objective t (centre W) = cross_lipschitz_objective t (centre W) /\
    cross_lipschitz_objective t (centre W) = cross_lipschitz_objective t W /\
    minimises jacobian_objective t (centre W)) /\
  (0 < lam -> forall t W t' W', minimises jacobian_objective t W ->
      minimises cross_lipschitz_objective t' W' ->
    jacobian_objective t W = cross_lipschitz_objective t' W' /\ minimises cross_lipschitz_objective t W).
Proof.
  intros L. pose proof K_positive as K0. destruct (shared_minimisers L) as (_ & G & _ & _).
  assert (Centred : forall t W, jacobian_objective t (centre W) = cross_lipschitz_objective t W).
  { intros t W. rewrite objectives_differ_by_the_rest, rest_of_centre, objective_of_centre. ring. }
  assert (Q : 0 <= lam / INR K) by (apply Rmult_le_pos; [easy|apply Rlt_le, Rinv_0_lt_compat; lra]).
  assert (Below : forall t W, cross_lipschitz_objective t W <= jacobian_objective t W).
  { intros t W. rewrite objectives_differ_by_the_rest. pose proof (rest_nonnegative t W). nra. }
  split; [|split; [|split]].
  - intros t W. rewrite Centred, objectives_differ_by_the_rest. pose proof (rest_nonnegative t W). split;
      [ring|nra].
  - intros L0 t W M. assert (Z : rest t W = 0) by (apply rest_zero_G; now apply (G t W L0)).
    split; [easy|]. rewrite objectives_differ_by_the_rest, Z. ring.
  - intros t W M. split; [now rewrite Centred, objective_of_centre|]. split; [apply objective_of_centre|].
    intros t' W'. rewrite Centred. eapply Rle_trans; [apply M|apply Below].
  - intros L0 t W t' W' M M'. pose proof (proj1 (proj1 (G t W L0) M)) as C.
    assert (Z : rest t W = 0) by (apply rest_zero_G; now apply (G t W L0)). split; [|easy].
    rewrite objectives_differ_by_the_rest, Z. pose proof (C t' W'). pose proof (M' t W). lra.
Qed.
End Training.

(* --- two classes ------------------------------------------------------------------------------------------
   *)

(* at K = 2 the penalty (K/2) nu^2 over ordered pairs is half of ||v_+ - v_-||^2 *)
Theorem penalty_of_two_classes n V :
  INR 2 / 2 * (ordered_spread n 2 V / INR 2 ^ 2) = (norm n (between V 0 1))^2 / 2 /\
  2 * (frobenius n 2 V)^2 = (norm n (between V 0 1))^2 + (norm n (fun c => V c 0%nat + V c 1%nat))^2.
Proof.
  assert (S : spread n 2 V = sq n (between V 0 1)) by (unfold spread, Pairs; simpl; ring).
  assert (E : (norm n (fun c => V c 0%nat + V c 1%nat))^2 = (norm n (fun c => Sum 2 (V c)))^2).
  { f_equal. apply norm_ext; intros; simpl; ring. }
  split.
  - rewrite ordered_is_twice_the_spread, S, norm_sq. simpl INR. field.
  - rewrite E. destruct (jacobian_penalty_identity n 2 V ltac:(lia)) as [I _]. simpl INR in I.
      rewrite norm_sq, <- S. lra.
Qed.

(* one input, the same instance x = 1 under both labels *)
Definition unit_feature (t : unit) (i j : nat) : R := 1.
Definition unit_jacobian (t : unit) (i d j : nat) : R := 1.
Definition no_offset (t : unit) (i k : nat) : R := 0.
Definition own_label (i : nat) : nat := i.

Lemma two_points_loss lam W : cross_lipschitz_objective unit 2 1 1 2 unit_feature unit_jacobian no_offset
    own_label lam tt W =
  ln (exp (W 0%nat 0%nat) + exp (W 0%nat 1%nat)) - (W 0%nat 0%nat + W 0%nat 1%nat) / 2 + lam * (W 0%nat 0%nat
      - W 0%nat 1%nat)^2 / 2.
Proof.
  unfold cross_lipschitz_objective, mean, loss_of. simpl Sum. rewrite !cross_entropy_log_sum by lia.
  unfold logits_of, no_offset, unit_feature, own_label, ordered_spread, sq, dot, between, V_of,
      unit_jacobian. simpl Sum. simpl INR.
  set (u := W 0%nat 0%nat). set (v := W 0%nat 1%nat).
  rewrite !Rplus_0_l, !Rmult_1_l, !Rmult_1_r, !Rplus_0_r. field.
Qed.

(* W = (1, 1) minimises the cross-Lipschitz objective *)
Lemma two_points_minimiser : minimises unit (cross_lipschitz_objective unit 2 1 1 2 unit_feature unit_jacobian
  no_offset own_label 1) tt (fun _ _ => 1).
Proof.
  intros [] W. rewrite !two_points_loss. set (u := W 0%nat 0%nat). set (v := W 0%nat 1%nat).
  replace (exp 1 + exp 1) with (2 * exp 1) by ring. rewrite ln_mult, ln_exp by (try lra; apply exp_pos).
  assert (A : 2 * exp ((u + v) / 2) <= exp u + exp v).
  { set (e := exp (u / 2)). set (f := exp (v / 2)). assert (exp u = e * e) by (unfold e;
      rewrite <- exp_plus; f_equal; field).
    assert (exp v = f * f) by (unfold f; rewrite <- exp_plus; f_equal; field).
    assert (exp ((u + v) / 2) = e * f) by (unfold e, f; rewrite <- exp_plus; f_equal; field).
    pose proof (pow2_ge_0 (e - f)). nra. }
  assert (G : ln 2 + (u + v) / 2 <= ln (exp u + exp v)).
  { rewrite <- (ln_exp ((u + v) / 2)), <- ln_mult by (try lra; apply exp_pos). destruct A as [A|A].
    - apply Rlt_le, ln_increasing; [pose proof (exp_pos ((u + v) / 2)); lra|easy].
    - rewrite A; lra. }
  pose proof (pow2_ge_0 (u - v)). lra.
Qed.

Theorem equality_of_minimisers_false_as_printed :
  ~ (forall N n m a B c y lam, (0 < N)%nat -> (forall i, (i < N)%nat -> (y i < 2)%nat) -> 0 <= lam ->
     forall W, minimises unit (jacobian_objective unit N n m 2 a B c y lam) tt W <->
     minimises unit (cross_lipschitz_objective unit N n m 2 a B c y lam) tt W).
Proof.
  intros Printed. destruct (Printed 2%nat 1%nat 1%nat unit_feature unit_jacobian no_offset own_label 1
    ltac:(lia) ltac:(unfold own_label; intros; lia) ltac:(lra) (fun _ _ => 1)) as [_ To].
  specialize (To two_points_minimiser tt (fun _ _ => 0)).
  rewrite !(objectives_differ_by_the_rest unit 2 1 1 2 unit_feature unit_jacobian no_offset own_label 1
      ltac:(lia) ltac:(lia)) in To.
  rewrite !two_points_loss in To. unfold rest, mean, sq, dot, applied, column_sum, unit_jacobian in To.
      simpl Sum in To. simpl INR in To.
  rewrite exp_0 in To. replace (exp 1 + exp 1) with (2 * exp 1) in To by ring. rewrite ln_mult,
      ln_exp in To by (try lra; apply exp_pos).
  replace (1 + 1) with 2 in To by ring. lra.
Qed.

(* an instance: each objective has a minimiser, and they are not the same *)
Theorem equivalence_instance :
  minimises unit (jacobian_objective unit 2 1 1 2 unit_feature unit_jacobian no_offset own_label 1) tt
    (fun _ _ => 0) /\
  minimises unit (cross_lipschitz_objective unit 2 1 1 2 unit_feature unit_jacobian no_offset own_label 1) tt
    (fun _ _ => 1).
Proof.
  pose proof two_points_minimiser as M. split; [|exact M]. intros [] W. specialize (M tt W).
  rewrite !(objectives_differ_by_the_rest unit 2 1 1 2 unit_feature unit_jacobian no_offset own_label 1
      ltac:(lia) ltac:(lia)).
  pose proof (rest_nonnegative unit 2 1 1 2 unit_jacobian ltac:(lia) tt W) as N.
  assert (Z : rest unit 2 1 1 2 unit_jacobian tt (fun _ _ => 0) = 0).
  { unfold rest, mean, sq, dot, applied, column_sum, unit_jacobian; simpl. field. }
  rewrite Z. rewrite two_points_loss in M. rewrite (two_points_loss 1 (fun _ _ => 0)). cbv beta in *.
  rewrite exp_0. replace (exp 1 + exp 1) with (2 * exp 1) in M by ring.
  rewrite ln_mult, ln_exp in M by (try lra; apply exp_pos).
  replace (1 + 1) with 2 by ring. simpl INR. lra.
Qed.

Theorem identity_instance : 2 * (frobenius 1 2 (fun _ k => match k with O => 3 | _ => 1 end))^2 = 16 + 4.
Proof.
  destruct (penalty_of_two_classes 1 (fun _ k => match k with O => 3 | _ => 1 end)) as [_ E].
  rewrite E, !norm_sq. unfold sq, dot, between; simpl. ring.
Qed.
