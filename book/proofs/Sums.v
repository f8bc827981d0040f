(* Finite sums, dot products and norms: linearity, order, the exchange of two sums, the inequalities of
   Cauchy and Schwarz. Nothing here is the paper's own. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions.
Open Scope R_scope.


Lemma Sum_ext n f g : (forall i, (i < n)%nat -> f i = g i) -> Sum n f = Sum n g.
Proof. induction n as [|n IH]; simpl; intros E; [easy|]. rewrite IH, E; auto with arith. Qed.

Lemma Sum_plus n f g : Sum n (fun i => f i + g i) = Sum n f + Sum n g.
Proof. induction n as [|n IH]; simpl; [lra|]. rewrite IH; ring. Qed.

Lemma Sum_minus n f g : Sum n (fun i => f i - g i) = Sum n f - Sum n g.
Proof. induction n as [|n IH]; simpl; [lra|]. rewrite IH; ring. Qed.

Lemma Sum_scal n a f : Sum n (fun i => a * f i) = a * Sum n f.
Proof. induction n as [|n IH]; simpl; [lra|]. rewrite IH; ring. Qed.

Lemma Sum_scal_r n a f : Sum n (fun i => f i * a) = Sum n f * a.
Proof. induction n as [|n IH]; simpl; [lra|]. rewrite IH; ring. Qed.

Lemma Sum_0 n : Sum n (fun _ => 0) = 0.
Proof. induction n as [|n IH]; simpl; lra. Qed.

Lemma Sum_const n a : Sum n (fun _ => a) = INR n * a.
Proof. induction n as [|n IH]; [simpl; lra|]. rewrite S_INR; simpl Sum; rewrite IH; ring. Qed.

Lemma Sum_ge0 n f : (forall i, (i < n)%nat -> 0 <= f i) -> 0 <= Sum n f.
Proof. induction n as [|n IH]; simpl; intros P; [lra|].
  assert (0 <= f n) by auto with arith. assert (0 <= Sum n f) by auto with arith. lra. Qed.

Lemma Sum_le n f g : (forall i, (i < n)%nat -> f i <= g i) -> Sum n f <= Sum n g.
Proof. induction n as [|n IH]; simpl; intros P; [lra|].
  assert (f n <= g n) by auto with arith. assert (Sum n f <= Sum n g) by auto with arith. lra. Qed.

Lemma Sum_gt0 n f : (0 < n)%nat -> (forall i, 0 < f i) -> 0 < Sum n f.
Proof. destruct n as [|n]; [lia|]. intros _ P; simpl.
  assert (0 <= Sum n f) by (apply Sum_ge0; intros; now apply Rlt_le). specialize (P n). lra. Qed.

Lemma Sum_swap n m f : Sum n (fun i => Sum m (fun j => f i j)) = Sum m (fun j => Sum n (fun i => f i j)).
Proof. induction n as [|n IH]; simpl; [now rewrite Sum_0|]. now rewrite IH, <- Sum_plus. Qed.

Lemma Sum_delta n y f : (y < n)%nat -> Sum n (fun i => delta i y * f i) = f y.
Proof.
  assert (Z : forall m, (m <= y)%nat -> Sum m (fun i => delta i y * f i) = 0).
  { induction m as [|m IH]; simpl; intros L; [easy|]. rewrite IH by lia.
    unfold delta; replace (m =? y)%nat with false by (symmetry; apply Nat.eqb_neq; lia). ring. }
  induction n as [|n IH]; simpl; intros L; [lia|].
  destruct (Nat.eq_dec y n) as [->|N].
  - rewrite Z by lia. unfold delta; rewrite Nat.eqb_refl; ring.
  - rewrite IH by lia. unfold delta; replace (n =? y)%nat with false by (symmetry; apply Nat.eqb_neq; lia).
      ring.
Qed.

Lemma delta_sym i j : delta i j = delta j i.
Proof. unfold delta. now rewrite Nat.eqb_sym. Qed.

(* a symmetric function with zero diagonal: all ordered pairs are twice the pairs *)
Lemma Sum_Pairs n f : (forall i j, f i j = f j i) -> (forall i, f i i = 0) ->
  Sum n (fun i => Sum n (fun j => f i j)) = 2 * Pairs n f.
Proof.
  intros S Z. unfold Pairs. induction n as [|n IH]; simpl; [lra|].
  rewrite Sum_plus, IH, Z. replace (Sum n (fun j => f n j)) with (Sum n (fun i => f i n)) by (apply Sum_ext;
      auto). ring.
Qed.

Lemma Pairs_ge0 n f : (forall i j, (i < n)%nat -> (j < n)%nat -> 0 <= f i j) -> 0 <= Pairs n f.
Proof. intros P; unfold Pairs. apply Sum_ge0; intros j J. apply Sum_ge0; intros i I. apply P; lia. Qed.

(* Cauchy and Schwarz, with weights *)
Lemma cauchy_weighted n w b : (forall i, (i < n)%nat -> 0 <= w i) ->
  (Sum n (fun i => w i * b i))^2 <= Sum n w * Sum n (fun i => w i * (b i)^2).
Proof.
  induction n as [|n IH]; simpl; intros P; [lra|].
  assert (P' : 0 <= w n) by auto with arith.
  assert (I : (Sum n (fun i => w i * b i))^2 <= Sum n w * Sum n (fun i => w i * (b i)^2)) by auto with arith.
  assert (W : 0 <= Sum n w) by (apply Sum_ge0; auto with arith).
  assert (Q : 0 <= Sum n (fun i => w i * (b i)^2)).
  { apply Sum_ge0; intros i L. apply Rmult_le_pos; [auto with arith|apply pow2_ge_0]. }
  simpl in I, Q. set (s := Sum n w) in *. set (t := Sum n (fun i => w i * b i)) in *.
  set (u := Sum n (fun i => w i * (b i * (b i * 1)))) in *.
  set (a := w n) in *. set (c := b n) in *.
  (* 2 a t c <= a (s c^2 + u), from t^2 <= s u *)
  assert (2 * t * c <= s * c^2 + u).
  { destruct (Req_dec s 0) as [E|N].
    - assert (t = 0) by (rewrite E in I; nra). rewrite H. nra.
    - assert (0 < s) by lra. apply Rmult_le_reg_l with s; [easy|].
      assert (0 <= (s * c - t)^2) by apply pow2_ge_0. nra. }
  nra.
Qed.

Lemma cauchy n u v : (dot n u v)^2 <= sq n u * sq n v.
Proof.
  unfold sq, dot. induction n as [|n IH]; simpl; [lra|].
  set (s := Sum n (fun c => u c * u c)) in *. set (t := Sum n (fun c => u c * v c)) in *.
  set (w := Sum n (fun c => v c * v c)) in *.
  assert (0 <= s) by (apply Sum_ge0; intros; nra). assert (0 <= w) by (apply Sum_ge0; intros; nra).
  assert (K : 2 * t * (u n * v n) <= s * (v n)^2 + w * (u n)^2).
  { destruct (Req_dec s 0) as [E|N].
    - assert (t = 0) by (rewrite E in IH; nra). rewrite H1. nra.
    - assert (0 < s) by lra. apply Rmult_le_reg_l with s; [easy|].
      assert (0 <= (s * v n - t * u n)^2) by apply pow2_ge_0.
      assert (0 <= (u n)^2) by apply pow2_ge_0. simpl in IH. nra. }
  simpl in IH. nra.
Qed.

Lemma sq_ge0 n u : 0 <= sq n u.
Proof. apply Sum_ge0; intros; nra. Qed.

Lemma norm_ge0 n u : 0 <= norm n u.
Proof. apply sqrt_pos. Qed.

Lemma norm_sq n u : (norm n u)^2 = sq n u.
Proof. unfold norm. rewrite pow2_sqrt; [easy|apply sq_ge0]. Qed.

Lemma dot_le_norm n u v : Rabs (dot n u v) <= norm n u * norm n v.
Proof.
  apply Rsqr_incr_0_var; [|apply Rmult_le_pos; apply norm_ge0].
  rewrite <- Rsqr_abs. unfold Rsqr.
  pose proof (cauchy n u v). pose proof (norm_sq n u). pose proof (norm_sq n v).
  replace (norm n u * norm n v * (norm n u * norm n v)) with ((norm n u)^2 * (norm n v)^2) by ring.
      rewrite H0, H1. lra.
Qed.

Lemma dot_sym n u v : dot n u v = dot n v u.
Proof. apply Sum_ext; intros; ring. Qed.

Lemma dot_scal n a u v : dot n (fun c => a * u c) v = a * dot n u v.
Proof. unfold dot. rewrite <- Sum_scal. apply Sum_ext; intros; ring. Qed.

Lemma sq_scal n a u : sq n (fun c => a * u c) = a^2 * sq n u.
Proof. unfold sq, dot. rewrite <- Sum_scal. apply Sum_ext; intros; ring. Qed.

Lemma norm_scal n a u : norm n (fun c => a * u c) = Rabs a * norm n u.
Proof.
  unfold norm. rewrite sq_scal, sqrt_mult; [|apply pow2_ge_0|apply sq_ge0].
  f_equal. rewrite <- Rsqr_pow2. apply sqrt_Rsqr_abs.
Qed.

Lemma is_derive_Sum n (f : nat -> R -> R) (df : nat -> R) t :
  (forall i, (i < n)%nat -> is_derive (f i) t (df i)) ->
  is_derive (fun t => Sum n (fun i => f i t)) t (Sum n df).
Proof.
  induction n as [|n IH]; simpl; intros D.
  - apply @is_derive_const.
  - apply @is_derive_plus; auto with arith.
Qed.

Lemma dot_ext n u u' v v' : (forall c, (c < n)%nat -> u c = u' c) -> (forall c, (c < n)%nat -> v c = v' c) ->
  dot n u v = dot n u' v'.
Proof. intros E F. apply Sum_ext; intros; rewrite E, F; easy. Qed.

Lemma norm_ext n u v : (forall c, (c < n)%nat -> u c = v c) -> norm n u = norm n v.
Proof. intros E. unfold norm, sq. f_equal. now apply dot_ext. Qed.

Lemma norm_lt n u v : sq n u < sq n v -> norm n u < norm n v.
Proof. intros L. apply sqrt_lt_1_alt. split; [apply sq_ge0|easy]. Qed.

(* an inequality between squares of nonnegative numbers, and its root *)
Lemma le_from_squares a b : 0 <= b -> a^2 <= b^2 -> a <= b.
Proof. intros B S. apply Rnot_lt_le; intros L. nra. Qed.

Lemma norm_le_squares n u a : 0 <= a -> sq n u <= a^2 -> norm n u <= a.
Proof. intros A S. apply le_from_squares; [easy|]. now rewrite norm_sq. Qed.

Lemma norm_triangle n u v : norm n (fun c => u c + v c) <= norm n u + norm n v.
Proof.
  apply norm_le_squares; [pose proof (norm_ge0 n u); pose proof (norm_ge0 n v); lra|].
  assert (E : sq n (fun c => u c + v c) = sq n u + 2 * dot n u v + sq n v).
  { unfold sq, dot. rewrite <- Sum_scal, <- !Sum_plus. apply Sum_ext; intros; ring. }
  pose proof (dot_le_norm n u v). pose proof (Rle_abs (dot n u v)).
  pose proof (norm_sq n u). pose proof (norm_sq n v). nra.
Qed.

Lemma norm_0 n u : (forall c, (c < n)%nat -> u c = 0) -> norm n u = 0.
Proof.
  intros Z. unfold norm, sq, dot. rewrite (Sum_ext n _ (fun _ => 0)), Sum_0; [apply sqrt_0|].
  intros c L. rewrite Z by easy. ring.
Qed.

Lemma entry_le_norm n u c : (c < n)%nat -> Rabs (u c) <= norm n u.
Proof.
  intros L. apply le_from_squares; [apply norm_ge0|].
  rewrite norm_sq, pow2_abs. unfold sq, dot.
  rewrite <- (Sum_delta n c (fun i => u i ^ 2) L). apply Sum_le; intros i _.
  unfold delta. destruct (Nat.eqb i c); nra.
Qed.

Lemma sq_0_entries n u : sq n u = 0 -> forall c, (c < n)%nat -> u c = 0.
Proof.
  intros Z c L. pose proof (entry_le_norm n u c L) as E. unfold norm in E. rewrite Z, sqrt_0 in E.
  pose proof (Rabs_pos (u c)). apply Rabs_eq_0. lra.
Qed.

Lemma Rabs_Sum n f : Rabs (Sum n f) <= Sum n (fun i => Rabs (f i)).
Proof.
  induction n as [|n IH]; simpl; [rewrite Rabs_R0; lra|].
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

Lemma term_le_Sum n f k : (forall i, (i < n)%nat -> 0 <= f i) -> (k < n)%nat -> f k <= Sum n f.
Proof.
  intros P L. rewrite <- (Sum_delta n k f L). apply Sum_le; intros i I.
  specialize (P i I). unfold delta. destruct (Nat.eqb i k); lra.
Qed.

(* two different terms *)
Lemma two_terms_le_Sum n f k l : (forall i, (i < n)%nat -> 0 <= f i) -> (k < n)%nat -> (l < n)%nat ->
    k <> l ->
  f k + f l <= Sum n f.
Proof.
  intros P Hk Hl N. rewrite <- (Sum_delta n k f Hk), <- (Sum_delta n l f Hl), <- Sum_plus.
  apply Sum_le; intros i I. specialize (P i I). unfold delta.
  destruct (Nat.eqb_spec i k), (Nat.eqb_spec i l); subst; try lra; now elim N.
Qed.

Lemma Pairs_ext n f g : (forall i j, (i < j)%nat -> (j < n)%nat -> f i j = g i j) -> Pairs n f = Pairs n g.
Proof. intros E. apply Sum_ext; intros j J. apply Sum_ext; intros i I. now apply E. Qed.

Lemma Pairs_le n f g : (forall i j, (i < j)%nat -> (j < n)%nat -> f i j <= g i j) -> Pairs n f <= Pairs n g.
Proof. intros E. apply Sum_le; intros j J. apply Sum_le; intros i I. now apply E. Qed.

Lemma Pairs_scal n a f : Pairs n (fun i j => a * f i j) = a * Pairs n f.
Proof. unfold Pairs. rewrite <- Sum_scal. apply Sum_ext; intros. now rewrite Sum_scal. Qed.

Lemma Pairs_plus n f g : Pairs n (fun i j => f i j + g i j) = Pairs n f + Pairs n g.
Proof. unfold Pairs. rewrite <- Sum_plus. apply Sum_ext; intros. now rewrite Sum_plus. Qed.

Lemma Pairs_Sum n m (f : nat -> nat -> nat -> R) :
  Pairs n (fun i j => Sum m (f i j)) = Sum m (fun c => Pairs n (fun i j => f i j c)).
Proof.
  unfold Pairs. rewrite Sum_swap. apply Sum_ext; intros j _. now rewrite Sum_swap.
Qed.
