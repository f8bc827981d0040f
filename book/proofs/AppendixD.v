(* Appendix D, Eqs. (26) to (28) and (31), with two classes: the loss through one probability, as a convex
   function of the difference of the columns, the Jacobian loss with one more square, and the symmetric
   minimiser. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Regrob Require Import IntervalZ Definitions Sums Loss Compactness Spectral Binary TwoClassRadius Taylor
    ManyClasses Proposition41
  AppendixG Equivalence.
Import IZ.
Open Scope R_scope.

(* Eq. (26): N samples with the probabilities p i and the labels y i, as the paper writes them *)
Theorem loss_through_one_probability N (p : nat -> nat -> R) (y : nat -> nat) :
  (forall i, (i < N)%nat -> (y i < 2)%nat /\ distribution 2 (p i)) ->
  let e i := label_sign (y i) in
  - mean N (fun i => ln (p i (y i))) =
  - mean N (fun i => (1 + e i) / 2 * ln (p i 0%nat) + (1 - e i) / 2 * ln (1 - p i 0%nat)).
Proof.
  intros D e. unfold mean. do 2 f_equal. apply Sum_ext; intros i I. destruct (D i I) as [Y [_ S]]. simpl in S.
  unfold e. destruct (y i) as [|[|]]; simpl; [field| |lia].
  replace (1 - p i 0%nat) with (p i 1%nat) by lra. field.
Qed.

Theorem one_probability_instance : - mean 1 (fun i => ln (3/4)) =
  - mean 1 (fun i => (1 + 1) / 2 * ln (3/4) + (1 - 1) / 2 * ln (1 - 3/4)).
Proof.
  apply (loss_through_one_probability 1 (fun _ => two_probabilities (3/4)) (fun _ => 0%nat)).
  intros; split; [lia|apply two_probabilities_distribution; lra].
Qed.

(* the loss as a function h of s = v_+ - v_- *)
Definition loss_of_the_difference N n (x : nat -> nat -> R) (y : nat -> nat) (s : nat -> R) :=
  mean N (fun i => ln (1 + exp (- label_sign (y i) * dot n s (x i)))).

Lemma difference_of_logits n V x : logits n V no_bias x 0 - logits n V no_bias x 1 = dot n (between V 0 1) x.
Proof.
  unfold logits, no_bias, transposed, dot, between. rewrite !Rplus_0_r, <- Sum_minus. apply Sum_ext; intros;
      ring.
Qed.

Lemma margin_of_the_difference n V x y : (y < 2)%nat -> margin y (logits n V no_bias x) = label_sign y * dot
    n (between V 0 1) x.
Proof.
  intros Y. rewrite <- difference_of_logits. unfold margin. destruct y as [|[|]]; simpl; [ring|ring|lia].
Qed.

Lemma mean_ext N f g : (forall i, (i < N)%nat -> f i = g i) -> mean N f = mean N g.
Proof. intros E. unfold mean. f_equal. now apply Sum_ext. Qed.

(* Eq. (27), without biases *)
Theorem loss_is_convex_in_the_difference N n (x : nat -> nat -> R) (y : nat -> nat) : (0 < N)%nat ->
  (forall i, (i < N)%nat -> (y i < 2)%nat) -> let h := loss_of_the_difference N n x y in
  (forall V z, softmax 2 (logits n V no_bias z) 0 = exp (dot n (between V 0 1) z) / (exp (dot n (between V 0
      1) z) + 1)) /\
  (forall V, mean N (fun i => cross_entropy 2 (y i) (logits n V no_bias (x i))) = h (between V 0 1)) /\
  (forall s s' t, 0 <= t <= 1 -> h (fun c => (1 - t) * s c + t * s' c) <= (1 - t) * h s + t * h s').
Proof.
  intros N0 Y h. assert (P : 0 < INR N) by now apply lt_0_INR. split; [|split].
  - intros V z. rewrite softmax_is_sigma by lia. rewrite margin_of_the_difference by lia. simpl label_sign.
      rewrite Rmult_1_l.
    unfold sigma. rewrite exp_Ropp. pose proof (exp_pos (dot n (between V 0 1) z)). field. lra.
  - intros V. apply mean_ext. intros i I. rewrite loss_of_the_margin, margin_of_the_difference by auto.
      do 3 f_equal. ring.
  - intros s s' t T. unfold h, loss_of_the_difference, mean. unfold Rdiv.
    rewrite <- !Rmult_assoc, <- !Sum_scal, <- Rmult_plus_distr_r, <- Sum_plus.
    apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat, P|]. apply Sum_le; intros i I.
    set (e := label_sign (y i)). set (a := e * dot n s (x i)). set (b := e * dot n s' (x i)).
    assert (E : - e * dot n (fun c => (1 - t) * s c + t * s' c) (x i) = - ((1 - t) * a + t * b)).
    { unfold a, b. replace (dot n (fun c => (1 - t) * s c + t * s' c) (x i)) with ((1 - t) * dot n s (x i) +
        t * dot n s' (x i)); [ring|].
      unfold dot. rewrite <- !Sum_scal, <- Sum_plus. apply Sum_ext; intros; ring. }
    rewrite E. replace (- e * dot n s (x i)) with (- a) by (unfold a; ring).
        replace (- e * dot n s' (x i)) with (- b) by (unfold b; ring).
    set (M := (1 - t) * a + t * b). pose proof (loss_above_its_tangent a M) as A.
        pose proof (loss_above_its_tangent b M) as B.
    apply (Rmult_le_compat_l (1 - t)) in A; [|lra]. apply (Rmult_le_compat_l t) in B; [|lra].
    assert (Z : (1 - t) * ((1 - sigma M) * (a - M)) + t * ((1 - sigma M) * (b - M)) = 0) by (unfold M at 2 4;
        ring). lra.
Qed.

Theorem convex_instance : let h := loss_of_the_difference 1 1 (fun _ _ => 1) (fun _ => 0%nat) in
  h (fun c => (1 - 1/2) * 0 + 1/2 * 2) <= (1 - 1/2) * h (fun _ => 0) + 1/2 * h (fun _ => 2).
Proof.
  intros h. destruct (loss_is_convex_in_the_difference 1 1 (fun _ _ => 1) (fun _ => 0%nat) ltac:(lia)
      ltac:(intros; cbv beta; lia)) as (_ & _ & C).
  apply (C (fun _ => 0) (fun _ => 2)). lra.
Qed.

(* Eq. (28) *)
Theorem jacobian_loss_of_two_classes N n (x : nat -> nat -> R) (y : nat -> nat) lam V : (0 < N)%nat ->
  (forall i, (i < N)%nat -> (y i < 2)%nat) ->
  mean N (fun i => cross_entropy 2 (y i) (logits n V no_bias (x i))) + lam * (frobenius n 2 V)^2 =
  loss_of_the_difference N n x y (between V 0 1) + 1/2 * lam * (norm n (between V 0 1))^2
    + 1/2 * lam * (norm n (fun c => V c 0%nat + V c 1%nat))^2 /\
  2 * (frobenius n 2 V)^2 = (norm n (between V 0 1))^2 + (norm n (fun c => V c 0%nat + V c 1%nat))^2.
Proof.
  intros N0 Y. destruct (penalty_of_two_classes n V) as [_ E]. split; [|easy].
  destruct (loss_is_convex_in_the_difference N n x y N0 Y) as (_ & L & _). rewrite L.
  replace (lam * frobenius n 2 V ^ 2) with (1/2 * lam * (2 * frobenius n 2 V ^ 2)) by field. rewrite E. ring.
Qed.

Theorem jacobian_loss_instance : let V := fun _ k : nat => delta k 0 in
  mean 1 (fun i => cross_entropy 2 0 (logits 1 V no_bias (fun _ => 1))) + 1 * (frobenius 1 2 V)^2 =
  loss_of_the_difference 1 1 (fun _ _ => 1) (fun _ => 0%nat) (between V 0 1)
    + 1/2 * 1 * (norm 1 (between V 0 1))^2 + 1/2 * 1 * (norm 1 (fun c => V c 0%nat + V c 1%nat))^2.
Proof.
  intros V. apply (jacobian_loss_of_two_classes 1 1 (fun _ _ => 1) (fun _ => 0%nat) 1 V ltac:(lia)
    ltac:(intros; cbv beta; lia)).
Qed.

(* Eq. (31): the cross-Lipschitz loss sees only the difference of the two columns of the last layer;
   where they are opposite,
   both losses agree *)
Theorem both_losses_agree_at_opposite_columns T N n m a B c y lam : (0 < N)%nat ->
  (forall i, (i < N)%nat -> (y i < 2)%nat) ->
  (forall t W W', (forall j, (j < m)%nat -> W j 0%nat - W j 1%nat = W' j 0%nat - W' j 1%nat) ->
    cross_lipschitz_objective T N n m 2 a B c y lam t W = cross_lipschitz_objective T N n m 2 a B c y lam t
        W') /\
  (forall t W, (forall j, (j < m)%nat -> W j 1%nat = - W j 0%nat) ->
    jacobian_objective T N n m 2 a B c y lam t W = cross_lipschitz_objective T N n m 2 a B c y lam t W).
Proof.
  intros N0 Labels. split.
  - intros t W W' E. rewrite <- (objective_of_centre T N n m 2 a B c y lam ltac:(lia) t W),
      <- (objective_of_centre T N n m 2 a B c y lam ltac:(lia) t W').
    assert (C : forall j k, (j < m)%nat -> (k < 2)%nat -> centre 2 W j k = centre 2 W' j k).
    { intros j k J Hk. specialize (E j J). unfold centre, column_sum; simpl.
      destruct k as [|[|]]; [lra|lra|lia]. }
    unfold cross_lipschitz_objective. apply mean_ext. intros i I.
    assert (V : forall d k, (k < 2)%nat -> V_of T m B t (centre 2 W) i d k = V_of T m B t (centre 2 W') i d
        k).
    { intros d k Hk. unfold V_of. apply Sum_ext; intros. now rewrite C. }
    assert (L : loss_of T m 2 a c y t (centre 2 W) i = loss_of T m 2 a c y t (centre 2 W') i).
    { unfold loss_of. rewrite !cross_entropy_log_sum by lia.
      assert (Z : forall k, (k < 2)%nat -> logits_of T m a c t (centre 2 W) i k = logits_of T m a c t (centre
          2 W') i k).
      { intros k Hk. unfold logits_of. f_equal. apply Sum_ext; intros. now rewrite C. }
      rewrite (Z (y i) (Labels i I)). do 2 f_equal. apply Sum_ext; intros; now rewrite Z. }
    rewrite L. do 4 f_equal. unfold ordered_spread. apply Sum_ext; intros k Hk. apply Sum_ext; intros l Hl.
    unfold sq, dot, between. apply Sum_ext; intros d _. now rewrite !V.
  - intros t W E. rewrite (objectives_differ_by_the_rest T N n m 2 a B c y lam N0 ltac:(lia)).
    assert (Z : rest T N n m 2 B t W = 0).
    { apply rest_zero_columns; [easy|]. intros i d _ _. unfold V_of. simpl. rewrite Rplus_0_l, <- Sum_plus.
      rewrite (Sum_ext m _ (fun _ => 0)), Sum_0; [easy|]. intros j J. rewrite E by easy. ring. }
    rewrite Z. ring.
Qed.

Definition first_or_second (k0 : nat) (j k : nat) : R := if Nat.eqb k k0 then 1 else 0.

(* n = 1, the instance x = 1 with the label +, lambda'' = 1/2 *)
Lemma one_point_loss W : cross_lipschitz_objective unit 1 1 1 2 unit_feature unit_jacobian no_offset (fun _
    => 0%nat) 1 tt W =
  ln (exp (W 0%nat 0%nat) + exp (W 0%nat 1%nat)) - W 0%nat 0%nat + (W 0%nat 0%nat - W 0%nat 1%nat)^2 / 2.
Proof.
  unfold cross_lipschitz_objective, mean, loss_of. simpl Sum. rewrite !cross_entropy_log_sum by lia.
  unfold logits_of, no_offset, unit_feature, ordered_spread, sq, dot, between, V_of, unit_jacobian.
      simpl Sum. simpl INR.
  set (u := W 0%nat 0%nat). set (v := W 0%nat 1%nat). rewrite !Rplus_0_l, !Rmult_1_l, !Rmult_1_r, !Rplus_0_r.
      field.
Qed.

Theorem equation_31_false_as_printed :
  ~ (forall N n m a B c y lam, (0 < N)%nat -> (forall i, (i < N)%nat -> (y i < 2)%nat) -> 0 < lam ->
     forall W W', (forall j, W j 0%nat + W j 1%nat = W' j 0%nat + W' j 1%nat) ->
     cross_lipschitz_objective unit N n m 2 a B c y lam tt W = cross_lipschitz_objective unit N n m 2 a B c y
         lam tt W').
Proof.
  intros Printed. specialize (Printed 1%nat 1%nat 1%nat unit_feature unit_jacobian no_offset (fun _ => 0%nat)
      1 ltac:(lia)
    ltac:(intros; cbv beta; lia) Rlt_0_1 (first_or_second 0) (first_or_second 1) ltac:(intros;
        unfold first_or_second; simpl; ring)).
  rewrite !one_point_loss in Printed. unfold first_or_second in Printed. simpl in Printed.
      rewrite exp_0 in Printed.
  rewrite (Rplus_comm 1 (exp 1)) in Printed. lra.
Qed.

Theorem opposite_columns_instance : let W := fun _ k : nat => match k with O => 1 | _ => -1 end in
  jacobian_objective unit 1 1 1 2 unit_feature unit_jacobian no_offset (fun _ => 0%nat) 1 tt W =
  cross_lipschitz_objective unit 1 1 1 2 unit_feature unit_jacobian no_offset (fun _ => 0%nat) 1 tt W.
Proof.
  intros W. apply both_losses_agree_at_opposite_columns; [lia|intros; cbv beta; lia|]. intros; unfold W; ring.
Qed.
