(* Concrete numbers that meet the hypotheses of Lemmas 3.2 and 4.1 and of the corollaries of Section 3.2,
   and the chain of Section 3.2 as printed, which is false. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Differentiable Loss Compactness Spectral Binary TwoClassRadius.
Open Scope R_scope.

(* the affine classifier z = (x/2, -x/2) at x = 0, where both probabilities are 1/2 *)
Definition halves_classifier (x : nat -> R) (k : nat) := logits 1 halves (fun _ => 0) x k.
Definition origin (c : nat) : R := 0.

Lemma halves_classifier_affine x : affine_near 1 2 halves_classifier x halves (fun _ => 0).
Proof. exists 1. split; [lra|]. intros; reflexivity. Qed.

Lemma halves_softmax : softmax 2 (halves_classifier origin) 0 = 1/2.
Proof.
  unfold softmax, halves_classifier, logits, transposed, halves, origin; simpl.
  rewrite !Rmult_0_r, !Rplus_0_r, exp_0. field.
Qed.

Theorem jacobian_instance_affine : differentiable 1 (fun x => halves_classifier x 1) origin (fun i => halves
    i 1%nat).
Proof.
  apply (jacobian_of_the_classifier 1 2 halves_classifier origin halves (fun _ => 0));
      [apply halves_classifier_affine|lia].
Qed.

Theorem gradient_instance :
  differentiable 1 (fun x => cross_entropy 2 0 (halves_classifier x)) origin
    (gradient 2 halves 0 (softmax 2 (halves_classifier origin))) /\
  gradient 2 halves 0 (softmax 2 (halves_classifier origin)) 0 = - (1/2).
Proof.
  split.
  - apply (gradient_of_the_loss 1 2 halves_classifier origin halves (fun _ => 0));
      [apply halves_classifier_affine|lia].
  - rewrite gradient_of_two_classes; [|lia|apply softmax_is_distribution; lia].
    rewrite halves_softmax. unfold between, halves; simpl. field.
Qed.

Theorem hessian_instance :
  has_hessian 1 (fun x => cross_entropy 2 0 (halves_classifier x)) origin
    (hessian 2 halves (softmax 2 (halves_classifier origin))) /\
  hessian 2 halves (softmax 2 (halves_classifier origin)) 0 0 = 1/4.
Proof.
  split.
  - apply (hessian_of_the_loss 1 2 halves_classifier origin halves (fun _ => 0));
      [apply halves_classifier_affine|lia].
  - rewrite (proj2 (hessian_of_two_classes halves _ 0 ltac:(lia) (softmax_is_distribution 2 _ ltac:(lia)) 0
      0)).
    rewrite halves_softmax. unfold between, halves; simpl. field.
Qed.

(* three classes with the probabilities 1/2, 1/4, 1/4 and the columns 1, 0, 0 *)
Definition three_probabilities (k : nat) : R := match k with 0%nat => 1/2 | _ => 1/4 end.
Definition first_column (c k : nat) : R := match k with 0%nat => 1 | _ => 0 end.

Lemma three_probabilities_distribution : distribution 3 three_probabilities.
Proof. split; [intros [|k] _; simpl; lra|simpl; lra]. Qed.

Theorem pairs_instance : hessian 3 first_column three_probabilities 0 0 = 1/8 + 1/8.
Proof.
  rewrite hessian_pair_by_pair by apply three_probabilities_distribution.
  unfold Pairs, between, first_column, three_probabilities; simpl. field.
Qed.

Theorem constraint_instance : let p := two_probabilities (3/4) in
  1/2 <= growth 1 (gradient 2 halves 0 p) (hessian 2 halves p) (fun _ => -2).
Proof.
  intros p. pose proof (two_probabilities_distribution (3/4) ltac:(lra)) as D.
  apply (constraint_in_the_gradient 1 halves p 0 ltac:(lia) D). unfold dot; simpl.
  rewrite (gradient_of_two_classes halves p 0 ltac:(lia) D). unfold between, halves, p, two_probabilities;
      simpl. lra.
Qed.

Theorem penalties_instance : let p := two_probabilities (3/4) in
  sq 1 (gradient 2 halves 0 p) = 1/16 /\ spectral_norm 1 1 (hessian 2 halves p) (3/16) /\
  frobenius 1 1 (hessian 2 halves p) = 3/16.
Proof.
  intros p. pose proof (two_probabilities_distribution (3/4) ltac:(lra)) as D.
  assert (E : 3/16 = p 0%nat * (1 - p 0%nat) * (norm 1 (between halves 0 1))^2).
  { rewrite halves_nu. unfold p, two_probabilities. field. }
  split; [|split].
  - unfold p. rewrite (squared_gradient_of_two_classes 1 halves _ 0 ltac:(lia) D), halves_nu.
      unfold two_probabilities. field.
  - rewrite E. apply curvature_of_two_classes; [lia|easy|rewrite halves_nu; lra].
  - rewrite E. apply frobenius_norm_of_two_classes; [lia|easy].
Qed.

Theorem eigenvector_instance : let p := two_probabilities (3/4) in
  applied 1 (hessian 2 halves p) (gradient 2 halves 0 p) 0 = 3/16 * gradient 2 halves 0 p 0.
Proof.
  intros p. pose proof (two_probabilities_distribution (3/4) ltac:(lra)) as D.
  destruct (gradient_is_the_first_eigenvector 1 halves p 0 ltac:(lia) D ltac:(rewrite halves_nu;
      lra)) as (_ & E & _).
  rewrite (E 0%nat), halves_nu. unfold p, two_probabilities. field.
Qed.

Theorem jacobian_instance : 1/2 <= (frobenius 1 2 halves)^2.
Proof.
  destruct (small_jacobian_small_nu 1 halves) as [A B]. rewrite halves_nu in A. lra.
Qed.

Theorem chain_instance : let p := two_probabilities (3/4) in
  sq 1 (gradient 2 halves 0 p) <= 3/16 /\ 3/16 <= (frobenius 1 2 halves)^2 / 2.
Proof.
  intros p. pose proof (two_probabilities_distribution (3/4) ltac:(lra)) as D.
  pose proof (proj1 (squared_gradient_below_curvature 1 halves p 0 ltac:(lia) D)) as A.
  pose proof (curvature_below_jacobian 1 halves p 0 ltac:(lia) D) as B.
  rewrite halves_nu in A, B. unfold p, two_probabilities in *. split; [specialize (A ltac:(lra))|]; lra.
Qed.

(* no constant below 1/2 bounds the curvature by the Jacobian penalty *)
Theorem half_is_the_best_constant :
  forall c, (forall n V p y s, (y < 2)%nat -> distribution 2 p -> spectral_norm n n (hessian 2 V p) s ->
    s <= c * (frobenius n 2 V)^2) -> 1/2 <= c.
Proof.
  intros c Bound. pose proof (two_probabilities_distribution (1/2) ltac:(lra)) as D.
      set (p := two_probabilities (1/2)) in *.
  pose proof (curvature_of_two_classes 1 halves p 0 ltac:(lia) D ltac:(rewrite halves_nu; lra)) as S.
  specialize (Bound 1%nat halves p 0%nat _ ltac:(lia) D S). rewrite halves_nu,
      (frobenius_of_two_classes 1 halves) in Bound.
  unfold p, two_probabilities, sq, dot, halves in Bound; simpl in Bound. lra.
Qed.

Theorem chain_false_as_printed :
  ~ (forall n V p y s, (y < 2)%nat -> distribution 2 p -> spectral_norm n n (hessian 2 V p) s ->
     sq n (gradient 2 V y p) <= s /\ s <= (frobenius n 2 V)^2 / 2).
Proof.
  intros Printed. pose proof (two_probabilities_distribution (1/4) ltac:(lra)) as D.
      set (p := two_probabilities (1/4)) in *.
  pose proof (curvature_of_two_classes 1 halves p 0 ltac:(lia) D ltac:(rewrite halves_nu; lra)) as S.
  destruct (Printed 1%nat halves p 0%nat _ ltac:(lia) D S) as [A _].
  rewrite (squared_gradient_of_two_classes 1 halves p 0 ltac:(lia) D), halves_nu in A. unfold p,
      two_probabilities in A. lra.
Qed.
