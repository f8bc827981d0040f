(* What does certify a class: the distance of an affine classifier's nearest mistake, Eq. (1); valid radii
   from the logit margin; a network whose Taylor radius reaches beyond its piece and past a mistake. *)
From Coq Require Import Reals Lra Lia Psatz List.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Loss Compactness Spectral Lemma31 Binary TwoClassRadius Instances
    Taylor
  ManyClasses Proposition41 AppendixE Networks.
Open Scope R_scope.

(* --- Eq. (1): the nearest mistake of an affine classifier ---------------------------------------------- *)

Section AffineClassifier.
Variables (n K : nat) (V : nat -> nat -> R) (c x : nat -> R) (y : nat).
Let z := logits n V c.
Let gap j := z x y - z x j.
Let moved r := z (fun i => x i + r i).

Lemma gap_after_a_step r j : moved r y - moved r j = gap j + dot n (between V y j) r.
Proof.
  unfold moved, gap, z, logits, transposed.
  rewrite (Sum_ext n (fun i => V i y * (x i + r i)) (fun i => V i y * x i + V i y * r i)) by (intros; ring).
  rewrite (Sum_ext n (fun i => V i j * (x i + r i)) (fun i => V i j * x i + V i j * r i)) by (intros; ring).
  rewrite !Sum_plus. unfold dot, between.
  rewrite (Sum_ext n (fun i => (V i y - V i j) * r i) (fun i => V i y * r i - V i j * r i)) by (intros; ring).
  rewrite Sum_minus. ring.
Qed.

Lemma overtaking_needs_the_gap r j : moved r y <= moved r j -> gap j <= norm n (between V y j) * norm n r.
Proof.
  intros L. pose proof (gap_after_a_step r j) as E. pose proof (dot_le_norm n (between V y j) r).
  pose proof (Rle_abs (- dot n (between V y j) r)) as A. rewrite Rabs_Ropp in A. lra.
Qed.

(* D is the least of (z_y - z_j) / ||v_y - v_j|| over the rivals j with v_j <> v_y *)
Theorem nearest_mistake D : (forall j, (j < K)%nat -> j <> y -> z x j < z x y) ->
  (forall j, (j < K)%nat -> j <> y -> 0 < norm n (between V y j) -> D <= gap j / norm n (between V y j)) ->
  (exists j, (j < K)%nat /\ j <> y /\ 0 < norm n (between V y j) /\ D = gap j / norm n (between V y j)) ->
  (forall r j, (j < K)%nat -> j <> y ->
    (moved r y <= moved r j -> D <= norm n r) /\ (moved r y < moved r j -> D < norm n r)) /\
  (exists r j, (j < K)%nat /\ j <> y /\ norm n r = D /\ moved r y = moved r j) /\
  (forall eps, 0 < eps -> exists r j, (j < K)%nat /\ j <> y /\ norm n r < D + eps /\ moved r y < moved r j).
