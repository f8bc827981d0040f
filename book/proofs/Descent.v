(* Section 3.2, for every number of classes: a stationary point of the Jacobian objective is one of the
   cross-Lipschitz objective, and from a last layer whose columns add to zero gradient descent on either
   trains the same network. The lower layers are any functions of a vector t of parameters. *)
From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Loss Proposition41 ManyClasses Equivalence.
Open Scope R_scope.

(* t + s e_i,   and   W with s added to its entry (j, k) *)
Definition along (t : nat -> R) i s j := t j + s * delta j i.
Definition entry_along (W : nat -> nat -> R) j k s i l := W i l + s * (delta i j * delta l k).

(* G: the partial derivatives of f at the m x K matrix W;  g and G: those of F at (t, W), for t in R^q *)
Definition last_gradient m K (f : (nat -> nat -> R) -> R) W (G : nat -> nat -> R) :=
  forall j k, (j < m)%nat -> (k < K)%nat -> is_derive (fun s => f (entry_along W j k s)) 0 (G j k).
Definition gradients q m K (F : (nat -> R) -> (nat -> nat -> R) -> R) t W (g : nat -> R) G :=
  (forall i, (i < q)%nat -> is_derive (fun s => F (along t i s) W) 0 (g i)) /\ last_gradient m K (F t) W G.

(* step T adds multiples of all gradients g 0, ..., g T and of all weights x 0, ..., x T so far *)
Definition stepped (rate decay : nat -> nat -> R) (x g : nat -> R) T :=
  x T + Sum (S T) (fun r => rate T r * g r + decay T r * x r).

(* any rule for the lower layers: a step is a function of the parameters and gradients so far *)
Definition sees_the_past q (lower : nat -> (nat -> nat -> R) -> (nat -> nat -> R) -> nat -> R) :=
  forall T t t' g g', (forall r i, (r <= T)%nat -> (i < q)%nat -> t r i = t' r i /\ g r i = g' r i) ->
  forall i, (i < q)%nat -> lower T t g i = lower T t' g' i.

(* W 0, W 1, ... is gradient descent on f; (t 0, W 0), (t 1, W 1), ... is gradient descent on F *)
Definition last_layer_descent m K f rate decay (W : nat -> nat -> nat -> R) :=
  exists G : nat -> nat -> nat -> R, forall T, last_gradient m K f (W T) (G T) /\
    forall j k, (j < m)%nat -> (k < K)%nat ->
      W (S T) j k = stepped rate decay (fun r => W r j k) (fun r => G r j k) T.
Definition descent q m K F lower rate decay (t : nat -> nat -> R) (W : nat -> nat -> nat -> R) :=
  exists (g : nat -> nat -> R) (G : nat -> nat -> nat -> R), forall T,
    gradients q m K F (t T) (W T) (g T) (G T) /\
    (forall i, (i < q)%nat -> t (S T) i = lower T t g i) /\
    forall j k, (j < m)%nat -> (k < K)%nat ->
      W (S T) j k = stepped rate decay (fun r => W r j k) (fun r => G r j k) T.

Lemma along_0 t i : along t i 0 = t.
Proof. extensionality j. unfold along. ring. Qed.

Lemma entry_along_0 W j k : entry_along W j k 0 = W.
Proof. extensionality i. extensionality l. unfold entry_along. ring. Qed.

Lemma is_derive_minus_R (f g : R -> R) x l r : is_derive f x l -> is_derive g x r ->
  is_derive (fun s => f s - g s) x (l - r).
Proof. intros D E. apply @is_derive_minus; easy. Qed.

Lemma flat_at_a_minimum f l : is_derive f 0 l -> (forall s, f 0 <= f s) -> l = 0.
Proof.
  intros D M. apply is_derive_Reals in D. rewrite <- (derive_pt_eq_0 f 0 l (exist _ l D) D).
  apply (deriv_minimum f (-1) 1 0); [lra|lra|]. intros; apply M.
Qed.

(* f = kappa h with h >= 0 and h(0) = 0, whatever the sign of kappa *)
Lemma flat_multiple f h kappa l : is_derive f 0 l -> (forall s, f s = kappa * h s) -> h 0 = 0 ->
  (forall s, 0 <= h s) -> l = 0.
Proof.
  intros D E Z M. assert (P : kappa * l = 0).
  { apply (flat_at_a_minimum (fun s => kappa * f s)); [now apply is_derive_scal|].
    intros s. rewrite !E, Z, Rmult_0_r, Rmult_0_r, <- Rmult_assoc.
    apply Rmult_le_pos; [apply Rle_0_sqr|apply M]. }
  destruct (Rmult_integral _ _ P) as [K0|]; [|easy]. apply (flat_at_a_minimum f); [easy|].
  intros s. rewrite !E, K0. lra.
Qed.

