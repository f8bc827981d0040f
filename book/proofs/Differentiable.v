(* Rules for the gradient of a function of a vector: linear functions, sums, multiples and the chain rule; a
   function has at most one gradient at a point. Nothing here is the paper's own. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums.
Open Scope R_scope.

Section Rules.
Variables (n : nat) (x : nat -> R).

Lemma differentiable_near f f' g d : 0 < d ->
  (forall x', norm n (fun c => x' c - x c) < d -> f x' = f' x') ->
  differentiable n f' x g -> differentiable n f x g.
Proof.
  intros D0 E F eps E0. destruct (F eps E0) as (d' & D' & B). exists (Rmin d d').
  split; [now apply Rmin_glb_lt|]. intros x' L.
  pose proof (Rmin_l d d'). pose proof (Rmin_r d d').
  assert (Z : norm n (fun c => x c - x c) = 0) by (apply norm_0; intros; ring).
  rewrite (E x'), (E x) by lra. apply B. lra.
Qed.

Lemma differentiable_ext f g g' : (forall c, (c < n)%nat -> g c = g' c) ->
  differentiable n f x g -> differentiable n f x g'.
Proof.
  intros E F eps E0. destruct (F eps E0) as (d & D & B). exists d. split; [easy|]. intros x' L.
  rewrite <- (dot_ext n g g' _ _ E (fun _ _ => eq_refl)). now apply B.
Qed.

Lemma differentiable_linear a b : differentiable n (fun x' => dot n a x' + b) x a.
Proof.
  intros eps E0. exists 1. split; [lra|]. intros x' _.
  assert (E : dot n a (fun c => x' c - x c) = dot n a x' - dot n a x).
  { unfold dot. rewrite <- Sum_minus. apply Sum_ext; intros; ring. }
  rewrite E. replace (dot n a x' + b - (dot n a x + b) - (dot n a x' - dot n a x)) with 0 by ring.
  rewrite Rabs_R0. apply Rmult_le_pos; [lra|apply norm_ge0].
Qed.

Lemma differentiable_const b : differentiable n (fun _ => b) x (fun _ => 0).
Proof.
  intros eps E0. exists 1. split; [lra|]. intros x' _.
  unfold dot. rewrite (Sum_ext n _ (fun _ => 0)), Sum_0 by (intros; ring).
  replace (b - b - 0) with 0 by ring. rewrite Rabs_R0. apply Rmult_le_pos; [lra|apply norm_ge0].
Qed.

Lemma differentiable_plus f g u v : differentiable n f x u -> differentiable n g x v ->
  differentiable n (fun x => f x + g x) x (fun c => u c + v c).
Proof.
  intros F G eps E0. destruct (F (eps / 2) ltac:(lra)) as (d1 & D1 & B1).
  destruct (G (eps / 2) ltac:(lra)) as (d2 & D2 & B2).
  exists (Rmin d1 d2). split; [now apply Rmin_glb_lt|]. intros x' L.
  pose proof (Rmin_l d1 d2). pose proof (Rmin_r d1 d2).
  specialize (B1 x' ltac:(lra)). specialize (B2 x' ltac:(lra)).
  set (h := fun c => x' c - x c) in *.
  assert (E : dot n (fun c => u c + v c) h = dot n u h + dot n v h).
  { unfold dot. rewrite <- Sum_plus. apply Sum_ext; intros; ring. }
  rewrite E. replace (f x' + g x' - (f x + g x) - (dot n u h + dot n v h))
    with ((f x' - f x - dot n u h) + (g x' - g x - dot n v h)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

Lemma differentiable_scal f u a : differentiable n f x u ->
  differentiable n (fun x => a * f x) x (fun c => a * u c).
Proof.
  intros F eps E0. pose proof (Rabs_pos a) as A0.
  assert (P : 0 < eps / (Rabs a + 1)) by (apply Rdiv_lt_0_compat; lra).
  destruct (F _ P) as (d & D & B). exists d. split; [easy|]. intros x' L. specialize (B x' L).
  rewrite dot_scal. set (h := fun c => x' c - x c) in *.
  replace (a * f x' - a * f x - a * dot n u h) with (a * (f x' - f x - dot n u h)) by ring.
  rewrite Rabs_mult. pose proof (norm_ge0 n h) as N.
  apply Rle_trans with (Rabs a * (eps / (Rabs a + 1) * norm n h)); [now apply Rmult_le_compat_l|].
  rewrite <- Rmult_assoc. apply Rmult_le_compat_r; [easy|].
  replace (Rabs a * (eps / (Rabs a + 1))) with (eps * (Rabs a / (Rabs a + 1))) by (field; lra).
  rewrite <- (Rmult_1_r eps) at 2. apply Rmult_le_compat_l; [lra|].
  apply Rmult_le_reg_r with (Rabs a + 1); [lra|]. field_simplify; lra.
Qed.

Lemma differentiable_Sum m (f : nat -> (nat -> R) -> R) (u : nat -> nat -> R) :
  (forall k, (k < m)%nat -> differentiable n (f k) x (u k)) ->
  differentiable n (fun x => Sum m (fun k => f k x)) x (fun c => Sum m (fun k => u k c)).
Proof.
  induction m as [|m IH]; simpl; intros F; [apply differentiable_const|].
  apply (differentiable_plus (fun x => Sum m (fun k => f k x)) (f m)); auto with arith.
Qed.

(* a differentiable function is Lipschitz at the point *)
Lemma differentiable_lipschitz f u : differentiable n f x u ->
  exists d, 0 < d /\ forall x', norm n (fun c => x' c - x c) < d ->
    Rabs (f x' - f x) <= (1 + norm n u) * norm n (fun c => x' c - x c).
Proof.
  intros F. destruct (F 1 ltac:(lra)) as (d & D & B). exists d. split; [easy|]. intros x' L.
  specialize (B x' L). set (h := fun c => x' c - x c) in *.
  replace (f x' - f x) with ((f x' - f x - dot n u h) + dot n u h) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. pose proof (dot_le_norm n u h). lra.
Qed.

(* the chain rule *)
Lemma differentiable_comp phi l f u : is_derive phi (f x) l -> differentiable n f x u ->
  differentiable n (fun x => phi (f x)) x (fun c => l * u c).
Proof.
  intros P F eps E0. destruct (differentiable_lipschitz f u F) as (d1 & D1 & B1).
  pose proof (norm_ge0 n u) as U0. set (M := 1 + norm n u) in *.
  assert (M0 : 0 < M) by (unfold M; lra).
  assert (E1 : 0 < eps / (2 * M)) by (apply Rdiv_lt_0_compat; lra).
  apply is_derive_Reals in P. destruct (P _ E1) as [d2 B2].
  destruct (differentiable_scal f u l F (eps / 2) ltac:(lra)) as (d3 & D3 & B3).
  assert (D2 : 0 < d2 / M) by (apply Rdiv_lt_0_compat; [apply cond_pos|easy]).
  exists (Rmin d1 (Rmin (d2 / M) d3)). split; [repeat apply Rmin_glb_lt; easy|]. intros x' L.
  pose proof (Rmin_l d1 (Rmin (d2 / M) d3)). pose proof (Rmin_r d1 (Rmin (d2 / M) d3)).
  pose proof (Rmin_l (d2 / M) d3). pose proof (Rmin_r (d2 / M) d3).
  specialize (B1 x' ltac:(lra)). specialize (B3 x' ltac:(lra)).
  set (h := fun c => x' c - x c) in *. pose proof (norm_ge0 n h) as N0.
  assert (T : Rabs (phi (f x') - phi (f x) - l * (f x' - f x)) <= eps / 2 * norm n h).
  { set (e := f x' - f x) in *. replace (f x') with (f x + e) by (unfold e; ring).
    destruct (Req_dec e 0) as [Z|N].
    - rewrite Z, Rplus_0_r, Rmult_0_r. replace (phi (f x) - phi (f x) - 0) with 0 by ring.
      rewrite Rabs_R0. nra.
    - assert (S : Rabs e < d2).
      { apply Rle_lt_trans with (1 := B1). apply Rmult_lt_reg_l with (/ M); [now apply Rinv_0_lt_compat|].
        rewrite <- Rmult_assoc, Rinv_l, Rmult_1_l by lra. rewrite Rmult_comm. lra. }
      specialize (B2 e N S).
      replace (phi (f x + e) - phi (f x) - l * e) with (((phi (f x + e) - phi (f x)) / e - l) * e) by (field;
          easy).
      rewrite Rabs_mult. apply Rle_trans with (eps / (2 * M) * (M * norm n h)).
      + apply Rmult_le_compat; try apply Rabs_pos; lra.
      + apply Req_le. field. lra. }
  replace (phi (f x') - phi (f x) - dot n (fun c => l * u c) h)
    with ((phi (f x') - phi (f x) - l * (f x' - f x)) + (l * f x' - l * f x - dot n (fun c => l * u c) h)) by
        ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

(* there is only one gradient *)
Theorem gradient_is_unique f u v : differentiable n f x u -> differentiable n f x v ->
  forall c, (c < n)%nat -> u c = v c.
Proof.
  intros F G c C. set (w := fun c => u c - v c).
  enough (Z : sq n w = 0) by (pose proof (sq_0_entries n w Z c C); unfold w in *; lra).
  destruct (Req_dec (sq n w) 0) as [|Z]; [easy|exfalso]. pose proof (sq_ge0 n w) as W0.
      assert (W : 0 < sq n w) by lra.
  set (m := norm n w). assert (M0 : 0 < m) by (apply sqrt_lt_R0; easy).
  assert (M2 : m^2 = sq n w) by apply norm_sq.
  destruct (F (m / 4) ltac:(lra)) as (d1 & D1 & B1). destruct (G (m / 4) ltac:(lra)) as (d2 & D2 & B2).
  set (d := Rmin d1 d2 / 2). assert (D : 0 < d) by (apply Rdiv_lt_0_compat; [now apply Rmin_glb_lt|lra]).
  set (x' := fun c => x c + d / m * w c).
  assert (H : forall c, x' c - x c = d / m * w c) by (intros; unfold x'; ring).
  assert (N : norm n (fun c => x' c - x c) = d).
  { rewrite (norm_ext n _ (fun c => d / m * w c)) by (intros; apply H).
    rewrite norm_scal, Rabs_pos_eq; [fold m; field; lra|]. apply Rlt_le, Rdiv_lt_0_compat; easy. }
  pose proof (Rmin_l d1 d2). pose proof (Rmin_r d1 d2).
  specialize (B1 x' ltac:(rewrite N; unfold d; lra)). specialize (B2 x' ltac:(rewrite N; unfold d; lra)).
  rewrite N in *.
  assert (E : dot n u (fun c => x' c - x c) - dot n v (fun c => x' c - x c) = d * m).
  { transitivity (dot n (fun c => d / m * w c) w).
    - unfold dot. rewrite <- Sum_minus. apply Sum_ext; intros i _. rewrite H. unfold w. ring.
    - rewrite dot_scal. fold (sq n w). rewrite <- M2. field. lra. }
  apply Rabs_le_between in B1. apply Rabs_le_between in B2. nra.
Qed.
End Rules.
