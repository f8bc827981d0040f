(* The maximum norm, the sum norm and Hoelder's inequality between them. Nothing here is the paper's own. *)
From Coq Require Import Reals Lra Lia Psatz.
From Regrob Require Import Definitions Sums.
Open Scope R_scope.

Definition sgn t := if Rle_dec 0 t then 1 else -1.

Lemma sgn_abs t : t * sgn t = Rabs t.
Proof. unfold sgn. destruct (Rle_dec 0 t); [rewrite Rabs_pos_eq; lra|rewrite Rabs_left; lra]. Qed.

Lemma Rabs_sgn t : Rabs (sgn t) = 1.
Proof. unfold sgn. destruct (Rle_dec 0 t); [apply Rabs_R1|rewrite Rabs_left; lra]. Qed.

Lemma entry_le_norm_inf n r c : (c < n)%nat -> Rabs (r c) <= norm_inf n r.
Proof.
  unfold norm_inf. induction n as [|n IH]; simpl; intros L; [lia|].
  destruct (Nat.eq_dec c n) as [->|N]; [apply Rmax_r|]. eapply Rle_trans; [apply IH; lia|apply Rmax_l].
Qed.

Lemma norm_inf_ge0 n r : 0 <= norm_inf n r.
Proof.
  unfold norm_inf. induction n as [|n IH]; simpl; [lra|]. eapply Rle_trans; [apply IH|apply Rmax_l].
Qed.

Lemma norm_inf_le n r a : 0 <= a -> (forall c, (c < n)%nat -> Rabs (r c) <= a) -> norm_inf n r <= a.
Proof.
  intros A. unfold norm_inf. induction n as [|n IH]; simpl; intros L; [easy|]. apply Rmax_lub;
      auto with arith.
Qed.

Lemma norm_inf_const n r a : (0 < n)%nat -> 0 <= a -> (forall c, (c < n)%nat -> Rabs (r c) = a) ->
    norm_inf n r = a.
Proof.
  intros N A E. apply Rle_antisym.
  - apply norm_inf_le; [easy|]. intros c L. rewrite E by easy. lra.
  - rewrite <- (E 0%nat N). now apply entry_le_norm_inf.
Qed.

Lemma norm_1_ge0 n u : 0 <= norm_1 n u.
Proof. apply Sum_ge0; intros; apply Rabs_pos. Qed.

Lemma hoelder n u r : Rabs (dot n u r) <= norm_1 n u * norm_inf n r.
Proof.
  unfold dot, norm_1. eapply Rle_trans; [apply Rabs_Sum|]. rewrite <- Sum_scal_r. apply Sum_le; intros c L.
  rewrite Rabs_mult. apply Rmult_le_compat_l; [apply Rabs_pos|]. now apply entry_le_norm_inf.
Qed.

(* equality along the signs *)
Lemma dot_with_signs n u : dot n u (fun c => sgn (u c)) = norm_1 n u.
Proof. apply Sum_ext; intros; apply sgn_abs. Qed.

Lemma norm_inf_of_signs n u t : (0 < n)%nat -> norm_inf n (fun c => t * sgn (u c)) = Rabs t.
Proof.
  intros N. apply norm_inf_const; [easy|apply Rabs_pos|]. intros c _. rewrite Rabs_mult, Rabs_sgn. ring.
Qed.

Lemma norm_inf_scal n t r : norm_inf n (fun c => t * r c) = Rabs t * norm_inf n r.
Proof.
  unfold norm_inf. induction n as [|n IH]; simpl; [ring|].
  rewrite IH, Rabs_mult. pose proof (Rabs_pos t) as T. set (m := Max n (fun c => Rabs (r c))).
  unfold Rmax. destruct (Rle_dec m (Rabs (r n))), (Rle_dec (Rabs t * m) (Rabs t * Rabs (r n))); try easy; nra.
Qed.

Lemma norm_1_positive_size n u : 0 < norm_1 n u -> (0 < n)%nat.
Proof. destruct n; [unfold norm_1; simpl; lra|lia]. Qed.