Proof.
  intros Top Low (j0 & J0 & N0 & P0 & E0). split; [|split].
  - intros r j J N. specialize (Top j J N). assert (Gp : 0 < gap j) by (unfold gap; lra).
    pose proof (gap_after_a_step r j) as E. pose proof (dot_le_norm n (between V y j) r) as C.
    pose proof (Rle_abs (- dot n (between V y j) r)) as A. rewrite Rabs_Ropp in A.
    pose proof (norm_ge0 n (between V y j)) as B. specialize (Low j J N).
    set (w := norm n (between V y j)) in *.
    assert (W : moved r y <= moved r j -> 0 < w).
    { intros L. destruct B as [B|B]; [easy|]. rewrite <- B, Rmult_0_l in C. lra. }
    assert (Q : 0 < w -> w * (gap j / w) = gap j) by (intros; field; lra).
    split; intros L.
    + specialize (W L). specialize (Low W). specialize (Q W). apply Rmult_le_reg_l with w; [easy|].
      apply Rle_trans with (w * (gap j / w)); [now apply Rmult_le_compat_l|lra].
    + specialize (W (Rlt_le _ _ L)). specialize (Low W). specialize (Q W).
      apply Rmult_lt_reg_l with w; [easy|].
      apply Rle_lt_trans with (w * (gap j / w)); [apply Rmult_le_compat_l; lra|lra].
  - set (w := norm n (between V y j0)) in *. assert (W2 : w^2 = sq n (between V y j0)) by apply norm_sq.
    assert (D0 : 0 < D) by (rewrite E0; apply Rdiv_lt_0_compat; [unfold gap; specialize (Top j0 J0 N0);
        lra|easy]).
    exists (fun i => - (D / w) * between V y j0 i), j0. split; [easy|]. split; [easy|]. split.
    + rewrite norm_scal, Rabs_Ropp. fold w. rewrite Rabs_pos_eq by (apply Rlt_le, Rdiv_lt_0_compat; lra).
      field. lra.
    + pose proof (gap_after_a_step (fun i => - (D / w) * between V y j0 i) j0) as G.
      rewrite (dot_sym n (between V y j0)), dot_scal in G. fold (sq n (between V y j0)) in G.
      rewrite <- W2 in G. replace (- (D / w) * w^2) with (- D * w) in G by (field; lra).
      assert (Gw : gap j0 = D * w) by (rewrite E0; field; lra). lra.
  - intros eps E. set (w := norm n (between V y j0)) in *. assert (W2 : w^2 = sq n (between V y j0)) by apply
      norm_sq.
    assert (D0 : 0 < D) by (rewrite E0; apply Rdiv_lt_0_compat; [unfold gap; specialize (Top j0 J0 N0);
        lra|easy]).
    exists (fun i => - ((D + eps / 2) / w) * between V y j0 i), j0. split; [easy|]. split; [easy|]. split.
    + rewrite norm_scal, Rabs_Ropp. fold w. rewrite Rabs_pos_eq by (apply Rlt_le, Rdiv_lt_0_compat; lra).
      replace ((D + eps / 2) / w * w) with (D + eps / 2) by (field; lra). lra.
    + pose proof (gap_after_a_step (fun i => - ((D + eps / 2) / w) * between V y j0 i) j0) as G.
      rewrite (dot_sym n (between V y j0)), dot_scal in G. fold (sq n (between V y j0)) in G.
          rewrite <- W2 in G.
      replace (- ((D + eps / 2) / w) * w^2) with (- (D + eps / 2) * w) in G by (field; lra).
      assert (Gw : gap j0 = D * w) by (rewrite E0; field; lra). nra.
Qed.

(* --- radii from the margin m = log (p_y / (1 - p_y)) ------------------------------------------------- *)

Let p := softmax K (z x).
Let m := ln (p y / (1 - p y)).

Lemma columns_apart_below_cross_lipschitz L j : (y < K)%nat -> (j < K)%nat -> j <> y ->
    spectral_norm n K (centred K V) L ->
  norm n (between V y j) <= sqrt 2 * L.
Proof.
  intros Y J N [B _]. specialize (B (fun k => delta k y - delta k j)).
  assert (U : norm K (fun k => delta k y - delta k j) = sqrt 2).
  { unfold norm, sq, dot. f_equal.
    rewrite (Sum_ext K _ (fun k => delta k y * 1 + delta k j * 1)).
    - rewrite Sum_plus, (Sum_delta K y (fun _ => 1) Y), (Sum_delta K j (fun _ => 1) J). ring.
    - intros k _. unfold delta. destruct (Nat.eqb_spec k y), (Nat.eqb_spec k j); try ring. elim N.
        congruence. }
  rewrite U, Rmult_comm in B. eapply Rle_trans; [|exact B]. apply Req_le. apply norm_ext. intros i _.
  unfold applied, between.
  rewrite (Sum_ext K _ (fun k => delta k y * centred K V i k - delta k j * centred K V i k)) by (intros;
      ring).
  rewrite Sum_minus, (Sum_delta K y (fun k => centred K V i k) Y),
      (Sum_delta K j (fun k => centred K V i k) J).
  unfold centred. ring.
