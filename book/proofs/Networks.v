(* Section 3, Eqs. (3), (4), (5) and (14): a network of general ReLUs is affine on the piece Q(x) where no
   unit changes its sign, with V the product of the weights and masks; Q(x) is convex, and a cone without
   biases; Eq. (4)'s masks are wrong for leaky slopes. *)
From Coq Require Import Reals Lra Lia Psatz List.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Differentiable Loss.
Open Scope R_scope.

(* a hidden layer: its units, their weights and biases, and their slopes below zero (0 for a ReLU,
   alpha for a leaky one) *)
Record layer := { width : nat; weight : nat -> nat -> R; bias : nat -> R; slope : nat -> R }.

Definition activation alpha t := if Rlt_dec 0 t then t else alpha * t.
Definition mask alpha t := if Rlt_dec 0 t then 1 else alpha.
Definition before (L : layer) n (a : nat -> R) i := transposed n (weight L) a i + bias L i.
Definition after (L : layer) n (a : nat -> R) i := activation (slope L i) (before L n a i).

(* the activations behind the hidden layers, and the network with its last layer W, b *)
Fixpoint hidden n (layers : list layer) (a : nat -> R) : nat -> R :=
  match layers with nil => a | L :: rest => hidden (width L) rest (after L n a) end.
Fixpoint last_width n (layers : list layer) : nat :=
  match layers with nil => n | L :: rest => last_width (width L) rest end.
Definition network n layers (W : nat -> nat -> R) (b : nat -> R) x k :=
  transposed (last_width n layers) W (hidden n layers x) k + b k.

(* W_1 D_1 ... W_j D_j at the activations a, continued from the matrix A and the offset o *)
Fixpoint product (n : nat) (layers : list layer) (a : nat -> R) (A : nat -> nat -> R) : nat -> nat -> R :=
  match layers with
  | nil => A
  | L :: rest => product (width L) rest (after L n a)
      (fun d i => Sum n (fun c => A d c * weight L c i) * mask (slope L i) (before L n a i))
  end.
Fixpoint offset (n : nat) (layers : list layer) (a : nat -> R) (o : nat -> R) : nat -> R :=
  match layers with
  | nil => o
  | L :: rest => offset (width L) rest (after L n a) (fun i => mask (slope L i) (before L n a i) * before L n
      o i)
  end.
Definition V_at n layers (W : nat -> nat -> R) x (d k : nat) := Sum (last_width n layers) (fun j => product n
    layers x delta d j * W j k).
Definition c_at n layers (W : nat -> nat -> R) (b : nat -> R) x (k : nat) := Sum (last_width n layers) (fun j
    => W j k * offset n layers x (fun _ => 0) j) + b k.

(* no unit is at its kink; no unit changes its sign between a and a' *)
Fixpoint off_kinks n (layers : list layer) (a : nat -> R) : Prop :=
  match layers with
  | nil => True
  | L :: rest => (forall i, (i < width L)%nat -> before L n a i <> 0) /\
      off_kinks (width L) rest (after L n a)
  end.
Fixpoint same_piece n (layers : list layer) (a a' : nat -> R) : Prop :=
  match layers with
  | nil => True
  | L :: rest => (forall i, (i < width L)%nat -> 0 < before L n a i * before L n a' i) /\
      same_piece (width L) rest (after L n a) (after L n a')
  end.
Definition no_biases (layers : list layer) := forall L, In L layers -> forall i, bias L i = 0.

(* --- Eq. (4): the activation is the mask times its argument ------------------------------------------- *)

Theorem activations_by_masks (L : layer) n a i :
  after L n a i = mask (slope L i) (before L n a i) * (transposed n (weight L) a i + bias L i).
Proof. unfold after, activation, mask, before. destruct (Rlt_dec 0 _); ring. Qed.

(* with masks of zeros and ones, as printed, a leaky slope breaks it *)
Theorem masks_false_as_printed :
  ~ (forall (L : layer) n a i, bias L i = 0 -> before L n a i <> 0 ->
     after L n a i = (if Rlt_dec 0 (before L n a i) then 1 else 0) * transposed n (weight L) a i).
Proof.
  intros Printed.
  specialize (Printed (Build_layer 1 (fun _ _ => 1) (fun _ => 0) (fun _ => 1/10)) 1%nat (fun _ => -1) 0%nat
    eq_refl).
  unfold after, activation, before, transposed in Printed; simpl in Printed.
  assert (Off : 0 + 1 * -1 + 0 <> 0) by lra. specialize (Printed Off).
  destruct (Rlt_dec 0 (0 + 1 * -1 + 0)); lra.
Qed.

Lemma same_sign_same_mask alpha s t : 0 < s * t -> mask alpha s = mask alpha t.
Proof. intros P. unfold mask. destruct (Rlt_dec 0 s), (Rlt_dec 0 t); try easy; nra. Qed.

(* --- affine on the piece -------------------------------------------------------------------------------- *)

Definition affine_in n0 (A : nat -> nat -> R) (o x : nat -> R) c := Sum n0 (fun d => A d c * x d) + o c.

Lemma before_of_affine (L : layer) n n0 A o x a' i : (forall c, (c < n)%nat -> a' c = affine_in n0 A o x c) ->
  before L n a' i = Sum n0 (fun d => Sum n (fun c => A d c * weight L c i) * x d) + before L n o i.
Proof.
  intros E. unfold before, transposed. rewrite (Sum_ext n _ (fun c => Sum n0 (fun d => A d c * weight L c i *
      x d) + weight L c i * o c)).
  - rewrite Sum_plus, Sum_swap, <- Rplus_assoc. do 2 f_equal. apply Sum_ext; intros d _.
      now rewrite Sum_scal_r.
  - intros c C. rewrite (E c C). unfold affine_in. rewrite Rmult_plus_distr_l, <- Sum_scal. f_equal.
      apply Sum_ext; intros; ring.
Qed.

Lemma hidden_is_affine n0 layers : forall n a a' A o x, (forall c, (c < n)%nat ->
    a' c = affine_in n0 A o x c) ->
  (same_piece n layers a a' \/ a = a') ->
  forall j, (j < last_width n layers)%nat -> hidden n layers a' j = affine_in n0 (product n layers a A)
      (offset n layers a o) x j.
Proof.
  induction layers as [|L rest IH]; intros n a a' A o x E P j J; simpl in *; [now apply E|].
  apply (IH (width L) (after L n a) (after L n a')); [| |easy].
  - intros i I. rewrite activations_by_masks. fold (before L n a' i).
    assert (M : mask (slope L i) (before L n a i) = mask (slope L i) (before L n a' i)).
    { destruct P as [[P _]|<-]; [now apply same_sign_same_mask, P|easy]. }
    rewrite <- M, (before_of_affine L n n0 A o x a' i E). unfold affine_in.
    set (k := mask (slope L i) (before L n a i)).
    rewrite (Sum_ext n0 (fun d => Sum n (fun c => A d c * weight L c i) * k * x d)
      (fun d => k * (Sum n (fun c => A d c * weight L c i) * x d))) by (intros; ring).
    rewrite Sum_scal. ring.
  - destruct P as [[_ P]|<-]; [now left|now right].
Qed.

Lemma identity_is_affine n x c : (c < n)%nat -> x c = affine_in n delta (fun _ => 0) x c.
Proof.
  intros C. unfold affine_in. rewrite (Sum_delta n c x C). ring.
Qed.

Lemma network_is_affine n layers W b x x' k : (same_piece n layers x x' \/ x = x') ->
  network n layers W b x' k = logits n (V_at n layers W x) (c_at n layers W b x) x' k.
Proof.
  intros P. unfold network, logits, V_at, c_at, transposed.
  rewrite (Sum_ext (last_width n layers) _ (fun j => Sum n (fun d => product n layers x delta d j * W j k *
      x' d)
    + W j k * offset n layers x (fun _ => 0) j)).
  - rewrite Sum_plus, Sum_swap, Rplus_assoc. f_equal. apply Sum_ext; intros d _. now rewrite Sum_scal_r.
  - intros j J. rewrite (hidden_is_affine n layers n x x' delta (fun _ => 0) x' (identity_is_affine n x') P j
      J).
    unfold affine_in. rewrite Rmult_plus_distr_l, <- Sum_scal. f_equal. apply Sum_ext; intros; ring.
Qed.

Lemma offset_zero layers : forall n a o, no_biases layers -> (forall c, (c < n)%nat -> o c = 0) ->
  forall j, (j < last_width n layers)%nat -> offset n layers a o j = 0.
Proof.
  induction layers as [|L rest IH]; intros n a o B Z j J; simpl in *; [now apply Z|].
  apply IH; [intros L' I; apply B; now right| |easy]. intros i I.
  assert (E : before L n o i = 0); [|rewrite E; ring].
  unfold before, transposed. rewrite (B L (or_introl eq_refl) i), (Sum_ext n _ (fun _ => 0)), Sum_0; [ring|].
  intros c C. rewrite Z by easy. ring.
Qed.

Lemma no_biases_no_offset n layers W b x k : no_biases layers -> b k = 0 -> c_at n layers W b x k = 0.
Proof.
  intros B Z. unfold c_at. rewrite Z, (Sum_ext _ _ (fun _ => 0)), Sum_0; [ring|].
  intros j J. rewrite (offset_zero layers n x (fun _ => 0) B); [ring|easy|easy].
Qed.

(* Eq. (3): at every point *)
Theorem network_is_V_times_x n layers W b x k :
  network n layers W b x k = transposed n (V_at n layers W x) x k + c_at n layers W b x k /\
  (no_biases layers -> b k = 0 -> network n layers W b x k = transposed n (V_at n layers W x) x k).
Proof.
  assert (E : network n layers W b x k = transposed n (V_at n layers W x) x k + c_at n layers W b x k).
  { apply network_is_affine. now right. }
  split; [easy|]. intros B Z. rewrite E, no_biases_no_offset by easy. ring.
Qed.

(* --- a ball around x lies in the piece ------------------------------------------------------------------ *)

Definition continuous_at n (x : nat -> R) (f : (nat -> R) -> R) :=
  forall eps, 0 < eps -> exists d, 0 < d /\ forall x', norm n (fun c => x' c - x c) < d ->
      Rabs (f x' - f x) < eps.

Section Continuity.
Variables (n : nat) (x : nat -> R).

Lemma continuous_plus f g : continuous_at n x f -> continuous_at n x g ->
    continuous_at n x (fun z => f z + g z).
Proof.
  intros F G eps E. destruct (F (eps / 2) ltac:(lra)) as (d & D & A).
      destruct (G (eps / 2) ltac:(lra)) as (e & E' & B).
  exists (Rmin d e). split; [now apply Rmin_glb_lt|]. intros x' N. pose proof (Rmin_l d e).
      pose proof (Rmin_r d e).
  specialize (A x' ltac:(lra)). specialize (B x' ltac:(lra)).
  replace (f x' + g x' - (f x + g x)) with ((f x' - f x) + (g x' - g x)) by ring.
  eapply Rle_lt_trans; [apply Rabs_triang|]. lra.
Qed.

(* a Lipschitz function of a continuous one *)
Lemma continuous_lipschitz M f g : 0 < M -> (forall x', Rabs (g x' - g x) <= M * Rabs (f x' - f x)) ->
  continuous_at n x f -> continuous_at n x g.
Proof.
  intros M0 L F eps E. destruct (F (eps / M) ltac:(apply Rdiv_lt_0_compat; lra)) as (d & D & A). exists d.
      split; [easy|].
  intros x' N. specialize (A x' N). eapply Rle_lt_trans; [apply L|].
  apply (Rmult_lt_compat_l M) in A; [|easy]. replace (M * (eps / M)) with eps in A by (field; lra). easy.
Qed.

Lemma continuous_const b : continuous_at n x (fun _ => b).
Proof. intros eps E. exists 1. split; [lra|]. intros. replace (b - b) with 0 by ring. now rewrite Rabs_R0.
    Qed.

Lemma continuous_scal a f : continuous_at n x f -> continuous_at n x (fun z => a * f z).
Proof.
  intros F. pose proof (Rabs_pos a). apply (continuous_lipschitz (Rabs a + 1) f); [lra| |easy]. intros x'.
  replace (a * f x' - a * f x) with (a * (f x' - f x)) by ring. rewrite Rabs_mult.
      pose proof (Rabs_pos (f x' - f x)). nra.
Qed.

Lemma continuous_Sum m f : (forall k, (k < m)%nat -> continuous_at n x (f k)) ->
    continuous_at n x (fun z => Sum m (fun k => f k z)).
Proof.
  induction m as [|m IH]; simpl; intros F; [apply continuous_const|].
  apply (continuous_plus (fun z => Sum m (fun k => f k z)) (f m)); auto with arith.
Qed.

Lemma continuous_activation alpha f : continuous_at n x f -> continuous_at n x (fun z => activation alpha (f
    z)).
Proof.
  intros F. pose proof (Rabs_pos alpha). apply (continuous_lipschitz (Rabs alpha + 1) f); [lra| |easy].
      intros x'.
  unfold activation. set (s := f x'). set (t := f x). pose proof (Rabs_pos (s - t)).
  assert (Al : Rabs alpha * Rabs (s - t) = Rabs (alpha * (s - t))) by (now rewrite Rabs_mult).
  destruct (Rlt_dec 0 s), (Rlt_dec 0 t).
  - nra.
  - apply Rle_trans with (Rabs (s - t) + Rabs (alpha * t)); [replace (s - alpha * t) with (s + - (alpha * t))
      by ring;
      eapply Rle_trans; [apply Rabs_triang|]; rewrite Rabs_Ropp, (Rabs_pos_eq s),
          (Rabs_pos_eq (s - t)) by lra; lra|].
    rewrite Rabs_mult, (Rabs_left1 t), (Rabs_pos_eq (s - t)) by lra. nra.
  - apply Rle_trans with (Rabs (s - t) + Rabs (alpha * s)); [replace (alpha * s - t) with (alpha * s + - t)
      by ring;
      eapply Rle_trans; [apply Rabs_triang|]; rewrite Rabs_Ropp, (Rabs_pos_eq t),
          (Rabs_left1 (s - t)) by lra; lra|].
    rewrite Rabs_mult, (Rabs_left1 s), (Rabs_left1 (s - t)) by lra. nra.
  - replace (alpha * s - alpha * t) with (alpha * (s - t)) by ring. rewrite <- Al. nra.
Qed.

Lemma continuous_entry c : (c < n)%nat -> continuous_at n x (fun z => z c).
Proof.
  intros C eps E. exists eps. split; [easy|]. intros x' N. eapply Rle_lt_trans; [|exact N].
  exact (entry_le_norm n (fun c => x' c - x c) c C).
Qed.

Lemma continuous_same_sign f : continuous_at n x f -> f x <> 0 ->
  exists d, 0 < d /\ forall x', norm n (fun c => x' c - x c) < d -> 0 < f x * f x'.
Proof.
  intros F N. pose proof (Rabs_pos_lt _ N) as P. destruct (F _ P) as (d & D & A). exists d. split; [easy|].
  intros x' L. specialize (A x' L). apply Rabs_def2 in A. unfold Rabs in A. destruct (Rcase_abs (f x)); nra.
Qed.

Lemma for_all_units w (P : nat -> (nat -> R) -> Prop) :
  (forall i, (i < w)%nat -> exists d, 0 < d /\ forall x', norm n (fun c => x' c - x c) < d -> P i x') ->
  exists d, 0 < d /\ forall x', norm n (fun c => x' c - x c) < d -> forall i, (i < w)%nat -> P i x'.
Proof.
  induction w as [|w IH]; intros E; [exists 1; split; [lra|intros; lia]|].
  destruct IH as (d & D & A); [intros; apply E; lia|]. destruct (E w ltac:(lia)) as (e & E' & B).
  exists (Rmin d e). split; [now apply Rmin_glb_lt|]. intros x' N i I. pose proof (Rmin_l d e).
      pose proof (Rmin_r d e).
  destruct (Nat.eq_dec i w) as [->|Ne]; [apply B; lra|apply A; [lra|lia]].
Qed.
End Continuity.

Lemma ball_in_the_piece n0 x layers : forall n (F : (nat -> R) -> nat -> R),
  (forall c, (c < n)%nat -> continuous_at n0 x (fun z => F z c)) -> off_kinks n layers (F x) ->
  exists d, 0 < d /\ forall x', norm n0 (fun c => x' c - x c) < d -> same_piece n layers (F x) (F x').
Proof.
  induction layers as [|L rest IH]; intros n F C O; simpl in *; [exists 1; split; [lra|easy]|].
      destruct O as [O1 O2].
  assert (CB : forall i, continuous_at n0 x (fun z => before L n (F z) i)).
  { intros i. unfold before, transposed. apply continuous_plus; [|apply continuous_const].
    apply continuous_Sum. intros c Hc. now apply continuous_scal, C. }
  destruct (for_all_units n0 x (width L) (fun i x' => 0 < before L n (F x) i * before L n (F x') i)) as (d &
      D & A).
  { intros i I. apply (continuous_same_sign n0 x (fun z => before L n (F z) i)); [apply CB|now apply O1]. }
  destruct (IH (width L) (fun z => after L n (F z))) as (e & E & B); [|exact O2|].
  { intros i I. unfold after. apply continuous_activation, CB. }
  exists (Rmin d e). split; [now apply Rmin_glb_lt|]. intros x' N. pose proof (Rmin_l d e).
      pose proof (Rmin_r d e).
  split; [intros i I; now apply A; [lra|]|apply B; lra].
Qed.

(* Eqs. (5) and (14): off the kinks the network is affine on its piece, and the piece holds a ball around x *)
Theorem network_is_affine_on_its_piece n K layers W b x : off_kinks n layers x ->
  (forall x' k, same_piece n layers x x' ->
     network n layers W b x' k = transposed n (V_at n layers W x) x' k + c_at n layers W b x k) /\
  (forall k, no_biases layers -> b k = 0 -> c_at n layers W b x k = 0) /\
  (exists d, 0 < d /\ forall x', norm n (fun c => x' c - x c) < d -> same_piece n layers x x') /\
  affine_near n K (network n layers W b) x (V_at n layers W x) (c_at n layers W b x).
Proof.
  intros O. split; [intros x' k P; apply network_is_affine; now left|]. split; [intros;
      now apply no_biases_no_offset|].
  destruct (ball_in_the_piece n x layers n (fun z => z) (continuous_entry n x) O) as (d & D & B).
  split; [now exists d|]. exists d. split; [easy|]. intros x' N k _. apply network_is_affine. left.
      now apply B.
Qed.

(* --- the piece is cut out by linear inequalities
   ----------------------------------------------------------- *)

Fixpoint faces (n : nat) (layers : list layer) (a : nat -> R) (A : nat -> nat -> R) (o : nat ->
    R) : list ((nat -> R) * R) :=
  match layers with
  | nil => nil
  | L :: rest =>
      map (fun i => ((fun d => before L n a i * Sum n (fun c => A d c * weight L c i)),
          before L n a i * before L n o i)) (seq 0 (width L))
      ++ faces (width L) rest (after L n a)
           (fun d i => Sum n (fun c => A d c * weight L c i) * mask (slope L i) (before L n a i))
           (fun i => mask (slope L i) (before L n a i) * before L n o i)
  end.

Definition satisfies n (x : nat -> R) (face : (nat -> R) * R) := 0 < dot n (fst face) x + snd face.

Lemma piece_by_faces (n0 : nat) layers : forall n a a' A o x, (forall c, (c < n)%nat ->
    a' c = affine_in n0 A o x c) ->
  (same_piece n layers a a' <-> List.Forall (satisfies n0 x) (faces n layers a A o)).
Proof.
  induction layers as [|L rest IH]; intros n a a' A o x E; simpl; [split; [constructor|easy]|].
  assert (Face : forall i, satisfies n0 x ((fun d => before L n a i * Sum n (fun c => A d c * weight L c i)),
      before L n a i * before L n o i)
    <-> 0 < before L n a i * before L n a' i).
  { intros i. unfold satisfies, dot; simpl. rewrite (before_of_affine L n n0 A o x a' i E).
    rewrite (Sum_ext n0 _ (fun d => before L n a i * (Sum n (fun c => A d c * weight L c i) * x d))) by
        (intros; ring).
    rewrite Sum_scal, <- Rmult_plus_distr_l. easy. }
  assert (First : (forall i, (i < width L)%nat -> 0 < before L n a i * before L n a' i) <->
    List.Forall (satisfies n0 x) (map (fun i => ((fun d => before L n a i * Sum n (fun c => A d c * weight L
        c i)), before L n a i * before L n o i)) (seq 0 (width L)))).
  { rewrite List.Forall_map, List.Forall_forall. split; intros All i I.
    - apply Face, All. apply in_seq in I. lia.
    - apply Face, All. apply in_seq. lia. }
  rewrite List.Forall_app, <- First. split; intros [P Q]; (split; [easy|]).
  - apply (IH (width L) (after L n a) (after L n a')); [|easy]. intros i I. rewrite activations_by_masks.
      fold (before L n a' i).
    rewrite <- (same_sign_same_mask _ _ _ (P i I)), (before_of_affine L n n0 A o x a' i E). unfold affine_in.
    set (k := mask (slope L i) (before L n a i)).
    rewrite (Sum_ext n0 (fun d => Sum n (fun c => A d c * weight L c i) * k * x d)
      (fun d => k * (Sum n (fun c => A d c * weight L c i) * x d))) by (intros; ring).
    rewrite Sum_scal. ring.
  - revert Q. apply IH. intros i I. rewrite activations_by_masks. fold (before L n a' i).
    rewrite <- (same_sign_same_mask _ _ _ (P i I)), (before_of_affine L n n0 A o x a' i E). unfold affine_in.
    set (k := mask (slope L i) (before L n a i)).
    rewrite (Sum_ext n0 (fun d => Sum n (fun c => A d c * weight L c i) * k * x d)
      (fun d => k * (Sum n (fun c => A d c * weight L c i) * x d))) by (intros; ring).
    rewrite Sum_scal. ring.
Qed.

Lemma faces_without_biases (n0 : nat) layers : forall n a A o, no_biases layers -> (forall c, (c < n)%nat ->
    o c = 0) ->
  List.Forall (fun face => snd face = 0) (faces n layers a A o).
Proof.
  induction layers as [|L rest IH]; intros n a A o B Z; simpl; [constructor|].
  assert (Bo : forall i, before L n o i = 0).
  { intros i. unfold before, transposed. rewrite (B L (or_introl eq_refl) i), (Sum_ext n _ (fun _ => 0)),
      Sum_0; [ring|].
    intros c C. rewrite Z by easy. ring. }
  rewrite List.Forall_app. split.
  - rewrite List.Forall_map, List.Forall_forall. intros i _. simpl. rewrite Bo. ring.
  - apply IH; [intros L' I; apply B; now right|]. intros i _. rewrite Bo. ring.
Qed.

Lemma own_piece layers : forall n a, off_kinks n layers a -> same_piece n layers a a.
Proof.
  induction layers as [|L rest IH]; intros n a O; simpl in *; [easy|]. destruct O as [O1 O2]. split;
      [|now apply IH].
  intros i I. specialize (O1 i I). nra.
Qed.

(* the piece Q(x): it holds x, all its points have the same masks, it is cut out by linear inequalities,
   so convex;
   without biases it is a cone, and unbounded *)
Theorem the_piece_is_convex n L rest x : let layers := L :: rest in off_kinks n layers x ->
  same_piece n layers x x /\
  (exists inequalities, forall x', same_piece n layers x x' <-> List.Forall (satisfies n x') inequalities) /\
  (forall u v t, 0 <= t <= 1 -> same_piece n layers x u -> same_piece n layers x v ->
     same_piece n layers x (fun c => (1 - t) * u c + t * v c)) /\
  (no_biases layers ->
     (forall u t, 0 < t -> same_piece n layers x u -> same_piece n layers x (fun c => t * u c)) /\
     ((0 < width L)%nat -> forall bound, exists u, same_piece n layers x u /\ bound < norm n u)).
Proof.
  intros layers O. set (F := faces n layers x delta (fun _ => 0)).
  assert (P : forall u, same_piece n layers x u <-> List.Forall (satisfies n u) F).
  { intros u. apply piece_by_faces. apply identity_is_affine. }
  assert (Own : same_piece n layers x x) by now apply own_piece.
  split; [easy|]. split; [now exists F|]. split.
  - intros u v t T U Hv. apply P in U. apply P in Hv. apply P. rewrite List.Forall_forall in *.
      intros [w b] I.
    specialize (U _ I). specialize (Hv _ I). unfold satisfies in *; simpl in *.
    replace (dot n w (fun c => (1 - t) * u c + t * v c) + b) with ((1 - t) * (dot n w u + b) + t * (dot n w v
        + b)).
    + destruct (Req_dec t 0) as [Z|Z]; [rewrite Z; lra|]. assert (0 < t * (dot n w v + b)) by (apply
        Rmult_lt_0_compat; lra).
      assert (0 <= (1 - t) * (dot n w u + b)) by (apply Rmult_le_pos; lra). lra.
    + assert (E : dot n w (fun c => (1 - t) * u c + t * v c) = (1 - t) * dot n w u + t * dot n w v).
      { unfold dot. rewrite <- !Sum_scal, <- Sum_plus. apply Sum_ext; intros; ring. }
      rewrite E. ring.
  - intros B. pose proof (faces_without_biases n layers n x delta (fun _ => 0) B (fun _ _ => eq_refl)) as Z.
      fold F in Z.
    assert (Cone : forall u t, 0 < t -> same_piece n layers x u -> same_piece n layers x (fun c => t * u c)).
    { intros u t T U. apply P in U. apply P. rewrite List.Forall_forall in *. intros [w b] I.
      specialize (U _ I). specialize (Z _ I). unfold satisfies in *; simpl in *. subst b.
          rewrite Rplus_0_r in *.
      rewrite dot_sym, dot_scal, dot_sym. now apply Rmult_lt_0_compat. }
    split; [easy|]. intros Wd bound.
    assert (X : 0 < norm n x).
    { pose proof (norm_ge0 n x). destruct (Req_dec (norm n x) 0) as [Zx|Zx]; [|lra]. exfalso.
      destruct O as [O1 _]. apply (O1 0%nat Wd). unfold before, transposed.
          rewrite (B L (or_introl eq_refl) 0%nat).
      rewrite (Sum_ext n _ (fun _ => 0)), Sum_0; [ring|]. intros c C.
      pose proof (entry_le_norm n x c C). rewrite Zx in *. pose proof (Rabs_pos (x c)).
      assert (Zc : x c = 0) by (apply Rabs_eq_0; lra). rewrite Zc. ring. }
    set (t := (Rabs bound + 1) / norm n x). assert (T : 0 < t) by (apply Rdiv_lt_0_compat;
        pose proof (Rabs_pos bound); lra).
    exists (fun c => t * x c). split; [now apply Cone|]. rewrite norm_scal, (Rabs_pos_eq t) by lra.
    replace (t * norm n x) with (Rabs bound + 1) by (unfold t; field; lra). pose proof (Rle_abs bound). lra.
Qed.

(* --- an instance: one hidden leaky ReLU, x = 1
   -------------------------------------------------------------- *)

Definition leaky_unit : layer := Build_layer 1 (fun _ _ => 1) (fun _ => 0) (fun _ => 1/10).
Definition one_point (c : nat) : R := 1.

Theorem masks_instance : after leaky_unit 1 (fun _ => -1) 0 = 1/10 * -1.
Proof.
  rewrite activations_by_masks. unfold before, transposed, mask; simpl. destruct (Rlt_dec 0 _); lra.
Qed.

Lemma leaky_off_kinks : off_kinks 1 (leaky_unit :: nil) one_point.
Proof. split; [|easy]. intros i _. unfold before, transposed, one_point; simpl. lra. Qed.

Theorem piece_instance : exists d, 0 < d /\ forall x', norm 1 (fun c => x' c - one_point c) < d ->
    same_piece 1 (leaky_unit :: nil) one_point x'.
Proof.
  apply (network_is_affine_on_its_piece 1 1 (leaky_unit :: nil) (fun _ _ => 1) (fun _ => 0) one_point
      leaky_off_kinks).
Qed.

Theorem cone_instance : same_piece 1 (leaky_unit :: nil) one_point (fun c => 3 * one_point c).
Proof.
  destruct (the_piece_is_convex 1 leaky_unit nil one_point leaky_off_kinks) as (Own & _ & _ & Cone).
  apply Cone; [|lra|easy]. intros L [<-|[]] i. reflexivity.
Qed.

Theorem network_instance : network 1 (leaky_unit :: nil) (fun _ _ => 1) (fun _ => 0) one_point 0 =
  transposed 1 (V_at 1 (leaky_unit :: nil) (fun _ _ => 1) one_point) one_point 0.
Proof.
  apply network_is_V_times_x; [|easy]. intros L [<-|[]] i. reflexivity.
Qed.
