(* Lemma 4.1, Eq. (15): Jacobian, gradient and Hessian of the cross-entropy of a classifier that is affine
   near x, for every n, every number of classes K and every label; the Hessian pair by pair; its sign and
   rank. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Differentiable.
Open Scope R_scope.

(* --- softmax ------------------------------------------------------------------------------ *)

Lemma sum_exp_gt0 K z : (0 < K)%nat -> 0 < Sum K (fun k => exp (z k)).
Proof. intros; apply Sum_gt0; auto using exp_pos. Qed.

Lemma softmax_is_distribution K z : (0 < K)%nat -> distribution K (softmax K z).
Proof.
  intros P. pose proof (sum_exp_gt0 K z P) as D. split.
  - intros k _. apply Rdiv_lt_0_compat; auto using exp_pos.
  - unfold softmax, Rdiv. rewrite Sum_scal_r. field. lra.
Qed.

Lemma cross_entropy_log_sum K y z : (0 < K)%nat -> cross_entropy K y z = ln (Sum K (fun k => exp (z k))) - z
    y.
Proof.
  intros P. unfold cross_entropy, softmax, Rdiv. pose proof (sum_exp_gt0 K z P).
  rewrite ln_mult by auto using exp_pos, Rinv_0_lt_compat. rewrite ln_Rinv, ln_exp by easy. ring.
Qed.

Lemma softmax_ext K z z' k : (forall j, (j < K)%nat -> z j = z' j) -> (k < K)%nat ->
    softmax K z k = softmax K z' k.
Proof.
  intros E L. unfold softmax. rewrite (E k L). f_equal. apply Sum_ext; intros; now rewrite E.
Qed.

Lemma cross_entropy_ext K y z z' : (forall j, (j < K)%nat -> z j = z' j) -> (y < K)%nat ->
  cross_entropy K y z = cross_entropy K y z'.