Lemma Sum_delta_l n y f : (y < n)%nat -> Sum n (fun i => f i * delta i y) = f y.
Proof. intros Y. rewrite <- (Sum_delta n y f Y). apply Sum_ext; intros; ring. Qed.

Lemma column_sum_along K W j k s i : (k < K)%nat ->
  column_sum K (entry_along W j k s) i = column_sum K W i + s * delta i j.
Proof.
  intros L. unfold column_sum, entry_along. rewrite Sum_plus. f_equal.
  rewrite (Sum_ext K _ (fun l => s * delta i j * delta l k)) by (intros; ring).
  now rewrite (Sum_delta_l K k (fun _ => s * delta i j) L).
Qed.

Lemma stepped_ext rate decay x x' g g' T :
  (forall r, (r <= T)%nat -> x r = x' r) -> (forall r, (r <= T)%nat -> g r = g' r) ->
  stepped rate decay x g T = stepped rate decay x' g' T.
Proof.
  intros E E'. unfold stepped. rewrite E by easy. f_equal. apply Sum_ext; intros r L.
  rewrite E, E' by lia. easy.
Qed.

Section Training.
(* t in R^q: the parameters of the lower layers. Sample i of N has the features a t i, their Jacobian B t i
   (n x m), an offset c t i of its logits and the label y i; the last layer W is m x K. *)
Variables (q N n m K : nat) (a : (nat -> R) -> nat -> nat -> R) (B : (nat -> R) -> nat -> nat -> nat -> R).
Variables (c : (nat -> R) -> nat -> nat -> R) (y : nat -> nat) (lam : R).
Hypothesis Samples : (0 < N)%nat.
Hypothesis Classes : (0 < K)%nat.
Hypothesis Labels : forall i, (i < N)%nat -> (y i < K)%nat.
(* features, Jacobian and offset are functions of the q parameters *)
Hypothesis Parameters_only : forall t t', (forall p, (p < q)%nat -> t p = t' p) ->
  forall i, (i < N)%nat -> (forall j, (j < m)%nat -> a t i j = a t' i j) /\
    (forall d j, (d < n)%nat -> (j < m)%nat -> B t i d j = B t' i d j) /\
    forall k, (k < K)%nat -> c t i k = c t' i k.

Let J := jacobian_objective (nat -> R) N n m K a B c y lam.
Let C := cross_lipschitz_objective (nat -> R) N n m K a B c y lam.
Let Rest := rest (nat -> R) N n m K B.

Lemma difference t W : J t W - C t W = lam / INR K * Rest t W.
Proof. unfold J, C, Rest. rewrite objectives_differ_by_the_rest by easy. ring. Qed.

