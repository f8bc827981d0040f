(* Lemma 3.1, Eqs. (6) and (33): two roots around the length of the shortest step of a quadratic model; the
   lower one for every symmetric H, the upper one with the largest eigenvalue; false as printed. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Compactness Spectral.
Open Scope R_scope.

(* the positive root of a t + b t^2 / 2 = xi, in the form that is defined for a = 0 and b = 0 too *)
Definition root a b xi := 2 * xi / (a + sqrt (a^2 + 2 * b * xi)).

(* the same root as Eq. (6) prints it *)
Definition printed_root a b xi := a / b * (sqrt (1 + 2 * b * xi / a^2) - 1).

Lemma root_denominator a b xi : 0 <= a -> 0 <= b -> 0 < a + b -> 0 < xi -> 0 < a + sqrt (a^2 + 2 * b * xi).
Proof.
  intros A B S X. pose proof (sqrt_pos (a^2 + 2 * b * xi)).
  destruct (Req_dec a 0) as [Z|Z]; [|lra].
  assert (0 < sqrt (a^2 + 2 * b * xi)); [|lra]. apply sqrt_lt_R0. nra.
Qed.

Lemma root_solves a b xi : 0 <= a -> 0 <= b -> 0 < a + b -> 0 < xi ->
  0 < root a b xi /\ a * root a b xi + b * (root a b xi)^2 / 2 = xi.
Proof.
  intros A B S X. pose proof (root_denominator a b xi A B S X) as D. unfold root.
  set (w := sqrt (a^2 + 2 * b * xi)) in *.
  assert (W : w^2 = a^2 + 2 * b * xi) by (apply pow2_sqrt; nra). split.
  - apply Rdiv_lt_0_compat; lra.
  - replace (a * (2 * xi / (a + w)) + b * (2 * xi / (a + w))^2 / 2)
      with (2 * xi * (a * (a + w) + b * xi) / (a + w)^2) by (field; lra).
    replace (a * (a + w) + b * xi) with ((a + w)^2 / 2) by nra. field. lra.
Qed.

(* the two forms are one number *)
Theorem root_as_printed a b xi : 0 < a -> 0 < b -> 0 <= xi -> printed_root a b xi = root a b xi.
Proof.
  intros A B X. unfold printed_root, root. set (w := sqrt (1 + 2 * b * xi / a^2)).
  assert (P : 0 <= 2 * b * xi / a^2) by (apply Rmult_le_pos; [nra|apply Rlt_le, Rinv_0_lt_compat; nra]).
  assert (W : w^2 = 1 + 2 * b * xi / a^2) by (apply pow2_sqrt; lra).
  assert (W1 : 1 <= w) by (rewrite <- sqrt_1; apply sqrt_le_1_alt; lra).
  replace (a^2 + 2 * b * xi) with ((a * w)^2) by (rewrite Rpow_mult_distr, W; field; lra).
  rewrite sqrt_pow2 by nra. assert (E : xi = a^2 * (w^2 - 1) / (2 * b)) by (rewrite W; field; lra).
  rewrite E. field. nra.
Qed.

(* a larger a or a larger b makes the root smaller *)
Theorem root_decreases a a' b b' xi : 0 <= a -> 0 <= b -> 0 < a + b -> a <= a' -> b <= b' -> 0 < xi ->
  root a' b' xi <= root a b xi.
Proof.
  intros A B S LA LB X. unfold root. pose proof (root_denominator a b xi A B S X) as D.
  apply Rmult_le_compat_l; [lra|]. apply Rinv_le_contravar; [easy|].
  assert (a^2 <= a'^2) by nra. apply Rplus_le_compat; [easy|]. apply sqrt_le_1_alt. nra.
Qed.

Theorem root_decreases_strictly_in_a a a' b xi : 0 <= a -> 0 <= b -> 0 < a + b -> a < a' -> 0 < xi ->
  root a' b xi < root a b xi.
Proof.
  intros A B S LA X. unfold root. pose proof (root_denominator a b xi A B S X) as D.
  assert (W : sqrt (a^2 + 2 * b * xi) <= sqrt (a'^2 + 2 * b * xi)) by (apply sqrt_le_1_alt; nra).
  apply Rmult_lt_compat_l; [lra|]. apply Rinv_lt_contravar; [apply Rmult_lt_0_compat; lra|lra].
Qed.

Theorem root_decreases_strictly_in_b a b b' xi : 0 <= a -> 0 <= b -> 0 < a + b -> b < b' -> 0 < xi ->
  root a b' xi < root a b xi.
Proof.
  intros A B S LB X. unfold root. pose proof (root_denominator a b xi A B S X) as D.
  assert (W : sqrt (a^2 + 2 * b * xi) < sqrt (a^2 + 2 * b' * xi)) by (apply sqrt_lt_1_alt; nra).
  apply Rmult_lt_compat_l; [lra|]. apply Rinv_lt_contravar; [apply Rmult_lt_0_compat; lra|lra].
Qed.

Section Quadratic.
Variables (n : nat) (g : nat -> R) (H : nat -> nat -> R).

(* any a >= ||g|| and any b with r^T H r <= b |r|^2 *)
Lemma root_bounds_every_step a b xi r : 0 <= b -> norm n g <= a -> 0 < xi ->
  (forall r, quad n H r <= b * sq n r) -> xi <= growth n g H r -> root a b xi <= norm n r.
Proof.
  intros B0 A X Hb F. unfold growth in F. specialize (Hb r). rewrite <- norm_sq in Hb.
  pose proof (dot_le_norm n g r) as C. pose proof (Rle_abs (dot n g r)). pose proof (norm_ge0 n r) as P.
  pose proof (norm_ge0 n g) as G0. set (t := norm n r) in *.
  assert (S : 0 < a + b).
  { destruct (Req_dec b 0); [|lra]. destruct (Req_dec a 0); [|lra]. assert (norm n g = 0) by lra. nra. }
  destruct (root_solves a b xi ltac:(lra) B0 S X) as [R0 E]. set (rho := root a b xi) in *.
  apply Rnot_lt_le. intros N. assert (dot n g r <= a * t) by nra. assert (t^2 < rho^2) by nra.
  assert (b * t^2 <= b * rho^2) by nra. assert (a * t <= a * rho) by nra.
  destruct (Req_dec b 0) as [Z|Z]; [|nra]. assert (0 < a) by lra. nra.
Qed.

(* the left half of Eq. (6), for a matrix H of any signature *)
Theorem no_step_below_the_lower_root s xi r : spectral_norm n n H s -> 0 < xi ->
  xi <= growth n g H r -> root (norm n g) s xi <= norm n r.
Proof.
  intros S X F. pose proof (spectral_norm_ge0 n n H s S) as S0. destruct S as [B _].
  apply root_bounds_every_step; [easy|lra|easy| |easy]. intros v.
  rewrite quad_applied, <- norm_sq. pose proof (dot_le_norm n v (applied n H v)) as C.
  pose proof (Rle_abs (dot n v (applied n H v))). specialize (B v). pose proof (norm_ge0 n v). nra.
Qed.

(* the right half, along a unit eigenvector u of a positive eigenvalue *)
Theorem step_along_the_eigenvector lam u xi : 0 < lam -> norm n u = 1 ->
  (forall c, (c < n)%nat -> applied n H u c = lam * u c) -> 0 < xi ->
  exists r, xi <= growth n g H r /\ norm n r = root (Rabs (dot n g u)) lam xi.
Proof.
  intros L U E X. set (a := Rabs (dot n g u)). pose proof (Rabs_pos (dot n g u)) as A. fold a in A.
  assert (U1 : sq n u = 1) by (rewrite <- norm_sq, U; ring).
  assert (Q : quad n H u = lam).
  { rewrite quad_applied, (dot_ext n u u _ (fun c => lam * u c)) by easy. rewrite dot_sym, dot_scal.
      fold (sq n u). rewrite U1. ring. }
  destruct (root_solves a lam xi A ltac:(lra) ltac:(lra) X) as [R0 S]. set (rho := root a lam xi) in *.
  set (e := if Rle_dec 0 (dot n g u) then 1 else -1).
  assert (E1 : e * dot n g u = a /\ e^2 = 1 /\ Rabs e = 1).
  { unfold e, a. destruct (Rle_dec 0 (dot n g u)).
    - rewrite Rabs_pos_eq, Rabs_R1 by easy. repeat split; ring.
    - rewrite Rabs_left by lra. rewrite Rabs_left by lra. repeat split; ring. }
  destruct E1 as (E1 & E2 & E3). exists (fun c => (rho * e) * u c). split.
  - unfold growth. rewrite quad_scal, Q, dot_sym, dot_scal, dot_sym. rewrite <- S at 1. apply Req_le.
    rewrite <- E1. replace ((rho * e)^2) with (rho^2 * e^2) by ring. rewrite E2. field.
  - rewrite norm_scal, U, Rabs_mult, E3, (Rabs_pos_eq rho) by lra. ring.
Qed.

(* a shortest step exists whenever some step reaches xi *)
Theorem shortest_step_exists xi r0 : xi <= growth n g H r0 -> exists rho,
    least_step (norm n) (growth n g H) xi rho.
Proof.
  intros F. set (A := norm n r0). assert (A0 : 0 <= A) by apply norm_ge0.
  assert (Sq : forall r, sq n r <= A^2 <-> norm n r <= A).
  { intros r. rewrite <- norm_sq. pose proof (norm_ge0 n r). split; intros; [apply le_from_squares;
      easy|nra]. }
  destruct (least_value_is_attained n A A0 (sq n)
    (fun r => Rmax (xi + -1 * (dot n g r + quad n H r * (1/2))) (sq n r + - A^2))) as (u & U & Least).
  - now apply lipschitz_sq.
  - apply lipschitz_Rmax.
    + apply lipschitz_plus; [apply lipschitz_const|].
      apply (lipschitz_mult n A A0 (fun _ => -1)); [apply lipschitz_const|].
      apply lipschitz_plus; [now apply lipschitz_dot|].
      apply (lipschitz_mult n A A0 (quad n H)); [now apply lipschitz_quad|apply lipschitz_const].
    + apply lipschitz_plus; [now apply lipschitz_sq|apply lipschitz_const].
  - intros r R c C. pose proof (Rmax_r (xi + -1 * (dot n g r + quad n H r * (1/2))) (sq n r + - A^2)).
    eapply Rle_trans; [apply (entry_le_norm n r c C)|]. apply Sq. lra.
  - exists r0. unfold growth in F. assert (sq n r0 <= A^2) by (apply Sq; unfold A; lra). apply Rmax_lub; lra.
  - pose proof (Rmax_l (xi + -1 * (dot n g u + quad n H u * (1/2))) (sq n u + - A^2)).
    pose proof (Rmax_r (xi + -1 * (dot n g u + quad n H u * (1/2))) (sq n u + - A^2)) as UA.
    exists (norm n u). split; [exists u; split; [unfold growth; lra|easy]|]. intros r R.
    destruct (Rle_lt_dec (sq n r) (A^2)) as [S|S].
    + apply sqrt_le_1_alt, Least. unfold growth in R. apply Rmax_lub; lra.
    + apply sqrt_le_1_alt. lra.
Qed.

(* hence a shortest step exists, and both roots of Eq. (6) hold it between them *)
Theorem shortest_step_below_the_upper_root lam u xi : 0 < lam -> norm n u = 1 ->
  (forall c, (c < n)%nat -> applied n H u c = lam * u c) -> 0 < xi ->
  exists rho, least_step (norm n) (growth n g H) xi rho /\ rho <= root (Rabs (dot n g u)) lam xi.
Proof.
  intros L U E X. destruct (step_along_the_eigenvector lam u xi L U E X) as (r & F & N).
  destruct (shortest_step_exists xi r F) as (rho & S). exists rho. split; [easy|]. rewrite <- N. now apply S.
Qed.
End Quadratic.

(* where H is positive semi-definite, the largest eigenvalue is the norm that the paper prints *)
Theorem upper_root_as_printed n g H lam u xi : (forall c d, (c < n)%nat -> (d < n)%nat -> H c d = H d c) ->
  (forall r, 0 <= quad n H r) -> largest_eigenvalue n H lam -> 0 < lam -> norm n u = 1 ->
  (forall c, (c < n)%nat -> applied n H u c = lam * u c) -> 0 < xi ->
  spectral_norm n n H lam /\
  exists rho, least_step (norm n) (growth n g H) xi rho /\ rho <= root (Rabs (dot n g u)) lam xi.
Proof.
  intros Sy P S S0 U E X. split.
  - now apply spectral_norm_is_largest_eigenvalue.
  - now apply shortest_step_below_the_upper_root.
Qed.

(* --- false as printed: H = diag(1, -10), g = u = (1, 0), xi = 1 ------------------------------ *)

Definition saddle (c d : nat) : R := match c, d with 0%nat, 0%nat => 1 | 1%nat, 1%nat => -10 | _, _ => 0 end.
Definition first_axis (c : nat) : R := match c with 0%nat => 1 | _ => 0 end.
Definition second_axis (c : nat) : R := match c with 1%nat => 1 | _ => 0 end.

Lemma norm_of_first_axis : norm 2 first_axis = 1.
Proof. unfold norm, sq, dot, first_axis; simpl. replace (0 + 1 * 1 + 0 * 0) with 1 by ring. apply sqrt_1. Qed.

Lemma norm_of_second_axis : norm 2 second_axis = 1.
Proof. unfold norm, sq, dot, second_axis; simpl. replace (0 + 0 * 0 + 1 * 1) with 1 by ring. apply sqrt_1.
    Qed.

Lemma saddle_norm : spectral_norm 2 2 saddle 10.
Proof.
  split.
  - intros v. apply norm_le_squares; [pose proof (norm_ge0 2 v); lra|].
    rewrite Rpow_mult_distr, norm_sq. unfold sq, dot, applied, saddle; simpl.
    pose proof (pow2_ge_0 (v 0%nat)). nra.
  - exists second_axis. split; [apply norm_of_second_axis|].
    unfold norm, sq, dot, applied, saddle, second_axis; simpl. rewrite <- (sqrt_pow2 10) by lra. f_equal.
        ring.
Qed.

Theorem upper_root_false_as_printed :
  spectral_norm 2 2 saddle 10 /\ largest_eigenvalue 2 saddle 1 /\ norm 2 first_axis = 1 /\
  (forall c, (c < 2)%nat -> applied 2 saddle first_axis c = 1 * first_axis c) /\
  exists rho, least_step (norm 2) (growth 2 first_axis saddle) 1 rho /\
    printed_root (Rabs (dot 2 first_axis first_axis)) 10 1 < rho.
Proof.
  split; [apply saddle_norm|]. split; [|split; [apply norm_of_first_axis|split]].
  - split.
    + intros r. unfold quad, sq, dot, saddle; simpl. pose proof (pow2_ge_0 (r 1%nat)). nra.
    + exists first_axis. split; [rewrite <- norm_sq, norm_of_first_axis; ring|].
      unfold quad, saddle, first_axis; simpl. ring.
  - intros c L. unfold applied, saddle, first_axis; simpl. destruct c as [|[|]]; [ring|ring|lia].
  - destruct (shortest_step_exists 2 first_axis saddle 1 first_axis) as (rho & Least).
    { unfold growth, dot, quad, saddle, first_axis; simpl. lra. }
    exists rho. split; [easy|]. destruct Least as [(r & F & N) _]. rewrite <- N.
    replace (dot 2 first_axis first_axis) with 1 by (unfold dot, first_axis; simpl; ring). rewrite Rabs_R1.
    unfold growth, dot, quad, first_axis, saddle in F; simpl in F.
    assert (S : (r 0%nat)^2 <= (norm 2 r)^2) by (rewrite norm_sq; unfold sq, dot; simpl;
        pose proof (pow2_ge_0 (r 1%nat)); nra).
    pose proof (norm_ge0 2 r) as P. set (t := norm 2 r) in *. set (a := r 0%nat) in *.
        set (b := r 1%nat) in *.
    assert (F' : 1 <= a + a^2/2) by (pose proof (pow2_ge_0 b); nra).
    assert (A : 7/10 <= t). { apply Rnot_lt_le; intros M. assert (a <= t) by (apply Rnot_lt_le; intros M';
        nra). nra. }
    assert (B : printed_root 1 10 1 < 36/100); [|lra].
    unfold printed_root. assert (sqrt (1 + 2 * 10 * 1 / 1^2) < 46/10); [|lra].
    rewrite <- (sqrt_pow2 (46/10)) by lra. apply sqrt_lt_1_alt. lra.
Qed.

(* an instance: H = diag(1, 0) is positive semi-definite, g = u = (1, 0), xi = 3/2 *)
Definition ridge (c d : nat) : R := match c, d with 0%nat, 0%nat => 1 | _, _ => 0 end.

Lemma ridge_norm : spectral_norm 2 2 ridge 1.
Proof.
  split.
  - intros v. apply norm_le_squares; [pose proof (norm_ge0 2 v); lra|].
    rewrite Rpow_mult_distr, norm_sq. unfold sq, dot, applied, ridge; simpl.
        pose proof (pow2_ge_0 (v 1%nat)). nra.
  - exists first_axis. split; [apply norm_of_first_axis|]. rewrite <- norm_of_first_axis. apply norm_ext.
    intros c L. unfold applied, ridge, first_axis; simpl. destruct c as [|[|]]; [ring|ring|lia].
Qed.

Theorem lower_root_instance : spectral_norm 2 2 saddle 10 /\ 1 <= growth 2 first_axis saddle (fun c => 2 *
    first_axis c) /\
  root (norm 2 first_axis) 10 1 <= norm 2 (fun c => 2 * first_axis c).
Proof.
  assert (F : 1 <= growth 2 first_axis saddle (fun c => 2 * first_axis c)).
  { unfold growth, dot, quad, saddle, first_axis; simpl. lra. }
  split; [apply saddle_norm|]. split; [easy|].
  apply (no_step_below_the_lower_root 2 first_axis saddle 10 1); [apply saddle_norm|lra|easy].
Qed.

Theorem upper_root_instance : exists rho,
  least_step (norm 2) (growth 2 first_axis ridge) (3/2) rho /\
      rho <= root (Rabs (dot 2 first_axis first_axis)) 1 (3/2).
Proof.
  apply (upper_root_as_printed 2 first_axis ridge 1 first_axis (3/2)).
  - intros [|[|c]] [|[|d]] _ _; reflexivity.
  - intros r. unfold quad, ridge; simpl. pose proof (pow2_ge_0 (r 0%nat)). nra.
  - split.
    + intros r. unfold quad, sq, dot, ridge; simpl. pose proof (pow2_ge_0 (r 1%nat)). nra.
    + exists first_axis. split; [rewrite <- norm_sq, norm_of_first_axis; ring|].
      unfold quad, ridge, first_axis; simpl. ring.
  - lra.
  - apply norm_of_first_axis.
  - intros c L. unfold applied, ridge, first_axis; simpl. destruct c as [|[|]]; [ring|ring|lia].
  - lra.
Qed.

Theorem root_decreases_instance : root 2 3 1 < root 1 3 1 /\ root 1 4 1 < root 1 3 1.
Proof.
  split; [apply root_decreases_strictly_in_a|apply root_decreases_strictly_in_b]; lra.
Qed.