Proof. intros E L. unfold cross_entropy. now rewrite (softmax_ext K z z' y E L). Qed.

(* every distribution is a softmax *)
Lemma softmax_of_logarithms K p k : distribution K p -> (k < K)%nat -> softmax K (fun k => ln (p k)) k = p k.
Proof.
  intros [P S] L. unfold softmax. rewrite (Sum_ext K _ p) by (intros; now rewrite exp_ln; auto).
  rewrite S, exp_ln by auto. field.
Qed.

Lemma p_below_1 K p y : (2 <= K)%nat -> distribution K p -> (y < K)%nat -> p y < 1.
Proof.
  intros K2 [P S] Y. rewrite <- S.
  assert (N : exists j, (j < K)%nat /\ j <> y) by (destruct y; [exists 1%nat|exists 0%nat]; lia).
  destruct N as (j & J & N). pose proof (P j J).
  pose proof (two_terms_le_Sum K p y j (fun i I => Rlt_le _ _ (P i I)) Y J (not_eq_sym N)). lra.
Qed.

(* --- the derivatives of an affine classifier's softmax ------------------------------------- *)

Section AffineClassifier.
Variables (n K : nat) (V : nat -> nat -> R) (c : nat -> R) (x : nat -> R).
Hypothesis K0 : (0 < K)%nat.
Let z := logits n V c.
Let p := softmax K (z x).

Lemma logit_differentiable k : differentiable n (fun x => z x k) x (fun i => V i k).
Proof. exact (differentiable_linear n x (fun i => V i k) (c k)). Qed.

Lemma log_sum_differentiable : differentiable n (fun x => ln (Sum K (fun k => exp (z x k)))) x
  (fun i => Sum K (fun k => p k * V i k)).
Proof.
  pose proof (sum_exp_gt0 K (z x) K0) as D.
  eapply differentiable_ext; [|apply (differentiable_comp n x ln (/ Sum K (fun k => exp (z x k)))
    (fun x => Sum K (fun k => exp (z x k))) (fun i => Sum K (fun k => exp (z x k) * V i k)))].
  - intros i _. cbv beta. rewrite <- Sum_scal. apply Sum_ext; intros k _. unfold p, softmax. field. lra.
  - apply is_derive_ln, D.
  - apply (differentiable_Sum n x K (fun k x => exp (z x k)) (fun k i => exp (z x k) * V i k)).
    intros k _. apply (differentiable_comp n x exp _ (fun x => z x k) (fun i => V i k)).
    + apply is_derive_exp.
    + apply logit_differentiable.
Qed.

Lemma loss_differentiable y : (y < K)%nat ->
  differentiable n (fun x => cross_entropy K y (z x)) x (gradient K V y p).
Proof.
  intros Y. apply (differentiable_near n x _ (fun x => ln (Sum K (fun k => exp (z x k))) + -1 * z x y) _ 1
      Rlt_0_1).
  { intros x' _. rewrite cross_entropy_log_sum by easy. ring. }
  apply (differentiable_ext n x _ (fun i => Sum K (fun k => p k * V i k) + -1 * V i y)).
  - intros i _. unfold gradient. rewrite <- (Sum_delta K y (fun k => V i k) Y).
    rewrite <- Sum_scal, <- Sum_plus. apply Sum_ext; intros; ring.
  - apply differentiable_plus; [apply log_sum_differentiable|].
    apply differentiable_scal, logit_differentiable.
Qed.

Lemma softmax_differentiable k : differentiable n (fun x => softmax K (z x) k) x
  (fun i => p k * (V i k - Sum K (fun j => p j * V i j))).
Proof.
  assert (E : forall x, softmax K (z x) k = exp (z x k + -1 * ln (Sum K (fun k => exp (z x k))))).
  { intros x'. pose proof (sum_exp_gt0 K (z x') K0) as D. unfold softmax.
    replace (-1 * ln (Sum K (fun k => exp (z x' k)))) with (- ln (Sum K (fun k => exp (z x' k)))) by ring.
    rewrite exp_plus, exp_Ropp, exp_ln by easy. reflexivity. }
  apply (differentiable_near n x _ (fun x => exp (z x k + -1 * ln (Sum K (fun k => exp (z x k))))) _ 1
      Rlt_0_1).
  { intros; apply E. }
  eapply differentiable_ext; [|apply (differentiable_comp n x exp (p k) (fun x => z x k + -1 * ln (Sum K (fun
      k => exp (z x k))))
    (fun i => V i k + -1 * Sum K (fun k => p k * V i k)))].
  - intros i _. cbv beta. ring.
  - unfold p. rewrite E. apply is_derive_exp.
  - apply differentiable_plus; [apply logit_differentiable|].
    apply differentiable_scal, log_sum_differentiable.
Qed.

Lemma gradient_differentiable y i : differentiable n (fun x => gradient K V y (softmax K (z x)) i) x (hessian
    K V p i).
Proof.
  unfold gradient.
  eapply differentiable_ext; [|apply (differentiable_Sum n x K (fun k x => V i k * (softmax K (z x) k - delta
      k y))
    (fun k d => V i k * (p k * (V d k - Sum K (fun j => p j * V d j)))))].
  - intros d _. cbv beta. unfold hessian. apply Sum_ext; intros k L. symmetry.
    rewrite (Sum_ext K _ (fun l => delta l k * (V i k * p k * V d l) - V i k * p k * (p l * V d l)))
      by (intros; rewrite (delta_sym k); ring).
    rewrite Sum_minus, Sum_delta, Sum_scal by easy. ring.
  - intros k _. apply (differentiable_scal n x (fun x => softmax K (z x) k - delta k y)).
    apply (differentiable_near n x _ (fun x => softmax K (z x) k + - delta k y) _ 1 Rlt_0_1); [intros; ring|].
    apply (differentiable_ext n x _ (fun d => p k * (V d k - Sum K (fun j => p j * V d j)) + 0)); [intros;
        ring|].
    apply (differentiable_plus n x (fun x => softmax K (z x) k) (fun _ => - delta k y)).
    + apply softmax_differentiable.
    + apply differentiable_const.
Qed.
End AffineClassifier.

(* --- Lemma 4.1 ------------------------------------------------------------------------------ *)

Section LocallyAffineClassifier.
Variables (n K : nat) (g : (nat -> R) -> nat -> R) (x : nat -> R) (V : nat -> nat -> R) (c : nat -> R).
Hypothesis Affine : affine_near n K g x V c.

Lemma affine_at_the_point k : (k < K)%nat -> g x k = logits n V c x k.
Proof.
  destruct Affine as (d & D & E). apply E. rewrite norm_0; [easy|intros; ring].
Qed.

(* first line: the gradients of the logits are the columns of V *)
Theorem jacobian_of_the_classifier k : (k < K)%nat -> differentiable n (fun x' => g x' k) x (fun i => V i k).
Proof.
  intros L. destruct Affine as (d & D & E).
  apply (differentiable_near n x _ (fun x' => logits n V c x' k) _ d D).
  - intros x' N. now apply E.
  - apply logit_differentiable.
Qed.

(* second line *)
Theorem gradient_of_the_loss y : (y < K)%nat ->
  differentiable n (fun x' => cross_entropy K y (g x')) x (gradient K V y (softmax K (g x))).