Qed.

Theorem radii_from_the_margin M L : (2 <= K)%nat -> (y < K)%nat -> 1/2 < p y ->
  (forall j, (j < K)%nat -> j <> y -> norm n (between V y j) <= M) ->
  (exists j, (j < K)%nat /\ j <> y /\ norm n (between V y j) = M) -> 0 < M ->
      spectral_norm n K (centred K V) L ->
  let nu := sqrt (ordered_spread n K V / INR K ^ 2) in
  0 < m /\ (forall r j, (j < K)%nat -> j <> y -> moved r y <= moved r j -> m / M <= norm n r) /\
  m / (sqrt 2 * L) <= m / M /\ m / (sqrt (INR K) * nu) <= m / (sqrt 2 * L) /\
  (K = 2%nat -> m / M = m / (sqrt 2 * L) /\ m / (sqrt 2 * L) = m / (sqrt (INR K) * nu) /\
    exists r j, (j < K)%nat /\ j <> y /\ moved r y <= moved r j /\ norm n r = m / M).
Proof.
  intros K2 Y P MU (j0 & J0 & N0 & E0) M0 Sp nu.
  pose proof (softmax_is_distribution K (z x) ltac:(lia)) as D. fold p in D.
      pose proof (p_below_1 K p y K2 D Y) as P1.
  pose proof (two_le_INR K K2) as KN. pose proof (sqrt_lt_R0 2 ltac:(lra)) as R2.
      pose proof (sqrt_def 2 ltac:(lra)) as R22.
  assert (m0 : 0 < m).
  { unfold m. rewrite <- ln_1. apply ln_increasing; [lra|]. apply Rmult_lt_reg_r with (1 - p y); [lra|].
    replace (p y / (1 - p y) * (1 - p y)) with (p y) by (field; lra). lra. }
  assert (Gap : forall j, (j < K)%nat -> j <> y -> m <= gap j).
  { intros j J N. pose proof (proj1 D j J) as Pj.
    assert (E : gap j = ln (p y / p j)).
    { unfold p, softmax. pose proof (sum_exp_gt0 K (z x) ltac:(lia)). pose proof (exp_pos (z x y)).
        pose proof (exp_pos (z x j)).
      set (S := Sum K (fun k => exp (z x k))) in *.
      replace (exp (z x y) / S / (exp (z x j) / S)) with (exp (z x y) * / exp (z x j)) by (field; lra).
      rewrite <- exp_Ropp, <- exp_plus, ln_exp. unfold gap. ring. }
    rewrite E. unfold m. assert (p j <= 1 - p y).
    { pose proof (two_terms_le_Sum K p j y (fun i I => Rlt_le _ _ (proj1 D i I)) J Y N) as T.
        rewrite (proj2 D) in T. lra. }
    assert (Q : p y / (1 - p y) <= p y / p j) by (apply Rmult_le_compat_l; [lra|apply Rinv_le_contravar;
        lra]).
    assert (0 < p y / (1 - p y)) by (apply Rdiv_lt_0_compat; lra).
    destruct Q as [Q|Q]; [now apply Rlt_le, ln_increasing|rewrite Q; lra]. }
  assert (ML : M <= sqrt 2 * L) by (rewrite <- E0; now apply columns_apart_below_cross_lipschitz).
  assert (L0 : 0 < L) by (apply Rmult_lt_reg_l with (sqrt 2); lra).
  assert (Fr : (frobenius n K (centred K V))^2 = spread n K V / INR K).
  { rewrite spread_is_centred_frobenius by lia. field. lra. }
  pose proof (spectral_norm_below_frobenius _ _ _ _ Sp) as LF.
  assert (L2 : L^2 <= spread n K V / INR K) by (rewrite <- Fr; apply pow_incr; lra).
  assert (Nu2 : ordered_spread n K V / INR K ^ 2 = 2 * (spread n K V / INR K) / INR K).
  { rewrite ordered_is_twice_the_spread. field. lra. }
  assert (Kn : sqrt (INR K) * nu = sqrt (2 * (spread n K V / INR K))).
  { unfold nu. rewrite <- sqrt_mult_alt by lra. f_equal. rewrite Nu2. field. lra. }
  assert (LN : sqrt 2 * L <= sqrt (INR K) * nu).
  { rewrite Kn. rewrite <- (sqrt_pow2 L) by lra. rewrite <- sqrt_mult_alt by lra. apply sqrt_le_1_alt. lra. }
  split; [easy|]. split; [|split; [|split]].
  - intros r j J N Ov. pose proof (overtaking_needs_the_gap r j Ov) as G. specialize (Gap j J N).
      specialize (MU j J N).
    pose proof (norm_ge0 n r). apply Rmult_le_reg_l with M; [easy|]. replace (M * (m / M)) with m by (field;
        lra). nra.
  - apply Rmult_le_compat_l; [lra|]. now apply Rinv_le_contravar.
  - apply Rmult_le_compat_l; [lra|]. apply Rinv_le_contravar; [now apply Rmult_lt_0_compat|easy].
  - intros Two. assert (SM : spread n K V = M^2).
    { rewrite <- E0, norm_sq. rewrite Two in *. unfold spread, Pairs; simpl.
      assert (C : (y = 0 /\ j0 = 1 \/ y = 1 /\ j0 = 0)%nat) by lia. unfold sq, dot, between.
      destruct C as [[-> ->]|[-> ->]]; rewrite !Rplus_0_l; apply Sum_ext; intros; ring. }
    assert (KM : sqrt (INR K) * nu = M).
    { rewrite Kn, SM, Two. simpl INR. replace (2 * (M^2 / (1 + 1))) with (M^2) by field. now apply sqrt_pow2,
        Rlt_le. }
    assert (EqL : sqrt 2 * L = M) by lra. split; [now rewrite EqL|]. split; [now rewrite EqL, KM|].
    assert (Gm : gap j0 = m).
    { assert (O : p j0 = 1 - p y).
      { destruct D as [_ S]. rewrite Two in S. simpl in S. assert (C : (y = 0 /\ j0 = 1 \/ y = 1 /\
          j0 = 0)%nat) by lia.
        destruct C as [[-> ->]|[-> ->]]; lra. }
      unfold m. rewrite <- O. unfold p, softmax. pose proof (sum_exp_gt0 K (z x) ltac:(lia)).
          pose proof (exp_pos (z x y)). pose proof (exp_pos (z x j0)).
      set (S := Sum K (fun k => exp (z x k))) in *.
      replace (exp (z x y) / S / (exp (z x j0) / S)) with (exp (z x y) * / exp (z x j0)) by (field; lra).
      rewrite <- exp_Ropp, <- exp_plus, ln_exp. unfold gap. ring. }
    exists (fun i => - (m / M^2) * between V y j0 i), j0. split; [easy|]. split; [easy|]. split.
    + pose proof (gap_after_a_step (fun i => - (m / M^2) * between V y j0 i) j0) as G.
      rewrite (dot_sym n (between V y j0)), dot_scal in G. fold (sq n (between V y j0)) in G.
          rewrite <- norm_sq, E0, Gm in G.
      replace (- (m / M ^ 2) * M ^ 2) with (- m) in G by (field; lra). lra.
    + rewrite norm_scal, Rabs_Ropp, E0, Rabs_pos_eq by (apply Rlt_le, Rdiv_lt_0_compat;
        [easy|now apply pow_lt]). field. lra.
