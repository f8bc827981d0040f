(* New theorems on the curvature of many classes: H = A A^T, and its spectral norm is the largest eigenvalue
   of the K x K matrix A^T A; so a multi-class curvature penalty needs no approximation, although Appendix H
   expects one. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Loss Compactness Spectral Binary TwoClassRadius Instances
    ManyClasses AppendixE.
Open Scope R_scope.

(* A = [sqrt p_k (v_k - vbar)], n x K *)
Definition factor K (V : nat -> nat -> R) (p : nat -> R) c k := sqrt (p k) * (V c k - dot K p (V c)).

Theorem hessian_is_a_square n K V p : distribution K p -> forall c d, (c < n)%nat -> (d < n)%nat ->
  hessian K V p c d = Sum K (fun k => factor K V p c k * factor K V p d k).
Proof.
  intros D c d _ _. destruct D as [P S]. symmetry.
  transitivity (Sum K (fun k => p k * (V c k * V d k) - dot K p (V d) * (p k * V c k)
    - dot K p (V c) * (p k * V d k) + dot K p (V c) * dot K p (V d) * p k)).
  { apply Sum_ext. intros k L. unfold factor.
    transitivity (sqrt (p k) * sqrt (p k) * ((V c k - dot K p (V c)) * (V d k - dot K p (V d)))); [ring|].
    rewrite sqrt_def by (apply Rlt_le; auto). ring. }
  rewrite Sum_plus, !Sum_minus, !Sum_scal, S. unfold hessian. symmetry.
  rewrite (Sum_ext K _ (fun k => p k * (V c k * V d k) - (p k * V c k) * dot K p (V d))).
  - rewrite Sum_minus, Sum_scal_r. unfold dot. ring.
  - intros k L. rewrite (Sum_ext K _ (fun l => delta l k * (V c k * p k * V d l) - V c k * p k * (p l * V d
      l)))
      by (intros; rewrite (delta_sym k); ring).
    rewrite Sum_minus, Sum_delta, Sum_scal by easy. unfold dot. ring.
Qed.

(* ||A A^T||_2 = s  exactly if the largest eigenvalue of A^T A is s *)
Lemma quad_of_a_square n m A H r : (forall c d, (c < n)%nat -> (d < n)%nat ->
    H c d = Sum m (fun k => A c k * A d k)) ->
  quad n H r = sq m (transposed n A r).
Proof.
  intros E. unfold sq. rewrite <- adjoint. unfold quad, dot, applied, transposed. apply Sum_ext; intros c C.
  rewrite <- Sum_scal. rewrite (Sum_ext n _ (fun d => Sum m (fun k => r c * (A c k * A d k * r d)))).
  2:{ intros d D. rewrite E, Rmult_assoc, <- Sum_scal_r, <- Sum_scal by easy. apply Sum_ext; intros; ring. }
  rewrite Sum_swap. apply Sum_ext; intros k _. rewrite <- !Sum_scal. apply Sum_ext; intros; ring.
Qed.

(* the same quadratic form bound for A^T A and for A A^T *)
Lemma bound_carries_over n m A s : 0 <= s ->
  (forall r, sq m (transposed n A r) <= s * sq n r) <-> (forall v, sq n (applied m A v) <= s * sq m v).
Proof.
  intros S0. split.
  - intros B v. set (w := applied m A v). pose proof (sq_ge0 n w). pose proof (sq_ge0 m v).
    assert (E : sq n w = dot m (transposed n A w) v) by (rewrite <- adjoint; easy).
    pose proof (cauchy m (transposed n A w) v) as C. rewrite <- E in C. specialize (B w).
    destruct (Req_dec (sq n w) 0) as [Z|Z]; [rewrite Z; nra|]. apply Rmult_le_reg_l with (sq n w); [lra|].
        nra.
  - intros B r. set (w := transposed n A r). pose proof (sq_ge0 m w). pose proof (sq_ge0 n r).
    assert (E : sq m w = dot n r (applied m A w)) by (rewrite adjoint; easy).
    pose proof (cauchy n r (applied m A w)) as C. rewrite <- E in C. specialize (B w).
    destruct (Req_dec (sq m w) 0) as [Z|Z]; [rewrite Z; nra|]. apply Rmult_le_reg_l with (sq m w); [lra|].
        nra.
Qed.

Theorem curvature_is_an_eigenvalue_of_a_small_matrix n K V p s lam : distribution K p ->
  spectral_norm n n (hessian K V p) s -> largest_eigenvalue K (gram n (factor K V p)) lam -> s = lam.
Proof.
  intros D S [B (v & V1 & E)]. set (A := factor K V p) in *.
  assert (Q : forall r, quad n (hessian K V p) r = sq K (transposed n A r)).
  { intros r. apply quad_of_a_square. now apply hessian_is_a_square. }
  assert (Sy : forall c d, (c < n)%nat -> (d < n)%nat -> hessian K V p c d = hessian K V p d c) by (intros;
      apply hessian_symmetric).
  assert (P : forall r, 0 <= quad n (hessian K V p) r) by (intros;
      now apply hessian_is_positive_semidefinite).
  pose proof (spectral_norm_ge0 _ _ _ _ S) as S0. rewrite gram_quad in E.
  assert (L0 : 0 <= lam) by (rewrite <- E; apply sq_ge0). apply Rle_antisym.
  - apply (spectral_norm_below n _ Sy P s lam S). intros r. rewrite Q. revert r. apply bound_carries_over;
      [easy|].
    intros u. rewrite <- gram_quad. apply B.
  - assert (T : forall r, sq K (transposed n A r) <= s * sq n r).
    { intros r. rewrite <- Q. now apply spectral_norm_bounds_form. }
    pose proof (proj1 (bound_carries_over n K A s S0) T v) as U. rewrite E, V1 in U. lra.
Qed.

Theorem both_exist n K V p : (0 < n)%nat -> (0 < K)%nat ->
  (exists s, spectral_norm n n (hessian K V p) s) /\ exists lam,
      largest_eigenvalue K (gram n (factor K V p)) lam.
Proof. intros N K0. split; [now apply spectral_norm_exists|now apply largest_eigenvalue_exists]. Qed.

Theorem exact_curvature_instance : exists s, spectral_norm 1 1 (hessian 3 first_column three_probabilities) s
    /\
  largest_eigenvalue 3 (gram 1 (factor 3 first_column three_probabilities)) s.
Proof.
  destruct (both_exist 1 3 first_column three_probabilities ltac:(lia) ltac:(lia)) as [(s & S) (lam & L)].
  exists s. split; [easy|].
  now rewrite (curvature_is_an_eigenvalue_of_a_small_matrix 1 3 first_column three_probabilities s lam
      three_probabilities_distribution S L).
Qed.

Theorem hessian_vector_instance : applied 1 (hessian 3 first_column three_probabilities) (fun _ => 2) 0 = 1/2.
Proof. rewrite hessian_vector. unfold dot, transposed, first_column, three_probabilities; simpl. field. Qed.

(* --- rank and norm in the limiting cases ------------------------------------------------------- *)

(* rank H <= K - 1: every H r is a combination of the K - 1 vectors v_k - v_(K-1) *)
Theorem rank_below_the_number_of_classes n m V p r : Sum (S m) p = 1 -> exists w : nat -> R, forall c,
  applied n (hessian (S m) V p) r c = Sum m (fun k => w k * between V k m c).
Proof.
  intros S1. set (a := transposed n V r). set (b := dot (S m) p a).
  exists (fun k => p k * (a k - b)). intros c. rewrite hessian_vector. fold a b. unfold between.
  rewrite (Sum_ext m _ (fun k => V c k * (p k * (a k - b)) - V c m * (p k * (a k - b)))) by (intros; ring).
  rewrite Sum_minus, Sum_scal. simpl.
  assert (Z : Sum m (fun k => p k * (a k - b)) = - (p m * (a m - b))); [|rewrite Z; ring].
  rewrite (Sum_ext m _ (fun k => p k * a k - b * p k)) by (intros; ring). rewrite Sum_minus, Sum_scal.
  assert (B : b = Sum m (fun k => p k * a k) + p m * a m) by reflexivity. simpl in S1.
  replace (Sum m p) with (1 - p m) by lra.
  replace (Sum m (fun k => p k * a k)) with (b - p m * a m) by lra. ring.
Qed.

Theorem rank_instance : let H := hessian 3 first_column three_probabilities in
  0 <= quad 1 H (fun _ => 1) /\ exists w : nat -> R, forall c,
    applied 1 H (fun _ => 1) c = Sum 2 (fun k => w k * between first_column k 2 c).
Proof.
  intros H. pose proof three_probabilities_distribution as D. split.
  - now apply hessian_is_positive_semidefinite.
  - apply (rank_below_the_number_of_classes 1 2). apply D.
Qed.

(* two classes with equal columns: the curvature is zero *)
Theorem curvature_of_equal_columns n V p y : (y < 2)%nat -> distribution 2 p -> (0 < n)%nat ->
  norm n (between V 0 1) = 0 ->
  spectral_norm n n (hessian 2 V p) (p y * (1 - p y) * (norm n (between V 0 1))^2).
Proof.
  intros Y D N Z. assert (E : forall c, (c < n)%nat -> between V 0 1 c = 0).
  { apply sq_0_entries. rewrite <- norm_sq, Z. ring. }
  rewrite Z. replace (p y * (1 - p y) * 0^2) with 0 by ring.
  assert (A : forall v, norm n (applied n (hessian 2 V p) v) = 0).
  { intros v. apply norm_0. intros c C. rewrite (hessian_applied n V p y Y D), E by easy. ring. }
  split; [intros v; rewrite A; lra|]. exists (fun c => delta c 0). split; [|apply A].
  unfold norm, sq, dot. rewrite (Sum_delta n 0 (fun c => delta c 0) N). exact sqrt_1.
Qed.