Proof.
  intros Y. destruct Affine as (d & D & E).
  apply (differentiable_near n x _ (fun x' => cross_entropy K y (logits n V c x')) _ d D).
  - intros x' N. apply cross_entropy_ext; [|easy]. intros; now apply E.
  - apply (differentiable_ext n x _ (gradient K V y (softmax K (logits n V c x)))).
    + intros i _. apply Sum_ext; intros k L.
      rewrite (softmax_ext K (g x) (logits n V c x) k affine_at_the_point L). reflexivity.
    + apply loss_differentiable; [lia|easy].
Qed.
End LocallyAffineClassifier.

Lemma affine_near_neighbours n K g x V c : affine_near n K g x V c ->
  exists d, 0 < d /\ forall x', norm n (fun i => x' i - x i) < d -> affine_near n K g x' V c.
Proof.
  intros (d & D & E). exists d. split; [easy|]. intros x' N.
  exists (d - norm n (fun i => x' i - x i)). split; [lra|]. intros x'' N'. apply E.
  apply Rle_lt_trans with (norm n (fun i => x'' i - x' i) + norm n (fun i => x' i - x i)); [|lra].
  rewrite (norm_ext n _ (fun i => (x'' i - x' i) + (x' i - x i))) by (intros; ring). apply norm_triangle.
Qed.

(* third line *)
Theorem hessian_of_the_loss n K g x V c y : affine_near n K g x V c -> (y < K)%nat ->
  has_hessian n (fun x' => cross_entropy K y (g x')) x (hessian K V (softmax K (g x))).
Proof.
  intros A Y. destruct (affine_near_neighbours n K g x V c A) as (d & D & N).
  exists (fun x' => gradient K V y (softmax K (g x'))), d. split; [easy|]. split.
  - intros x' L. now apply (gradient_of_the_loss n K g x' V c (N x' L)).
  - intros i I. destruct A as (d' & D' & E).
    assert (E0 : forall k, (k < K)%nat -> g x k = logits n V c x k) by (apply affine_at_the_point;
        now exists d').
    apply (differentiable_near n x _ (fun x' => gradient K V y (softmax K (logits n V c x')) i) _ d' D').
    + intros x' L. apply Sum_ext; intros k Hk.
      rewrite (softmax_ext K (g x') (logits n V c x') k); auto.
    + apply (differentiable_ext n x _ (hessian K V (softmax K (logits n V c x)) i)).
      * intros j _. unfold hessian. apply Sum_ext; intros k Hk. apply Sum_ext; intros l Hl.
        rewrite !(softmax_ext K (g x) (logits n V c x)) by auto. reflexivity.
      * apply gradient_differentiable. lia.
