(* The spectral norm and the largest eigenvalue of a positive semi-definite matrix agree, and both exist;
   the spectral norm of a rectangular matrix exists and bounds its transpose too. Nothing here is the
   paper's own. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Compactness.
Open Scope R_scope.

Lemma quad_applied n H r : quad n H r = dot n r (applied n H r).
Proof.
  unfold quad, dot, applied. apply Sum_ext; intros c _. rewrite <- Sum_scal. apply Sum_ext; intros; ring.
Qed.

Lemma applied_plus m A u v c : applied m A (fun k => u k + v k) c = applied m A u c + applied m A v c.
Proof. unfold applied. rewrite <- Sum_plus. apply Sum_ext; intros; ring. Qed.

Lemma applied_scal m A t v c : applied m A (fun k => t * v k) c = t * applied m A v c.
Proof. unfold applied. rewrite <- Sum_scal. apply Sum_ext; intros; ring. Qed.

Lemma dot_plus_l n u u' v : dot n (fun c => u c + u' c) v = dot n u v + dot n u' v.
Proof. unfold dot. rewrite <- Sum_plus. apply Sum_ext; intros; ring. Qed.

(* u^T (A v) = (A^T u)^T v *)
Lemma adjoint n m A u v : dot n u (applied m A v) = dot m (transposed n A u) v.
Proof.
  unfold dot, applied, transposed.
  rewrite (Sum_ext n _ (fun c => Sum m (fun k => u c * (A c k * v k)))) by (intros; now rewrite <- Sum_scal).
  rewrite Sum_swap. apply Sum_ext; intros k _. rewrite <- Sum_scal_r. apply Sum_ext; intros; ring.
Qed.

Section PositiveSemidefinite.
Variables (n : nat) (H : nat -> nat -> R).
Hypothesis Symmetric : forall c d, (c < n)%nat -> (d < n)%nat -> H c d = H d c.
Hypothesis Positive : forall r, 0 <= quad n H r.

Lemma bilinear_symmetric u v : dot n u (applied n H v) = dot n v (applied n H u).
Proof.
  rewrite adjoint, dot_sym. unfold transposed, applied. apply Sum_ext; intros c C. f_equal.
  apply Sum_ext; intros d D. now rewrite Symmetric.
Qed.

Lemma quad_plus u v t :
  quad n H (fun c => u c + t * v c) = quad n H u + 2 * t * dot n u (applied n H v) + t^2 * quad n H v.
Proof.
  rewrite !quad_applied.
  rewrite (dot_ext n _ (fun c => u c + t * v c) _ (fun c => applied n H u c + t * applied n H v c));
    [|easy|intros; now rewrite applied_plus, applied_scal].
  rewrite dot_plus_l, dot_scal. rewrite !(dot_sym n _ (fun c => applied n H u c + t * applied n H v c)).
  rewrite !dot_plus_l, !dot_scal. rewrite !(dot_sym n (applied n H _)).
  rewrite (bilinear_symmetric v u). ring.
Qed.

(* Cauchy and Schwarz for the form of H *)
Lemma cauchy_form u v : (dot n u (applied n H v))^2 <= quad n H u * quad n H v.
Proof.
  pose proof (Positive u) as U. pose proof (Positive v) as W. set (b := dot n u (applied n H v)).
  destruct (Req_dec (quad n H v) 0) as [Z|Z].
  - destruct (Req_dec b 0) as [E|N]; [rewrite E, Z; lra|].
    pose proof (Positive (fun c => u c + - (quad n H u + 1) / (2 * b) * v c)) as T.
    rewrite quad_plus, Z in T. fold b in T.
    replace (2 * (- (quad n H u + 1) / (2 * b)) * b) with (- (quad n H u + 1)) in T by (field; easy). lra.
  - pose proof (Positive (fun c => u c + - b / quad n H v * v c)) as T. rewrite quad_plus in T. fold b in T.
    apply Rmult_le_compat_r with (r := quad n H v) in T; [|easy].
    replace ((quad n H u + 2 * (- b / quad n H v) * b + (- b / quad n H v)^2 * quad n H v) * quad n H v)
      with (quad n H u * quad n H v - b^2) in T by (field; easy). lra.
Qed.

