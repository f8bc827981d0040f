(* The Taylor radius of two classes against the true margin: tau(m) > m, so Proposition 3.1 is no guarantee;
   how the radius grows with p_y (Figure 1); the slopes of the penalties in p_y (Figure 3); the threshold
   log 2. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Regrob Require Import IntervalZ Definitions Sums Hoelder Loss Compactness Spectral Lemma31 Binary
    TwoClassRadius.
Import IZ.
Open Scope R_scope.

(* nu times the Taylor radius, with xi = log 2 + log p *)
Definition tau p := (sqrt (1 + 2 * p * ln (2 * p) / (1 - p)) - 1) / p.
Definition sigma m := / (1 + exp (- m)).

Lemma sigma_bounds m : 0 < sigma m < 1.
Proof.
  unfold sigma. pose proof (exp_pos (- m)). split; [apply Rinv_0_lt_compat; lra|].
  rewrite <- Rinv_1. apply Rinv_lt_contravar; lra.
Qed.

Lemma sigma_above_half m : 0 < m -> 1/2 < sigma m.
Proof.
  intros P. unfold sigma. assert (exp (- m) < 1) by (rewrite <- exp_0; apply exp_increasing; lra).
  pose proof (exp_pos (- m)). replace (1/2) with (/ 2) by field. apply Rinv_lt_contravar; lra.
Qed.

Lemma one_less_sigma m : 1 - sigma m = sigma (- m).
Proof.
  unfold sigma. rewrite Ropp_involutive, exp_Ropp. pose proof (exp_pos m). field. lra.
Qed.

Lemma sigma_of_the_logit p : 0 < p < 1 -> sigma (ln (p / (1 - p))) = p.
Proof.
  intros P. assert (0 < p / (1 - p)) by (apply Rdiv_lt_0_compat; lra).
  unfold sigma. rewrite exp_Ropp, exp_ln by easy. field. lra.
Qed.

Lemma sigma_increasing a b : a < b -> sigma a < sigma b.
Proof.
  intros L. unfold sigma. pose proof (exp_pos (- a)). pose proof (exp_pos (- b)).
  assert (exp (- b) < exp (- a)) by (apply exp_increasing; lra). apply Rinv_lt_contravar;
      [apply Rmult_lt_0_compat; lra|lra].
Qed.

(* --- the loss of two classes -------------------------------------------------------------------- *)

Definition margin (y : nat) (z : nat -> R) := z y - z (1 - y)%nat.

Lemma sum_of_two (y : nat) (f : nat -> R) : (y < 2)%nat -> Sum 2 f = f y + f (1 - y)%nat.
Proof. intros Y. destruct y as [|[|]]; simpl; [ring|ring|lia]. Qed.

Lemma softmax_is_sigma y z : (y < 2)%nat -> softmax 2 z y = sigma (margin y z).
Proof.
  intros Y. unfold softmax, sigma, margin. rewrite (sum_of_two y _ Y).
  pose proof (exp_pos (z y)). pose proof (exp_pos (z (1 - y)%nat)).
  replace (- (z y - z (1 - y)%nat)) with (z (1 - y)%nat + - z y) by ring. rewrite exp_plus, exp_Ropp. field.
      lra.
Qed.

Lemma loss_of_the_margin y z : (y < 2)%nat -> cross_entropy 2 y z = ln (1 + exp (- margin y z)).
Proof.
  intros Y. unfold cross_entropy. rewrite softmax_is_sigma by easy. unfold sigma.
  pose proof (exp_pos (- margin y z)). rewrite ln_Rinv by lra. ring.
Qed.

(* beta = log 2 separates correct from incorrect *)
Theorem log_2_is_the_boundary y z : (y < 2)%nat ->
  (cross_entropy 2 y z < ln 2 <-> z (1 - y)%nat < z y) /\ (cross_entropy 2 y z = ln 2 <->
      z (1 - y)%nat = z y) /\
  (ln 2 < cross_entropy 2 y z <-> z y < z (1 - y)%nat).
Proof.
  intros Y. rewrite loss_of_the_margin by easy. pose proof (exp_pos (- margin y z)) as E0.
  assert (Low : z (1 - y)%nat < z y -> ln (1 + exp (- margin y z)) < ln 2).
  { intros L. apply ln_increasing; [lra|]. assert (exp (- margin y z) < exp 0) by (apply exp_increasing;
      unfold margin; lra).
    rewrite exp_0 in *. lra. }
  assert (High : z y < z (1 - y)%nat -> ln 2 < ln (1 + exp (- margin y z))).
  { intros L. apply ln_increasing; [lra|]. assert (exp 0 < exp (- margin y z)) by (apply exp_increasing;
      unfold margin; lra).
    rewrite exp_0 in *. lra. }
  assert (Tie : z (1 - y)%nat = z y -> ln (1 + exp (- margin y z)) = ln 2).
  { intros L. f_equal. unfold margin. replace (- (z y - z (1 - y)%nat)) with 0 by lra. rewrite exp_0. ring. }
  destruct (Rtotal_order (z (1 - y)%nat) (z y)) as [L|[L|L]];
    [specialize (Low L)|specialize (Tie L)|specialize (High L)]; repeat split; intros; lra.
Qed.

Theorem boundary_instance : cross_entropy 2 0 (fun k => match k with O => 1 | _ => 0 end) < ln 2.
Proof. apply log_2_is_the_boundary; [lia|simpl; lra]. Qed.

(* --- tau(m) > m ------------------------------------------------------------------------------------ *)

(* growth of the model per unit of the logit *)
Definition model_growth p t := (1 - p) * t + p * (1 - p) * t^2 / 2.

Lemma model_growth_reflects p s t : 0 < p < 1 -> 0 <= t -> model_growth p s < model_growth p t -> s < t.
Proof.
  intros [P Q] T L. apply Rnot_le_lt. intros N. unfold model_growth in L.
  assert (t^2 <= s^2) by nra. assert (0 < p * (1 - p)) by nra. nra.
Qed.

Lemma tau_solves p : 1/2 <= p < 1 -> 0 <= tau p /\ model_growth p (tau p) = ln (2 * p).
Proof.
  intros [P Q]. assert (X : 0 <= ln (2 * p)).
  { rewrite <- ln_1. destruct P as [P|P]; [apply Rlt_le, ln_increasing; lra|apply Req_le; f_equal; lra]. }
  assert (R0 : 0 <= 2 * p * ln (2 * p) / (1 - p)) by (apply Rmult_le_pos; [nra|apply Rlt_le,
      Rinv_0_lt_compat; lra]).
  set (w := sqrt (1 + 2 * p * ln (2 * p) / (1 - p))).
  assert (W : w^2 = 1 + 2 * p * ln (2 * p) / (1 - p)) by (apply pow2_sqrt; lra).
  assert (W1 : 1 <= w) by (rewrite <- sqrt_1; apply sqrt_le_1_alt; lra). split.
  - unfold tau; fold w. apply Rmult_le_pos; [lra|apply Rlt_le, Rinv_0_lt_compat; lra].
  - unfold tau, model_growth; fold w. replace (ln (2 * p)) with ((1 - p) * (w^2 - 1) / (2 * p)) by (rewrite
      W; field; lra). field. lra.
Qed.

(* a function with a derivative that is positive inside grows strictly *)
Lemma strictly_above (f f' : R -> R) a b : a < b -> (forall t, a <= t <= b -> is_derive f t (f' t)) ->
  (forall t, a < t < b -> 0 < f' t) -> f a < f b.
Proof.
  intros L D P.
  assert (C : forall u v, a <= u -> u < v -> v <= b -> exists c, u <= c <= v /\ f v - f u = f' c * (v - u)).
  { intros u v U UV Vb. destruct (MVT_gen f u v f') as (c & Hc & E).
    - intros x. rewrite Rmin_left, Rmax_right by lra. intros; apply D; lra.
    - intros x. rewrite Rmin_left, Rmax_right by lra. intros Hx. apply continuity_pt_filterlim.
      apply (ex_derive_continuous f). eexists; apply D; lra.
    - rewrite Rmin_left, Rmax_right in Hc by lra. now exists c. }
  (* thirds keep the middle mean value inside *)
  set (u := a + (b - a) / 3). set (v := a + 2 * (b - a) / 3).
  assert (Order : a < u /\ u < v /\ v < b) by (unfold u, v; lra).
  destruct (C u v ltac:(lra) ltac:(lra) ltac:(lra)) as (c & Hc & E).
  assert (M : f u < f v) by (pose proof (P c ltac:(lra)); nra).
  assert (Weak : forall s t, a <= s -> s < t -> t <= b -> (a < s \/ t < b) -> f s <= f t).
  { intros s t S ST T Inside. apply Rnot_lt_le. intros N.
    destruct (C s t S ST T) as (d & Hd & E').
    assert (f' d < 0) by nra.
    destruct (Rtotal_order a d) as [A|[A|A]]; [|subst d|lra].
    - destruct (Rtotal_order d b) as [B|[B|B]]; [pose proof (P d ltac:(lra)); lra| |lra]. subst d.
      (* the derivative at b is a limit of positive slopes *)
      assert (Db := D b ltac:(lra)). apply is_derive_Reals in Db.
      destruct (Db (- f' b / 2) ltac:(lra)) as [r R]. set (h := - Rmin (r / 2) ((b - a) / 2)).
      pose proof (cond_pos r). assert (Hp : 0 < Rmin (r / 2) ((b - a) / 2)) by (apply Rmin_glb_lt; lra).
      pose proof (Rmin_l (r / 2) ((b - a) / 2)). pose proof (Rmin_r (r / 2) ((b - a) / 2)).
      assert (Hh : Rabs h < r) by (unfold h; rewrite Rabs_Ropp, Rabs_pos_eq; lra).
      specialize (R h ltac:(unfold h; lra) Hh). apply Rabs_def2 in R.
      (* apply the mean value theorem on (b + h, b) at interior points *)
      assert (Slope : (f (b + h) - f b) / h < f' b / 2) by lra.
      destruct (MVT_cor2 f f' (b + h) b) as (e & E1 & E2); [unfold h; lra|intros; apply is_derive_Reals, D;
          unfold h in *; lra|].
      assert (0 < f' e) by (apply P; unfold h in *; lra).
      assert (Q : (f (b + h) - f b) / h = f' e).
      { replace (f (b + h) - f b) with (- (f b - f (b + h))) by ring. rewrite E1. field. unfold h; lra. }
      lra.
    - (* likewise at a *)
      assert (Da := D a ltac:(lra)). apply is_derive_Reals in Da.
      destruct (Da (- f' a / 2) ltac:(lra)) as [r R]. set (h := Rmin (r / 2) ((b - a) / 2)).
      pose proof (cond_pos r). assert (Hp : 0 < h) by (apply Rmin_glb_lt; lra).
      pose proof (Rmin_l (r / 2) ((b - a) / 2)) as M1. pose proof (Rmin_r (r / 2) ((b - a) / 2)) as M2.
          fold h in M1, M2.
      assert (Hh : Rabs h < r) by (rewrite Rabs_pos_eq; lra).
      specialize (R h ltac:(lra) Hh). apply Rabs_def2 in R.
      destruct (MVT_cor2 f f' a (a + h)) as (e & E1 & E2); [lra|intros; apply is_derive_Reals, D; lra|].
      assert (0 < f' e) by (apply P; lra).
      assert (Q : (f (a + h) - f a) / h = f' e) by (rewrite E1; field; lra). lra. }
  pose proof (Weak a u ltac:(lra) ltac:(lra) ltac:(lra) ltac:(lra)).
  pose proof (Weak v b ltac:(lra) ltac:(lra) ltac:(lra) ltac:(lra)). lra.
Qed.

(* what the model still lacks of log 2 after a step of the margin's length *)
Definition shortfall m := ln (2 * sigma m) - model_growth (sigma m) m.

Lemma shortfall_derivative m : is_derive shortfall m (sigma m * (1 - sigma m) * (2 * sigma m - 1) * m^2 / 2).
Proof.
  unfold shortfall, model_growth, sigma. pose proof (exp_pos (- m)). auto_derive.
  - repeat split; try lra. apply Rmult_lt_0_compat; [lra|apply Rinv_0_lt_compat; lra].
  - field. lra.
Qed.

Lemma shortfall_positive m : 0 < m -> 0 < shortfall m.
Proof.
  intros P. assert (Z : shortfall 0 = 0).
  { unfold shortfall, model_growth, sigma. rewrite Ropp_0, exp_0. replace (2 * / (1 + 1)) with 1 by field.
      rewrite ln_1. field. }
  rewrite <- Z. apply (strictly_above shortfall (fun m => sigma m * (1 - sigma m) * (2 * sigma m - 1) * m^2 /
      2)); [easy| |].
  - intros; apply shortfall_derivative.
  - intros t T. pose proof (sigma_bounds t). pose proof (sigma_above_half t ltac:(lra)).
      assert (0 < t^2) by (apply pow_lt; lra).
    repeat apply Rmult_lt_0_compat; lra.
Qed.

Theorem tau_above_the_margin m : 0 < m -> m < tau (sigma m).
Proof.
  intros P. pose proof (sigma_above_half m P). pose proof (sigma_bounds m).
  destruct (tau_solves (sigma m) ltac:(lra)) as [T E]. apply (model_growth_reflects (sigma m)); [easy|easy|].
  rewrite E. pose proof (shortfall_positive m P). unfold shortfall in *. lra.
Qed.

Lemma taylor_radius_is_tau p nu : 0 < p -> 0 < nu ->
  1 / (p * nu) * (sqrt (1 + 2 * p * (ln 2 - - ln p) / (1 - p)) - 1) = tau p / nu.
Proof.
  intros P N. unfold tau. rewrite ln_mult by lra. replace (ln 2 - - ln p) with (ln 2 + ln p) by ring. field.
      lra.
Qed.

Lemma label_sign_abs (y : nat) : Rabs (label_sign y) = 1.
Proof. destruct y; simpl; [apply Rabs_R1|rewrite Rabs_left; lra]. Qed.

Section AffineClassifier.
Variables (n : nat) (V : nat -> nat -> R) (c x : nat -> R) (y : nat).
Hypothesis Label : (y < 2)%nat.
Let z := logits n V c.
Let p := softmax 2 (z x).
Let nu := norm n (between V 0 1).
Let m := ln (p y / (1 - p y)).

Lemma probability_bounds : 0 < p y < 1.
Proof.
  pose proof (softmax_is_distribution 2 (z x) ltac:(lia)) as D. split;
      [now apply D|now apply (p_below_1 2 p y)].
Qed.

Lemma margin_is_the_logit : m = margin y (z x).
Proof.
  unfold m, p. rewrite softmax_is_sigma by easy. rewrite one_less_sigma. unfold sigma.
      rewrite Ropp_involutive.
  set (t := margin y (z x)). pose proof (exp_pos t). pose proof (exp_pos (- t)).
  rewrite exp_Ropp. replace (/ (1 + / exp t) / / (1 + exp t)) with (exp t) by (field; lra). apply ln_exp.
Qed.

Lemma margin_after_a_step r : margin y (z (fun i => x i + r i)) = m + label_sign y * dot n (between V 0 1) r.
Proof.
  rewrite margin_is_the_logit. unfold margin, z, logits, transposed.
  assert (E : forall k, Sum n (fun i => V i k * (x i + r i)) = Sum n (fun i => V i k * x i) + Sum n (fun i =>
      V i k * r i)).
  { intros k. rewrite <- Sum_plus. apply Sum_ext; intros; ring. }
  rewrite !E. assert (S : dot n (between V 0 1) r = Sum n (fun i => V i 0%nat * r i) - Sum n (fun i => V i
      1%nat * r i)).
  { unfold dot, between. rewrite <- Sum_minus. apply Sum_ext; intros; ring. }
  rewrite S. destruct y as [|[|]]; simpl; [ring|ring|lia].
Qed.

(* the distance to the boundary of the classifier *)
Theorem distance_to_the_boundary : 0 <= m -> 0 < nu ->
  least_step (norm n) (fun r => - margin y (z (fun i => x i + r i))) 0 (m / nu).
Proof.
  intros M N. assert (N2 : nu^2 = sq n (between V 0 1)) by apply norm_sq.
  assert (S1 : label_sign y * label_sign y = 1) by (destruct y; simpl; ring). split.
  - exists (fun i => - (label_sign y * m / nu^2) * between V 0 1 i). split.
    + rewrite margin_after_a_step, (dot_sym n (between V 0 1)), dot_scal. fold (sq n (between V 0 1)).
        rewrite <- N2.
      replace (label_sign y * (- (label_sign y * m / nu ^ 2) * nu ^ 2)) with (- (label_sign y * label_sign y)
          * m) by (field; lra).
      rewrite S1. lra.
    + rewrite norm_scal, Rabs_Ropp. unfold Rdiv at 1. rewrite !Rabs_mult, label_sign_abs,
        (Rabs_pos_eq m) by easy.
      rewrite Rabs_pos_eq by (apply Rlt_le, Rinv_0_lt_compat, pow_lt; easy). fold nu. field. lra.
  - intros r R. rewrite margin_after_a_step in R. pose proof (dot_le_norm n (between V 0 1) r) as C.
      fold nu in C.
    assert (B : - (label_sign y * dot n (between V 0 1) r) <= Rabs (dot n (between V 0 1) r)).
    { eapply Rle_trans; [apply Rle_abs|]. rewrite Rabs_Ropp, Rabs_mult, label_sign_abs. lra. }
    apply Rmult_le_reg_l with nu; [easy|]. replace (nu * (m / nu)) with m by (field; lra). lra.
Qed.

(* the Taylor radius exceeds it *)
Theorem taylor_radius_overshoots : 1/2 < p y -> 0 < nu ->
  m = margin y (z x) /\ 0 < m /\
  least_step (norm n) (fun r => - margin y (z (fun i => x i + r i))) 0 (m / nu) /\
  exists rho, least_step (norm n) (fun r => - ln (p y) + growth n (gradient 2 V y p) (hessian 2 V p) r) (ln
      2) rho /\
    m / nu < rho.
Proof.
  intros P N. pose proof probability_bounds as B.
  assert (M : 0 < m).
  { unfold m. rewrite <- ln_1. apply ln_increasing; [lra|]. apply Rmult_lt_reg_r with (1 - p y); [lra|].
    replace (p y / (1 - p y) * (1 - p y)) with (p y) by (field; lra). lra. }
  split; [apply margin_is_the_logit|]. split; [easy|]. split; [apply distance_to_the_boundary; lra|].
  exists (tau (p y) / nu). split.
  - rewrite <- (taylor_radius_is_tau (p y) nu) by lra.
    apply (taylor_radius n V p y Label (softmax_is_distribution 2 (z x) ltac:(lia)) P N).
  - apply Rmult_lt_compat_r; [now apply Rinv_0_lt_compat|].
    pose proof (tau_above_the_margin m M) as T. unfold m in T at 2. rewrite sigma_of_the_logit in T by easy.
        exact T.
Qed.

(* what does guarantee the class: the distance, within the piece where the network is affine *)
Theorem guarantee_within_the_piece (g : (nat -> R) -> nat -> R) delta r : 0 < nu ->
  (forall x', norm n (fun i => x' i - x i) < delta -> forall k, (k < 2)%nat -> g x' k = z x' k) ->
  norm n r < Rmin (m / nu) delta ->
  g (fun i => x i + r i) (1 - y)%nat < g (fun i => x i + r i) y.
Proof.
  intros N A R. pose proof (Rmin_l (m / nu) delta). pose proof (Rmin_r (m / nu) delta).
  assert (E : norm n (fun i => x i + r i - x i) < delta).
  { rewrite (norm_ext n _ r) by (intros; ring). lra. }
  rewrite !(A _ E) by lia. apply Rnot_le_lt. intros L.
  pose proof (margin_after_a_step r) as Mr. unfold margin in Mr.
  pose proof (dot_le_norm n (between V 0 1) r) as C. fold nu in C.
  assert (B : - (label_sign y * dot n (between V 0 1) r) <= Rabs (dot n (between V 0 1) r)).
  { eapply Rle_trans; [apply Rle_abs|]. rewrite Rabs_Ropp, Rabs_mult, label_sign_abs. lra. }
  assert (T : nu * norm n r < m).
  { apply Rlt_le_trans with (nu * (m / nu)); [apply Rmult_lt_compat_l; lra|apply Req_le; field; lra]. }
  lra.
Qed.

(* --- the true worst case in the box, Eq. (2), and the model's below it ----------------------------- *)

Theorem worst_case_of_the_loss eps : 0 <= eps ->
  let worst := ln (1 + exp (- m + eps * norm_1 n (between V 0 1))) in
  (forall r, norm_inf n r <= eps -> cross_entropy 2 y (z (fun i => x i + r i)) <= worst) /\
  norm_inf n (fun i => eps * sgn (gradient 2 V y p i)) <= eps /\
  cross_entropy 2 y (z (fun i => x i + eps * sgn (gradient 2 V y p i))) = worst.
Proof.
  intros E worst. set (s := between V 0 1). pose proof probability_bounds as P.
  pose proof (softmax_is_distribution 2 (z x) ltac:(lia)) as D. split; [|split].
  - intros r R. rewrite loss_of_the_margin, margin_after_a_step by easy. fold s.
    pose proof (hoelder n s r) as Ho. pose proof (norm_1_ge0 n s) as S0.
    assert (B : - (label_sign y * dot n s r) <= Rabs (dot n s r)).
    { eapply Rle_trans; [apply Rle_abs|]. rewrite Rabs_Ropp, Rabs_mult, label_sign_abs. lra. }
    assert (T : - (m + label_sign y * dot n s r) <= - m + eps * norm_1 n s) by nra.
    pose proof (exp_pos (- (m + label_sign y * dot n s r))). unfold worst.
    destruct T as [T|T]; [|rewrite T; apply Rle_refl].
    apply Rlt_le, ln_increasing; [lra|]. apply Rplus_lt_compat_l, exp_increasing. exact T.
  - apply norm_inf_le; [easy|]. intros i _. rewrite Rabs_mult, Rabs_sgn, Rabs_pos_eq; lra.
  - rewrite loss_of_the_margin by easy. rewrite (margin_after_a_step (fun i => eps * sgn (gradient 2 V y p
      i))). fold s.
    unfold worst. do 3 f_equal.
    rewrite (dot_sym n s), dot_scal, dot_sym.
    assert (Sg : label_sign y * dot n s (fun i => sgn (gradient 2 V y p i)) = - norm_1 n s).
    { unfold dot, norm_1. rewrite <- Sum_scal. replace (- Sum n (fun c0 => Rabs (s c0))) with (Sum n (fun i
        => -1 * Rabs (s i))) by (rewrite Sum_scal; ring).
      apply Sum_ext; intros i _.
      pose proof (sgn_abs (gradient 2 V y p i)) as Eg. rewrite (gradient_of_two_classes V p y Label D i) in
          Eg |- *. fold s in Eg. fold s.
      set (e := label_sign y) in *. set (w := sgn (e * (p y - 1) * s i)) in *.
      assert (Ae : Rabs (e * (p y - 1) * s i) = (1 - p y) * Rabs (s i)).
      { rewrite !Rabs_mult. unfold e. rewrite label_sign_abs, (Rabs_left (p y - 1)) by lra. ring. }
      rewrite Ae in Eg. apply Rmult_eq_reg_l with (p y - 1); [|lra].
      replace ((p y - 1) * (e * (s i * w))) with (e * (p y - 1) * s i * w) by ring. rewrite Eg. ring. }
    replace (label_sign y * (eps * dot n s (fun c0 => sgn (gradient 2 V y p c0)))) with (eps * (label_sign y
        * dot n s (fun i => sgn (gradient 2 V y p i)))) by ring.
    rewrite Sg. fold s. ring.
Qed.
End AffineClassifier.

Lemma sigma_derivative t : is_derive sigma t (sigma t * (1 - sigma t)).
Proof.
  unfold sigma. pose proof (exp_pos (- t)). auto_derive; [lra|]. field. lra.
Qed.

(* the slope of the sigmoid falls with the distance from 0 *)
Lemma sigmoid_slope_falls a b : Rabs a < b -> sigma b * (1 - sigma b) < sigma a * (1 - sigma a).
Proof.
  intros L. apply Rabs_def2 in L. pose proof (sigma_increasing a b ltac:(lra)).
      pose proof (sigma_increasing (- b) a ltac:(lra)).
  rewrite <- one_less_sigma in *. nra.
Qed.

Lemma model_below_loss m a : 0 < a <= 2 * m ->
  ln (1 + exp (- m)) + (1 - sigma m) * a + sigma m * (1 - sigma m) * a^2 / 2 < ln (1 + exp (- m + a)).
Proof.
  intros A. set (c := sigma m * (1 - sigma m)). set (q := 1 - sigma m).
  (* first the slopes *)
  assert (Slope : forall t, 0 < t <= 2 * m -> q + c * t < sigma (t - m)).
  { intros t T. set (f := fun t => sigma (t - m) - (q + c * t)).
    assert (Z : f 0 = 0) by (unfold f, q; rewrite one_less_sigma; replace (0 - m) with (- m) by ring; ring).
    enough (f 0 < f t) by (unfold f in *; lra).
    apply (strictly_above f (fun t => sigma (t - m) * (1 - sigma (t - m)) - c)); [lra| |].
    - intros u _. unfold f. apply @is_derive_minus.
      + evar_last. apply (is_derive_comp sigma (fun t => t - m)); [apply sigma_derivative|auto_derive;
          [easy|reflexivity]].
        unfold scal; simpl; unfold mult; simpl. ring.
      + auto_derive; [easy|ring].
    - intros u U. enough (c < sigma (u - m) * (1 - sigma (u - m))) by lra. apply sigmoid_slope_falls.
        apply Rabs_def1; lra. }
  set (f := fun t => ln (1 + exp (- m + t)) - (ln (1 + exp (- m)) + q * t + c * t^2 / 2)).
  assert (Z : f 0 = 0) by (unfold f; rewrite Rplus_0_r; simpl; field).
  enough (T : f 0 < f a) by (rewrite Z in T; unfold f in T; lra).
  apply (strictly_above f (fun t => sigma (t - m) - (q + c * t))); [lra| |].
  - intros u _. unfold f. pose proof (exp_pos (- m + u)). apply @is_derive_minus.
    + unfold sigma. auto_derive; [lra|]. replace (- (u - m)) with (- (- m + u)) by ring.
        rewrite (exp_Ropp (- m + u)). field. lra.
    + auto_derive; [easy|field].
  - intros u U. specialize (Slope u ltac:(lra)). lra.
Qed.

(* eta* of Proposition 3.3 lies below the true worst case *)
Theorem eta_below_the_true_worst_case n V c x y eps : (y < 2)%nat ->
  let p := softmax 2 (logits n V c x) in let s := between V 0 1 in let m := ln (p y / (1 - p y)) in
  0 < eps * norm_1 n s <= 2 * m ->
  - ln (p y) + eps * (1 - p y) * norm_1 n s + 1/2 * eps^2 * p y * (1 - p y) * (norm_1 n s)^2
  < ln (1 + exp (- m + eps * norm_1 n s)).
Proof.
  intros Y p s m A. pose proof (probability_bounds n V c x y Y) as P. fold p in P.
  assert (Sm : sigma m = p y) by (unfold m; now apply sigma_of_the_logit).
  pose proof (model_below_loss m (eps * norm_1 n s) A) as T. rewrite Sm in T.
  replace (ln (1 + exp (- m))) with (- ln (p y)) in T.
  - replace (1/2 * eps^2 * p y * (1 - p y) * (norm_1 n s)^2) with (p y * (1 - p y) * (eps * norm_1 n s)^2 /
      2) by field.
    replace (eps * (1 - p y) * norm_1 n s) with ((1 - p y) * (eps * norm_1 n s)) by ring. exact T.
  - rewrite <- Sm. unfold sigma. pose proof (exp_pos (- m)). rewrite ln_Rinv by lra. ring.
Qed.

(* --- Figure 1: how the radius moves with p ----------------------------------------------------------- *)

Lemma tau_increasing p1 p2 : 1/2 <= p1 -> p1 < p2 -> p2 < 1 -> tau p1 < tau p2.
Proof.
  intros A L B. destruct (tau_solves p1 ltac:(lra)) as [T1 E1].
      destruct (tau_solves p2 ltac:(lra)) as [T2 E2].
  apply (model_growth_reflects p2); [lra|easy|]. rewrite E2. apply Rle_lt_trans with (model_growth p1 (tau
      p1)).
  - unfold model_growth. assert (p2 * (1 - p2) <= p1 * (1 - p1)) by nra. pose proof (pow2_ge_0 (tau p1)). nra.
  - rewrite E1. apply ln_increasing; lra.
Qed.

Theorem radius_grows_with_p nu : 0 < nu ->
  (forall p1 p2, 1/2 < p1 -> p1 < p2 -> p2 < 1 -> tau p1 / nu < tau p2 / nu) /\
  (forall eps, 0 < eps -> exists d, 0 < d /\ forall p, 1/2 < p < 1/2 + d -> 0 <= tau p / nu < eps) /\
  (forall B, exists d, 0 < d /\ forall p, 1 - d < p < 1 -> B < tau p / nu).
Proof.
  intros N. assert (I : 0 < / nu) by now apply Rinv_0_lt_compat. split; [|split].
  - intros p1 p2 A L C. apply Rmult_lt_compat_r; [easy|]. apply tau_increasing; lra.
  - intros eps E. exists (Rmin (1/4) (eps * nu / 16)). assert (0 < eps * nu) by now apply Rmult_lt_0_compat.
    split; [apply Rmin_glb_lt; lra|]. intros p P.
    pose proof (Rmin_l (1/4) (eps * nu / 16)). pose proof (Rmin_r (1/4) (eps * nu / 16)).
    destruct (tau_solves p ltac:(lra)) as [T E1]. split; [apply Rmult_le_pos; lra|].
    apply Rmult_lt_reg_r with nu; [easy|]. replace (tau p / nu * nu) with (tau p) by (field; lra).
    assert (L : ln (2 * p) <= 2 * p - 1).
    { rewrite <- (ln_exp (2 * p - 1)). pose proof (exp_ineq1_le (2 * p - 1)).
      destruct (Rle_lt_or_eq_dec (2 * p) (exp (2 * p - 1))) as [X|X]; [lra|apply Rlt_le, ln_increasing;
          lra|apply Req_le; f_equal; exact X]. }
    unfold model_growth in E1. pose proof (pow2_ge_0 (tau p)). assert (0 <= p * (1 - p)) by nra. nra.
  - intros B. set (M := Rabs B * nu + 1). assert (M1 : 1 <= M) by (unfold M; pose proof (Rabs_pos B); nra).
    exists (Rmin (1/4) (/ (8 * M^2 + 8))). assert (D0 : 0 < 8 * M^2 + 8) by nra.
    split; [apply Rmin_glb_lt; [lra|now apply Rinv_0_lt_compat]|]. intros p P.
    pose proof (Rmin_l (1/4) (/ (8 * M^2 + 8))). pose proof (Rmin_r (1/4) (/ (8 * M^2 + 8))).
    destruct (tau_solves p ltac:(lra)) as [T E1].
    apply Rmult_lt_reg_r with nu; [easy|]. replace (tau p / nu * nu) with (tau p) by (field; lra).
    apply Rle_lt_trans with (Rabs B * nu); [apply Rmult_le_compat_r; [lra|apply Rle_abs]|].
    apply (model_growth_reflects p); [lra|easy|]. rewrite E1.
    assert (L : 1/3 <= ln (2 * p)).
    { apply Rle_trans with (ln (3/2)); [|apply Rlt_le, ln_increasing; lra].
      rewrite <- (Ropp_involutive (ln (3/2))), <- ln_Rinv by lra.
      assert (ln (/ (3/2)) <= / (3/2) - 1); [|lra].
      rewrite <- (ln_exp (/ (3/2) - 1)). pose proof (exp_ineq1_le (/ (3/2) - 1)).
          pose proof (exp_pos (/ (3/2) - 1)).
      destruct (Rle_lt_or_eq_dec (/ (3/2)) (exp (/ (3/2) - 1))) as [X|X]; [lra|apply Rlt_le, ln_increasing;
          lra|apply Req_le; f_equal; exact X]. }
    assert (Q : (1 - p) * (8 * M^2 + 8) < 1).
    { apply Rlt_le_trans with (/ (8 * M^2 + 8) * (8 * M^2 + 8)); [apply Rmult_lt_compat_r; lra|apply Req_le,
        Rinv_l; lra]. }
    unfold model_growth. set (t := Rabs B * nu) in *. assert (Tm : t = M - 1) by (unfold M, t; ring).
    assert (T0 : 0 <= t) by lra. assert (t^2 <= M^2) by nra. assert (t <= M^2) by nra.
    assert ((1 - p) * t <= (1 - p) * M^2) by (apply Rmult_le_compat_l; lra).
    assert (p * (1 - p) * t^2 <= 1 * (1 - p) * M^2).
    { rewrite !Rmult_assoc. apply Rmult_le_compat; [lra|apply Rmult_le_pos; [lra|apply pow2_ge_0]|lra|].
      apply Rmult_le_compat_l; lra. }
    lra.
Qed.

Theorem radius_grows_instance : tau (3/5) / 2 < tau (4/5) / 2.
Proof. apply (radius_grows_with_p 2); lra. Qed.

(* --- Figure 3: the penalties at fixed nu ------------------------------------------------------------- *)

Theorem slopes_of_the_penalties nu p : 0 < nu -> 1/2 < p < 1 ->
  is_derive (fun p => p * (1 - p) * nu^2) p ((1 - 2 * p) * nu^2) /\
      Rabs ((1 - 2 * p) * nu^2) = (2 * p - 1) * nu^2 /\
  is_derive (fun p => (1 - p)^2 * nu^2) p (- 2 * (1 - p) * nu^2) /\
      Rabs (- 2 * (1 - p) * nu^2) = 2 * (1 - p) * nu^2 /\
  forall p', p < p' < 1 -> (2 * p - 1) * nu^2 < (2 * p' - 1) * nu^2 /\
      2 * (1 - p') * nu^2 < 2 * (1 - p) * nu^2.
Proof.
  intros N P. assert (N2 : 0 < nu^2) by (apply pow_lt; easy). split; [|split; [|split; [|split]]].
  - auto_derive; [easy|ring].
  - rewrite Rabs_left by nra. ring.
  - auto_derive; [easy|ring].
  - rewrite Rabs_left by nra. ring.
  - intros p' P'. split; apply Rmult_lt_compat_r; lra.
Qed.

Theorem slopes_instance : (2 * (3/5) - 1) * 1^2 < (2 * (4/5) - 1) * 1^2.
Proof. destruct (slopes_of_the_penalties 1 (3/5) ltac:(lra) ltac:(lra)) as (_ & _ & _ & _ & S).
    apply (S (4/5)); lra. Qed.

(* does the curvature penalty reward confidence? above 1/2 it does, below it rewards a lower p_y *)
Theorem curvature_penalty_and_confidence nu : 0 < nu ->
  (forall a b, 1/2 < a -> a < b -> b < 1 -> b * (1 - b) * nu^2 < a * (1 - a) * nu^2) /\
  (forall a b, 0 < a -> a < b -> b < 1/2 -> a * (1 - a) * nu^2 < b * (1 - b) * nu^2).
Proof.
  intros N. assert (N2 : 0 < nu^2) by (apply pow_lt; easy).
  split; intros a b A L B; apply Rmult_lt_compat_r; try easy.
  - assert (0 < (b - a) * (a + b - 1)) by (apply Rmult_lt_0_compat; lra). lra.
  - assert (0 < (b - a) * (1 - a - b)) by (apply Rmult_lt_0_compat; lra). lra.
Qed.

Theorem confidence_instance : 4/5 * (1 - 4/5) * 1^2 < 3/5 * (1 - 3/5) * 1^2.
Proof. destruct (curvature_penalty_and_confidence 1 ltac:(lra)) as [Above _]. apply (Above (3/5) (4/5)); lra.
    Qed.

Theorem confidence_false_as_printed :
  ~ (forall nu a b, 0 < nu -> 0 < a -> a < b -> b < 1 -> b * (1 - b) * nu^2 < a * (1 - a) * nu^2).
Proof. intros Printed. specialize (Printed 1 (1/4) (1/2) ltac:(lra) ltac:(lra) ltac:(lra) ltac:(lra)). lra.
    Qed.

(* in the logit the curvature penalty pulls hardest at p = (3 + sqrt 3)/6 *)
Theorem where_the_curvature_penalty_pulls_hardest :
  let pull p := p * (1 - p) * (2 * p - 1) in let peak := (3 + sqrt 3) / 6 in
  (forall m, 0 < m -> is_derive (fun m => sigma m * (1 - sigma m)) m (- pull (sigma m)) /\
    Rabs (- pull (sigma m)) = pull (sigma m)) /\
  1/2 < peak < 1 /\ (forall p, 1/2 < p < 1 -> p <> peak -> pull p < pull peak) /\
  (forall eps, 0 < eps -> exists d, 0 < d /\ forall p, 1 - d < p < 1 -> Rabs (pull p) < eps).
Proof.
  intros pull peak. pose proof (sqrt_lt_R0 3 ltac:(lra)) as W0. pose proof (sqrt_def 3 ltac:(lra)) as W2.
  set (w := sqrt 3) in *. assert (W : 1 < w < 2) by (split; nra). split; [|split; [|split]].
  - intros m M. pose proof (sigma_bounds m). pose proof (sigma_above_half m M). split.
    + evar_last. apply (is_derive_comp (fun p => p * (1 - p)) sigma m); [auto_derive;
        [easy|reflexivity]|apply sigma_derivative].
      unfold scal, pull; simpl; unfold mult; simpl. ring.
    + rewrite Rabs_Ropp, Rabs_pos_eq; [easy|]. unfold pull. repeat apply Rmult_le_pos; lra.
  - unfold peak. lra.
  - intros p P Np. assert (E : pull peak - pull p = 2 * (p - peak)^2 * (p + w / 3 - 1/2)).
    { unfold pull, peak. assert (W3 : w^2 = 3) by (simpl; lra). assert (W4 : w^3 = 3 * w) by (simpl; nra).
      field_simplify. rewrite ?W4, ?W3. field. }
    assert (0 < (p - peak)^2) by (apply pow2_gt_0; lra). nra.
  - intros eps E. exists (Rmin (1/2) eps). split; [apply Rmin_glb_lt; lra|]. intros p P.
    pose proof (Rmin_l (1/2) eps). pose proof (Rmin_r (1/2) eps). unfold pull. rewrite Rabs_pos_eq.
    + assert (p * (2 * p - 1) <= 1) by nra. nra.
    + repeat apply Rmult_le_pos; lra.
Qed.

Theorem peak_instance : 4/5 * (1 - 4/5) * (2 * (4/5) - 1) < (3 + sqrt 3) / 6 * (1 - (3 + sqrt 3) / 6) * (2 *
    ((3 + sqrt 3) / 6) - 1).
Proof.
  destruct where_the_curvature_penalty_pulls_hardest as (_ & _ & M & _). apply M; [lra|].
  intros E. pose proof (sqrt_def 3 ltac:(lra)). assert (sqrt 3 = 9/5) by lra. rewrite H0 in H. lra.
Qed.

(* --- the classifier z = (x/2, -x/2) at x = log 3, where p = 3/4 ---------------------------------------- *)

Definition at_log_3 (i : nat) : R := ln 3.

Lemma log_3_probability : softmax 2 (logits 1 halves (fun _ => 0) at_log_3) 0 = 3/4.
Proof.
  rewrite softmax_is_sigma by lia. unfold sigma, margin, logits, transposed, halves, at_log_3; simpl.
  replace (- (0 + 1/2 * ln 3 + 0 - (0 + -1/2 * ln 3 + 0))) with (- ln 3) by field.
  rewrite exp_Ropp, exp_ln by lra. field.
Qed.

Lemma log_3_above_1 : 1 < ln 3.
Proof. interval with (i_prec 30). Qed.

Theorem overshoot_instance : exists rho,
  least_step (norm 1) (fun r => - ln (3/4) + growth 1 (gradient 2 halves 0 (softmax 2 (logits 1 halves (fun _
      => 0) at_log_3)))
    (hessian 2 halves (softmax 2 (logits 1 halves (fun _ => 0) at_log_3))) r) (ln 2) rho /\ ln 3 / 1 < rho.
Proof.
  destruct (taylor_radius_overshoots 1 halves (fun _ => 0) at_log_3 0 ltac:(lia)) as (_ & _ & _ & rho & A &
      B).
  - rewrite log_3_probability. lra.
  - rewrite halves_nu. lra.
  - rewrite log_3_probability in A, B. rewrite halves_nu in B. replace (3/4 / (1 - 3/4)) with 3 in B by field.
    exists rho. split; [exact A|exact B].
Qed.

Theorem guarantee_instance : let x' := fun i => at_log_3 i + -1 in
  logits 1 halves (fun _ => 0) x' 1 < logits 1 halves (fun _ => 0) x' 0.
Proof.
  apply (guarantee_within_the_piece 1 halves (fun _ => 0) at_log_3 0 ltac:(lia) (logits 1 halves (fun _ =>
      0)) 2 (fun _ => -1)).
  - rewrite halves_nu. lra.
  - intros; reflexivity.
  - rewrite log_3_probability, halves_nu. replace (3/4 / (1 - 3/4)) with 3 by field.
    assert (N : norm 1 (fun _ => -1) = 1).
    { unfold norm, sq, dot; simpl. replace (0 + -1 * -1) with 1 by ring. apply sqrt_1. }
    rewrite N. apply Rmin_glb_lt; [|lra]. pose proof log_3_above_1. lra.
Qed.

(* that no step shorter than the Taylor radius changes the class *)
Theorem formal_guarantee_false_as_printed :
  ~ (forall n V c x y rho r, (y < 2)%nat -> let p := softmax 2 (logits n V c x) in 1/2 < p y ->
      0 < norm n (between V 0 1) ->
     least_step (norm n) (fun r => - ln (p y) + growth n (gradient 2 V y p) (hessian 2 V p) r) (ln 2) rho ->
     norm n r < rho -> logits n V c (fun i => x i + r i) (1 - y)%nat <= logits n V c (fun i => x i + r i) y).
Proof.
  intros Printed. destruct overshoot_instance as (rho & A & B).
  specialize (Printed 1%nat halves (fun _ => 0) at_log_3 0%nat rho
    (fun _ => - ((ln 3 + rho) / 2)) ltac:(lia)).
  cbv zeta in Printed.
  rewrite log_3_probability, halves_nu in Printed.
  assert (L : 0 < ln 3) by (rewrite <- ln_1; apply ln_increasing; lra).
  set (t := (ln 3 + rho) / 2) in *. assert (T : ln 3 < t < rho) by (unfold t; lra).
  assert (N : norm 1 (fun _ => - t) = t).
  { unfold norm, sq, dot; simpl. replace (0 + - t * - t) with (t * t) by ring. apply sqrt_square. lra. }
  rewrite N in Printed. specialize (Printed ltac:(lra) ltac:(lra) A ltac:(lra)).
  unfold logits, transposed, halves, at_log_3 in Printed; simpl in Printed. lra.
Qed.

Theorem worst_case_of_the_loss_instance :
  cross_entropy 2 0 (logits 1 halves (fun _ => 0) (fun i => at_log_3 i + 1 * sgn (gradient 2 halves 0
      (softmax 2 (logits 1 halves (fun _ => 0) at_log_3)) i)))
  = ln (1 + exp (- ln 3 + 1 * 1)).
Proof.
  destruct (worst_case_of_the_loss 1 halves (fun _ => 0) at_log_3 0 ltac:(lia) 1 Rle_0_1) as (_ & _ & E).
  rewrite E, log_3_probability, halves_norm_1. replace (3/4 / (1 - 3/4)) with 3 by field. easy.
Qed.

Theorem eta_instance : - ln (3/4) + 1 * (1 - 3/4) * 1 + 1/2 * 1^2 * (3/4) * (1 - 3/4) * 1^2 < ln (1 + exp (-
    ln 3 + 1 * 1)).
Proof.
  pose proof (eta_below_the_true_worst_case 1 halves (fun _ => 0) at_log_3 0 1 ltac:(lia)) as T.
      cbv zeta in T.
  rewrite log_3_probability, halves_norm_1 in T. replace (3/4 / (1 - 3/4)) with 3 in T by field. apply T.
  pose proof log_3_above_1. lra.
Qed.
