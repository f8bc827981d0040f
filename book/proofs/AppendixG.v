(* Appendix G: how the penalties move with nu when gamma = |w^T x| is fixed, Eqs. (44), (45) and their
   critical points; the Taylor radius at fixed gamma and its convexity in p_y; how a small loss forces a
   large nu gamma; the logistic loss. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Regrob Require Import IntervalZ Definitions Sums Hoelder Differentiable Loss Compactness Spectral
    Lemma31 Binary
  TwoClassRadius Taylor.
Import IZ.
Open Scope R_scope.

Lemma one_less_sigma_exp t : 1 - sigma t = / (1 + exp t).
Proof. rewrite one_less_sigma. unfold sigma. now rewrite Ropp_involutive. Qed.

(* --- a classifier without biases: nu gamma is the size of the logit ------------------------------- *)

Definition no_bias (k : nat) : R := 0.

Theorem nu_gamma_is_the_confidence n V x y : (y < 2)%nat ->
  let s := between V 0 1 in let nu := norm n s in let gamma := Rabs (dot n (fun i => s i / nu) x) in
  let p := softmax 2 (logits n V no_bias x) in 0 < nu ->
  nu * gamma = Rabs (ln (p y / (1 - p y))) /\ (1/2 < p y -> p y = sigma (gamma * nu)) /\ (p y < 1/2 ->
      p y = sigma (- (gamma * nu))).
Proof.
  intros Y s nu gamma p N. pose proof (probability_bounds n V no_bias x y Y) as P. fold p in P.
  pose proof (margin_is_the_logit n V no_bias x y Y) as M. fold p in M. set (m := ln (p y / (1 - p y))) in *.
  assert (D : margin y (logits n V no_bias x) = label_sign y * dot n s x).
  { unfold margin, logits, no_bias, transposed. assert (S : dot n s x = Sum n (fun i => V i 0%nat * x i) -
      Sum n (fun i => V i 1%nat * x i)).
    { unfold dot, s, between. rewrite <- Sum_minus. apply Sum_ext; intros; ring. }
    rewrite S. destruct y as [|[|]]; simpl; [ring|ring|lia]. }
  assert (E : nu * gamma = Rabs m).
  { rewrite M, D, Rabs_mult, label_sign_abs. unfold gamma.
    replace (dot n (fun i => s i / nu) x) with (/ nu * dot n s x).
    - rewrite Rabs_mult, Rabs_pos_eq by (apply Rlt_le, Rinv_0_lt_compat, N). field. lra.
    - rewrite <- dot_scal. apply Sum_ext; intros; unfold Rdiv; ring. }
  assert (Sm : sigma m = p y) by (unfold m; now apply sigma_of_the_logit).
  split; [easy|]. split; intros Hp.
  - rewrite Rmult_comm, E, Rabs_pos_eq; [now rewrite Sm|]. apply Rnot_lt_le. intros L.
    pose proof (sigma_above_half (- m) ltac:(lra)) as T. rewrite <- one_less_sigma, Sm in T. lra.
  - rewrite Rmult_comm, E, Rabs_left, Ropp_involutive; [now rewrite Sm|]. apply Rnot_le_lt. intros [L|L].
    + pose proof (sigma_above_half m L). lra.
    + rewrite <- L in Sm. unfold sigma in Sm. rewrite Ropp_0, exp_0 in Sm. lra.
Qed.

(* --- Eqs. (44) and (45) ------------------------------------------------------------------------------ *)

Definition slope_44 gamma nu := 2 * nu * (1 - (gamma * nu - 1) * exp (gamma * nu)) / (1 + exp (gamma * nu))^3.
Definition slope_45 gamma nu :=
  nu * (2 + gamma * nu - (gamma * nu - 2) * exp (gamma * nu)) * exp (gamma * nu) / (1 + exp (gamma * nu))^3.

Theorem gradient_penalty_moves_with_nu gamma : 0 < gamma ->
  (forall nu, is_derive (fun nu => (1 - sigma (gamma * nu))^2 * nu^2) nu (slope_44 gamma nu)) /\
  (forall a b, 0 < a -> a < b -> (1 - sigma (- (gamma * a)))^2 * a^2 < (1 - sigma (- (gamma * b)))^2 * b^2).
Proof.
  intros G. split.
  - intros nu. unfold sigma, slope_44. pose proof (exp_pos (gamma * nu)).
      pose proof (exp_pos (- (gamma * nu))).
    auto_derive; [lra|]. rewrite exp_Ropp. field. lra.
  - intros a b A L. rewrite !one_less_sigma, !Ropp_involutive. rewrite <- !Rpow_mult_distr.
    pose proof (sigma_increasing (gamma * a) (gamma * b) ltac:(apply Rmult_lt_compat_l; lra)).
    pose proof (sigma_bounds (gamma * a)). assert (0 < sigma (gamma * a) * a) by (apply Rmult_lt_0_compat;
        lra).
    assert (sigma (gamma * a) * a < sigma (gamma * b) * b) by (apply Rmult_gt_0_lt_compat; lra). nra.
Qed.

Theorem gradient_penalty_instance : is_derive (fun nu => (1 - sigma (1 * nu))^2 * nu^2) 1 (slope_44 1 1).
Proof. apply gradient_penalty_moves_with_nu. lra. Qed.

Theorem equation_44_false_for_misclassified_points :
  ~ (forall gamma nu, 0 < gamma -> 0 < nu -> is_derive (fun nu => (1 - sigma (- (gamma * nu)))^2 * nu^2) nu
      (slope_44 gamma nu)).
Proof.
  intros Printed. specialize (Printed 1 1 ltac:(lra) ltac:(lra)).
  assert (D : is_derive (fun nu => (1 - sigma (- (1 * nu)))^2 * nu^2) 1 (2 * exp (-1) / (1 + exp (-1))^3 + 2
      / (1 + exp (-1))^2)).
  { apply (is_derive_ext (fun nu => (/ (1 + exp (- (1 * nu))))^2 * nu^2)).
    { intros t. rewrite one_less_sigma, Ropp_involutive. reflexivity. }
    pose proof (exp_pos (- (1 * 1))). auto_derive; [lra|].
    replace (- (1 * 1)) with (-1) by ring. pose proof (exp_pos (-1)). field. lra. }
  apply is_derive_unique in Printed. apply is_derive_unique in D. rewrite Printed in D.
  unfold slope_44 in D. replace (1 * 1) with 1 in D by ring.
  assert (2 * 1 * (1 - (1 - 1) * exp 1) / (1 + exp 1)^3 < 2 * exp (-1) / (1 + exp (-1))^3 + 2 / (1 + exp
      (-1))^2)
    by (interval with (i_prec 30)). lra.
Qed.

(* for any label, as p (1 - p) is the same for sigma(t) and sigma(-t) *)
Theorem curvature_penalty_moves_with_nu gamma nu : 
  is_derive (fun nu => sigma (gamma * nu) * (1 - sigma (gamma * nu)) * nu^2) nu (slope_45 gamma nu) /\
  is_derive (fun nu => sigma (- (gamma * nu)) * (1 - sigma (- (gamma * nu))) * nu^2) nu (slope_45 gamma nu).
Proof.
  assert (D : is_derive (fun nu => sigma (gamma * nu) * (1 - sigma (gamma * nu)) * nu^2) nu (slope_45 gamma
      nu)).
  { unfold sigma, slope_45. pose proof (exp_pos (gamma * nu)). pose proof (exp_pos (- (gamma * nu))).
    auto_derive; [lra|]. rewrite exp_Ropp. field. lra. }
  split; [easy|]. apply (is_derive_ext (fun nu => sigma (gamma * nu) * (1 - sigma (gamma * nu)) * nu^2));
      [|easy].
  intros t. f_equal. rewrite !one_less_sigma, Ropp_involutive. apply Rmult_comm.
Qed.

Theorem curvature_penalty_instance : is_derive (fun nu => sigma (1 * nu) * (1 - sigma (1 * nu)) * nu^2) 2
    (slope_45 1 2).
Proof. apply curvature_penalty_moves_with_nu. Qed.

(* --- the critical points ------------------------------------------------------------------------------- *)

Definition factor_44 t := 1 - (t - 1) * exp t.
Definition factor_45 t := 2 + t - (t - 2) * exp t.

Lemma zero_between f a b : (forall t, ex_derive f t) -> a < b -> 0 < f a -> f b < 0 -> exists t, a < t < b /\
    f t = 0.
Proof.
  intros D L A B. destruct (IVT_gen (fun t => f t) a b 0) as (t & T & E).
  - intros t. apply continuity_pt_filterlim. apply (ex_derive_continuous f), D.
  - rewrite Rmin_right, Rmax_left; lra.
  - rewrite Rmin_left, Rmax_right in T by lra. exists t. split; [|easy].
    split; apply Rnot_le_lt; intros N; [replace t with a in E by lra|replace t with b in E by lra]; lra.
Qed.

Lemma zero_of_44 : exists t, 1.278464 < t < 1.278465 /\ factor_44 t = 0 /\ forall u, 0 < u ->
    factor_44 u = 0 -> u = t.
Proof.
  destruct (zero_between factor_44 1.278464 1.278465) as (t & T & Z).
  - intros; unfold factor_44; auto_derive; easy.
  - lra.
  - unfold factor_44. interval with (i_prec 60).
  - unfold factor_44. interval with (i_prec 60).
  - exists t. split; [easy|]. split; [easy|]. intros u U E. unfold factor_44 in *.
    assert (U1 : 1 < u) by (apply Rnot_le_lt; intros N; pose proof (exp_pos u); nra).
    assert (M : forall a b, 1 < a -> a < b -> (a - 1) * exp a < (b - 1) * exp b).
    { intros a b A L. pose proof (exp_increasing a b L). pose proof (exp_pos a). nra. }
    destruct (Rtotal_order u t) as [L|[L|L]]; [|easy|]; [pose proof (M u t U1 L)|pose proof (M t u ltac:(lra)
        L)]; lra.
Qed.

Lemma zero_of_45 : exists t, 2.399357 < t < 2.399358 /\ factor_45 t = 0 /\ forall u, 0 < u ->
    factor_45 u = 0 -> u = t.
Proof.
  destruct (zero_between factor_45 2.399357 2.399358) as (t & T & Z).
  - intros; unfold factor_45; auto_derive; easy.
  - lra.
  - unfold factor_45. interval with (i_prec 60).
  - unfold factor_45. interval with (i_prec 60).
  - exists t. split; [easy|]. split; [easy|]. intros u U E. unfold factor_45 in *.
    assert (U2 : 2 < u) by (apply Rnot_le_lt; intros N; pose proof (exp_pos u); nra).
    assert (M : forall a b, 2 < a -> a < b -> 2 + a - (a - 2) * exp a = 0 -> 2 + b - (b - 2) * exp b < 0).
    { intros a b A L Ea. pose proof (exp_increasing a b L). pose proof (exp_pos a).
      assert (Xa : exp a = (2 + a) / (a - 2)) by (apply Rmult_eq_reg_l with (a - 2); [field_simplify;
          lra|lra]).
      assert (Xb : (b - 2) * ((2 + a) / (a - 2)) < (b - 2) * exp b) by (rewrite <- Xa;
          apply Rmult_lt_compat_l; lra).
      assert (2 + b < (b - 2) * ((2 + a) / (a - 2))); [|lra].
      apply Rmult_lt_reg_l with (a - 2); [lra|]. replace ((a - 2) * ((b - 2) * ((2 + a) / (a - 2)))) with ((b
          - 2) * (2 + a)) by (field; lra). nra. }
    destruct (Rtotal_order u t) as [L|[L|L]]; [|easy|]; [pose proof (M u t U2 L E)|pose proof (M t u
        ltac:(lra) L Z)]; lra.
Qed.

Lemma slope_44_zero gamma nu : 0 < nu -> slope_44 gamma nu = 0 <-> factor_44 (gamma * nu) = 0.
Proof.
  intros N. pose proof (exp_pos (gamma * nu)). assert (Q : 0 < (1 + exp (gamma * nu))^3) by (apply pow_lt;
      lra).
  unfold slope_44, factor_44. split; intros Z.
  - apply Rmult_eq_reg_l with (2 * nu / (1 + exp (gamma * nu))^3); [|apply Rgt_not_eq, Rdiv_lt_0_compat; lra].
    rewrite Rmult_0_r, <- Z at 1. field. lra.
  - rewrite Z. field. lra.
Qed.

Lemma slope_45_zero gamma nu : 0 < nu -> slope_45 gamma nu = 0 <-> factor_45 (gamma * nu) = 0.
Proof.
  intros N. pose proof (exp_pos (gamma * nu)) as E. assert (Q : 0 < (1 + exp (gamma * nu))^3) by (apply
      pow_lt; lra).
  unfold slope_45, factor_45. split; intros Z.
  - apply Rmult_eq_reg_l with (nu * exp (gamma * nu) / (1 + exp (gamma * nu))^3).
    + rewrite Rmult_0_r, <- Z at 1. field. lra.
    + apply Rgt_not_eq, Rdiv_lt_0_compat; [now apply Rmult_lt_0_compat|easy].
  - rewrite Z. field. lra.
Qed.

(* nu gamma = 1 + w with w e^w = 1/e, and nu gamma = 2 x with x tanh x = 1; each is the only critical point *)
Theorem critical_points :
  (exists t, 1.278464 < t < 1.278465 /\ (t - 1) * exp (t - 1) = / exp 1 /\
    forall gamma nu, 0 < gamma -> 0 < nu -> (slope_44 gamma nu = 0 <-> nu * gamma = t)) /\
  (exists t, 2.399357 < t < 2.399358 /\ t / 2 * tanh (t / 2) = 1 /\
    forall gamma nu, 0 < gamma -> 0 < nu -> (slope_45 gamma nu = 0 <-> nu * gamma = t)).
Proof.
  split.
  - destruct zero_of_44 as (t & T & Z & U). exists t. split; [easy|]. split.
    + unfold factor_44 in Z. unfold Rminus at 2. rewrite exp_plus, exp_Ropp. pose proof (exp_pos 1).
      apply Rmult_eq_reg_r with (exp 1); [|lra]. rewrite Rinv_l by lra.
      replace ((t - 1) * (exp t * / exp 1) * exp 1) with ((t - 1) * exp t) by (field; lra). lra.
    + intros gamma nu G N. rewrite slope_44_zero by easy. rewrite (Rmult_comm nu gamma). split; intros E.
      * apply U; [now apply Rmult_lt_0_compat|easy].
      * now rewrite E.
  - destruct zero_of_45 as (t & T & Z & U). exists t. split; [easy|]. split.
    + unfold tanh, sinh, cosh. set (h := t / 2). assert (Th : t = h + h) by (unfold h; field).
      rewrite exp_Ropp. pose proof (exp_pos h) as Eh. unfold factor_45 in Z. rewrite Th, exp_plus in Z.
      set (e := exp h) in *. assert (0 < / e) by now apply Rinv_0_lt_compat.
      apply Rmult_eq_reg_r with ((e + / e) / 2); [|lra].
      replace (h * ((e - / e) / 2 / ((e + / e) / 2)) * ((e + / e) / 2)) with (h * (e - / e) / 2) by (field;
          nra).
      apply Rmult_eq_reg_r with (2 * e); [|lra].
      replace (h * (e - / e) / 2 * (2 * e)) with (h * (e * e - 1)) by (field; lra).
      replace (1 * ((e + / e) / 2) * (2 * e)) with (e * e + 1) by (field; lra). lra.
    + intros gamma nu G N. rewrite slope_45_zero by easy. rewrite (Rmult_comm nu gamma). split; intros E.
      * apply U; [now apply Rmult_lt_0_compat|easy].
      * now rewrite E.
Qed.

Theorem critical_points_instance : exists nu, 1.2784 < nu < 1.2785 /\ slope_44 1 nu = 0.
Proof.
  destruct critical_points as [(t & T & _ & U) _]. exists t. split; [lra|]. apply (U 1 t); lra.
Qed.

(* the critical points as confidences *)
Theorem critical_confidences : exists t1 t2,
  (t1 - 1) * exp (t1 - 1) = / exp 1 /\ 0.78215 < sigma t1 < 0.78225 /\
  t2 / 2 * tanh (t2 / 2) = 1 /\ 2.39935 < t2 < 2.39945 /\ 0.91675 < sigma t2 < 0.91685 /\
  forall n V x y, (y < 2)%nat ->
  let s := between V 0 1 in let nu := norm n s in let gamma := Rabs (dot n (fun i => s i / nu) x) in
  let p := softmax 2 (logits n V no_bias x) in 0 < nu ->
  nu * gamma = Rabs (ln (p y / (1 - p y))) /\
  (1/2 < p y -> (nu * gamma <= t1 <-> p y <= sigma t1) /\ (nu * gamma <= t2 <-> p y <= sigma t2)).
Proof.
  destruct critical_points as [(t1 & T1 & Z1 & _) (t2 & T2 & Z2 & _)]. exists t1, t2.
  split; [easy|]. split; [unfold sigma; split; interval with (i_prec 40)|].
  split; [easy|]. split; [lra|]. split; [unfold sigma; split; interval with (i_prec 40)|].
  intros n V x y Y s nu gamma p N. destruct (nu_gamma_is_the_confidence n V x y Y N) as (E & High & _).
  fold s in E, High. fold nu in E, High. fold gamma in E, High. fold p in E, High. split; [exact E|].
      intros Hp. specialize (High Hp).
  assert (Eq : forall t, nu * gamma <= t <-> p y <= sigma t).
  { intros t. rewrite High, (Rmult_comm nu gamma). split; intros L.
    - destruct L as [L|L]; [now apply Rlt_le, sigma_increasing|rewrite L; lra].
    - apply Rnot_lt_le. intros M. apply sigma_increasing in M. lra. }
  split; apply Eq.
Qed.

Theorem critical_confidences_instance :
  let gamma := Rabs (dot 1 (fun i => between halves 0 1 i / 1) at_log_3) in
  1 * gamma = Rabs (ln (3/4 / (1 - 3/4))) /\
  exists t, (t - 1) * exp (t - 1) = / exp 1 /\ 0.78215 < sigma t < 0.78225 /\
    (1 * gamma <= t <-> 3/4 <= sigma t).
Proof.
  intros gamma. destruct critical_confidences as (t & t2 & Z & C & _ & _ & _ & All).
  specialize (All 1%nat halves at_log_3 0%nat ltac:(lia)). cbv zeta in All. rewrite halves_nu in All.
  change (logits 1 halves no_bias at_log_3) with (logits 1 halves (fun _ => 0) at_log_3) in All.
  rewrite log_3_probability in All. destruct (All Rlt_0_1) as [E Both].
  split; [exact E|]. exists t. split; [easy|]. split; [easy|]. apply Both. lra.
Qed.

(* --- the Taylor radius in the logit ------------------------------------------------------------------- *)

(* 1 + p tau *)
Definition stem m := sqrt (1 + 2 * exp m * ln (2 * sigma m)).

Lemma odds_of_sigma m : sigma m / (1 - sigma m) = exp m.
Proof.
  rewrite one_less_sigma_exp. unfold sigma. pose proof (exp_pos m). rewrite exp_Ropp. field. lra.
Qed.

Lemma tau_from_stem m : tau (sigma m) = (stem m - 1) / sigma m.
Proof.
  unfold tau, stem. do 4 f_equal. pose proof (sigma_bounds m). rewrite <- odds_of_sigma. field. lra.
Qed.

Lemma log_2_sigma_positive m : 0 < m -> 0 < ln (2 * sigma m).
Proof. intros M. pose proof (sigma_above_half m M). rewrite <- ln_1. apply ln_increasing; lra. Qed.

Lemma stem_above_1 m : 0 < m -> 1 < stem m.
Proof.
  intros M. unfold stem. rewrite <- sqrt_1 at 1. apply sqrt_lt_1_alt. pose proof (exp_pos m).
      pose proof (log_2_sigma_positive m M). nra.
Qed.

(* the slope of tau less 1 *)
Definition excess_slope m := (stem m - 1)^2 * (2 * sigma m - 1) / (2 * stem m * sigma m).

Lemma tau_derivative m : 0 < m -> is_derive (fun m => tau (sigma m)) m (1 + excess_slope m).
Proof.
  intros M. pose proof (sigma_bounds m) as S. pose proof (exp_pos m) as Em.
      pose proof (log_2_sigma_positive m M) as L.
  pose proof (stem_above_1 m M) as W1.
  assert (W2 : stem m * stem m = 1 + 2 * exp m * ln (2 * sigma m)) by (unfold stem; apply sqrt_def; nra).
  apply (is_derive_ext (fun m => (stem m - 1) / sigma m)); [intros; symmetry; apply tau_from_stem|].
  assert (X0 : 0 < exp m * ln (2 * sigma m)) by (apply Rmult_lt_0_compat; lra).
  assert (DW : is_derive stem m ((exp m * ln (2 * sigma m) + exp m * (1 - sigma m)) / stem m)).
  { unfold stem at 1. evar_last.
    - apply (is_derive_sqrt (fun m => 1 + 2 * exp m * ln (2 * sigma m))); [|cbv beta; lra].
      apply @is_derive_plus; [apply @is_derive_const|].
        apply (is_derive_mult (fun m => 2 * exp m) (fun m => ln (2 * sigma m))); [| |intros;
            apply Rmult_comm].
        * apply (is_derive_scal exp). apply is_derive_exp.
        * apply (is_derive_comp ln (fun m => 2 * sigma m)); [apply is_derive_ln; lra|].
            apply (is_derive_scal sigma), sigma_derivative.
    - fold (stem m). unfold scal, plus, mult, zero; simpl; unfold mult, scal; simpl; unfold mult; simpl.
        field. lra. }
  evar_last. apply (is_derive_div (fun m => stem m - 1) sigma); [|apply sigma_derivative|lra].
  apply @is_derive_minus; [exact DW|apply @is_derive_const].
  unfold minus, plus, opp, zero; simpl. unfold excess_slope.
  assert (XE : exp m * ln (2 * sigma m) = (stem m * stem m - 1) / 2) by lra.
  assert (EE : exp m * (1 - sigma m) = sigma m) by (rewrite <- odds_of_sigma; field; lra).
  rewrite XE, EE. field. lra.
Qed.

Lemma stem_increasing a b : 0 < a -> a < b -> stem a < stem b.
Proof.
  intros A L. unfold stem. pose proof (log_2_sigma_positive a A). pose proof (exp_pos a).
  assert (ln (2 * sigma a) < ln (2 * sigma b)).
  { pose proof (sigma_bounds a). pose proof (sigma_increasing a b L). apply ln_increasing; lra. }
  pose proof (exp_increasing a b L). apply sqrt_lt_1_alt. split; [nra|]. nra.
Qed.

(* (w - 1)^2 (2 p - 1) / (2 w p) = (w - 1) (1 - 1/w) (1 - 1/(2p)) grows with w and p *)
Lemma excess_slope_increasing a b : 0 < a -> a < b -> 0 < excess_slope a < excess_slope b.
Proof.
  intros A L. pose proof (stem_above_1 a A) as Wa. pose proof (stem_increasing a b A L) as Wb.
  pose proof (sigma_above_half a A) as Pa. pose proof (sigma_increasing a b L) as Pb.
  assert (E : forall m, 0 < stem m -> 0 < sigma m ->
    excess_slope m = (stem m - 1) * (1 - / stem m) * (1 - / (2 * sigma m))) by (intros m Hw Hp;
        unfold excess_slope; field; lra).
  rewrite !E by lra.
  assert (Ia : / stem a < 1) by (rewrite <- Rinv_1; apply Rinv_lt_contravar; lra).
  assert (Ib : / stem b < / stem a) by (apply Rinv_lt_contravar; [apply Rmult_lt_0_compat; lra|lra]).
  assert (Ja : / (2 * sigma a) < 1) by (rewrite <- Rinv_1; apply Rinv_lt_contravar; lra).
  assert (Jb : / (2 * sigma b) < / (2 * sigma a)) by (apply Rinv_lt_contravar; [apply Rmult_lt_0_compat;
      lra|lra]).
  assert (P1 : 0 < (stem a - 1) * (1 - / stem a)) by (apply Rmult_lt_0_compat; lra).
  assert (P2 : 0 < (stem b - 1) * (1 - / stem b)) by (apply Rmult_lt_0_compat; lra).
  split; [apply Rmult_lt_0_compat; lra|].
  apply Rmult_gt_0_lt_compat; try lra. apply Rmult_gt_0_lt_compat; lra.
Qed.

Lemma mean_value f f' a b : a < b -> (forall t, a <= t <= b -> is_derive f t (f' t)) -> exists c,
    a < c < b /\ f b - f a = f' c * (b - a).
