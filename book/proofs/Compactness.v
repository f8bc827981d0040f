(* A function that is Lipschitz on a box attains its least value on a closed part of the box. Hence a square
   matrix has a largest r^T H r over unit vectors r. Nothing here is the paper's own. *)
From Coq Require Import Reals Lra Lia Psatz Classical.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums.
Open Scope R_scope.

(* --- vectors as tuples, for Coquelicot's compactness of boxes -------------------------------- *)

Fixpoint of_tuple n : Tn n R -> nat -> R :=
  match n with
  | O => fun _ _ => 0
  | S m => fun t c => match c with O => fst t | S d => of_tuple m (snd t) d end
  end.

Fixpoint to_tuple n (r : nat -> R) : Tn n R :=
  match n with O => tt | S m => (r O, to_tuple m (fun c => r (S c))) end.

Lemma of_to_tuple n : forall r c, (c < n)%nat -> of_tuple n (to_tuple n r) c = r c.
Proof.
  induction n as [|n IH]; intros r c L; [lia|]. destruct c as [|c]; simpl; [easy|].
  rewrite IH by lia. easy.
Qed.

Definition in_box n A (r : nat -> R) := forall c, (c < n)%nat -> Rabs (r c) <= A.
Definition close n d (r t : nat -> R) := forall c, (c < n)%nat -> Rabs (r c - t c) < d.

Lemma tuple_bounded n A : forall r, in_box n A r ->
  bounded_n n (to_tuple n (fun _ => - A)) (to_tuple n (fun _ => A)) (to_tuple n r).
Proof.
  induction n as [|n IH]; intros r B; simpl; [easy|]. split.
  - apply Rabs_le_between. apply B. lia.
  - apply IH. intros c L. apply B. lia.
Qed.

Lemma bounded_tuple n A : forall t, bounded_n n (to_tuple n (fun _ => - A)) (to_tuple n (fun _ => A)) t ->
  in_box n A (of_tuple n t).
Proof.
  induction n as [|n IH]; intros t B c L; [lia|]. destruct t as [t1 t2]. simpl in B. destruct B as [B1 B2].
  destruct c as [|c]; simpl; [now apply Rabs_le_between|]. apply IH; [easy|lia].
Qed.

Lemma close_tuple n d : forall r t, close_n n d (to_tuple n r) t -> close n d r (of_tuple n t).
Proof.
  induction n as [|n IH]; intros r t B c L; [lia|]. destruct t as [t1 t2]. simpl in B. destruct B as [B1 B2].
  destruct c as [|c]; simpl; [easy|]. apply (IH (fun c => r (S c)) t2 B2 c). lia.
Qed.

Lemma box_is_compact n A (delta : (nat -> R) -> R) : (forall t, 0 < delta t) ->
  exists d, 0 < d /\ forall r, in_box n A r -> exists t, in_box n A t /\ close n (delta t) r t /\
      d <= delta t.
Proof.
  intros P.
  destruct (compactness_value n (to_tuple n (fun _ => - A)) (to_tuple n (fun _ => A))
    (fun t => mkposreal _ (P (of_tuple n t)))) as [d D].
  exists d. split; [apply cond_pos|]. intros r B.
  destruct (NNPP _ (D (to_tuple n r) (tuple_bounded n A r B))) as (t & B' & C & L).
  exists (of_tuple n t). split; [now apply bounded_tuple|]. split; [now apply close_tuple|easy].
Qed.

(* --- Lipschitz functions on a box ------------------------------------------------------------- *)

Section Box.
Variables (n : nat) (A : R).
Hypothesis A0 : 0 <= A.

Definition lipschitz_by L f :=
  forall r t d, in_box n A r -> in_box n A t -> 0 < d -> close n d r t -> Rabs (f r - f t) <= L * d.
Definition lipschitz f := exists L, 0 <= L /\ lipschitz_by L f.

Lemma lipschitz_const a : lipschitz (fun _ => a).
Proof.
  exists 0. split; [lra|]. intros r t d _ _ D _. replace (a - a) with 0 by ring. rewrite Rabs_R0. lra.
Qed.

Lemma lipschitz_entry c : (c < n)%nat -> lipschitz (fun r => r c).
Proof. intros L. exists 1. split; [lra|]. intros r t d _ _ _ C. specialize (C c L). lra. Qed.

Lemma lipschitz_plus f g : lipschitz f -> lipschitz g -> lipschitz (fun r => f r + g r).
Proof.
  intros (L & L0 & F) (M & M0 & G). exists (L + M). split; [lra|]. intros r t d R T D C.
  specialize (F r t d R T D C). specialize (G r t d R T D C).
  replace (f r + g r - (f t + g t)) with ((f r - f t) + (g r - g t)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

Lemma lipschitz_bounded f : lipschitz f -> exists B, 0 <= B /\ forall r, in_box n A r -> Rabs (f r) <= B.
Proof.
  intros (L & L0 & F). exists (Rabs (f (fun _ => 0)) + L * (A + 1)).
  pose proof (Rabs_pos (f (fun _ => 0))). split; [nra|]. intros r R.
  assert (Z : in_box n A (fun _ => 0)) by (intros c _; rewrite Rabs_R0; easy).
  assert (C : close n (A + 1) r (fun _ => 0)).
  { intros c Lc. specialize (R c Lc). rewrite Rminus_0_r. lra. }
  specialize (F r (fun _ => 0) (A + 1) R Z ltac:(lra) C).
  replace (f r) with ((f r - f (fun _ => 0)) + f (fun _ => 0)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

Lemma lipschitz_mult f g : lipschitz f -> lipschitz g -> lipschitz (fun r => f r * g r).
Proof.
  intros Hf Hg. destruct (lipschitz_bounded f Hf) as (B & B0 & Bf).
      destruct (lipschitz_bounded g Hg) as (B' & B0' & Bg).
  destruct Hf as (L & L0 & F). destruct Hg as (M & M0 & G).
  exists (B * M + B' * L). split; [nra|]. intros r t d R T D C.
  specialize (F r t d R T D C). specialize (G r t d R T D C). specialize (Bf r R). specialize (Bg t T).
  replace (f r * g r - f t * g t) with (f r * (g r - g t) + g t * (f r - f t)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
  pose proof (Rabs_pos (f r)). pose proof (Rabs_pos (g t)).
  pose proof (Rabs_pos (g r - g t)). pose proof (Rabs_pos (f r - f t)).
  assert (Rabs (f r) * Rabs (g r - g t) <= B * (M * d)) by (apply Rmult_le_compat; lra).
  assert (Rabs (g t) * Rabs (f r - f t) <= B' * (L * d)) by (apply Rmult_le_compat; lra). lra.
Qed.

Lemma lipschitz_Sum m (f : nat -> (nat -> R) -> R) : (forall k, (k < m)%nat -> lipschitz (f k)) ->
  lipschitz (fun r => Sum m (fun k => f k r)).
Proof.
  induction m as [|m IH]; simpl; intros F; [apply lipschitz_const|].
  apply (lipschitz_plus (fun r => Sum m (fun k => f k r)) (f m)); auto with arith.
Qed.

Lemma lipschitz_Rmax f g : lipschitz f -> lipschitz g -> lipschitz (fun r => Rmax (f r) (g r)).
Proof.
  intros (L & L0 & F) (M & M0 & G). exists (L + M). split; [lra|]. intros r t d R T D C.
  specialize (F r t d R T D C). specialize (G r t d R T D C).
  apply Rabs_le_between in F. apply Rabs_le_between in G. apply Rabs_le_between.
  assert (0 <= L * d) by nra. assert (0 <= M * d) by nra.
  unfold Rmax. destruct (Rle_dec (f r) (g r)), (Rle_dec (f t) (g t)); lra.
Qed.

Lemma lipschitz_quad H : lipschitz (quad n H).
Proof.
  unfold quad. apply lipschitz_Sum; intros c C. apply lipschitz_Sum; intros d D.
  apply (lipschitz_mult (fun r => r c * H c d)); [|now apply lipschitz_entry].
  apply (lipschitz_mult (fun r => r c) (fun _ => H c d)); [now apply lipschitz_entry|apply lipschitz_const].
Qed.

Lemma lipschitz_dot g : lipschitz (dot n g).
Proof.
  unfold dot. apply lipschitz_Sum; intros c C.
  apply (lipschitz_mult (fun _ => g c)); [apply lipschitz_const|now apply lipschitz_entry].
Qed.

Lemma lipschitz_sq : lipschitz (sq n).
Proof.
  unfold sq, dot. apply lipschitz_Sum; intros c C. apply (lipschitz_mult (fun r => r c));
      now apply lipschitz_entry.
Qed.

(* --- the least value of f where h <= 0 -------------------------------------------------------- *)

Theorem least_value_is_attained f h : lipschitz f -> lipschitz h ->
  (forall r, h r <= 0 -> in_box n A r) -> (exists r, h r <= 0) ->
  exists u, h u <= 0 /\ forall r, h r <= 0 -> f u <= f r.
Proof.
  intros Hf Hh Inside (r0 & R0). apply NNPP. intros None.
  destruct (lipschitz_bounded f Hf) as (B & B0 & Bf).
  (* the infimum m of f *)
  set (E := fun v => exists r, h r <= 0 /\ v = - f r).
  assert (Bound : bound E).
  { exists B. intros v (r & R & ->). specialize (Bf r (Inside r R)). apply Rabs_le_between in Bf. lra. }
  destruct (completeness E Bound ltac:(exists (- f r0); exists r0; split; easy)) as (m & Upper & Least).
  assert (Strict : forall r, h r <= 0 -> - m < f r).
  { intros r R. assert (- f r <= m) by (apply Upper; exists r; easy).
    destruct (Req_dec (- f r) m) as [Eq|]; [|lra]. exfalso. apply None. exists r. split; [easy|].
    intros t T. assert (- f t <= m) by (apply Upper; exists t; easy). lra. }
  destruct Hf as (L & L0 & F). destruct Hh as (M & M0 & Hh). set (N := L + M + 1).
  assert (N0 : 0 < N) by (unfold N; lra).
  set (delta := fun t => if Rle_dec (h t) 0 then Rmax (f t + m) 0 / (2 * N) + (if Rle_dec (f t + m) 0 then 1
      else 0)
                         else h t / (2 * N)).
  assert (P : forall t, 0 < delta t).
  { intros t. unfold delta. destruct (Rle_dec (h t) 0).
    - specialize (Strict t r). rewrite Rmax_left by lra. destruct (Rle_dec (f t + m) 0); [lra|].
      rewrite Rplus_0_r. apply Rdiv_lt_0_compat; lra.
    - apply Rdiv_lt_0_compat; lra. }
  destruct (box_is_compact n A delta P) as (d & D & Cover).
  assert (Better : forall r, h r <= 0 -> - m + N * d <= f r).
  { intros r R. destruct (Cover r (Inside r R)) as (t & T & C & Dt).
    specialize (F r t (delta t) (Inside r R) T (P t) C). specialize (Hh r t (delta t) (Inside r R) T (P t) C).
    pose proof (P t) as Pt. assert (LN : L * delta t <= N * delta t) by (unfold N; nra).
    assert (MN : M * delta t <= N * delta t) by (unfold N; nra).
    apply Rabs_le_between in F. apply Rabs_le_between in Hh.
    unfold delta in *. destruct (Rle_dec (h t) 0) as [S|S].
    - specialize (Strict t S). rewrite Rmax_left in * by lra. destruct (Rle_dec (f t + m) 0); [lra|].
      rewrite Rplus_0_r in *. assert (Half : N * ((f t + m) / (2 * N)) = (f t + m) / 2) by (field; lra).
      assert (N * d <= N * ((f t + m) / (2 * N))) by (apply Rmult_le_compat_l; lra). lra.
    - assert (Half : N * (h t / (2 * N)) = h t / 2) by (field; lra). lra. }
  assert (m <= m - N * d); [|nra].
  apply Least. intros v (r & R & ->). specialize (Better r R). lra.
Qed.
End Box.

(* --- the largest eigenvalue ------------------------------------------------------------------- *)

Lemma sq_scaled_to_unit n u : 0 < sq n u -> sq n (fun c => / norm n u * u c) = 1.
Proof.
  intros P. assert (0 < norm n u) by (apply sqrt_lt_R0; easy).
  rewrite sq_scal, <- norm_sq. field. lra.
Qed.

Lemma quad_scal n H t u : quad n H (fun c => t * u c) = t^2 * quad n H u.
Proof.
  unfold quad. rewrite <- Sum_scal. apply Sum_ext; intros c _. rewrite <- Sum_scal. apply Sum_ext; intros;
      ring.
Qed.

Lemma quad_ext n H u v : (forall c, (c < n)%nat -> u c = v c) -> quad n H u = quad n H v.
Proof. intros E. apply Sum_ext; intros c C. apply Sum_ext; intros d D. now rewrite !E. Qed.

Theorem largest_eigenvalue_exists n H : (0 < n)%nat -> exists s, largest_eigenvalue n H s.
Proof.
  intros N0.
  destruct (least_value_is_attained n 1 Rle_0_1 (fun r => 0 + -1 * quad n H r)
    (fun r => Rmax (sq n r + -1) (1 + -1 * sq n r))) as (u & U & Least).
  - apply lipschitz_plus; [apply lipschitz_const|].
    apply (lipschitz_mult n 1 Rle_0_1 (fun _ => -1)); [apply lipschitz_const|apply lipschitz_quad; lra].
  - apply lipschitz_Rmax.
    + apply (lipschitz_plus n 1 (sq n)); [apply lipschitz_sq; lra|apply lipschitz_const].
    + apply lipschitz_plus; [apply lipschitz_const|].
      apply (lipschitz_mult n 1 Rle_0_1 (fun _ => -1)); [apply lipschitz_const|apply lipschitz_sq; lra].
  - intros r R c C. pose proof (Rmax_l (sq n r + -1) (1 + -1 * sq n r)).
    eapply Rle_trans; [apply (entry_le_norm n r c C)|]. apply norm_le_squares; lra.
  - exists (fun c => delta c 0). assert (E : sq n (fun c => delta c 0) = 1).
    { unfold sq, dot. rewrite Sum_delta by easy. easy. }
    rewrite E. apply Rmax_lub; lra.
  - assert (U1 : sq n u = 1).
    { pose proof (Rmax_l (sq n u + -1) (1 + -1 * sq n u)). pose proof (Rmax_r (sq n u + -1) (1 + -1 * sq n
        u)). lra. }
    exists (quad n H u). split; [|now exists u]. intros r.
    destruct (Req_dec (sq n r) 0) as [Z|Z].
    + rewrite Z, (quad_ext n H r (fun c => 0 * r c)), quad_scal; [lra|].
      intros c C. rewrite (sq_0_entries n r Z c C). ring.
    + assert (P : 0 < sq n r) by (pose proof (sq_ge0 n r); lra).
      assert (Q : 0 < norm n r) by (apply sqrt_lt_R0; easy).
      assert (T := Least (fun c => / norm n r * r c)). rewrite sq_scaled_to_unit, quad_scal in T by easy.
      specialize (T ltac:(apply Rmax_lub; lra)).
      assert (I : (/ norm n r)^2 * quad n H r <= quad n H u) by lra.
      rewrite <- norm_sq. replace (quad n H r) with (norm n r ^ 2 * ((/ norm n r)^2 * quad n H r)) by (field;
          lra).
      rewrite (Rmult_comm (quad n H u)). apply Rmult_le_compat_l; [apply pow2_ge_0|easy].
Qed.