Qed.

Theorem hessian_is_unique n f x H H' : has_hessian n f x H -> has_hessian n f x H' ->
  forall c d, (c < n)%nat -> (d < n)%nat -> H c d = H' c d.
Proof.
  intros (G & d1 & D1 & F & A) (G' & d2 & D2 & F' & A') c e C E.
  apply (gradient_is_unique n x (fun x' => G x' c) (H c) (H' c)); [now apply A| |easy].
  apply (differentiable_near n x _ (fun x' => G' x' c) _ (Rmin d1 d2)); [now apply Rmin_glb_lt| |].
  2: now apply A'.
  intros x' L. pose proof (Rmin_l d1 d2). pose proof (Rmin_r d1 d2).
  apply (gradient_is_unique n x' f); [apply F; lra|apply F'; lra|easy].
Qed.

(* last line: the sum over pairs of classes, entry by entry; only sum p = 1 is used *)
Theorem hessian_pair_by_pair K V p i j : Sum K p = 1 ->
  hessian K V p i j = Pairs K (fun k l => p k * p l * between V k l i * between V k l j).
Proof.
  intros S. unfold hessian, between.
  assert (E : Sum K (fun k => Sum K (fun l => p k * p l * (V i k - V i l) * (V j k - V j l)))
    = 2 * Sum K (fun k => Sum K (fun l => V i k * (delta k l * p k - p k * p l) * V j l))).
  { rewrite (Sum_ext K _ (fun k => p k * V i k * V j k * Sum K p + p k * dot K p (fun l => V i l * V j l)
       - p k * V i k * dot K p (V j) - p k * V j k * dot K p (V i))).
    2:{ intros k _. unfold dot. rewrite <- !Sum_scal, <- Sum_plus, <- !Sum_minus. apply Sum_ext; intros;
        ring. }
    rewrite (Sum_ext K (fun k => Sum K (fun l => V i k * (delta k l * p k - p k * p l) * V j l))
       (fun k => p k * (V i k * V j k) - p k * V i k * dot K p (V j))).
    2:{ intros k L. rewrite (Sum_ext K _ (fun l => delta l k * (V i k * p k * V j l) - V i k * p k * (p l * V
        j l)))
          by (intros; rewrite (delta_sym k); ring).
        rewrite Sum_minus, Sum_delta, Sum_scal by easy. unfold dot; ring. }
    rewrite !Sum_minus, Sum_plus, !Sum_scal_r, S.
    rewrite (Sum_ext K (fun k => p k * V i k * V j k) (fun k => p k * (V i k * V j k))) by (intros; ring).
    unfold dot. ring. }
  rewrite Sum_Pairs in E; [lra|intros; ring|intros; ring].
Qed.

(* --- gradient and Hessian along a direction r, which see only a = V^T r ------------------- *)

Lemma gradient_along n K V y p r : (y < K)%nat ->
  dot n (gradient K V y p) r = dot K p (transposed n V r) - transposed n V r y.
Proof.
  intros Y. unfold dot, gradient, transposed.
  rewrite (Sum_ext n _ (fun c => Sum K (fun k => V c k * (p k - delta k y) * r c))) by (intros;
      now rewrite <- Sum_scal_r).
  rewrite Sum_swap.
  rewrite <- (Sum_delta K y (fun k => Sum n (fun c => V c k * r c))) by easy.
  rewrite <- Sum_minus. apply Sum_ext; intros k _.
  rewrite <- !Sum_scal, <- Sum_minus. apply Sum_ext; intros; ring.
Qed.

(* H r = V (p o (a - p^T a)) *)
Theorem hessian_vector n K V p r c :
  applied n (hessian K V p) r c =
  Sum K (fun k => V c k * (p k * (transposed n V r k - dot K p (transposed n V r)))).
Proof.
  unfold applied, hessian. set (a := transposed n V r).
  rewrite (Sum_ext n _ (fun d => Sum K (fun k => Sum K (fun l => V c k * (delta k l * p k - p k * p l) * (V d
      l * r d))))).
  2:{ intros d _. rewrite <- Sum_scal_r. apply Sum_ext; intros k _. rewrite <- Sum_scal_r. apply Sum_ext;
      intros; ring. }
  rewrite Sum_swap. apply Sum_ext; intros k L. rewrite Sum_swap.
  rewrite (Sum_ext K _ (fun l => delta l k * (V c k * p k * a l) - V c k * p k * (p l * a l))).
  - rewrite Sum_minus, Sum_delta, Sum_scal by easy. unfold dot. ring.
  - intros l _. rewrite Sum_scal. unfold a, transposed. rewrite (delta_sym k l). ring.
Qed.

Lemma quad_is_dot n H r : quad n H r = dot n r (applied n H r).
Proof.
  unfold quad, dot, applied. apply Sum_ext; intros c _. rewrite <- Sum_scal. apply Sum_ext; intros; ring.
Qed.

(* r^T H r is the variance of a under p *)
Lemma hessian_is_variance n K V p r :
  quad n (hessian K V p) r = dot K p (fun k => (transposed n V r k)^2) - (dot K p (transposed n V r))^2.
Proof.
  rewrite quad_is_dot. unfold dot at 1. set (a := transposed n V r). set (m := dot K p a).
  rewrite (Sum_ext n _ (fun c => Sum K (fun k => V c k * r c * (p k * (a k - m))))).
  2:{ intros c _. rewrite hessian_vector. fold a m. rewrite <- Sum_scal. apply Sum_ext; intros; ring. }
  rewrite Sum_swap. rewrite (Sum_ext K _ (fun k => p k * (a k)^2 - m * (p k * a k))).
  2:{ intros k _. rewrite Sum_scal_r. fold (transposed n V r k). fold a. ring. }
  rewrite Sum_minus, Sum_scal. fold (dot K p a). fold m. unfold dot. ring.
Qed.

Lemma hessian_form n K V p r : Sum K p = 1 ->
  let a := transposed n V r in
  quad n (hessian K V p) r = Pairs K (fun i j => p i * p j * (a i - a j)^2).
Proof.
  intros S a. rewrite hessian_is_variance. fold a.
  assert (E : Sum K (fun i => Sum K (fun j => p i * p j * (a i - a j)^2))
    = 2 * (dot K p (fun k => (a k)^2) - (dot K p a)^2)).
  { rewrite (Sum_ext K _ (fun i => p i * (a i)^2 * Sum K p + p i * dot K p (fun j => (a j)^2)
       - p i * a i * (2 * dot K p a))).
    2:{ intros i _. unfold dot. rewrite <- !Sum_scal, <- Sum_plus, <- Sum_minus. apply Sum_ext; intros; ring.
        }
    rewrite Sum_minus, Sum_plus, !Sum_scal_r, S. unfold dot. ring. }
  rewrite Sum_Pairs in E; [lra|intros; ring|intros; ring].
Qed.

Theorem hessian_is_positive_semidefinite n K V p r : distribution K p -> 0 <= quad n (hessian K V p) r.
Proof.
  intros [P S]. rewrite hessian_form by easy. apply Pairs_ge0; intros.
  apply Rmult_le_pos; [apply Rmult_le_pos; auto using Rlt_le|apply pow2_ge_0].
Qed.

Lemma hessian_symmetric K V p c d : hessian K V p c d = hessian K V p d c.
Proof.
  unfold hessian. rewrite Sum_swap. apply Sum_ext; intros k _. apply Sum_ext; intros l _.
  rewrite (delta_sym k l). unfold delta. destruct (Nat.eqb_spec l k) as [->|]; ring.
Qed.