Qed.
End AffineClassifier.

(* instances: z = (x, 0, 0) at x = log 4, so p = (2/3, 1/6, 1/6) *)
Definition at_log_4 (i : nat) : R := ln 4.

Lemma first_column_logits k : logits 1 first_column (fun _ => 0) at_log_4 k = match k with O => ln 4 |
    _ => 0 end.
Proof. unfold logits, transposed, first_column, at_log_4; simpl. destruct k; simpl; ring. Qed.

Lemma log_4_positive : 0 < ln 4.
Proof. rewrite <- ln_1. apply ln_increasing; lra. Qed.

Lemma first_column_between j : j <> 0%nat -> norm 1 (between first_column 0 j) = 1.
Proof.
  intros N. rewrite norm_one. unfold between, first_column. destruct j; [easy|]. rewrite Rminus_0_r.
      apply Rabs_R1.
Qed.

Theorem nearest_mistake_instance :
  let moved (r : nat -> R) := logits 1 first_column (fun _ => 0) (fun i => at_log_4 i + r i) in
  (forall r j, (j < 3)%nat -> j <> 0%nat -> (moved r 0%nat <= moved r j -> ln 4 <= norm 1 r) /\
    (moved r 0%nat < moved r j -> ln 4 < norm 1 r)) /\
  exists r j, (j < 3)%nat /\ j <> 0%nat /\ norm 1 r = ln 4 /\ moved r 0%nat = moved r j.
