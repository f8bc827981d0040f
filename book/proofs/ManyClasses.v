(* Many classes: how large the gradient and the Hessian can be (Eqs. (34), (35), (36), (41), (43), and sharp
   constants), and how the Hessian dominates the squared gradient (Eq. (42) and its sharp form). Any n and
   K. *)
From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Loss Compactness Spectral.
Open Scope R_scope.

(* --- sums with weights ------------------------------------------------------------------------ *)

(* Lagrange's identity *)
Lemma pairs_of_weights K w a :
  Pairs K (fun i j => w i * w j * (a i - a j)^2) = Sum K w * dot K w (fun k => (a k)^2) - (dot K w a)^2.
Proof.
  assert (E : Sum K (fun i => Sum K (fun j => w i * w j * (a i - a j)^2))
    = 2 * (Sum K w * dot K w (fun k => (a k)^2) - (dot K w a)^2)).
  { rewrite (Sum_ext K _ (fun i => w i * (a i)^2 * Sum K w + w i * dot K w (fun j => (a j)^2)
       - w i * a i * (2 * dot K w a))).
    2:{ intros i _. unfold dot. rewrite <- !Sum_scal, <- Sum_plus, <- Sum_minus. apply Sum_ext; intros; ring.
        }
    rewrite Sum_minus, Sum_plus, !Sum_scal_r. unfold dot. ring. }
  rewrite Sum_Pairs in E; [lra|intros; ring|intros; ring].
Qed.

(* a pair's square is at most twice the sum of squares, summed with the weights p *)
Lemma pairs_below_squares K p b : distribution K p ->
  Pairs K (fun i j => p i * p j * (b i - b j)^2) <= Sum K (fun i => 2 * (p i * (1 - p i)) * (b i)^2).
Proof.
  intros [P S].
  assert (E : Sum K (fun i => Sum K (fun j => p i * p j * (b i - b j)^2)) = 2 * Pairs K (fun i j => p i * p j
      * (b i - b j)^2))
    by (apply Sum_Pairs; intros; ring).
  assert (U : Sum K (fun i => Sum K (fun j => p i * p j * (b i - b j)^2)) <= Sum K (fun i => 4 * (p i * (1 -
      p i)) * (b i)^2)).
  { apply Rle_trans with (Sum K (fun i => Sum K (fun j =>
      2 * (p i * (b i)^2) * p j + 2 * p i * (p j * (b j)^2) - delta j i * (4 * (p j * p j) * (b j)^2)))).
    - apply Sum_le; intros i I. apply Sum_le; intros j J. unfold delta. destruct (Nat.eqb_spec j i) as [->|_].
      + apply Req_le; ring.
      + pose proof (P i I). pose proof (P j J). assert (0 < p i * p j) by (apply Rmult_lt_0_compat; easy).
        pose proof (pow2_ge_0 (b i + b j)). nra.
    - rewrite (Sum_ext K _ (fun i => 2 * (p i * (b i)^2) + 2 * p i * dot K p (fun j => (b j)^2) - 4 * (p i *
        p i) * (b i)^2)).
      2:{ intros i L. rewrite Sum_minus, Sum_plus, !Sum_scal, S, Sum_delta by easy. unfold dot. ring. }
      rewrite Sum_minus, Sum_plus, Sum_scal, Sum_scal_r, Sum_scal, S. unfold dot. rewrite <- Sum_scal.
      rewrite Rmult_1_r, <- Sum_scal, <- Sum_plus, <- Sum_minus. apply Sum_le; intros; apply Req_le; ring. }
  rewrite (Sum_ext K (fun i => 4 * (p i * (1 - p i)) * (b i)^2) (fun i => 2 * (2 * (p i * (1 - p i)) * (b
      i)^2))) in U
    by (intros; ring).
  rewrite Sum_scal in U. lra.
Qed.

(* K times the centred sum of squares is the sum over pairs *)
Lemma pairs_of_a_row K x : (0 < K)%nat ->
  Pairs K (fun i j => (x i - x j)^2) = INR K * Sum K (fun k => (x k - Sum K x / INR K)^2).
Proof.
  intros K0. assert (N0 : 0 < INR K) by now apply lt_0_INR.
  rewrite (Pairs_ext K _ (fun i j => 1 * 1 * (x i - x j)^2)) by (intros; ring).
  rewrite (pairs_of_weights K (fun _ => 1) x).
  assert (D1 : dot K (fun _ => 1) x = Sum K x) by (apply Sum_ext; intros; ring).
  assert (D2 : dot K (fun _ => 1) (fun k => (x k)^2) = Sum K (fun k => (x k)^2)) by (apply Sum_ext; intros;
      ring).
  rewrite D1, D2, Sum_const.
  rewrite (Sum_ext K (fun k => (x k - Sum K x / INR K)^2)
    (fun k => (x k)^2 - 2 * (Sum K x / INR K) * x k + (Sum K x / INR K)^2)) by (intros; ring).
  rewrite Sum_plus, Sum_minus, Sum_scal, Sum_const. field. lra.
Qed.

Lemma sum_of_squares_below K f : (forall i, (i < K)%nat -> 0 <= f i) ->
    Sum K (fun i => (f i)^2) <= (Sum K f)^2.
Proof.
  induction K as [|K IH]; simpl; intros P; [lra|].
  assert (0 <= f K) by auto with arith. assert (0 <= Sum K f) by (apply Sum_ge0; auto with arith).
  assert (I := IH ltac:(auto with arith)). simpl in I. nra.
Qed.

(* --- the columns less their mean ---------------------------------------------------------------- *)

Lemma transposed_centred n K V r k :
  transposed n (centred K V) r k = transposed n V r k - Sum K (transposed n V r) / INR K.
Proof.
  unfold transposed, centred.
  rewrite (Sum_ext n _ (fun c => V c k * r c - / INR K * (Sum K (V c) * r c))) by (intros; unfold Rdiv; ring).
  rewrite Sum_minus, Sum_scal. f_equal. unfold Rdiv. rewrite Rmult_comm. f_equal.
  rewrite Sum_swap. apply Sum_ext; intros c _. rewrite <- Sum_scal_r. apply Sum_ext; intros; ring.
Qed.

Lemma centred_squares_below n K V r : (0 < K)%nat ->
  sq K (transposed n (centred K V) r) <= sq K (transposed n V r).
Proof.
  intros K0. assert (N0 : 0 < INR K) by now apply lt_0_INR. set (a := transposed n V r).
      set (m := Sum K a / INR K).
  unfold sq, dot.
  rewrite (Sum_ext K _ (fun k => a k * a k - 2 * m * a k + m^2)).
  - rewrite Sum_plus, Sum_minus, Sum_scal, Sum_const. assert (E : Sum K a = INR K * m) by (unfold m; field;
      lra).
    rewrite E. pose proof (pow2_ge_0 m). nra.
  - intros k _. rewrite transposed_centred. fold a. fold m. ring.
Qed.

Lemma frobenius_sq n K V : (frobenius n K V)^2 = Sum n (fun c => Sum K (fun k => (V c k)^2)).
Proof.
  unfold frobenius. rewrite pow2_sqrt; [easy|]. apply Sum_ge0; intros; apply Sum_ge0; intros; apply pow2_ge_0.
Qed.

Lemma frobenius_ge0 n K V : 0 <= frobenius n K V.
Proof. apply sqrt_pos. Qed.

Lemma frobenius_bounds_transposed n K V r : sq K (transposed n V r) <= (frobenius n K V)^2 * sq n r.
Proof.
  rewrite frobenius_sq. rewrite Sum_swap, <- Sum_scal_r. unfold sq at 1, dot. apply Sum_le; intros k _.
  pose proof (cauchy n (fun c => V c k) r) as T. unfold dot at 1 in T. unfold sq at 1, dot at 1 in T.
  rewrite (Sum_ext n (fun c => V c k * V c k) (fun c => (V c k)^2)) in T by (intros; ring).
  unfold transposed. lra.
Qed.

(* ||A||_2 <= ||A||_F *)
Lemma spectral_norm_below_frobenius n K A s : spectral_norm n K A s -> s <= frobenius n K A.
Proof.
  intros [_ (v & V1 & <-)]. apply norm_le_squares; [apply frobenius_ge0|].
  assert (T := frobenius_bounds_transposed K n (fun k c => A c k) v).
  assert (E : (frobenius K n (fun k c => A c k))^2 = (frobenius n K A)^2).
  { rewrite !frobenius_sq. apply Sum_swap. }
  rewrite E in T. rewrite <- (norm_sq K v), V1 in T.
  change (sq n (applied K A v) <= (frobenius n K A)^2 * 1^2) in T. lra.
Qed.

(* K ||V C||_F^2 is the sum of ||v_i - v_j||^2 over pairs *)
Lemma spread_by_rows n K V : spread n K V = Sum n (fun c => Pairs K (fun i j => (V c i - V c j)^2)).
Proof.
  unfold spread, sq, dot, between. rewrite Pairs_Sum. apply Sum_ext; intros c _. apply Pairs_ext; intros;
      ring.
Qed.

Lemma spread_is_centred_frobenius n K V : (0 < K)%nat -> spread n K V = INR K * (frobenius n K (centred K
    V))^2.
Proof.
  intros K0. rewrite spread_by_rows, frobenius_sq, <- Sum_scal. apply Sum_ext; intros c _.
  now rewrite pairs_of_a_row.
Qed.

Lemma centred_frobenius_below n K V : (0 < K)%nat -> (frobenius n K (centred K V))^2 <= (frobenius n K V)^2.
Proof.
  intros K0. assert (N0 : 0 < INR K) by now apply lt_0_INR. rewrite !frobenius_sq. apply Sum_le; intros c _.
  unfold centred. set (m := Sum K (V c) / INR K).
  rewrite (Sum_ext K _ (fun k => (V c k)^2 - 2 * m * V c k + m^2)) by (intros; ring).
  rewrite Sum_plus, Sum_minus, Sum_scal, Sum_const. assert (E : Sum K (V c) = INR K * m) by (unfold m; field;
      lra).
  rewrite E. pose proof (pow2_ge_0 m). nra.
Qed.

Section ManyClasses.
Variables (n K : nat) (V : nat -> nat -> R) (p : nat -> R) (y : nat).
Hypothesis Label : (y < K)%nat.
Hypothesis Softmax : distribution K p.
Let q := 1 - p y.
Let g := gradient K V y p.
Let H := hessian K V p.

Lemma classes_positive : (0 < K)%nat. Proof. lia. Qed.
Lemma p_positive : 0 < p y. Proof. now apply Softmax. Qed.

Lemma q_nonnegative : 0 <= q.
Proof.
  unfold q. destruct Softmax as [P S].
  pose proof (term_le_Sum K p y (fun i I => Rlt_le _ _ (P i I)) Label). lra.
Qed.

Lemma other_plus_label k : (k < K)%nat -> k <> y -> p k + p y <= 1.
Proof.
  intros L N. destruct Softmax as [P S]. rewrite <- S.
  apply two_terms_le_Sum; auto using Rlt_le.
Qed.

Lemma H_symmetric c d : (c < n)%nat -> (d < n)%nat -> H c d = H d c.
Proof. intros; apply hessian_symmetric. Qed.

Lemma H_positive r : 0 <= quad n H r.
Proof. now apply hessian_is_positive_semidefinite. Qed.

Lemma gradient_centred r :
  dot n g r = dot K (fun k => p k - delta k y) (transposed n (centred K V) r).
Proof.
  unfold g. rewrite gradient_along by easy. set (a := transposed n V r). set (m := Sum K a / INR K).
      unfold dot.
  rewrite (Sum_ext K (fun c => (p c - delta c y) * transposed n (centred K V) r c)
     (fun k => p k * a k - delta k y * (a k - m) - m * p k)).
  - destruct Softmax as [_ S]. rewrite !Sum_minus, Sum_delta, Sum_scal, S by easy. ring.
  - intros k _. rewrite transposed_centred. fold a. fold m. ring.
Qed.

Lemma hessian_centred r :
  quad n H r = Pairs K (fun i j => p i * p j * (transposed n (centred K V) r i - transposed n (centred K V) r
      j)^2).
Proof.
  unfold H. rewrite hessian_form by apply Softmax. apply Pairs_ext; intros. rewrite !transposed_centred. ring.
Qed.

(* ||p - e_y||^2 <= 2 q^2, and <= q for a label of the highest probability *)
Lemma residual_sq : sq K (fun k => p k - delta k y) = Sum K (fun k => (p k)^2) - 2 * p y + 1.
Proof.
  unfold sq, dot. rewrite (Sum_ext K _ (fun k => (p k)^2 - delta k y * (2 * p k - 1))).
  - rewrite Sum_minus, Sum_delta by easy. ring.
  - intros k _. unfold delta. destruct (Nat.eqb k y); ring.
Qed.

Lemma residual_below_2q2 : sq K (fun k => p k - delta k y) <= 2 * q^2.
Proof.
  rewrite residual_sq. destruct Softmax as [P S].
  assert (T := sum_of_squares_below K (fun k => p k - delta k y * p k)
    ltac:(intros k L; unfold delta; pose proof (P k L); destruct (Nat.eqb k y); lra)). cbv beta in T.
  rewrite Sum_minus, Sum_delta, S in T by easy.
  rewrite (Sum_ext K _ (fun k => (p k)^2 - delta k y * (p k)^2)) in T
    by (intros k _; unfold delta; destruct (Nat.eqb k y); ring).
  rewrite Sum_minus, Sum_delta in T by easy. unfold q. nra.
Qed.

Lemma residual_below_q : correct K p y -> sq K (fun k => p k - delta k y) <= q.
Proof.
  intros A. rewrite residual_sq. destruct Softmax as [P S].
  assert (T : Sum K (fun k => (p k)^2) <= Sum K (fun k => p y * p k)).
  { apply Sum_le; intros k L. pose proof (A k L). pose proof (P k L). nra. }
  rewrite Sum_scal, S in T. unfold q. lra.
Qed.

(* ||g|| <= ||p - e_y|| L whenever ||(VC)^T r|| <= L ||r|| *)
Lemma gradient_below L rho : (forall r, sq K (transposed n (centred K V) r) <= L^2 * sq n r) ->
  sq K (fun k => p k - delta k y) <= rho -> sq n g <= rho * L^2.
Proof.
  intros B R. pose proof (sq_ge0 n g) as G. pose proof (sq_ge0 K (fun k => p k - delta k y)) as E.
  assert (C := cauchy K (fun k => p k - delta k y) (transposed n (centred K V) g)).
      rewrite <- gradient_centred in C.
  specialize (B g). fold (sq n g) in C. pose proof (sq_ge0 K (transposed n (centred K V) g)).
      pose proof (pow2_ge_0 L).
  destruct (Req_dec (sq n g) 0) as [Z|Z]; [rewrite Z; nra|].
  apply Rmult_le_reg_r with (sq n g); [lra|]. replace (sq n g * sq n g) with ((sq n g)^2) by ring.
  apply Rle_trans with (1 := C). rewrite Rmult_assoc. apply Rmult_le_compat; easy.
Qed.

Lemma spectral_bounds_centred L r : spectral_norm n K (centred K V) L ->
  sq K (transposed n (centred K V) r) <= L^2 * sq n r.
Proof.
  intros S. pose proof (spectral_norm_of_transpose n K _ L r S) as T.
      pose proof (spectral_norm_ge0 _ _ _ _ S).
  pose proof (norm_ge0 K (transposed n (centred K V) r)). pose proof (norm_ge0 n r).
  rewrite <- !norm_sq. rewrite <- Rpow_mult_distr. nra.
Qed.

Lemma frobenius_bounds_centred r : sq K (transposed n (centred K V) r) <= (frobenius n K V)^2 * sq n r.
Proof.
  eapply Rle_trans; [apply centred_squares_below, classes_positive|apply frobenius_bounds_transposed].
Qed.

(* --- Eq. (34) -------------------------------------------------------------------------------- *)

Theorem gradient_below_lipschitz_constant s : spectral_norm n K V s ->
  norm n g <= 2 * (1 - p y) * s /\ 2 * (1 - p y) * s <= 2 * (1 - p y) * frobenius n K V.
Proof.
  intros S. pose proof q_nonnegative as Q. pose proof (spectral_norm_ge0 _ _ _ _ S) as S0. unfold q in Q.
      split.
  - apply norm_le_squares; [nra|].
    apply Rle_trans with (2 * q^2 * s^2).
    + apply gradient_below; [|apply residual_below_2q2]. intros r.
      eapply Rle_trans; [apply centred_squares_below, classes_positive|].
      pose proof (spectral_norm_of_transpose n K V s r S). pose proof (norm_ge0 K (transposed n V r)).
      pose proof (norm_ge0 n r). rewrite <- !norm_sq, <- Rpow_mult_distr. nra.
    + unfold q. pose proof (pow2_ge_0 ((1 - p y) * s)). nra.
  - apply Rmult_le_compat_l; [lra|]. now apply spectral_norm_below_frobenius.
Qed.

(* --- bounds of the Hessian ------------------------------------------------------------------- *)

Lemma product_below : correct K p y -> forall k, (k < K)%nat -> p k * (1 - p k) <= p y * q.
Proof.
  intros A k L. destruct Softmax as [P _]. pose proof (A k L). pose proof (P k L). unfold q.
  destruct (Nat.eq_dec k y) as [->|N]; [lra|]. pose proof (other_plus_label k L N). nra.
Qed.

Lemma product_below_quarter k : p k * (1 - p k) <= 1/4.
Proof. pose proof (pow2_ge_0 (2 * p k - 1)). nra. Qed.

(* r^T H r <= 2 m ||(VC)^T r||^2 if every p_k (1 - p_k) <= m *)
Lemma form_below m r : (forall k, (k < K)%nat -> p k * (1 - p k) <= m) ->
  quad n H r <= 2 * m * sq K (transposed n (centred K V) r).
Proof.
  intros M. rewrite hessian_centred. eapply Rle_trans; [now apply pairs_below_squares|].
  unfold sq, dot. rewrite <- Sum_scal. apply Sum_le; intros k L. specialize (M k L).
  set (b := transposed n (centred K V) r k). pose proof (pow2_ge_0 b). nra.
Qed.

Lemma form_below_p r : correct K p y -> quad n H r <= p y * sq K (transposed n (centred K V) r).
Proof.
  intros A. rewrite hessian_centred. set (b := transposed n (centred K V) r).
  rewrite pairs_of_weights. destruct Softmax as [P S]. rewrite S. pose proof (pow2_ge_0 (dot K p b)).
  assert (dot K p (fun k => (b k)^2) <= p y * sq K b); [|lra].
  unfold sq, dot. rewrite <- Sum_scal. apply Sum_le; intros k L. pose proof (A k L).
      pose proof (pow2_ge_0 (b k)). nra.
Qed.

Lemma form_below_min L r : correct K p y -> (forall r, sq K (transposed n (centred K V) r) <= L^2 * sq n r) ->
  quad n H r <= p y * Rmin 1 (2 * q) * L^2 * sq n r.
Proof.
  intros A B. specialize (B r). pose proof p_positive. pose proof q_nonnegative. unfold Rmin.
      destruct (Rle_dec 1 (2 * q)).
  - pose proof (form_below_p r A). nra.
  - pose proof (form_below (p y * q) r (product_below A)). assert (0 <= 2 * (p y * q)) by nra. nra.
Qed.

Lemma residual_below_min : correct K p y -> sq K (fun k => p k - delta k y) <= q * Rmin 1 (2 * q).
Proof.
  intros A. unfold Rmin. destruct (Rle_dec 1 (2 * q)).
  - rewrite Rmult_1_r. now apply residual_below_q.
  - pose proof residual_below_2q2. lra.
Qed.

(* the sharp forms of Eqs. (34) and (36) *)
Theorem sharp_bounds_of_both_norms L s : correct K p y -> spectral_norm n K (centred K V) L ->
    spectral_norm n n H s ->
  sq n g <= (1 - p y) * Rmin 1 (2 * (1 - p y)) * L^2 /\ s <= p y * Rmin 1 (2 * (1 - p y)) * L^2.
Proof.
  intros A S T. split.
  - apply gradient_below; [intros; now apply spectral_bounds_centred|now apply residual_below_min].
  - apply (spectral_norm_below n H H_symmetric H_positive s _ T). intros r.
    apply form_below_min; [easy|intros; now apply spectral_bounds_centred].
Qed.

(* Eq. (41), and its outer inequality for any label *)
Theorem curvature_below_half_the_jacobian s : spectral_norm n n H s ->
  (correct K p y -> s <= 2 * p y * (1 - p y) * (frobenius n K V)^2 /\
    2 * p y * (1 - p y) * (frobenius n K V)^2 <= 1/2 * (frobenius n K V)^2) /\
  s <= 1/2 * (frobenius n K V)^2.
Proof.
  intros S. pose proof (pow2_ge_0 (frobenius n K V)) as F0. split; [intros A; split|].
  - apply (spectral_norm_below n H H_symmetric H_positive s _ S). intros r.
    pose proof (form_below (p y * q) r (product_below A)). pose proof (frobenius_bounds_centred r).
    pose proof p_positive. pose proof q_nonnegative. assert (0 <= p y * q) by nra. unfold q in *. nra.
  - pose proof (product_below_quarter y). nra.
  - apply (spectral_norm_below n H H_symmetric H_positive s _ S). intros r.
    pose proof (form_below (1/4) r (fun k _ => product_below_quarter k)).
        pose proof (frobenius_bounds_centred r). lra.
Qed.

(* the right half of the ordering, for any label *)
Theorem curvature_below_half_the_cross_lipschitz L s : spectral_norm n n H s ->
    spectral_norm n K (centred K V) L ->
  s <= 1/2 * L^2 /\ 1/2 * L^2 <= 1/2 * (frobenius n K V)^2.
Proof.
  intros S T. split.
  - apply (spectral_norm_below n H H_symmetric H_positive s _ S). intros r.
    pose proof (form_below (1/4) r (fun k _ => product_below_quarter k)).
        pose proof (spectral_bounds_centred L r T). lra.
  - pose proof (spectral_norm_below_frobenius _ _ _ _ T). pose proof (spectral_norm_ge0 _ _ _ _ T).
    pose proof (centred_frobenius_below n K V classes_positive). nra.
Qed.

(* --- the trace ------------------------------------------------------------------------------- *)

Definition trace (A : nat -> nat -> R) := Sum n (fun c => A c c).

Lemma trace_is_the_sum_over_pairs : trace H = Pairs K (fun i j => p i * p j * sq n (between V i j)).
Proof.
  unfold trace. rewrite (Sum_ext n _ (fun c => Pairs K (fun i j => p i * p j * (V c i - V c j)^2))).
  - rewrite <- Pairs_Sum. apply Pairs_ext; intros i j _ _. unfold sq, dot. rewrite <- Sum_scal.
    apply Sum_ext; intros; unfold between; ring.
  - intros c _. unfold H. rewrite hessian_pair_by_pair by apply Softmax. apply Pairs_ext; intros;
      unfold between; ring.
Qed.

Lemma form_below_trace r : quad n H r <= trace H * sq n r.
Proof.
  rewrite trace_is_the_sum_over_pairs. unfold H. rewrite hessian_form by apply Softmax.
  rewrite Rmult_comm, <- Pairs_scal. apply Pairs_le; intros i j I J. destruct Softmax as [P _].
  assert (E : transposed n V r i - transposed n V r j = dot n (between V i j) r).
  { unfold transposed, dot, between. rewrite <- Sum_minus. apply Sum_ext; intros; ring. }
  rewrite E. pose proof (cauchy n (between V i j) r). pose proof (P i ltac:(lia)). pose proof (P j J).
  assert (0 < p i * p j) by (apply Rmult_lt_0_compat; easy). nra.
Qed.

Lemma curvature_below_trace s : spectral_norm n n H s -> s <= trace H.
Proof. intros S. apply (spectral_norm_below n H H_symmetric H_positive s _ S), form_below_trace. Qed.

Lemma trace_below_centred : correct K p y -> trace H <= 2 * (p y * q) * (frobenius n K (centred K V))^2.
Proof.
  intros A. rewrite frobenius_sq. unfold trace. rewrite <- Sum_scal. apply Sum_le; intros c _.
  unfold H. rewrite hessian_pair_by_pair by apply Softmax.
  rewrite (Pairs_ext K _ (fun i j => p i * p j * (centred K V c i - centred K V c j)^2))
    by (intros; unfold between, centred; ring).
  eapply Rle_trans; [now apply pairs_below_squares|]. rewrite <- Sum_scal. apply Sum_le; intros k L.
  pose proof (product_below A k L). pose proof (pow2_ge_0 (centred K V c k)). nra.
Qed.

(* the sharp constant in place of Eq. (43)'s *)
Theorem trace_below_the_spread s : correct K p y -> spectral_norm n n H s ->
  s <= trace H /\ trace H = Pairs K (fun i j => p i * p j * sq n (between V i j)) /\
  trace H <= 2 / INR K * (p y * (1 - p y)) * spread n K V.
Proof.
  intros A S. split; [now apply curvature_below_trace|]. split; [apply trace_is_the_sum_over_pairs|].
  pose proof classes_positive as K0. assert (N0 : 0 < INR K) by now apply lt_0_INR.
  rewrite spread_is_centred_frobenius by easy. eapply Rle_trans; [now apply trace_below_centred|].
  apply Req_le. unfold q. field. lra.
Qed.

(* Eq. (36): the sum over ordered pairs i <> j *)
Theorem curvature_below_ordered_pairs s : correct K p y -> spectral_norm n n H s ->
  let v k := sq n (fun c => V c k) in
  let ordered := Sum K (fun i => Sum K (fun j => (1 - delta i j) * (p i * p j * (v i + v j)))) in
  s <= ordered /\ ordered <= 2 * p y * (1 - p y) * (frobenius n K V)^2.
Proof.
  intros A S v ordered. destruct Softmax as [P S1].
  assert (E : ordered = Sum K (fun i => 2 * (p i * (1 - p i)) * v i)).
  { unfold ordered. rewrite (Sum_ext K _ (fun i => p i * v i + p i * dot K p v - 2 * (p i * p i * v i))).
    - rewrite Sum_minus, Sum_plus, Sum_scal_r, S1, Rmult_1_l. unfold dot. rewrite <- Sum_plus, <- Sum_minus.
      apply Sum_ext; intros; ring.
    - intros i I. rewrite (Sum_ext K _ (fun j => p i * v i * p j + p i * (p j * v j) - delta j i * (p i * p j
        * (v i + v j))))
        by (intros j _; rewrite (delta_sym i j); ring).
      rewrite Sum_minus, Sum_plus, !Sum_scal, Sum_delta, S1 by easy. unfold dot. ring. }
  split.
  - eapply Rle_trans; [now apply curvature_below_trace|]. rewrite E. unfold trace.
    rewrite (Sum_ext K _ (fun k => Sum n (fun c => 2 * (p k * (1 - p k)) * (V c k)^2))).
    2:{ intros k _. rewrite Sum_scal. unfold v, sq, dot. f_equal. apply Sum_ext; intros; ring. }
    rewrite Sum_swap. apply Sum_le; intros c _. unfold H. rewrite hessian_pair_by_pair by easy.
    rewrite (Pairs_ext K _ (fun i j => p i * p j * (V c i - V c j)^2)) by (intros; unfold between; ring).
    now apply pairs_below_squares.
  - rewrite E, frobenius_sq, Sum_swap, <- Sum_scal. apply Sum_le; intros k L.
    pose proof (product_below A k L) as B. unfold q in B.
    assert (F : v k = Sum n (fun c => (V c k)^2)) by (apply Sum_ext; intros; ring). rewrite <- F.
    assert (0 <= v k) by apply sq_ge0. nra.
Qed.

(* --- the Hessian dominates the squared gradient ----------------------------------------------- *)

(* p on the rivals of the label, 0 on the label *)
Definition rivals k := p k - delta k y * p k.

Lemma sum_of_rivals : Sum K rivals = q.
Proof. destruct Softmax as [_ S]. unfold rivals. now rewrite Sum_minus, Sum_delta, S. Qed.

Lemma dominance_identity r : p y < 1 ->
  quad n H r = p y / (1 - p y) * (dot n g r)^2 +
    / (1 - p y) * Pairs K (fun i j => rivals i * rivals j * (transposed n V r i - transposed n V r j)^2).
Proof.
  intros Q. unfold H, g. rewrite gradient_along, hessian_is_variance by easy. set (a := transposed n V r).
  rewrite pairs_of_weights, sum_of_rivals.
  assert (A1 : dot K rivals a = dot K p a - p y * a y).
  { unfold dot, rivals. rewrite (Sum_ext K _ (fun k => p k * a k - delta k y * (p k * a k))) by (intros;
      ring).
    now rewrite Sum_minus, Sum_delta. }
  assert (A2 : dot K rivals (fun k => (a k)^2) = dot K p (fun k => (a k)^2) - p y * (a y)^2).
  { unfold dot, rivals. rewrite (Sum_ext K _ (fun k => p k * (a k)^2 - delta k y * (p k * (a k)^2))) by
      (intros; ring).
    now rewrite Sum_minus, Sum_delta. }
  rewrite A1, A2. unfold q. field. lra.
Qed.

Lemma rivals_nonnegative k : (k < K)%nat -> 0 <= rivals k.
Proof.
  intros L. destruct Softmax as [P _]. pose proof (P k L). unfold rivals, delta. destruct (Nat.eqb k y); lra.
Qed.

(* H >= (p_y / q) g g^T, with equality exactly if the rivals' columns coincide *)
Theorem hessian_dominates_the_squared_gradient s : p y < 1 -> spectral_norm n n H s ->
  (forall r, p y / (1 - p y) * (dot n g r)^2 <= quad n H r) /\
  p y / (1 - p y) * sq n g <= s /\
  ((forall r, p y / (1 - p y) * (dot n g r)^2 = quad n H r) <->
   forall i j c, (i < K)%nat -> (j < K)%nat -> i <> y -> j <> y -> (c < n)%nat -> V c i = V c j).
Proof.
  intros Q S. assert (I : 0 < / (1 - p y)) by (apply Rinv_0_lt_compat; lra).
  assert (T : forall r, p y / (1 - p y) * (dot n g r)^2 <= quad n H r).
  { intros r. rewrite dominance_identity by easy.
    assert (0 <= Pairs K (fun i j => rivals i * rivals j * (transposed n V r i - transposed n V r j)^2));
        [|nra].
    apply Pairs_ge0; intros i j Hi Hj. pose proof (rivals_nonnegative i Hi).
        pose proof (rivals_nonnegative j Hj).
    apply Rmult_le_pos; [nra|apply pow2_ge_0]. }
  split; [easy|]. split.
  - pose proof (sq_ge0 n g) as G. destruct (Req_dec (sq n g) 0) as [Z|Z].
    + rewrite Z, Rmult_0_r. apply (spectral_norm_ge0 _ _ _ _ S).
    + apply (spectral_norm_above n H H_symmetric H_positive s _ g S); [|lra].
      specialize (T g). fold (sq n g) in T. nra.
  - split.
    + intros E i j c Hi Hj Ni Nj C.
      assert (Zero : forall i j, (i < j)%nat -> (j < K)%nat -> i <> y -> j <> y -> V c i = V c j).
      { clear i j Hi Hj Ni Nj. intros i j L Hj Ni Nj. specialize (E (fun d => delta d c)).
        rewrite dominance_identity in E by easy.
        set (f := fun i j => rivals i * rivals j * (transposed n V (fun d => delta d c) i - transposed n V
            (fun d => delta d c) j)^2) in *.
        assert (F0 : forall i j, (i < K)%nat -> (j < K)%nat -> 0 <= f i j).
        { intros i' j' Hi' Hj'. pose proof (rivals_nonnegative i' Hi').
            pose proof (rivals_nonnegative j' Hj').
          apply Rmult_le_pos; [nra|apply pow2_ge_0]. }
        assert (Z : Pairs K f = 0) by nra.
        assert (T1 : f i j <= Sum j (fun i => f i j)) by (apply (term_le_Sum j (fun i => f i j)); [intros;
            apply F0; lia|easy]).
        assert (T2 : Sum j (fun i => f i j) <= Pairs K f).
        { apply (term_le_Sum K (fun j => Sum j (fun i => f i j))); [|easy]. intros j' Hj'. apply Sum_ge0;
            intros. apply F0; lia. }
        assert (Zf : f i j = 0) by (pose proof (F0 i j ltac:(lia) Hj); lra).
        unfold f in Zf.
        assert (W : forall k, transposed n V (fun d => delta d c) k = V c k).
        { intros k. unfold transposed. rewrite (Sum_ext n _ (fun d => delta d c * V d k)) by (intros; ring).
          exact (Sum_delta n c (fun d => V d k) C). }
        rewrite !W in Zf. destruct Softmax as [P _].
        assert (R : rivals i = p i /\ rivals j = p j).
        { unfold rivals, delta. apply Nat.eqb_neq in Ni. apply Nat.eqb_neq in Nj. rewrite Ni, Nj. split;
            ring. }
        destruct R as [-> ->] in Zf. pose proof (P i ltac:(lia)). pose proof (P j Hj).
        assert (0 < p i * p j) by (apply Rmult_lt_0_compat; easy).
        apply Rmult_integral in Zf. destruct Zf as [Zf|Zf]; [lra|].
        assert (V c i - V c j = 0) by (apply Rsqr_0_uniq; unfold Rsqr; lra). lra. }
      destruct (Nat.lt_total i j) as [L|[->|L]]; [now apply Zero|easy|]. symmetry. now apply Zero.
    + intros E r. rewrite dominance_identity by easy.
      rewrite (Pairs_ext K _ (fun i j => 0)); [|intros i j L Hj].
      * unfold Pairs. rewrite (Sum_ext K _ (fun _ => 0)) by (intros; apply Sum_0). rewrite Sum_0. ring.
      * destruct (Nat.eq_dec i y) as [->|Ni]; [unfold rivals, delta; rewrite Nat.eqb_refl; ring|].
        destruct (Nat.eq_dec j y) as [->|Nj]; [unfold rivals, delta at 2; rewrite Nat.eqb_refl; ring|].
        replace (transposed n V r i) with (transposed n V r j); [ring|].
        unfold transposed. apply Sum_ext; intros c C. rewrite (E i j c); auto; lia.
Qed.

Lemma odds_of_the_correct_label : (2 <= K)%nat -> correct K p y -> p y < 1 ->
    / (INR K - 1) <= p y / (1 - p y).
Proof.
  intros K2 A Q. assert (B : 1 <= INR K * p y).
  { destruct Softmax as [_ S]. rewrite <- S, <- Sum_const. now apply Sum_le. }
  assert (N2 : 2 <= INR K) by (replace 2 with (INR 2) by (simpl; lra); now apply le_INR).
  apply Rmult_le_reg_l with ((INR K - 1) * (1 - p y)); [apply Rmult_lt_0_compat; lra|].
  replace ((INR K - 1) * (1 - p y) * / (INR K - 1)) with (1 - p y) by (field; lra).
  replace ((INR K - 1) * (1 - p y) * (p y / (1 - p y))) with ((INR K - 1) * p y) by (field; lra). nra.
Qed.

(* the left half of the ordering *)
Theorem squared_gradient_below_curvature_of_many s : (2 <= K)%nat -> correct K p y -> spectral_norm n n H s ->
  sq n g / (INR K - 1) <= s.
Proof.
  intros K2 A S. pose proof (p_below_1 K p y K2 Softmax Label) as Q.
  destruct (hessian_dominates_the_squared_gradient s Q S) as (_ & T & _).
  eapply Rle_trans; [|exact T]. unfold Rdiv at 1. rewrite Rmult_comm. apply Rmult_le_compat_r;
      [apply sq_ge0|].
  now apply odds_of_the_correct_label.
Qed.

(* --- Eq. (42) -------------------------------------------------------------------------------- *)

(* the mean of the columns under p *)
Definition mean_column c := dot K p (V c).

Lemma gradient_is_mean_less_label c : g c = mean_column c - V c y.
Proof.
  unfold g, gradient, mean_column, dot. rewrite (Sum_ext K _ (fun k => p k * V c k - delta k y * V c k)) by
      (intros; ring).
  now rewrite Sum_minus, Sum_delta.
Qed.

Theorem curvature_above_the_label_term s : spectral_norm n n H s ->
  (forall c d, H c d = Sum K (fun k => p k * (V c k - mean_column c) * (V d k - mean_column d))) /\
  p y * sq n (fun c => V c y - mean_column c) <= s /\
  p y * sq n (fun c => V c y - mean_column c) = p y * sq n g /\
  (1/2 <= p y -> 1/2 * sq n g <= s).
Proof.
  intros S. destruct Softmax as [P S1]. pose proof p_positive as P0.
  assert (E : forall c d, H c d = Sum K (fun k => p k * (V c k - mean_column c) * (V d k - mean_column d))).
  { intros c d. set (mc := mean_column c). set (md := mean_column d).
    rewrite (Sum_ext K _ (fun k => p k * (V c k * V d k) - md * (p k * V c k) - mc * (p k * V d k) + mc * md
        * p k)) by (intros; ring).
    rewrite Sum_plus, !Sum_minus, !Sum_scal, S1.
    unfold H, hessian. rewrite (Sum_ext K _ (fun k => p k * (V c k * V d k) - (p k * V c k) * md)).
    - rewrite Sum_minus, Sum_scal_r. unfold mc, md, mean_column, dot. ring.
    - intros k L. rewrite (Sum_ext K _ (fun l => delta l k * (V c k * p k * V d l) - V c k * p k * (p l * V d
        l)))
        by (intros; rewrite (delta_sym k); ring).
      rewrite Sum_minus, Sum_delta, Sum_scal by easy. unfold md, mean_column, dot. ring. }
  assert (G : sq n (fun c => V c y - mean_column c) = sq n g).
  { unfold sq, dot. apply Sum_ext; intros c _. rewrite gradient_is_mean_less_label. ring. }
  assert (T : p y * sq n g <= s).
  { pose proof q_nonnegative as Q. unfold q in Q. destruct (Req_dec (p y) 1) as [Z|Z].
    - (* one class: the gradient is zero *)
      assert (R := residual_below_2q2). unfold q in R. rewrite Z in R.
      assert (R0 : sq K (fun k => p k - delta k y) = 0) by (pose proof (sq_ge0 K (fun k => p k - delta k y));
          lra).
      assert (G0 : sq n g = 0).
      { unfold sq, dot. rewrite (Sum_ext n _ (fun _ => 0)), Sum_0; [easy|]. intros c _. unfold g, gradient.
        rewrite (Sum_ext K _ (fun _ => 0)), Sum_0; [ring|]. intros k L.
        rewrite (sq_0_entries K (fun k => p k - delta k y) R0 k L). ring. }
      rewrite G0, Rmult_0_r. apply (spectral_norm_ge0 _ _ _ _ S).
    - destruct (hessian_dominates_the_squared_gradient s ltac:(lra) S) as (_ & T & _).
      eapply Rle_trans; [|exact T]. apply Rmult_le_compat_r; [apply sq_ge0|].
      apply Rmult_le_reg_r with (1 - p y); [lra|]. replace (p y / (1 - p y) * (1 - p y)) with (p y) by
          (field; lra). nra. }
  split; [easy|]. split; [rewrite G; easy|]. split; [now rewrite G|].
  intros Half. pose proof (sq_ge0 n g). nra.
Qed.
End ManyClasses.