Theorem spectral_norm_is_largest_eigenvalue s : spectral_norm n n H s <-> largest_eigenvalue n H s.
Proof.
  split.
  - intros [B (v & V1 & Vs)]. assert (S0 : 0 <= s) by (rewrite <- Vs; apply norm_ge0).
    assert (Up : forall r, quad n H r <= s * sq n r).
    { intros r. rewrite quad_applied. pose proof (dot_le_norm n r (applied n H r)).
      pose proof (Rle_abs (dot n r (applied n H r))). specialize (B r).
      pose proof (norm_ge0 n r). rewrite <- norm_sq. nra. }
    split; [easy|]. exists v. assert (V2 : sq n v = 1) by (rewrite <- norm_sq, V1; ring). split; [easy|].
    set (w := applied n H v) in *. pose proof (cauchy_form w v) as C. fold w in C. fold (sq n w) in C.
    rewrite <- (norm_sq n w), Vs in C. pose proof (Up w) as Uw. rewrite <- norm_sq, Vs in Uw.
    pose proof (Up v) as Uv. rewrite V2, Rmult_1_r in Uv. pose proof (Positive v). pose proof (Positive w).
    apply Rle_antisym; [easy|]. destruct (Req_dec s 0) as [Z|Z]; [lra|].
    apply Rmult_le_reg_l with (s^3); [apply pow_lt; lra|].
    replace (s^3 * s) with ((s^2)^2) by ring. apply Rle_trans with (1 := C).
    replace (s^3) with (s * s^2) by ring. apply Rmult_le_compat_r; easy.
  - intros [B (u & U1 & Us)]. assert (S0 : 0 <= s) by (rewrite <- Us; apply Positive).
    assert (N1 : norm n u = 1) by (unfold norm; rewrite U1; apply sqrt_1).
    assert (Up : forall v, norm n (applied n H v) <= s * norm n v).
    { intros v. set (w := applied n H v). pose proof (norm_ge0 n v). pose proof (norm_ge0 n w).
      apply le_from_squares; [nra|]. rewrite Rpow_mult_distr, !norm_sq.
      pose proof (cauchy_form w v) as C. fold w in C. fold (sq n w) in C.
      pose proof (B w). pose proof (B v). pose proof (Positive w). pose proof (Positive v).
      pose proof (sq_ge0 n w). pose proof (sq_ge0 n v).
      destruct (Req_dec (sq n w) 0) as [Z|Z]; [rewrite Z; nra|].
      apply Rmult_le_reg_l with (sq n w); [lra|].
      apply Rle_trans with (quad n H w * quad n H v); [lra|].
      apply Rle_trans with (s * sq n w * (s * sq n v)); [now apply Rmult_le_compat|lra]. }
    split; [easy|]. exists u. split; [easy|]. apply Rle_antisym.
    + pose proof (Up u) as T. rewrite N1 in T. lra.
    + rewrite <- Us, quad_applied. pose proof (dot_le_norm n u (applied n H u)) as T. rewrite N1 in T.
      pose proof (Rle_abs (dot n u (applied n H u))). lra.
Qed.

(* bounds of the form are bounds of the norm *)
Lemma spectral_norm_below s b : spectral_norm n n H s -> (forall r, quad n H r <= b * sq n r) -> s <= b.
Proof.
  intros S B. apply spectral_norm_is_largest_eigenvalue in S. destruct S as [_ (u & U & E)].
  specialize (B u). rewrite U, E in B. lra.
Qed.

Lemma spectral_norm_above s a r : spectral_norm n n H s -> a * sq n r <= quad n H r -> 0 < sq n r -> a <= s.
Proof.
  intros S A P. apply spectral_norm_is_largest_eigenvalue in S. destruct S as [B _].
  specialize (B r). apply Rmult_le_reg_r with (sq n r); [easy|]. lra.
Qed.

Lemma spectral_norm_bounds_form s r : spectral_norm n n H s -> quad n H r <= s * sq n r.
Proof. intros S. apply spectral_norm_is_largest_eigenvalue in S. apply S. Qed.
End PositiveSemidefinite.

(* --- rectangular matrices ------------------------------------------------------------------- *)

(* A^T A *)
Definition gram n (A : nat -> nat -> R) k l := Sum n (fun c => A c k * A c l).

Lemma gram_quad n m A v : quad m (gram n A) v = sq n (applied m A v).
Proof.
  rewrite quad_applied. unfold sq. rewrite (adjoint n m A). rewrite dot_sym. apply dot_ext; [|easy].
  intros k _. unfold applied, gram, transposed, applied.
  rewrite (Sum_ext m _ (fun l => Sum n (fun c => A c k * (A c l * v l)))).
  - rewrite Sum_swap. apply Sum_ext; intros c _. now rewrite Sum_scal.
  - intros l _. rewrite <- Sum_scal_r. apply Sum_ext; intros; ring.
Qed.

Theorem spectral_norm_exists n m A : (0 < m)%nat -> exists s, spectral_norm n m A s.
Proof.
  intros M. destruct (largest_eigenvalue_exists m (gram n A) M) as (s & B & u & U & E).
  rewrite gram_quad in E. exists (norm n (applied m A u)). split.
  - intros v. pose proof (norm_ge0 m v). pose proof (norm_ge0 n (applied m A u)).
    apply norm_le_squares; [nra|]. rewrite Rpow_mult_distr, !norm_sq, E, <- gram_quad. apply B.
  - exists u. split; [|easy]. unfold norm. rewrite U. apply sqrt_1.
Qed.

Lemma spectral_norm_ge0 n m A s : spectral_norm n m A s -> 0 <= s.
Proof. intros [_ (v & _ & <-)]. apply norm_ge0. Qed.

Lemma spectral_norm_of_transpose n m A s r : spectral_norm n m A s ->
    norm m (transposed n A r) <= s * norm n r.
Proof.
  intros S. pose proof (spectral_norm_ge0 n m A s S) as S0. destruct S as [B _].
  set (w := transposed n A r). pose proof (norm_ge0 m w). pose proof (norm_ge0 n r).
  assert (E : sq m w = dot n r (applied m A w)) by (rewrite adjoint; easy).
  pose proof (dot_le_norm n r (applied m A w)) as C. pose proof (Rle_abs (dot n r (applied m A w))).
  specialize (B w). rewrite <- norm_sq in E.
  destruct (Req_dec (norm m w) 0) as [Z|Z]; [rewrite Z; nra|].
  apply Rmult_le_reg_l with (norm m w); [lra|]. nra.
Qed.