Proof.
  intros moved. pose proof log_4_positive as P.
  destruct (nearest_mistake 1 3 first_column (fun _ => 0) at_log_4 0 (ln 4)) as (A & B & _);
    [| | |exact (conj A B)].
  - intros [|j] _ N; [easy|]. rewrite !first_column_logits. easy.
  - intros j _ N _. rewrite first_column_between, !first_column_logits by easy. destruct j; [easy|].
      apply Req_le. field.
  - exists 1%nat. split; [lia|]. split; [easy|]. rewrite first_column_between, !first_column_logits by easy.
      split; [lra|field].
Qed.

Theorem radii_instance : let p := softmax 3 (logits 1 first_column (fun _ => 0) at_log_4) in
  forall r j, (j < 3)%nat -> j <> 0%nat ->
  logits 1 first_column (fun _ => 0) (fun i => at_log_4 i + r i) 0 <= logits 1 first_column (fun _ => 0) (fun
      i => at_log_4 i + r i) j ->
  ln (p 0%nat / (1 - p 0%nat)) / 1 <= norm 1 r.
Proof.
  intros p. destruct (spectral_norm_exists 1 3 (centred 3 first_column) ltac:(lia)) as (L & T).
  assert (P : p 0%nat = 2/3).
  { unfold p, softmax. simpl Sum. rewrite !first_column_logits, exp_ln, exp_0 by lra. field. }
  destruct (radii_from_the_margin 1 3 first_column (fun _ => 0) at_log_4 0 1 L) as (_ & A & _); [lia|lia| | |
      |lra|exact T|exact A].
  - fold p. lra.
  - intros j _ N. rewrite first_column_between by easy. lra.
  - exists 1%nat. split; [lia|]. split; [easy|]. now apply first_column_between.
Qed.

(* --- beyond the piece: the network z_+ - z_- = x_1 - 10 max(0, x_2) at (1, -1/100) --------------------- *)

Definition two_units : layer := Build_layer 2 (fun c i => delta c i) (fun _ => 0) (fun i => match i with O =>
    1 | _ => 0 end).
Definition steep (j k : nat) : R := match k, j with O, O => 1 | O, _ => -10 | _, _ => 0 end.
Definition near_the_kink (c : nat) : R := match c with O => 1 | _ => - (1/100) end.
Definition to_the_tie (c : nat) : R := match c with O => 0 | _ => 11/100 end.