Proof.
  intros L D. destruct (MVT_cor2 f f' a b L) as (c & E & C); [intros; now apply is_derive_Reals, D|].
      now exists c.
Qed.

(* at fixed gamma the radius grows with nu and the true distance does not move *)
Lemma tau_over_m_increasing a b : 0 < a -> a < b -> tau (sigma a) / a < tau (sigma b) / b.
Proof.
  intros A L. set (T := fun m => tau (sigma m)).
  assert (Small : T a <= (1 + excess_slope a) * a).
  { (* tau has the limit 0 at 0 *)
    apply Rnot_lt_le. intros N. set (gap := T a - (1 + excess_slope a) * a) in *.
        assert (G : 0 < gap) by (unfold gap; lra).
    destruct (radius_grows_with_p 1 Rlt_0_1) as (_ & Zero & _). destruct (Zero gap G) as (d & D0 & Near).
    (* a point e near 0 with sigma e < 1/2 + d *)
    set (e := Rmin (a / 2) d). assert (E0 : 0 < e) by (apply Rmin_glb_lt; lra).
    pose proof (Rmin_l (a / 2) d) as E1. pose proof (Rmin_r (a / 2) d) as E2. fold e in E1, E2.
    assert (Se : sigma e < 1/2 + d).
    { destruct (mean_value sigma (fun t => sigma t * (1 - sigma t)) 0 e E0) as (c & _ & Ec); [intros;
        apply sigma_derivative|].
      assert (S0 : sigma 0 = 1/2) by (unfold sigma; rewrite Ropp_0, exp_0; field). rewrite S0 in Ec.
      pose proof (pow2_ge_0 (2 * sigma c - 1)). nra. }
    specialize (Near (sigma e) (conj (sigma_above_half e E0) Se)). fold (T e) in Near. unfold Rdiv in Near.
        rewrite Rinv_1, Rmult_1_r in Near.
    destruct (mean_value T (fun m => 1 + excess_slope m) e a ltac:(lra)) as (c & C & Ec); [intros;
        apply tau_derivative; lra|].
    pose proof (excess_slope_increasing c a ltac:(lra) ltac:(lra)). unfold gap in Near. nra. }
  destruct (mean_value T (fun m => 1 + excess_slope m) a b L) as (c & C & Ec); [intros; apply tau_derivative;
      lra|].
  pose proof (excess_slope_increasing a c A ltac:(lra)) as I. fold (T a). fold (T b).
  apply Rmult_lt_reg_r with (a * b); [apply Rmult_lt_0_compat; lra|].
  replace (T a / a * (a * b)) with (T a * b) by (field; lra).
      replace (T b / b * (a * b)) with (T b * a) by (field; lra).
  assert (B : T b = T a + (1 + excess_slope c) * (b - a)) by lra. rewrite B.
  assert (0 < (excess_slope c - excess_slope a) * (b - a) * a) by (repeat apply Rmult_lt_0_compat; lra).
  assert (T a * (b - a) <= (1 + excess_slope a) * a * (b - a)) by (apply Rmult_le_compat_r; lra). nra.
Qed.

Theorem radius_grows_with_nu gamma : 0 < gamma ->
  (forall nu, 0 < nu -> tau (sigma (gamma * nu)) / nu = gamma * tau (sigma (gamma * nu)) / (nu * gamma)) /\
  (forall nu nu', 0 < nu -> nu < nu' -> tau (sigma (gamma * nu)) / nu < tau (sigma (gamma * nu')) / nu') /\
  (forall nu, 0 < nu -> gamma * nu / nu = gamma).
Proof.
  intros G. split; [intros; field; lra|]. split; [|intros; field; lra]. intros nu nu' N L.
  assert (A : 0 < gamma * nu) by now apply Rmult_lt_0_compat.
  pose proof (tau_over_m_increasing (gamma * nu) (gamma * nu') A ltac:(apply Rmult_lt_compat_l; lra)) as T.
  replace (tau (sigma (gamma * nu)) / nu) with (gamma * (tau (sigma (gamma * nu)) / (gamma * nu))) by (field;
      lra).
  replace (tau (sigma (gamma * nu')) / nu') with (gamma * (tau (sigma (gamma * nu')) / (gamma * nu'))) by
      (field; lra).
  now apply Rmult_lt_compat_l.
Qed.

Theorem radius_grows_with_nu_instance : tau (sigma (1 * 1)) / 1 < tau (sigma (1 * 2)) / 2.
Proof. apply (radius_grows_with_nu 1); lra. Qed.

(* the radius is strictly convex in p *)
Definition logit p := ln (p / (1 - p)).

Lemma logit_derivative p : 0 < p < 1 -> is_derive logit p (/ (p * (1 - p))).
Proof.
  intros P. unfold logit. assert (0 < p / (1 - p)) by (apply Rdiv_lt_0_compat; lra). auto_derive; [|field;
      lra].
  repeat split; try lra. exact H.
Qed.

Lemma logit_positive p : 1/2 < p < 1 -> 0 < logit p.
Proof.
  intros P. unfold logit. rewrite <- ln_1. apply ln_increasing; [lra|].
  apply Rmult_lt_reg_r with (1 - p); [lra|]. replace (p / (1 - p) * (1 - p)) with p by (field; lra). lra.
Qed.

Lemma logit_increasing a b : 0 < a -> a < b -> b < 1 -> logit a < logit b.
Proof.
  intros A L B. apply Rnot_le_lt. intros [N|N].
  - apply sigma_increasing in N. unfold logit in N. rewrite !sigma_of_the_logit in N; lra.
  - assert (sigma (logit a) = sigma (logit b)) by now rewrite N. unfold logit in *.
      rewrite !sigma_of_the_logit in *; lra.
Qed.

Lemma tau_derivative_in_p p : 1/2 < p < 1 -> is_derive tau p ((1 + excess_slope (logit p)) * / (p * (1 - p))).
Proof.
  intros P. assert (E : forall q, 1/2 < q < 1 -> tau q = tau (sigma (logit q))).
  { intros q Q. unfold logit. rewrite sigma_of_the_logit; [easy|lra]. }
  apply (is_derive_ext_loc (fun q => tau (sigma (logit q)))).
  - assert (R0 : 0 < Rmin (p - 1/2) (1 - p)) by (apply Rmin_glb_lt; lra).
    exists (mkposreal _ R0). intros q Q. symmetry. apply E.
    unfold ball in Q; simpl in Q; unfold AbsRing_ball, abs, minus, plus, opp in Q; simpl in Q.
    pose proof (Rmin_l (p - 1/2) (1 - p)). pose proof (Rmin_r (p - 1/2) (1 - p)). apply Rabs_def2 in Q. lra.
  - evar_last. apply (is_derive_comp (fun m => tau (sigma m)) logit).
    + apply tau_derivative, logit_positive, P.
    + apply logit_derivative. lra.
    + unfold scal; simpl; unfold mult; simpl. ring.
Qed.

Theorem radius_is_convex_in_p nu a b t : 0 < nu -> 1/2 < a -> a < b -> b < 1 -> 0 < t < 1 ->
  tau ((1 - t) * a + t * b) / nu < (1 - t) * (tau a / nu) + t * (tau b / nu).
Proof.
  intros N A L B T. set (c := (1 - t) * a + t * b). assert (C : a < c < b) by (unfold c; nra).
  set (f := fun p => (1 + excess_slope (logit p)) * / (p * (1 - p))).
  destruct (mean_value tau f a c ltac:(lra)) as (u & U & Eu); [intros; apply tau_derivative_in_p; lra|].
  destruct (mean_value tau f c b ltac:(lra)) as (v & Hv & Ev); [intros; apply tau_derivative_in_p; lra|].
  assert (Slopes : f u < f v).
  { unfold f. pose proof (logit_positive u ltac:(lra)). pose proof (logit_increasing u v ltac:(lra)
      ltac:(lra) ltac:(lra)).
    pose proof (excess_slope_increasing (logit u) (logit v) ltac:(lra) ltac:(lra)).
    assert (Q : 0 < v * (1 - v)) by nra. assert (Q' : v * (1 - v) < u * (1 - u)) by nra.
    apply Rmult_gt_0_lt_compat; try lra; [apply Rinv_0_lt_compat; lra|].
    apply Rinv_lt_contravar; [apply Rmult_lt_0_compat; lra|easy]. }
  apply Rmult_lt_reg_r with nu; [easy|].
  replace (tau c / nu * nu) with (tau c) by (field; lra).
  replace (((1 - t) * (tau a / nu) + t * (tau b / nu)) * nu) with ((1 - t) * tau a + t * tau b) by (field;
      lra).
  assert (Ca : c - a = t * (b - a)) by (unfold c; ring). assert (Cb : b - c = (1 - t) * (b - a)) by (unfold
      c; ring).
  rewrite Ca in Eu. rewrite Cb in Ev.
  assert (0 < (f v - f u) * (t * (1 - t) * (b - a))) by (repeat apply Rmult_lt_0_compat; lra). nra.
Qed.

Theorem convexity_instance : tau ((1 - 1/2) * (3/5) + 1/2 * (4/5)) / 1 < (1 - 1/2) * (tau (3/5) / 1) + 1/2 *
    (tau (4/5) / 1).
Proof. apply radius_is_convex_in_p; lra. Qed.

(* --- a small loss forces a large nu gamma ------------------------------------------------------------- *)

(* the tangent of log(1 + e^-t) lies below it *)
Lemma loss_above_its_tangent t M : ln (1 + exp (- M)) - (1 - sigma M) * (t - M) <= ln (1 + exp (- t)).
Proof.
  pose proof (sigma_bounds M) as S. set (s := 1 - sigma M). set (u := - (t - M)).
  assert (Bern : exp (s * u) <= (1 - s) + s * exp u).
  { pose proof (exp_pos (s * u)) as E. pose proof (exp_ineq1_le ((1 - s) * u)) as A.
      pose proof (exp_ineq1_le (- (s * u))) as B.
    assert (X : exp u = exp (s * u) * exp ((1 - s) * u)) by (rewrite <- exp_plus; f_equal; ring).
    assert (Y : 1 = exp (s * u) * exp (- (s * u))) by (rewrite <- exp_plus, <- exp_0; f_equal; ring).
    replace (1 - s + s * exp u) with ((1 - s) * (exp (s * u) * exp (- (s * u))) + s * (exp (s * u) * exp ((1
        - s) * u))).
    - assert (P1 : (1 - s) * (exp (s * u) * (1 + - (s * u))) <= (1 - s) * (exp (s * u) * exp (- (s * u)))).
      { apply Rmult_le_compat_l; [unfold s; lra|]. apply Rmult_le_compat_l; lra. }
      assert (P2 : s * (exp (s * u) * (1 + (1 - s) * u)) <= s * (exp (s * u) * exp ((1 - s) * u))).
      { apply Rmult_le_compat_l; [unfold s; lra|]. apply Rmult_le_compat_l; lra. }
      eapply Rle_trans; [|apply Rplus_le_compat; [exact P1|exact P2]]. apply Req_le. ring.
    - rewrite <- Y, <- X. ring. }
  pose proof (exp_pos (- M)) as EM. pose proof (exp_pos (- t)) as Et.
  assert (F : 1 + exp (- t) = (1 + exp (- M)) * ((1 - s) + s * exp u)).
  { unfold s. rewrite one_less_sigma_exp. replace (1 - / (1 + exp M)) with (sigma M) by (rewrite <-
      one_less_sigma_exp; ring).
    replace (- t) with (u + - M) by (unfold u; ring). rewrite exp_plus. unfold sigma. rewrite exp_Ropp in *.
    pose proof (exp_pos M). field. lra. }
  rewrite F, ln_mult; [|lra|].
  - replace (s * (t - M)) with (- (s * u)) by (unfold u; ring).
    assert (s * u <= ln (1 - s + s * exp u)).
    { rewrite <- (ln_exp (s * u)) at 1. destruct Bern as [Bn|Bn]; [apply Rlt_le, ln_increasing;
        [apply exp_pos|easy]|rewrite Bn; lra]. }
    lra.
  - pose proof (exp_pos (s * u)). lra.
Qed.

(* N points with the margins m i of a classifier without biases: nu gamma = |m i|, loss log(1 + e^-m) *)
Theorem small_loss_forces_confidence N (m : nat -> R) : (0 < N)%nat ->
  let mean f := Sum N f / INR N in
  - ln (exp (mean (fun i => ln (1 + exp (- m i)))) - 1) <= mean (fun i => Rabs (m i)).
Proof.
  intros N0 mean. assert (P : 0 < INR N) by now apply lt_0_INR.
  set (M := mean (fun i => Rabs (m i))). set (L := mean (fun i => ln (1 + exp (- m i)))).
  pose proof (exp_pos (- M)) as EM.
  assert (J : ln (1 + exp (- M)) <= L).
  { assert (S : Sum N (fun i => ln (1 + exp (- M)) - (1 - sigma M) * (Rabs (m i) - M)) <= Sum N (fun i => ln
      (1 + exp (- m i)))).
    { apply Sum_le; intros i _. apply Rle_trans with (ln (1 + exp (- Rabs (m i))));
        [apply loss_above_its_tangent|].
      pose proof (exp_pos (- Rabs (m i))). pose proof (Rle_abs (m i)).
      destruct (Req_dec (m i) (Rabs (m i))) as [E|E]; [rewrite <- E; lra|].
      apply Rlt_le, ln_increasing; [lra|]. apply Rplus_lt_compat_l, exp_increasing. lra. }
    rewrite (Sum_ext N _ (fun i => (ln (1 + exp (- M)) + (1 - sigma M) * M) - (1 - sigma M) * Rabs (m i))) in
        S by (intros; ring).
    rewrite Sum_minus, Sum_const, Sum_scal in S.
    assert (EM2 : Sum N (fun i => Rabs (m i)) = INR N * M) by (unfold M, mean; field; lra). rewrite EM2 in S.
    apply Rmult_le_reg_l with (INR N); [easy|]. replace (INR N * L) with (Sum N (fun i => ln (1 + exp (- m
        i)))) by (unfold L, mean; field; lra). lra. }
  assert (E : 1 + exp (- M) <= exp L).
  { rewrite <- (exp_ln (1 + exp (- M))) by lra. destruct J as [J|J]; [now apply Rlt_le,
      exp_increasing|rewrite J; lra]. }
  apply Ropp_le_cancel. rewrite Ropp_involutive. rewrite <- (ln_exp (- M)).
  destruct (Req_dec (exp (- M)) (exp L - 1)) as [Q|Q]; [rewrite Q; lra|]. apply Rlt_le, ln_increasing; lra.
Qed.

Theorem small_loss_instance : let mean f := Sum 2 f / INR 2 in let m := fun i : nat => match i with O => 3 |
    _ => -1 end in
  - ln (exp (mean (fun i => ln (1 + exp (- m i)))) - 1) <= mean (fun i => Rabs (m i)).
Proof. intros mean m. apply small_loss_forces_confidence. lia. Qed.

(* --- the logistic loss ------------------------------------------------------------------------------------
   *)

(* V = [v, 0] *)
Definition one_logit (v : nat -> R) (c k : nat) : R := match k with O => v c | _ => 0 end.
Definition logistic_loss n v y x := ln (1 + exp (- label_sign y * dot n v x)).

Theorem logistic_loss_is_a_cross_entropy n v y x : (y < 2)%nat ->
  let p := softmax 2 (logits n (one_logit v) no_bias x) in let L := - ln (p y) in
  let g := gradient 2 (one_logit v) y p in let H := hessian 2 (one_logit v) p in
  logistic_loss n v y x = cross_entropy 2 y (logits n (one_logit v) no_bias x) /\
  (forall c, between (one_logit v) 0 1 c = v c) /\
  (forall c, g c = label_sign y * (p y - 1) * v c) /\ (forall c d, H c d = p y * (1 - p y) * v c * v d) /\
  (1/2 < p y -> 0 < norm n v ->
    least_step (norm n) (fun r => L + growth n g H r) (ln 2)
      (1 / (p y * norm n v) * (sqrt (1 + 2 * p y * (ln 2 - L) / (1 - p y)) - 1))) /\
  (1/2 < p y -> 0 < norm n v ->
    least_step (norm_inf n) (fun r => L + growth n g H r) (ln 2)
      (1 / (p y * norm_1 n v) * (sqrt (1 + 2 * p y * (ln 2 - L) / (1 - p y)) - 1))) /\
  (forall eps, 0 <= eps ->
    let eta := L + eps * (1 - p y) * norm_1 n v + 1/2 * eps^2 * p y * (1 - p y) * (norm_1 n v)^2 in
    (forall r, norm_inf n r <= eps -> L + growth n g H r <= eta) /\ exists r, norm_inf n r <= eps /\
        L + growth n g H r = eta).
Proof.
  intros Y p L g H. pose proof (softmax_is_distribution 2 (logits n (one_logit v) no_bias x) ltac:(lia)) as
      D. fold p in D.
  assert (S : forall c, between (one_logit v) 0 1 c = v c) by (intros; unfold between, one_logit; ring).
  assert (N2 : norm n (between (one_logit v) 0 1) = norm n v) by (apply norm_ext; intros; apply S).
  assert (N1 : norm_1 n (between (one_logit v) 0 1) = norm_1 n v) by (apply Sum_ext; intros; now rewrite S).
  split; [|split; [easy|split; [|split; [|split; [|split]]]]].
  - rewrite loss_of_the_margin by easy. unfold logistic_loss. do 3 f_equal.
    unfold margin, logits, no_bias, transposed, one_logit, dot.
    assert (Z : Sum n (fun c => 0 * x c) = 0).
    { rewrite (Sum_ext n _ (fun _ => 0)) by (intros; ring). apply Sum_0. }
    destruct y as [|[|]]; simpl; [rewrite Z; ring|rewrite Z; ring|lia].
  - intros c. unfold g. now rewrite (gradient_of_two_classes _ p y Y D), S.
  - intros c d. unfold H. now rewrite (proj2 (hessian_of_two_classes _ p y Y D c d)), !S.
  - intros P N. rewrite <- N2. apply (taylor_radius n (one_logit v) p y Y D P). now rewrite N2.
  - intros P N. rewrite <- N1. apply (taylor_radius_in_the_maximum_norm n (one_logit v) p y Y D P).
    now rewrite N2.
  - intros eps E. rewrite <- N1. exact (worst_case_of_the_model n (one_logit v) p y Y D eps E).
Qed.

Theorem logistic_instance : logistic_loss 1 (fun _ => 1) 1 at_log_3 = cross_entropy 2 1 (logits 1 (one_logit
    (fun _ => 1)) no_bias at_log_3).
Proof. apply logistic_loss_is_a_cross_entropy. lia. Qed.

(* N points: with one logit the Jacobian is v, so both penalties are multiples of ||v||^2 *)
Definition logistic_objective N n (x : nat -> nat -> R) (y : nat -> nat) weight (v : nat -> R) :=
  Sum N (fun i => logistic_loss n v (y i) (x i)) / INR N + weight * (norm n v)^2.

Theorem logistic_penalties_agree N n x y lam v :
  (forall z, differentiable n (fun z => dot n v z) z v) /\ frobenius n 1 (fun c _ => v c) = norm n v /\
  logistic_objective N n x y (lam / 2) v =
  Sum N (fun i => logistic_loss n v (y i) (x i)) / INR N + lam / 2 * (frobenius n 1 (fun c _ => v c))^2.
Proof.
  assert (F : frobenius n 1 (fun c _ => v c) = norm n v).
  { unfold frobenius, norm, sq, dot. f_equal. apply Sum_ext; intros; simpl; ring. }
  split; [|split; [easy|unfold logistic_objective; now rewrite F]].
  intros z. apply (differentiable_near n z _ (fun z => dot n v z + 0) _ 1 Rlt_0_1); [intros;
      ring|apply differentiable_linear].
Qed.

Theorem logistic_penalties_instance :
  logistic_objective 1 1 (fun _ _ => 1) (fun _ => 0%nat) (1 / 2) (fun _ => 3) =
  Sum 1 (fun i => logistic_loss 1 (fun _ => 3) 0 (fun _ => 1)) / INR 1 + 1 / 2 * (frobenius 1 1 (fun _ _ =>
      3))^2.
Proof. apply (logistic_penalties_agree 1 1 (fun _ _ => 1) (fun _ => 0%nat) 1 (fun _ => 3)). Qed.

Definition minimiser (F : (nat -> R) -> R) v := forall v', F v <= F v'.

Lemma logistic_at_one v : logistic_loss 1 v 0 (fun _ => 1) = ln (1 + exp (- v 0%nat)).
Proof. unfold logistic_loss, dot; simpl. do 3 f_equal. ring. Qed.

Theorem logistic_equivalence_false_as_printed :
  ~ (forall N n x y lam, (0 < N)%nat -> (forall i, (y i < 2)%nat) -> 0 < lam ->
     forall v, minimiser (logistic_objective N n x y (lam / 2)) v <->
         minimiser (logistic_objective N n x y lam) v).
Proof.
  intros Printed. pose proof log_3_above_1 as L1. set (lam := / (4 * ln 3)).
  assert (Lam : 0 < lam) by (apply Rinv_0_lt_compat; lra).
  assert (Obj : forall w v, logistic_objective 1 1 (fun _ _ => 1) (fun _ => 0%nat) w v = ln (1 + exp (- v
      0%nat)) + w * (v 0%nat)^2).
  { intros w v. unfold logistic_objective. simpl Sum. rewrite logistic_at_one, norm_sq. unfold sq, dot;
      simpl. field. }
  specialize (Printed 1%nat 1%nat (fun _ _ => 1) (fun _ => 0%nat) lam ltac:(lia) ltac:(intros; cbv beta;
      lia) Lam (fun _ => ln 3)).
  destruct Printed as [To _].
  assert (M : minimiser (logistic_objective 1 1 (fun _ _ => 1) (fun _ => 0%nat) (lam / 2)) (fun _ => ln 3)).
  { intros v. rewrite !Obj. set (t := v 0%nat). pose proof (loss_above_its_tangent t (ln 3)) as T.
    assert (S3 : 1 - sigma (ln 3) = 1/4) by (unfold sigma; rewrite exp_Ropp, exp_ln by lra; field).
        rewrite S3 in T.
    assert (Q : 0 <= lam / 2 * (t - ln 3)^2) by (apply Rmult_le_pos; [lra|apply pow2_ge_0]).
    assert (Slope : lam * ln 3 = 1/4) by (unfold lam; field; lra).
    assert (E1 : lam * ln 3 * t = t / 4) by (rewrite Slope; field).
    assert (E2 : lam * (ln 3)^2 = ln 3 / 4) by (replace (lam * (ln 3)^2) with (lam * ln 3 * ln 3) by ring;
        rewrite Slope; field).
    replace (lam / 2 * (t - ln 3)^2) with (lam / 2 * t^2 - lam * ln 3 * t + lam * (ln 3)^2 / 2) in Q by
        field. lra. }
  specialize (To M (fun _ => 9/10)). rewrite !Obj in To. unfold lam in To.
  apply (Rle_not_lt _ _ To). interval with (i_prec 40).
Qed.
