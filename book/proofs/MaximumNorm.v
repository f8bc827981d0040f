(* Appendix E in the maximum norm: Eqs. (39) and (40), the bounds of the sum norm of the gradient and of the
   column-sum norm of the Hessian, and the shortest step in the maximum norm between two closed forms. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Hoelder Loss Compactness Spectral Lemma31 Binary TwoClassRadius
    Instances
  ManyClasses Proposition41 AppendixE.
Open Scope R_scope.

(* ||A||_1, the largest column sum, and ||A||_inf, the largest row sum, of an n x m matrix *)
Definition column_norm n m (A : nat -> nat -> R) := Max m (fun k => Sum n (fun c => Rabs (A c k))).
Definition row_norm n m (A : nat -> nat -> R) := Max n (fun c => Sum m (fun k => Rabs (A c k))).

(* the sum of all |H_cd| *)
Definition entry_sum n (H : nat -> nat -> R) := Sum n (fun c => Sum n (fun d => Rabs (H c d))).

Lemma term_le_Max n f k : (k < n)%nat -> f k <= Max n f.
Proof.
  induction n as [|n IH]; simpl; intros L; [lia|].
  destruct (Nat.eq_dec k n) as [->|N]; [apply Rmax_r|]. eapply Rle_trans; [apply IH; lia|apply Rmax_l].
Qed.

Lemma Max_ge0 n f : 0 <= Max n f.
Proof. induction n as [|n IH]; simpl; [lra|]. eapply Rle_trans; [apply IH|apply Rmax_l]. Qed.

Lemma Max_le n f a : 0 <= a -> (forall k, (k < n)%nat -> f k <= a) -> Max n f <= a.
Proof. intros A. induction n as [|n IH]; simpl; intros L; [easy|]. apply Rmax_lub; auto with arith. Qed.

Lemma entry_sum_ge0 n H : 0 <= entry_sum n H.
Proof. apply Sum_ge0; intros; apply Sum_ge0; intros; apply Rabs_pos. Qed.

Lemma entry_sum_below n H : entry_sum n H <= INR n * column_norm n n H.
Proof.
  unfold entry_sum. rewrite Sum_swap, <- Sum_const. apply Sum_le; intros d D.
  apply (term_le_Max n (fun d => Sum n (fun c => Rabs (H c d)))). easy.
Qed.

Lemma quad_below_entry_sum n H r : quad n H r <= entry_sum n H * (norm_inf n r)^2.
Proof.
  unfold quad, entry_sum. rewrite <- Sum_scal_r. apply Sum_le; intros c C. rewrite <- Sum_scal_r.
      apply Sum_le; intros d D.
  pose proof (entry_le_norm_inf n r c C). pose proof (entry_le_norm_inf n r d D).
  eapply Rle_trans; [apply Rle_abs|]. rewrite !Rabs_mult.
  pose proof (Rabs_pos (r c)). pose proof (Rabs_pos (r d)). pose proof (Rabs_pos (H c d)).
  assert (Rabs (r c) * Rabs (r d) <= norm_inf n r * norm_inf n r) by (apply Rmult_le_compat; easy).
  replace (Rabs (r c) * Rabs (H c d) * Rabs (r d)) with (Rabs (H c d) * (Rabs (r c) * Rabs (r d))) by ring.
  simpl. rewrite Rmult_1_r. apply Rmult_le_compat_l; easy.
Qed.

Lemma growth_below_in_the_box n g H r :
  growth n g H r <= norm_1 n g * norm_inf n r + entry_sum n H / 2 * (norm_inf n r)^2.
Proof.
  unfold growth. pose proof (hoelder n g r). pose proof (Rle_abs (dot n g r)).
      pose proof (quad_below_entry_sum n H r). lra.
Qed.

(* Eq. (39), for every step that reaches xi *)
Theorem hoelder_on_the_box n g H xi r : xi <= growth n g H r ->
  0 <= - xi + dot n g r + quad n H r / 2 /\
  - xi + dot n g r + quad n H r / 2 <=
  - xi + norm_1 n g * norm_inf n r + INR n * column_norm n n H * (norm_inf n r)^2 / 2.
Proof.
  intros G. pose proof (growth_below_in_the_box n g H r) as B. unfold growth in *. split; [lra|].
  pose proof (entry_sum_below n H). pose proof (pow2_ge_0 (norm_inf n r)).
  assert (entry_sum n H / 2 * norm_inf n r ^ 2 <= INR n * column_norm n n H * norm_inf n r ^ 2 / 2) by nra.
      lra.
Qed.

Lemma root_below a b xi t : 0 <= a -> 0 <= b -> 0 <= xi -> 0 <= t -> xi <= a * t + b * t^2 / 2 ->
    root a b xi <= t.
Proof.
  intros A B X T F. destruct (Req_dec xi 0) as [Z|Z].
  - unfold root. rewrite Z. unfold Rdiv. rewrite Rmult_0_r, Rmult_0_l. easy.
  - assert (S : 0 < a + b).
    { destruct (Req_dec b 0) as [Zb|]; [|lra]. destruct (Req_dec a 0) as [Za|]; [|lra]. rewrite Za, Zb in F.
        lra. }
    destruct (root_solves a b xi A B S ltac:(lra)) as [R0 E]. set (rho := root a b xi) in *.
    apply Rnot_lt_le. intros N. assert (t^2 < rho^2) by nra. assert (b * t^2 <= b * rho^2) by nra.
    assert (a * t <= a * rho) by nra. destruct (Req_dec b 0) as [Zb|Zb]; [|nra]. assert (0 < a) by lra. nra.
Qed.

(* Eq. (40) *)
Theorem lower_bound_in_the_maximum_norm n g H xi r : 0 <= xi -> xi <= growth n g H r ->
  2 * xi / (sqrt ((norm_1 n g)^2 + 2 * INR n * column_norm n n H * xi) + norm_1 n g) <= norm_inf n r.
Proof.
  intros X G. destruct (hoelder_on_the_box n g H xi r G) as [A B].
  assert (N0 : 0 <= INR n * column_norm n n H) by (apply Rmult_le_pos; [apply pos_INR|apply Max_ge0]).
  pose proof (root_below (norm_1 n g) (INR n * column_norm n n H) xi (norm_inf n r) (norm_1_ge0 n g) N0 X
      (norm_inf_ge0 n r) ltac:(lra)) as T.
  unfold root in T. rewrite Rplus_comm.
  replace (2 * INR n * column_norm n n H * xi) with (2 * (INR n * column_norm n n H) * xi) by ring. exact T.
Qed.

(* a step of least maximum norm exists whenever some step reaches xi *)
Lemma lipschitz_norm_inf n A : 0 <= A -> lipschitz n A (norm_inf n).
Proof.
  intros A0. unfold norm_inf. assert (G : forall m, (m <= n)%nat ->
      lipschitz n A (fun r => Max m (fun c => Rabs (r c)))).
  { induction m as [|m IH]; intros L; simpl; [apply lipschitz_const|].
    apply (lipschitz_Rmax n A (fun r => Max m (fun c => Rabs (r c)))); [apply IH; lia|].
    exists 1. split; [lra|]. intros r t d _ _ _ C. specialize (C m ltac:(lia)).
    pose proof (Rabs_triang_inv2 (r m) (t m)). lra. }
  now apply G.
Qed.

Lemma shortest_step_exists_in_the_maximum_norm n g H xi r0 : xi <= growth n g H r0 ->
  exists rho, least_step (norm_inf n) (growth n g H) xi rho.
Proof.
  intros F. set (A := norm_inf n r0). assert (A0 : 0 <= A) by apply norm_inf_ge0.
  destruct (least_value_is_attained n A A0 (norm_inf n)
    (fun r => Rmax (xi + -1 * (dot n g r + quad n H r * (1/2))) (norm_inf n r + - A))) as (u & U & Least).
  - now apply lipschitz_norm_inf.
  - apply lipschitz_Rmax.
    + apply lipschitz_plus; [apply lipschitz_const|].
      apply (lipschitz_mult n A A0 (fun _ => -1)); [apply lipschitz_const|].
      apply lipschitz_plus; [now apply lipschitz_dot|].
      apply (lipschitz_mult n A A0 (quad n H)); [now apply lipschitz_quad|apply lipschitz_const].
    + apply lipschitz_plus; [now apply lipschitz_norm_inf|apply lipschitz_const].
  - intros r R c C. pose proof (Rmax_r (xi + -1 * (dot n g r + quad n H r * (1/2))) (norm_inf n r + - A)).
    pose proof (entry_le_norm_inf n r c C). lra.
  - exists r0. unfold growth in F. apply Rmax_lub; unfold A; lra.
  - pose proof (Rmax_l (xi + -1 * (dot n g u + quad n H u * (1/2))) (norm_inf n u + - A)).
    pose proof (Rmax_r (xi + -1 * (dot n g u + quad n H u * (1/2))) (norm_inf n u + - A)) as UA.
    exists (norm_inf n u). split; [exists u; split; [unfold growth; lra|easy]|]. intros r R.
    destruct (Rle_lt_dec (norm_inf n r) A) as [S|S]; [|lra].
    apply Least. unfold growth in R. apply Rmax_lub; lra.
Qed.

Section ManyClasses.
Variables (n K : nat) (V : nat -> nat -> R) (p : nat -> R) (y : nat).
Hypothesis Label : (y < K)%nat.
Hypothesis Softmax : distribution K p.
Let g := gradient K V y p.
Let H := hessian K V p.

Lemma residual_sum : Sum K (fun k => Rabs (p k - delta k y)) = 2 * (1 - p y).
Proof.
  destruct Softmax as [P S]. pose proof (q_nonnegative K p y Label Softmax) as Q.
  rewrite (Sum_ext K _ (fun k => p k - delta k y * (2 * p y - 1))).
  - rewrite Sum_minus, (Sum_delta K y (fun _ => 2 * p y - 1) Label), S. ring.
  - intros k L. pose proof (P k L). unfold delta. destruct (Nat.eqb_spec k y) as [->|_].
    + rewrite Rabs_left1 by lra. ring.
    + rewrite Rabs_pos_eq by lra. ring.
Qed.

(* below Eq. (40), first bound *)
Theorem sum_norm_of_the_gradient : norm_1 n g <= 2 * (1 - p y) * column_norm n K V.
Proof.
  rewrite <- residual_sum, <- Sum_scal_r. unfold norm_1, g, gradient.
  apply Rle_trans with (Sum n (fun c => Sum K (fun k => Rabs (p k - delta k y) * Rabs (V c k)))).
  - apply Sum_le; intros c _. eapply Rle_trans; [apply Rabs_Sum|]. apply Sum_le; intros k _.
      rewrite Rabs_mult. lra.
  - rewrite Sum_swap. apply Sum_le; intros k L. rewrite Sum_scal. apply Rmult_le_compat_l; [apply Rabs_pos|].
    now apply (term_le_Max K (fun k => Sum n (fun c => Rabs (V c k)))).
Qed.

(* below Eq. (40), second bound *)
Theorem column_norm_of_the_hessian : correct K p y ->
  column_norm n n H <= 2 * p y * (1 - p y) * column_norm n K V * row_norm n K V.
Proof.
  intros C. destruct Softmax as [P S]. pose proof (q_nonnegative K p y Label Softmax) as Q.
      pose proof (P y Label) as P0.
  pose proof (Max_ge0 K (fun k => Sum n (fun c => Rabs (V c k)))) as C0. fold (column_norm n K V) in C0.
  pose proof (Max_ge0 n (fun c => Sum K (fun k => Rabs (V c k)))) as R0. fold (row_norm n K V) in R0.
  assert (PQ : 0 <= p y * (1 - p y)) by nra.
  apply Max_le; [replace (2 * p y * (1 - p y) * column_norm n K V * row_norm n K V)
    with (2 * (p y * (1 - p y)) * (column_norm n K V * row_norm n K V)) by ring; repeat apply Rmult_le_pos;
        lra|].
  intros d D.
  assert (M : forall l, (l < K)%nat -> Sum K (fun k => Rabs (delta k l * p k - p k * p l)) = 2 * (p l * (1 -
      p l))).
  { intros l L. rewrite (Sum_ext K _ (fun k => p k * p l + delta k l * (p l * (1 - p l) - p l * p l))).
    - rewrite Sum_plus, Sum_scal_r, S, (Sum_delta K l (fun _ => p l * (1 - p l) - p l * p l) L). ring.
    - intros k Hk. pose proof (P k Hk). pose proof (P l L). pose proof (q_nonnegative K p l L Softmax).
      assert (0 < p k * p l) by (apply Rmult_lt_0_compat; easy). unfold delta.
          destruct (Nat.eqb_spec k l) as [->|_].
      + rewrite Rabs_pos_eq; nra.
      + rewrite Rabs_left1; nra. }
  apply Rle_trans with (Sum n (fun c => Sum K (fun k => Sum K (fun l => Rabs (V c k) * (Rabs (delta k l * p k
      - p k * p l) * Rabs (V d l)))))).
  { apply Sum_le; intros c _. unfold H, hessian. eapply Rle_trans; [apply Rabs_Sum|]. apply Sum_le;
      intros k _.
    eapply Rle_trans; [apply Rabs_Sum|]. apply Sum_le; intros l _. rewrite !Rabs_mult. lra. }
  rewrite Sum_swap.
  apply Rle_trans with (Sum K (fun k => column_norm n K V * Sum K (fun l => Rabs (delta k l * p k - p k * p
      l) * Rabs (V d l)))).
  { apply Sum_le; intros k L. rewrite (Sum_ext n _ (fun c => Rabs (V c k) * Sum K (fun l => Rabs (delta k l *
      p k - p k * p l) * Rabs (V d l))))
      by (intros; now rewrite Sum_scal).
    rewrite Sum_scal_r. apply Rmult_le_compat_r.
    - apply Sum_ge0; intros. apply Rmult_le_pos; apply Rabs_pos.
    - now apply (term_le_Max K (fun k => Sum n (fun c => Rabs (V c k)))). }
  rewrite Sum_scal, Sum_swap.
  rewrite (Sum_ext K _ (fun l => 2 * (p l * (1 - p l)) * Rabs (V d l))) by (intros l L; rewrite Sum_scal_r,
      M; easy).
  replace (2 * p y * (1 - p y) * column_norm n K V * row_norm n K V)
    with (column_norm n K V * (2 * (p y * (1 - p y)) * row_norm n K V)) by ring.
  apply Rmult_le_compat_l; [easy|].
  apply Rle_trans with (2 * (p y * (1 - p y)) * Sum K (fun l => Rabs (V d l))).
  - rewrite <- Sum_scal. apply Sum_le; intros l L. pose proof (product_below K p y Label Softmax C l L).
    apply Rmult_le_compat_r; [apply Rabs_pos|lra].
  - apply Rmult_le_compat_l; [lra|]. now apply (term_le_Max n (fun c => Sum K (fun l => Rabs (V c l)))).
Qed.

(* the shortest step in the maximum norm between two closed forms *)
Theorem maximum_norm_between_two_closed_forms xi : (2 <= K)%nat -> 0 < xi -> 0 < norm_1 n g ->
  entry_sum n H <= INR n * column_norm n n H /\
  exists rho, least_step (norm_inf n) (growth n g H) xi rho /\
  2 * xi / (norm_1 n g + sqrt ((norm_1 n g)^2 + 2 * entry_sum n H * xi)) <= rho /\
  rho <= bracket (p y) xi / (p y * norm_1 n (fun c => V c y - rival_mean K V p y c)).
Proof.
  intros K2 X G. split; [apply entry_sum_below|]. pose proof (label_bounds K p y Label K2 Softmax) as P.
  set (w := fun c => V c y - rival_mean K V p y c). set (W := norm_1 n w).
  assert (E : norm_1 n g = (1 - p y) * W).
  { unfold W, norm_1. rewrite <- Sum_scal. apply Sum_ext; intros c _.
    unfold g. rewrite (gradient_is_rivals_less_label K V p y Label K2 Softmax).
    replace ((1 - p y) * (rival_mean K V p y c - V c y)) with (- ((1 - p y) * w c)) by (unfold w; ring).
    rewrite Rabs_Ropp, Rabs_mult, (Rabs_pos_eq (1 - p y)); lra. }
  assert (W0 : 0 < W) by nra.
  assert (R1 : 0 < p y / (1 - p y)) by (apply Rdiv_lt_0_compat; lra).
  destruct (root_solves 1 (p y / (1 - p y)) xi ltac:(lra) ltac:(lra) ltac:(lra) X) as [T0 T].
  rewrite <- root_as_printed in T0, T by lra. set (t := printed_root 1 (p y / (1 - p y)) xi) in *.
  assert (TE : t = (1 - p y) * bracket (p y) xi / p y).
  { unfold t, printed_root, bracket. replace (2 * (p y / (1 - p y)) * xi / 1^2) with (2 * p y * xi / (1 - p
      y)) by (field; lra).
    field. lra. }
  set (r := fun c => (t / norm_1 n g) * sgn (g c)).
  assert (D : dot n g r = t).
  { unfold r. rewrite dot_sym, dot_scal, dot_sym, dot_with_signs. field. lra. }
  assert (F : xi <= growth n g H r).
  { assert (Id := dominance_identity n K V p y Label Softmax r ltac:(lra)). fold g H in Id.
    assert (0 <= / (1 - p y) * Pairs K (fun i j => rivals p y i * rivals p y j * (transposed n V r i -
        transposed n V r j)^2)).
    { apply Rmult_le_pos; [apply Rlt_le, Rinv_0_lt_compat; lra|]. apply Pairs_ge0; intros i j Hi Hj.
      pose proof (rivals_nonnegative K p y Softmax i Hi). pose proof (rivals_nonnegative K p y Softmax j Hj).
      apply Rmult_le_pos; [nra|apply pow2_ge_0]. }
    unfold growth. rewrite D. rewrite D in Id. lra. }
  assert (N : norm_inf n r = bracket (p y) xi / (p y * W)).
  { unfold r. rewrite norm_inf_of_signs by apply (norm_1_positive_size n g G).
    rewrite Rabs_pos_eq by (apply Rlt_le, Rdiv_lt_0_compat; lra). rewrite TE, E. field. lra. }
  destruct (shortest_step_exists_in_the_maximum_norm n g H xi r F) as (rho & Least).
  exists rho. split; [easy|]. split.
  - destruct Least as [(u & U & <-) _]. apply (root_below (norm_1 n g) (entry_sum n H) xi); try lra.
    + apply entry_sum_ge0.
    + apply norm_inf_ge0.
    + pose proof (growth_below_in_the_box n g H u). lra.
  - rewrite <- N. now apply Least.
Qed.
End ManyClasses.

Theorem maximum_norm_instance : let g := gradient 3 first_column 0 three_probabilities in let H := hessian 3
    first_column three_probabilities in
  (0 <= - 1 + dot 1 g long_step + quad 1 H long_step / 2 /\
   - 1 + dot 1 g long_step + quad 1 H long_step / 2 <=
   - 1 + norm_1 1 g * norm_inf 1 long_step + INR 1 * column_norm 1 1 H * (norm_inf 1 long_step)^2 / 2) /\
  2 * 1 / (sqrt ((norm_1 1 g)^2 + 2 * INR 1 * column_norm 1 1 H * 1) + norm_1 1 g) <= norm_inf 1 long_step /\
  norm_1 1 g <= 2 * (1 - 1/2) * column_norm 1 3 first_column /\
  column_norm 1 1 H <= 2 * (1/2) * (1 - 1/2) * column_norm 1 3 first_column * row_norm 1 3 first_column.
Proof.
  intros g H. pose proof three_probabilities_distribution as D. split; [|split; [|split]].
  - apply (hoelder_on_the_box 1 g H 1 long_step long_step_reaches_one).
  - apply lower_bound_in_the_maximum_norm; [lra|apply long_step_reaches_one].
  - apply (sum_norm_of_the_gradient 1 3 first_column three_probabilities 0 ltac:(lia) D).
  - apply (column_norm_of_the_hessian 1 3 first_column three_probabilities 0 ltac:(lia) D
      three_probabilities_correct).
Qed.

Theorem maximum_norm_two_sided_instance :
  let g := gradient 3 first_column 0 three_probabilities in
  let H := hessian 3 first_column three_probabilities in
  exists rho, least_step (norm_inf 1) (growth 1 g H) 1 rho /\
  2 * 1 / (norm_1 1 g + sqrt ((norm_1 1 g)^2 + 2 * entry_sum 1 H * 1)) <= rho /\
  rho <= bracket (1/2) 1 / (1/2 * norm_1 1 (fun c => first_column c 0 - rival_mean 3 first_column
    three_probabilities 0 c)).
Proof.
  intros g H.
  destruct (maximum_norm_between_two_closed_forms 1 3 first_column three_probabilities 0 ltac:(lia)
      three_probabilities_distribution 1 ltac:(lia) Rlt_0_1) as (_ & rho & L & A & B).
  - unfold norm_1; simpl. rewrite gradient_of_first_column by lia. unfold three_probabilities.
    rewrite Rabs_left; lra.
  - exists rho. split; [exact L|]. split; [exact A|exact B].
Qed.