Theorem beyond_the_piece :
  let layers := two_units :: nil in let x := near_the_kink in
  let z := network 2 layers steep (fun _ => 0) in
  let V := V_at 2 layers steep x in let p := softmax 2 (z x) in
  (forall x', z x' 0%nat - z x' 1%nat = x' 0%nat - 10 * Rmax 0 (x' 1%nat)) /\
  off_kinks 2 layers x /\ 1/2 < p 0%nat /\ norm 2 (between V 0 1) = 1 /\
  ln (p 0%nat / (1 - p 0%nat)) / norm 2 (between V 0 1) = 1 /\
  (exists rho, 1 < rho /\ least_step (norm 2)
    (fun r => - ln (p 0%nat) + growth 2 (gradient 2 V 0 p) (hessian 2 V p) r) (ln 2) rho) /\
  norm 2 to_the_tie = 11/100 /\
  z (fun c => x c + to_the_tie c) 0%nat = z (fun c => x c + to_the_tie c) 1%nat.
Proof.
  intros layers x z V p.
  assert (Lead : forall x', z x' 0%nat - z x' 1%nat = x' 0%nat - 10 * Rmax 0 (x' 1%nat)).
  { intros x'. unfold z, network, transposed, layers, two_units, hidden, after, before, transposed.
    unfold activation, delta, steep; simpl. unfold Rmax.
    destruct (Rlt_dec 0 _), (Rlt_dec 0 _), (Rle_dec 0 (x' 1%nat)); lra. }
  assert (O : off_kinks 2 layers x).
  { split; [|easy]. intros [|[|i]] L; unfold before, transposed, x, near_the_kink, two_units, delta in *;
      simpl in *; try lra; lia. }
  assert (S : forall d, (d < 2)%nat -> between V 0 1 d = match d with O => 1 | _ => 0 end).
  { intros [|[|d]] L; [| |lia]; unfold between, V, V_at, layers, product, two_units, x, before, transposed,
      near_the_kink, mask, delta, steep; simpl;
      destruct (Rlt_dec 0 _), (Rlt_dec 0 _); lra. }
  assert (N : norm 2 (between V 0 1) = 1).
  { unfold norm, sq, dot. simpl. rewrite !S by lia. replace (0 + 1 * 1 + 0 * 0) with 1 by ring.
    apply sqrt_1. }
  assert (M : margin 0 (z x) = 1).
  { unfold margin. simpl. rewrite Lead. unfold x, near_the_kink. rewrite Rmax_left by lra. ring. }
  assert (P : p 0%nat = sigma 1) by (unfold p; rewrite softmax_is_sigma, M by lia; easy).
  assert (Half : 1/2 < p 0%nat) by (rewrite P; apply sigma_above_half; lra).
  pose proof (softmax_is_distribution 2 (z x) ltac:(lia)) as D. fold p in D.
  pose proof (taylor_radius 2 V p 0 ltac:(lia) D Half ltac:(rewrite N; lra)) as T.
  rewrite N, taylor_radius_is_tau in T by lra.
  pose proof (tau_above_the_margin 1 ltac:(lra)) as Tau. rewrite <- P in Tau.
  split; [easy|]. split; [easy|]. split; [easy|]. split; [easy|]. split; [|split; [|split]].
  - rewrite N, P, one_less_sigma. unfold sigma. rewrite Ropp_involutive, exp_Ropp. pose proof (exp_pos 1).
    replace (/ (1 + / exp 1) / / (1 + exp 1)) with (exp 1) by (field; lra). rewrite ln_exp. field.
  - eexists. split; [|exact T]. lra.
  - transitivity (sqrt ((11/100)^2)); [|apply sqrt_pow2; lra].
    unfold norm, sq, dot, to_the_tie; simpl. f_equal. field.
  - apply Rminus_diag_uniq. rewrite Lead. unfold x, near_the_kink, to_the_tie. rewrite Rmax_right by lra. lra.
Qed.