(* where the rest vanishes, both objectives have the same partial derivatives *)
Lemma same_gradients t W g G g' G' : Rest t W = 0 ->
  gradients q m K J t W g G -> gradients q m K C t W g' G' ->
  (forall i, (i < q)%nat -> g i = g' i) /\ forall j k, (j < m)%nat -> (k < K)%nat -> G j k = G' j k.
Proof.
  intros Z [D E] [D' E']. split.
  - intros i I. enough (g i - g' i = 0) by lra.
    apply (flat_multiple _ (fun s => Rest (along t i s) W) (lam / INR K) _
      (is_derive_minus_R _ _ 0 _ _ (D i I) (D' i I))); [intros; apply difference| |].
    + now rewrite along_0.
    + intros. now apply rest_nonnegative.
  - intros j k L L'. enough (G j k - G' j k = 0) by lra.
    apply (flat_multiple _ (fun s => Rest t (entry_along W j k s)) (lam / INR K) _
      (is_derive_minus_R _ _ 0 _ _ (E j k L L') (E' j k L L'))); [intros; apply difference| |].
    + now rewrite entry_along_0.
    + intros. now apply rest_nonnegative.
Qed.

Lemma rest_of_zero_sum t W : (forall j, (j < m)%nat -> column_sum K W j = 0) -> Rest t W = 0.
Proof.
  intros Z. apply rest_zero_columns; [easy|]. intros i d _ _. rewrite sum_of_V. unfold applied.
  rewrite (Sum_ext m _ (fun _ => 0)), Sum_0; [easy|]. intros j L. rewrite Z by easy. ring.
Qed.

(* the derivative of the Jacobian objective by the entry (j, k) of the last layer *)
Definition slope t W j k := mean N (fun i =>
  a t i j * (softmax K (logits_of (nat -> R) m a c t W i) k - delta k (y i)) +
  lam * (2 * Sum n (fun d => B t i d j * V_of (nat -> R) m B t W i d k))).

Lemma logits_along t W j k s i l : (j < m)%nat ->
  logits_of (nat -> R) m a c t (entry_along W j k s) i l =
  logits_of (nat -> R) m a c t W i l + s * (a t i j * delta l k).
Proof.
  intros L. unfold logits_of, entry_along.
  rewrite (Sum_ext m _ (fun i0 => W i0 l * a t i i0 + s * delta l k * a t i i0 * delta i0 j))
    by (intros; ring).
  rewrite Sum_plus, (Sum_delta_l m j (fun i0 => s * delta l k * a t i i0) L). ring.
Qed.

Lemma V_along t W j k s i d l : (j < m)%nat ->
  V_of (nat -> R) m B t (entry_along W j k s) i d l =
  V_of (nat -> R) m B t W i d l + s * (B t i d j * delta l k).
Proof.
  intros L. unfold V_of, entry_along.
  rewrite (Sum_ext m _ (fun i0 => B t i d i0 * W i0 l + s * delta l k * B t i d i0 * delta i0 j))
    by (intros; ring).
  rewrite Sum_plus, (Sum_delta_l m j (fun i0 => s * delta l k * B t i d i0) L). ring.
Qed.

Lemma jacobian_slope t W j k : (j < m)%nat -> (k < K)%nat ->
  is_derive (fun s => J t (entry_along W j k s)) 0 (slope t W j k).
Proof.
  intros L L'. unfold J, jacobian_objective, slope, mean, Rdiv.
  apply (is_derive_ext (fun s => / INR N * Sum N (fun i =>
    loss_of (nat -> R) m K a c y t (entry_along W j k s) i
    + lam * (frobenius n K (V_of (nat -> R) m B t (entry_along W j k s) i))^2))); [intros; apply Rmult_comm|].
  rewrite (Rmult_comm _ (/ INR N)). apply is_derive_scal. apply is_derive_Sum. intros i I. cbv beta.
  apply @is_derive_plus.
  - set (z := logits_of (nat -> R) m a c t W i). pose proof (sum_exp_gt0 K z Classes) as P.
    apply (is_derive_ext (fun s => ln (Sum K (fun l => exp (z l + s * (a t i j * delta l k))))
      - (z (y i) + s * (a t i j * delta (y i) k)))).
    { intros s. unfold loss_of. rewrite cross_entropy_log_sum by easy. rewrite logits_along by easy. f_equal.
      f_equal. apply Sum_ext; intros l _. now rewrite logits_along. }
    replace (a t i j * (softmax K z k - delta k (y i)))
      with (a t i j * exp (z k) * / Sum K (fun l => exp (z l)) - a t i j * delta (y i) k)
      by (unfold softmax; rewrite (delta_sym k); unfold Rdiv; ring).
    apply is_derive_minus_R; [|auto_derive; [easy|ring]].
    apply (is_derive_comp ln (fun s => Sum K (fun l => exp (z l + s * (a t i j * delta l k))))).
    + rewrite (Sum_ext K _ (fun l => exp (z l))) by (intros; f_equal; ring). now apply is_derive_ln.
    + rewrite <- (Sum_delta_l K k (fun l => a t i j * exp (z l)) L'). apply is_derive_Sum. intros l _.
      auto_derive; [easy|]. rewrite Rmult_0_l, Rplus_0_r. ring.
  - apply is_derive_scal.
    apply (is_derive_ext (fun s => Sum n (fun d => Sum K (fun l =>
      (V_of (nat -> R) m B t W i d l + s * (B t i d j * delta l k))^2)))).
    { intros s. rewrite frobenius_sq. apply Sum_ext; intros d _. apply Sum_ext; intros l _.
      now rewrite V_along. }
    rewrite <- Sum_scal. apply is_derive_Sum. intros d _.
    rewrite <- (Sum_delta_l K k (fun l => 2 * (B t i d j * V_of (nat -> R) m B t W i d l)) L').
    apply is_derive_Sum. intros l _. auto_derive; [easy|]. ring.
Qed.

(* these derivatives, summed over the classes *)
Lemma sum_of_slopes t W j :
  Sum K (slope t W j) = 2 * lam * moved_by_G (nat -> R) N n m B t (column_sum K W) j.
Proof.
  unfold slope, moved_by_G, mean, Rdiv. rewrite Sum_scal_r, Sum_swap, <- Rmult_assoc, <- Sum_scal. f_equal.
  apply Sum_ext; intros i I. rewrite Sum_plus, !Sum_scal, Sum_minus.
  destruct (softmax_is_distribution K (logits_of (nat -> R) m a c t W i) Classes) as [_ ->].
  assert (E : Sum K (fun k => delta k (y i)) = 1).
  { rewrite <- (Sum_delta K (y i) (fun _ => 1) (Labels i I)). apply Sum_ext; intros; ring. }
  rewrite E, Sum_swap. rewrite (Sum_ext n _ (fun d => B t i d j * applied m (B t i) (column_sum K W) d)).
  - ring.
  - intros d _. now rewrite Sum_scal, sum_of_V.
Qed.

Lemma slopes_of_the_gradient t W G : last_gradient m K (J t) W G ->
  forall j k, (j < m)%nat -> (k < K)%nat -> G j k = slope t W j k.
Proof.
  intros E j k L L'. rewrite <- (is_derive_unique _ _ _ (E j k L L')).
  apply is_derive_unique. now apply jacobian_slope.
Qed.

(* lam > 0: where the gradient of the Jacobian objective is zero, so is that of the other *)
Theorem stationary_points t W : 0 < lam -> gradients q m K J t W (fun _ => 0) (fun _ _ => 0) ->
  (forall j, (j < m)%nat -> moved_by_G (nat -> R) N n m B t (column_sum K W) j = 0) /\
  forall g G, gradients q m K C t W g G ->
    (forall i, (i < q)%nat -> g i = 0) /\ forall j k, (j < m)%nat -> (k < K)%nat -> G j k = 0.
Proof.
  intros P D. assert (Z : forall j, (j < m)%nat -> moved_by_G (nat -> R) N n m B t (column_sum K W) j = 0).
  { intros j L. apply Rmult_eq_reg_l with (2 * lam); [|apply Rgt_not_eq, Rmult_lt_0_compat; [lra|exact P]].
    rewrite <- sum_of_slopes, Rmult_0_r. rewrite <- (Sum_0 K). apply Sum_ext; intros k L'. symmetry.
    now apply (slopes_of_the_gradient t W (fun _ _ => 0)); [apply D| |]. }
  split; [easy|]. intros g G D'. apply (rest_zero_G (nat -> R) N n m K B Samples) in Z.
  destruct (same_gradients t W _ _ g G Z D D') as [E E']. split; intros; symmetry; auto.
Qed.

(* the cross-Lipschitz objective sees the q parameters and the m K weights, and of these the centred ones *)
Lemma objective_ext t t' W W' : (forall p, (p < q)%nat -> t p = t' p) ->
  (forall j k, (j < m)%nat -> (k < K)%nat -> W j k = W' j k) -> C t W = C t' W'.
Proof.
  intros E E'. unfold C, cross_lipschitz_objective, mean. f_equal. apply Sum_ext; intros i I.
  destruct (Parameters_only t t' E i I) as (A & A' & A''). f_equal.
  - unfold loss_of. apply cross_entropy_ext; [|now apply Labels]. intros k L. unfold logits_of.
    rewrite A'' by easy. f_equal. apply Sum_ext; intros j L'. now rewrite A, E'.
  - do 3 f_equal. unfold ordered_spread. apply Sum_ext; intros k L. apply Sum_ext; intros l L'.
    unfold sq, dot. apply Sum_ext; intros d D.
    assert (V : forall k, (k < K)%nat -> V_of (nat -> R) m B t W i d k = V_of (nat -> R) m B t' W' i d k).
    { intros k0 L0. unfold V_of. apply Sum_ext; intros j H. now rewrite A', E'. }
    unfold between. now rewrite !V.
Qed.

Lemma gradients_ext t t' W W' g G : (forall p, (p < q)%nat -> t p = t' p) ->
  (forall j k, (j < m)%nat -> (k < K)%nat -> W j k = W' j k) ->
  gradients q m K C t' W' g G -> gradients q m K C t W g G.
Proof.
  intros E E' [D D']. split.
  - intros i I. apply (is_derive_ext (fun s => C (along t' i s) W')); [|now apply D].
    intros s. apply objective_ext; intros; symmetry; [unfold along; now rewrite E|now apply E'].
  - intros j k L L'. apply (is_derive_ext (fun s => C t' (entry_along W' j k s))); [|now apply D'].
    intros s. apply objective_ext; intros; symmetry; [now apply E|unfold entry_along; now rewrite E'].
Qed.

Lemma last_gradient_of_centre t W W' G :
  (forall j k, (j < m)%nat -> (k < K)%nat -> centre K W j k = centre K W' j k) ->
  last_gradient m K (C t) W' G -> last_gradient m K (C t) W G.
Proof.
  intros E D j k L L'. apply (is_derive_ext (fun s => C t (entry_along W' j k s))); [|now apply D].
  intros s. unfold C. rewrite <- (objective_of_centre _ N n m K a B c y lam Classes t (entry_along W' j k s)).
  rewrite <- (objective_of_centre _ N n m K a B c y lam Classes t (entry_along W j k s)).
  apply objective_ext; [easy|]. intros i l I I'. unfold centre. rewrite !column_sum_along by easy.
  specialize (E i l I I'). unfold centre in E. unfold entry_along. lra.
Qed.

(* the derivatives of the two objectives differ by the same amount in every column *)
Lemma same_centred_gradients t W G G' : last_gradient m K (J t) W G -> last_gradient m K (C t) W G' ->
  forall j k, (j < m)%nat -> (k < K)%nat -> centre K G j k = centre K G' j k.
Proof.
  intros D D' j k L L'.
  assert (E : forall l, (l < K)%nat -> G j l = G' j l + (G j k - G' j k)).
  { intros l I. enough (G j l - G' j l = G j k - G' j k) by lra.
    rewrite <- (is_derive_unique _ _ _ (is_derive_minus_R _ _ 0 _ _ (D j l L I) (D' j l L I))).
    apply is_derive_unique.
    apply (is_derive_ext (fun s => J t (entry_along W j k s) - C t (entry_along W j k s)));
      [|now apply is_derive_minus_R; [apply D|apply D']].
    intros s. rewrite !difference. f_equal. unfold Rest, rest, mean. f_equal. apply Sum_ext; intros i _.
    unfold sq, dot. apply Sum_ext; intros d _. unfold applied.
    rewrite !(Sum_ext m (fun k0 => B t i d k0 * column_sum K (entry_along W j _ s) k0)
      (fun k0 => B t i d k0 * (column_sum K W k0 + s * delta k0 j))); [easy| |];
      intros; now rewrite column_sum_along. }
  unfold centre, column_sum. rewrite (Sum_ext K (G j) (fun l => G' j l + (G j k - G' j k))) by easy.
  rewrite Sum_plus, Sum_const. pose proof (lt_0_INR K Classes). field. lra.
Qed.

Lemma column_sum_stepped rate decay (W G W1 : nat -> nat -> nat -> R) T j :
  (forall k, (k < K)%nat -> W1 T j k = stepped rate decay (fun r => W r j k) (fun r => G r j k) T) ->
  column_sum K (W1 T) j =
  stepped rate decay (fun r => column_sum K (W r) j) (fun r => column_sum K (G r) j) T.
Proof.
  intros E. unfold column_sum. rewrite (Sum_ext K _ _ E). unfold stepped. rewrite Sum_plus. f_equal.
  rewrite Sum_swap. apply Sum_ext; intros r _. now rewrite Sum_plus, !Sum_scal.
Qed.

Lemma centre_stepped rate decay (W G W1 : nat -> nat -> nat -> R) T j k : (k < K)%nat ->
  (forall k, (k < K)%nat -> W1 T j k = stepped rate decay (fun r => W r j k) (fun r => G r j k) T) ->
  centre K (W1 T) j k =
  stepped rate decay (fun r => centre K (W r) j k) (fun r => centre K (G r) j k) T.
Proof.
  intros L E. unfold centre. rewrite (column_sum_stepped rate decay W G) by easy. rewrite E by easy.
  unfold stepped. rewrite (Sum_ext (S T)
    (fun r => rate T r * (G r j k - column_sum K (G r) j / INR K)
      + decay T r * (W r j k - column_sum K (W r) j / INR K))
    (fun r => (rate T r * G r j k + decay T r * W r j k)
      - (rate T r * column_sum K (G r) j + decay T r * column_sum K (W r) j) * / INR K))
    by (intros; unfold Rdiv; ring).
  rewrite Sum_minus, Sum_scal_r. unfold Rdiv. ring.
Qed.

(* all layers trained, from columns that add to zero; the last layer alone trained, from any start *)
Theorem same_trajectories lower rate decay : sees_the_past q lower ->
  (forall t W t' W', descent q m K J lower rate decay t W -> descent q m K C lower rate decay t' W' ->
    (forall i, (i < q)%nat -> t 0%nat i = t' 0%nat i) ->
    (forall j k, (j < m)%nat -> (k < K)%nat -> W 0%nat j k = W' 0%nat j k) ->
    (forall j, (j < m)%nat -> column_sum K (W 0%nat) j = 0) ->
    forall T, (forall i, (i < q)%nat -> t T i = t' T i) /\
      (forall j k, (j < m)%nat -> (k < K)%nat -> W T j k = W' T j k) /\
      forall j, (j < m)%nat -> column_sum K (W T) j = 0) /\
  (forall t W W', last_layer_descent m K (J t) rate decay W ->
    last_layer_descent m K (C t) rate decay W' ->
    (forall j k, (j < m)%nat -> (k < K)%nat -> centre K (W 0%nat) j k = centre K (W' 0%nat) j k) ->
    forall T j k, (j < m)%nat -> (k < K)%nat -> centre K (W T) j k = centre K (W' T) j k).
Proof.
  intros Past. split.
  - intros t W t' W' (g & G & D) (g' & G' & D') Et EW Z.
    set (P := fun T => (forall i, (i < q)%nat -> t T i = t' T i) /\
      (forall j k, (j < m)%nat -> (k < K)%nat -> W T j k = W' T j k) /\
      forall j, (j < m)%nat -> column_sum K (W T) j = 0).
    enough (Up : forall T r, (r <= T)%nat -> P r) by (intros T; now apply (Up T)).
    assert (Same : forall r, P r -> (forall i, (i < q)%nat -> g r i = g' r i) /\
      (forall j k, (j < m)%nat -> (k < K)%nat -> G r j k = G' r j k) /\
      forall j, (j < m)%nat -> column_sum K (G r) j = 0).
    { intros r (A & A' & A''). destruct (D r) as (E & _ & _). destruct (D' r) as (E' & _ & _).
      pose proof (rest_of_zero_sum (t r) (W r) A'') as Q.
      destruct (same_gradients (t r) (W r) _ _ _ _ Q E
        (gradients_ext (t r) (t' r) (W r) (W' r) _ _ A A' E')) as [F F'].
      split; [easy|]. split; [easy|]. intros j L. unfold column_sum at 1.
      rewrite (Sum_ext K _ (slope (t r) (W r) j))
        by (intros; apply slopes_of_the_gradient; [apply E|easy|easy]).
      rewrite sum_of_slopes.
      rewrite (proj1 (rest_zero_G (nat -> R) N n m K B Samples (t r) (W r)) Q j L). ring. }
    induction T as [|T IH]; intros r L.
    + replace r with 0%nat by lia. split; [exact Et|split; [exact EW|exact Z]].
    + destruct (Nat.eq_dec r (S T)) as [->|Ne]; [|apply IH; lia].
      destruct (D T) as (_ & St & SW). destruct (D' T) as (_ & St' & SW'). split; [|split].
      * intros i I. rewrite St, St' by easy. apply Past; [|easy]. intros r p L' I'.
        split; [now apply (IH r L')|now apply (Same r (IH r L'))].
      * intros j k I I'. rewrite SW, SW' by easy. apply stepped_ext; intros r L'; [now apply (IH r L')|].
        now apply (Same r (IH r L')).
      * intros j I. rewrite (column_sum_stepped rate decay W G (fun T => W (S T))) by (intros; now apply SW).
        rewrite (stepped_ext rate decay _ (fun _ => 0) _ (fun _ => 0)).
        -- unfold stepped. rewrite (Sum_ext (S T) _ (fun _ => 0)), Sum_0; [ring|]. intros; ring.
        -- intros r L'. now apply (IH r L').
        -- intros r L'. now apply (Same r (IH r L')).
  - intros t W W' (G & D) (G' & D') Start.
    enough (Up : forall T r, (r <= T)%nat -> forall j k, (j < m)%nat -> (k < K)%nat ->
      centre K (W r) j k = centre K (W' r) j k) by (intros T; now apply (Up T)).
    induction T as [|T IH]; intros r L j k I I'.
    + replace r with 0%nat by lia. now apply Start.
    + destruct (Nat.eq_dec r (S T)) as [->|Ne]; [|apply IH; [lia|easy|easy]].
      destruct (D T) as (_ & SW). destruct (D' T) as (_ & SW').
      rewrite (centre_stepped rate decay W G (fun T => W (S T))) by (easy || (intros; now apply SW)).
      rewrite (centre_stepped rate decay W' G' (fun T => W' (S T))) by (easy || (intros; now apply SW')).
      apply stepped_ext; intros r L'; [now apply IH|].
      apply (same_centred_gradients t (W r)); [apply D| |easy|easy].
      apply (last_gradient_of_centre t (W r) (W' r)); [now apply IH|apply D'].
Qed.
End Training.

(* --- an instance: the linear network z = W^T t x with the image x = 0 and the label 0, lambda = 1 ----- *)

Definition no_feature (t : nat -> R) (i j : nat) : R := 0.
Definition weight_jacobian (t : nat -> R) (i d j : nat) : R := t 0%nat.
Definition linear_jacobian_objective :=
  jacobian_objective (nat -> R) 1 1 1 2 no_feature weight_jacobian no_feature (fun _ => 0%nat) 1.
Definition linear_cross_lipschitz_objective :=
  cross_lipschitz_objective (nat -> R) 1 1 1 2 no_feature weight_jacobian no_feature (fun _ => 0%nat) 1.

Lemma no_image_loss t W i :
  loss_of (nat -> R) 1 2 no_feature no_feature (fun _ => 0%nat) t W i = ln 2.
Proof.
  unfold loss_of. rewrite cross_entropy_log_sum by lia. unfold logits_of, no_feature. simpl Sum.
  rewrite !Rmult_0_r, !Rplus_0_l, exp_0, Rminus_0_r. f_equal.
Qed.

Lemma linear_jacobian t W :
  linear_jacobian_objective t W = ln 2 + (t 0%nat)^2 * ((W 0%nat 0%nat)^2 + (W 0%nat 1%nat)^2).
Proof.
  unfold linear_jacobian_objective, jacobian_objective, mean. cbn [Sum].
  rewrite no_image_loss, frobenius_sq. unfold V_of, weight_jacobian. simpl. field.
Qed.

Lemma linear_cross_lipschitz t W :
  linear_cross_lipschitz_objective t W = ln 2 + (t 0%nat)^2 * (W 0%nat 0%nat - W 0%nat 1%nat)^2 / 2.
Proof.
  unfold linear_cross_lipschitz_objective, cross_lipschitz_objective, mean. simpl Sum.
  rewrite no_image_loss. unfold ordered_spread, sq, dot, between, V_of, weight_jacobian. simpl. field.
Qed.

Lemma linear_jacobian_gradients t W : gradients 1 1 2 linear_jacobian_objective t W
  (fun _ => 2 * t 0%nat * ((W 0%nat 0%nat)^2 + (W 0%nat 1%nat)^2)) (fun _ k => 2 * (t 0%nat)^2 * W 0%nat k).
Proof.
  split.
  - intros [|i] I; [|lia]. eapply is_derive_ext; [intros; symmetry; apply linear_jacobian|].
    unfold along, delta. simpl. auto_derive; [easy|ring].
  - intros [|j] [|[|k]] L L'; try lia; (eapply is_derive_ext; [intros; symmetry; apply linear_jacobian|]);
      unfold entry_along, delta; simpl; (auto_derive; [easy|ring]).
Qed.

Lemma linear_cross_lipschitz_gradients t W : gradients 1 1 2 linear_cross_lipschitz_objective t W
  (fun _ => t 0%nat * (W 0%nat 0%nat - W 0%nat 1%nat)^2)
  (fun _ k => (t 0%nat)^2 * (W 0%nat k - W 0%nat (1 - k)%nat)).
Proof.
  split.
  - intros [|i] I; [|lia]. eapply is_derive_ext; [intros; symmetry; apply linear_cross_lipschitz|].
    unfold along, delta. simpl. auto_derive; [easy|field].
  - intros [|j] [|[|k]] L L'; try lia;
      (eapply is_derive_ext; [intros; symmetry; apply linear_cross_lipschitz|]);
      unfold entry_along, delta; simpl; (auto_derive; [easy|field]).
Qed.

Theorem stationary_instance :
  gradients 1 1 2 linear_jacobian_objective (fun _ => 2) (fun _ _ => 0) (fun _ => 0) (fun _ _ => 0) /\
  gradients 1 1 2 linear_cross_lipschitz_objective (fun _ => 2) (fun _ _ => 0) (fun _ => 0) (fun _ _ => 0).
Proof.
  split; [destruct (linear_jacobian_gradients (fun _ => 2) (fun _ _ => 0)) as [D E]
    |destruct (linear_cross_lipschitz_gradients (fun _ => 2) (fun _ _ => 0)) as [D E]];
  (split; [intros i I; specialize (D i I)|intros j k I I'; specialize (E j k I I')]); cbv beta in *;
  try (replace 0 with (2 * 2 * (0^2 + 0^2)) at 2 by ring; exact D);
  try (replace 0 with (2 * (0 - 0)^2) at 2 by ring; exact D);
  try (replace 0 with (2 * 2^2 * 0) at 2 by ring; exact E);
  replace 0 with (2^2 * (0 - 0)) at 2 by ring; exact E.
Qed.

(* momentum 1/2, learning rate 1/8 and weight decay 1 *)
Definition heavy_ball T r := - (1/2)^(T - r) / 8.
Definition heavy_ball_below T (t g : nat -> nat -> R) i :=
  stepped heavy_ball heavy_ball (fun r => t r i) (fun r => g r i) T.

(* t and w = w_0 = - w_1, with their velocities *)
Fixpoint run T : (R * R) * (R * R) := match T with
  | O => ((1, 1), (0, 0))
  | S T => let '((t, w), (v, u)) := run T in
      let v' := v / 2 - (4 * t * w^2 + t) / 8 in let u' := u / 2 - (2 * t^2 * w + w) / 8 in
      ((t + v', w + u'), (v', u'))
  end.
Definition run_t T (i : nat) := fst (fst (run T)).
Definition run_W T (j k : nat) := match k with O => snd (fst (run T)) | _ => - snd (fst (run T)) end.

Lemma heavy_ball_step (x g v : nat -> R) :
  v 0%nat = 0 -> (forall T, v (S T) = v T / 2 - (g T + x T) / 8) -> (forall T, x (S T) = x T + v (S T)) ->
  forall T, x (S T) = stepped heavy_ball heavy_ball x g T.
Proof.
  intros V0 V X. assert (E : forall T, v (S T) =
    Sum (S T) (fun r => heavy_ball T r * g r + heavy_ball T r * x r)).
  { induction T as [|T IH].
    - rewrite V, V0. simpl Sum. unfold heavy_ball. simpl. field.
    - rewrite V, IH. set (n := S T).
      change (Sum (S n) ?f) with (Sum n f + f n). cbv beta.
      rewrite (Sum_ext n (fun r => heavy_ball n r * g r + heavy_ball n r * x r)
        (fun r => 1/2 * (heavy_ball T r * g r + heavy_ball T r * x r))).
      + rewrite Sum_scal. replace (heavy_ball n n) with (- 1 / 8); [field|].
        unfold heavy_ball. rewrite Nat.sub_diag. simpl. field.
      + intros r L. unfold heavy_ball, n. replace (S T - r)%nat with (S (T - r)) by (unfold n in L; lia).
        simpl. field. }
  intros T. unfold stepped. rewrite <- E. apply X.
Qed.

(* the last layer alone, t = 1, learning rate 1/4, from (3, 1): one run on either objective *)
Definition plain T r := - delta r T / 4.
Definition jacobian_run T (j k : nat) := match k with O => 3 * (1/2)^T | _ => (1/2)^T end.
Definition cross_lipschitz_run T (j k : nat) := match k with O => 2 + (1/2)^T | _ => 2 - (1/2)^T end.

Lemma plain_step x g T : stepped plain (fun _ _ => 0) x g T = x T - g T / 4.
Proof.
  unfold stepped. rewrite (Sum_ext (S T) _ (fun r => delta r T * (- g r / 4))).
  - rewrite (Sum_delta (S T) T (fun r => - g r / 4)) by lia. field.
  - intros r _. unfold plain. field.
Qed.

Theorem trajectories_instance : sees_the_past 1 heavy_ball_below /\
  descent 1 1 2 linear_jacobian_objective heavy_ball_below heavy_ball heavy_ball run_t run_W /\
  descent 1 1 2 linear_cross_lipschitz_objective heavy_ball_below heavy_ball heavy_ball run_t run_W /\
  column_sum 2 (run_W 0) 0 = 0 /\ run_t 1 0 = 3/8 /\ run_W 1 0 0 = 5/8 /\
  last_layer_descent 1 2 (linear_jacobian_objective (fun _ => 1)) plain (fun _ _ => 0) jacobian_run /\
  last_layer_descent 1 2 (linear_cross_lipschitz_objective (fun _ => 1)) plain (fun _ _ => 0)
    cross_lipschitz_run /\
  jacobian_run 0 0 0 = 3 /\ jacobian_run 0 0 1 = 1 /\
  cross_lipschitz_run 0 0 0 = 3 /\ cross_lipschitz_run 0 0 1 = 1.
Proof.
  split.
  { intros T t t' g g' E i I. apply stepped_ext; intros r L; now apply (E r i). }
  assert (St : forall i T, run_t (S T) i = stepped heavy_ball heavy_ball (fun r => run_t r i)
    (fun r => 4 * run_t r i * (run_W r 0 0)^2) T).
  { intros i. apply (heavy_ball_step (fun r => run_t r i) _ (fun T => fst (snd (run T)))); [easy| |];
      intros T; unfold run_t, run_W; cbn [run]; destruct (run T) as [[t w] [v u]]; simpl; field. }
  assert (S0 : forall T j, run_W (S T) j 0 = stepped heavy_ball heavy_ball (fun r => run_W r j 0)
    (fun r => 2 * (run_t r 0)^2 * run_W r 0 0) T).
  { intros T j. apply (heavy_ball_step (fun r => run_W r j 0) _ (fun T => snd (snd (run T)))); [easy| |];
      clear T; intros T; unfold run_t, run_W; cbn [run]; destruct (run T) as [[t w] [v u]]; simpl; field. }
  assert (S1 : forall T j, run_W (S T) j 1 = stepped heavy_ball heavy_ball (fun r => run_W r j 1)
    (fun r => 2 * (run_t r 0)^2 * run_W r 0 1) T).
  { intros T j. apply (heavy_ball_step (fun r => run_W r j 1) _ (fun T => - snd (snd (run T))));
      [simpl; ring| |];
      clear T; intros T; unfold run_t, run_W; cbn [run]; destruct (run T) as [[t w] [v u]]; simpl; field. }
  split; [|split; [|split; [|split; [|split; [|split; [|split]]]]]].
  - do 2 eexists. intros T. split; [apply linear_jacobian_gradients|]. split.
    + intros i I. rewrite St. apply stepped_ext; intros r _; [easy|]. unfold run_t, run_W. ring.
    + intros j [|[|k]] L L'; [apply S0|apply S1|lia].
  - do 2 eexists. intros T. split; [apply linear_cross_lipschitz_gradients|]. split.
    + intros i I. rewrite St. apply stepped_ext; intros r _; [easy|]. unfold run_t, run_W. ring.
    + intros j [|[|k]] L L'; [rewrite S0|rewrite S1|lia]; apply stepped_ext; intros r _; try easy;
        unfold run_W; simpl; ring.
  - unfold column_sum, run_W. simpl. ring.
  - unfold run_t. simpl. field.
  - unfold run_W. simpl. field.
  - eexists. intros T. split; [apply linear_jacobian_gradients|].
    intros j [|[|k]] L L'; [| |lia]; rewrite plain_step; simpl; field.
  - eexists. intros T. split; [apply linear_cross_lipschitz_gradients|].
    intros j [|[|k]] L L'; [| |lia]; rewrite plain_step; simpl; field.
  - simpl. repeat split; ring.
Qed.
