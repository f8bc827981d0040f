(* Two classes: Lemma 3.2 (7), the corollaries of Section 3.2 and Eqs. (11), (12), (22). Class 0 is the
   paper's +, class 1 its -; p is the softmax of the logits, y the label. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Differentiable Loss Compactness Spectral.
Open Scope R_scope.

(* the label as the paper writes it, +1 or -1 *)
Definition label_sign (y : nat) : R := match y with O => 1 | _ => -1 end.

(* the root of p q t + p q t^2 / 2 = p xi, the bracket of Proposition 3.1 *)
Definition bracket p xi := sqrt (1 + 2 * p * xi / (1 - p)) - 1.

Section TwoClasses.
Variables (n : nat) (V : nat -> nat -> R) (p : nat -> R) (y : nat).
Hypothesis Label : (y < 2)%nat.
Hypothesis Softmax : distribution 2 p.
Let py := p y.
Let q := 1 - p y.
Let s := between V 0 1.
Let nu := norm n s.
Let g := gradient 2 V y p.
Let H := hessian 2 V p.
Let e := label_sign y.

Lemma py_bounds : 0 < py < 1.
Proof. split; [now apply Softmax|]. now apply (p_below_1 2 p y (le_n 2) Softmax). Qed.

Lemma q_bounds : 0 < q < 1.
Proof. pose proof py_bounds. unfold q, py in *. lra. Qed.

Lemma pq_positive : 0 < py * q.
Proof. pose proof py_bounds. pose proof q_bounds. apply Rmult_lt_0_compat; lra. Qed.

Lemma both_probabilities : p 0%nat + p 1%nat = 1.
Proof. destruct Softmax as [_ S]. simpl in S. lra. Qed.

Lemma product_of_probabilities : p 0%nat * p 1%nat = py * q.
Proof.
  pose proof both_probabilities as B. unfold py, q. destruct y as [|[|]]; [| |lia].
  - replace (p 1%nat) with (1 - p 0%nat) by lra. ring.
  - replace (p 0%nat) with (1 - p 1%nat) by lra. ring.
Qed.

Lemma sign_squared : e * e = 1.
Proof. unfold e, label_sign. destruct y; ring. Qed.

(* Lemma 3.2, second line *)
Theorem gradient_of_two_classes c : g c = label_sign y * (p y - 1) * between V 0 1 c.
Proof.
  pose proof both_probabilities as B. unfold g, gradient, between. simpl.
  destruct y as [|[|]]; simpl; unfold delta; simpl; [| |lia].
  - replace (p 1%nat) with (1 - p 0%nat) by lra. ring.
  - replace (p 0%nat) with (1 - p 1%nat) by lra. ring.
Qed.

(* Lemma 3.2, third and fourth lines *)
Theorem hessian_of_two_classes c d :
  H c d = p 0%nat * p 1%nat * between V 0 1 c * between V 0 1 d /\
  H c d = p y * (1 - p y) * between V 0 1 c * between V 0 1 d.
Proof.
  assert (E : H c d = p 0%nat * p 1%nat * between V 0 1 c * between V 0 1 d).
  { unfold H. rewrite hessian_pair_by_pair by apply Softmax. unfold Pairs; simpl. ring. }
  split; [easy|]. rewrite E. change (p y * (1 - p y)) with (py * q). now rewrite product_of_probabilities.
Qed.

Lemma gradient_form r : dot n g r = - e * q * dot n s r.
Proof. rewrite <- dot_scal. apply Sum_ext; intros c _. rewrite gradient_of_two_classes. unfold e, q, s. ring.
    Qed.

Lemma hessian_applied r c : applied n H r c = py * q * dot n s r * s c.
Proof.
  unfold applied. rewrite (Sum_ext n _ (fun d => py * q * s c * (s d * r d))).
  - rewrite Sum_scal. unfold dot. ring.
  - intros d _. rewrite (proj2 (hessian_of_two_classes c d)). unfold py, q, s. ring.
Qed.

Lemma hessian_form_2 r : quad n H r = py * q * (dot n s r)^2.
Proof.
  rewrite quad_applied. rewrite (dot_ext n r r _ (fun c => py * q * dot n s r * s c)); [|easy|intros;
      apply hessian_applied].
  rewrite dot_sym, dot_scal. ring.
Qed.

Lemma hessian_positive r : 0 <= quad n H r.
Proof. now apply hessian_is_positive_semidefinite. Qed.

(* (22): the model's growth depends on g^T r alone *)
Theorem constraint_in_the_gradient xi r :
  xi <= growth n g H r <-> 0 <= - xi + dot n g r + p y / (2 * (1 - p y)) * (dot n g r)^2.
Proof.
  pose proof q_bounds as Q. unfold growth. rewrite gradient_form, hessian_form_2.
  assert (E : p y / (2 * (1 - p y)) * (- e * q * dot n s r)^2 = py * q * (dot n s r)^2 / 2).
  { unfold py, q in *. replace ((- e * (1 - p y) * dot n s r)^2) with ((e * e) * (1 - p y)^2 * (dot n s r)^2)
      by ring.
    rewrite sign_squared. field. lra. }
  rewrite E. split; lra.
Qed.

(* --- (11) and the first corollary of Lemma 3.2 ---------------------------------------------- *)

Theorem squared_gradient_of_two_classes : sq n g = (1 - p y)^2 * nu^2.
Proof.
  unfold nu. rewrite norm_sq. unfold sq at 1. rewrite gradient_form, dot_sym, gradient_form.
  unfold sq, q. replace (- e * (1 - p y) * (- e * (1 - p y) * dot n s s)) with ((e * e) * (1 - p y)^2 * dot n
      s s) by ring.
  rewrite sign_squared. ring.
Qed.

Lemma largest_eigenvalue_of_two_classes : 0 < nu -> largest_eigenvalue n H (py * q * nu^2).
Proof.
  intros P. pose proof pq_positive. split.
  - intros r. rewrite hessian_form_2. unfold nu; rewrite norm_sq. pose proof (cauchy n s r). nra.
  - exists (fun c => / nu * s c). split.
    + rewrite sq_scal, <- norm_sq. fold nu. field. lra.
    + rewrite hessian_form_2, dot_sym, dot_scal. fold (sq n s). rewrite <- norm_sq. fold nu. field. lra.
Qed.

Theorem curvature_of_two_classes : 0 < nu -> spectral_norm n n H (p y * (1 - p y) * nu^2).
Proof.
  intros P. apply spectral_norm_is_largest_eigenvalue.
  - intros; apply hessian_symmetric.
  - apply hessian_positive.
  - now apply largest_eigenvalue_of_two_classes.
Qed.

Theorem frobenius_norm_of_two_classes : frobenius n n H = p y * (1 - p y) * nu^2.
Proof.
  pose proof pq_positive as PQ. unfold frobenius.
  replace (Sum n _) with ((py * q * nu^2)^2).
  - rewrite sqrt_pow2; [easy|]. pose proof (pow2_ge_0 nu). nra.
  - unfold nu. rewrite norm_sq. unfold sq, dot.
    transitivity (Sum n (fun c => (py * q)^2 * (s c)^2 * Sum n (fun d => s d * s d))).
    + rewrite Sum_scal_r. rewrite (Sum_ext n (fun c => (py * q)^2 * (s c)^2) (fun c => (py * q)^2 * (s c * s
        c))) by (intros; ring).
      rewrite Sum_scal. ring.
    + apply Sum_ext; intros c _. rewrite <- Sum_scal. apply Sum_ext; intros d _.
      rewrite (proj2 (hessian_of_two_classes c d)). unfold py, q, s. ring.
Qed.

(* the gradient is an eigenvector for the largest eigenvalue, and every other one is a multiple of it *)
Theorem gradient_is_the_first_eigenvector : 0 < nu ->
  largest_eigenvalue n H (p y * (1 - p y) * nu^2) /\
  (forall c, applied n H g c = p y * (1 - p y) * nu^2 * g c) /\
  (0 < sq n g) /\
  forall u, (forall c, (c < n)%nat -> applied n H u c = p y * (1 - p y) * nu^2 * u c) ->
    exists t, forall c, (c < n)%nat -> u c = t * g c.
Proof.
  intros P. pose proof pq_positive as PQ. pose proof q_bounds as Q.
      assert (N2 : nu^2 = sq n s) by apply norm_sq.
  split; [now apply largest_eigenvalue_of_two_classes|]. split; [|split].
  - intros c. rewrite hessian_applied, gradient_of_two_classes, dot_sym, gradient_form.
    fold (sq n s). rewrite <- N2. unfold py, q, e, s. ring.
  - rewrite squared_gradient_of_two_classes. unfold q in Q. apply Rmult_lt_0_compat; apply pow_lt; lra.
  - intros u U. exists (- e * dot n s u / (q * nu^2)). intros c C. specialize (U c C).
    rewrite hessian_applied in U. rewrite gradient_of_two_classes.
    assert (E : u c = dot n s u * s c / nu^2).
    { apply Rmult_eq_reg_l with (py * q * nu^2); [|apply Rgt_not_eq, Rmult_lt_0_compat; [easy|apply pow_lt;
        lra]].
      unfold py, q in *. rewrite <- U. field. lra. }
    rewrite E. fold e s. replace (p y - 1) with (- q) by (unfold q; ring).
    replace (- e * dot n s u / (q * nu^2) * (e * - q * s c)) with ((e * e) * (dot n s u * s c / nu^2)) by
        (field; lra).
    rewrite sign_squared. ring.
Qed.

(* --- the chain of Section 3.2, with the hypothesis that its first link needs ------------------ *)

Theorem squared_gradient_below_curvature :
  (1/2 <= p y -> sq n g <= p y * (1 - p y) * nu^2) /\
  (0 < nu -> (sq n g <= p y * (1 - p y) * nu^2 <-> 1/2 <= p y)).
Proof.
  rewrite squared_gradient_of_two_classes. pose proof py_bounds as B. pose proof (pow2_ge_0 nu) as N2.
  unfold py in *. assert (Up : p y >= 1/2 -> (1 - p y)^2 * nu^2 <= p y * (1 - p y) * nu^2).
  { intros P. apply Rmult_le_compat_r; [easy|]. nra. }
  split; [intros P; apply Up; lra|].
  intros N. split; [|intros P; apply Up; lra]. intros L.
  assert (0 < nu^2) by (apply pow_lt; easy).
  apply Rmult_le_reg_r in L; [|easy]. nra.
Qed.

Lemma frobenius_of_two_classes : (frobenius n 2 V)^2 = sq n (fun c => V c 0%nat) + sq n (fun c => V c 1%nat).
Proof.
  unfold frobenius. rewrite pow2_sqrt.
  - unfold sq, dot. rewrite <- Sum_plus. apply Sum_ext; intros; simpl; ring.
  - apply Sum_ge0; intros; apply Sum_ge0; intros; apply pow2_ge_0.
Qed.

Lemma nu_squared : nu^2 = sq n (fun c => V c 0%nat) - 2 * dot n (fun c => V c 0%nat) (fun c => V c 1%nat) +
    sq n (fun c => V c 1%nat).
Proof.
  unfold nu; rewrite norm_sq. unfold sq, dot. rewrite <- Sum_scal, <- Sum_minus, <- Sum_plus.
  apply Sum_ext; intros; unfold s, between. ring.
Qed.

Lemma twice_the_product : let vv := dot n (fun c => V c 0%nat) (fun c => V c 1%nat) in
  2 * Rabs vv <= sq n (fun c => V c 0%nat) + sq n (fun c => V c 1%nat).
Proof.
  intros vv. assert (L : 2 * vv <= sq n (fun c => V c 0%nat) + sq n (fun c => V c 1%nat) /\
    - 2 * vv <= sq n (fun c => V c 0%nat) + sq n (fun c => V c 1%nat)).
  { unfold vv, sq, dot; rewrite <- Sum_plus, <- !Sum_scal. split; apply Sum_le; intros c _.
    - pose proof (pow2_ge_0 (V c 0%nat - V c 1%nat)). nra.
    - pose proof (pow2_ge_0 (V c 0%nat + V c 1%nat)). nra. }
  unfold Rabs; destruct (Rcase_abs vv); lra.
Qed.

Theorem curvature_below_jacobian : p y * (1 - p y) * nu^2 <= (frobenius n 2 V)^2 / 2.
Proof.
  pose proof pq_positive as PQ. assert (Quarter : py * q <= 1/4) by (unfold py, q;
      pose proof (pow2_ge_0 (2 * p y - 1)); nra).
  rewrite frobenius_of_two_classes. pose proof nu_squared as E. pose proof twice_the_product as T. simpl in T.
  pose proof (Rle_abs (- dot n (fun c => V c 0%nat) (fun c => V c 1%nat))) as A. rewrite Rabs_Ropp in A.
  pose proof (pow2_ge_0 nu). unfold py, q in *. nra.
Qed.

(* (12) *)
Theorem small_jacobian_small_nu : let vv := dot n (fun c => V c 0%nat) (fun c => V c 1%nat) in
  nu^2 / 2 <= 1/2 * (norm n (fun c => V c 0%nat))^2 + Rabs vv + 1/2 * (norm n (fun c => V c 1%nat))^2 <=
      (frobenius n 2 V)^2.
Proof.
  intros vv. rewrite nu_squared, frobenius_of_two_classes, !norm_sq. fold vv.
  pose proof twice_the_product as T. simpl in T. fold vv in T.
  pose proof (Rle_abs (- vv)) as A. rewrite Rabs_Ropp in A. lra.
Qed.

(* --- the smallest step that reaches xi in the model, in any norm -------------------------------- *)

Lemma bracket_facts xi : 0 <= xi -> 0 <= bracket (p y) xi /\
  xi = q * (bracket (p y) xi / py) + py * q * (bracket (p y) xi / py)^2 / 2.
Proof.
  intros X. pose proof py_bounds as P. pose proof q_bounds as Q. unfold py, q in *.
  assert (R0 : 0 <= 2 * p y * xi / (1 - p y)) by (apply Rmult_le_pos; [nra|apply Rlt_le, Rinv_0_lt_compat;
      lra]).
  unfold bracket. set (w := sqrt (1 + 2 * p y * xi / (1 - p y))).
  assert (W : w^2 = 1 + 2 * p y * xi / (1 - p y)) by (apply pow2_sqrt; lra).
  assert (W1 : 1 <= w) by (rewrite <- sqrt_1; apply sqrt_le_1_alt; lra). split; [lra|].
  assert (E : xi = (1 - p y) * (w^2 - 1) / (2 * p y)) by (rewrite W; field; lra).
  rewrite E at 1. field. lra.
Qed.

Lemma growth_form r : growth n g H r = q * (- e * dot n s r) + py * q * (- e * dot n s r)^2 / 2.
Proof.
  unfold growth. rewrite gradient_form, hessian_form_2.
  replace ((- e * dot n s r)^2) with ((e * e) * (dot n s r)^2) by ring. rewrite sign_squared. field.
Qed.

(* D bounds s^T r by N r, and some multiples of a vector u attain it *)
Lemma least_step_along_s (N : (nat -> R) -> R) D xi : 0 < D -> 0 <= xi ->
  (forall r, Rabs (dot n s r) <= D * N r) ->
  (exists u, dot n s u = D /\ forall t, N (fun c => t * u c) = Rabs t) ->
  least_step N (growth n g H) xi (bracket (p y) xi / (p y * D)).
Proof.
  intros D0 X Holder (u & A & T). pose proof py_bounds as P. pose proof q_bounds as Q.
      pose proof pq_positive as PQ.
  destruct (bracket_facts xi X) as [B0 E]. set (B := bracket (p y) xi) in *. unfold py in *.
  assert (R0 : 0 <= B / (p y * D)) by (apply Rmult_le_pos; [easy|apply Rlt_le, Rinv_0_lt_compat,
      Rmult_lt_0_compat; lra]).
  split.
  - exists (fun c => (- e * (B / (p y * D))) * u c). split.
    + rewrite growth_form, (dot_sym n s), dot_scal, dot_sym, A. rewrite E at 1. apply Req_le.
      replace (- e * (- e * (B / (p y * D)) * D)) with ((e * e) * (B / p y)) by (field; lra).
      rewrite sign_squared. unfold py. field. lra.
    + rewrite T, Rabs_mult, (Rabs_pos_eq (B / (p y * D))) by easy.
      replace (Rabs (- e)) with 1; [ring|]. unfold e, label_sign. destruct y; rewrite ?Rabs_Ropp, ?Rabs_R1;
          [easy|].
      rewrite Rabs_left; lra.
  - intros r F. rewrite growth_form in F. apply Rnot_lt_le. intros L. specialize (Holder r).
    set (t := - e * dot n s r) in *.
    assert (At : Rabs t = Rabs (dot n s r)).
    { unfold t. rewrite Rabs_mult, Rabs_Ropp. replace (Rabs e) with 1; [ring|].
      unfold e, label_sign. destruct y; [now rewrite Rabs_R1|rewrite Rabs_left; lra]. }
    assert (Small : Rabs t < B / p y).
    { rewrite At. apply Rle_lt_trans with (1 := Holder). replace (B / p y) with (D * (B / (p y * D))) by
        (field; lra).
      now apply Rmult_lt_compat_l. }
    pose proof (Rle_abs t). assert (t^2 = (Rabs t)^2) by (now rewrite pow2_abs). pose proof (Rabs_pos t).
    set (w := B / p y) in *. assert (t^2 < w^2) by nra.
    assert (q * t < q * w) by (apply Rmult_lt_compat_l; lra).
    assert (p y * q * t^2 < p y * q * w^2) by (apply Rmult_lt_compat_l; lra). unfold py in *. lra.
Qed.
End TwoClasses.
