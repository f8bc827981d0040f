(* The true distance: the lines around a ReLU, linear bounds composed through the layers, the guarantee from a
   local cross-Lipschitz constant, the lower bound of the Lagrangian, branch and bound. *)
From Coq Require Import Reals Lra Lia Psatz List.
From Coquelicot Require Import Coquelicot.
From Regrob Require Import Definitions Sums Hoelder Networks.
Open Scope R_scope.

(* --- a ReLU between two lines ------------------------------------------------------------------------ *)

(* max(0, a), and the chord of its graph over [l, u] *)
Definition relu a := Rmax 0 a.
Definition chord l u a := u * (a - l) / (u - l).

Lemma relu_positive a : 0 <= a -> relu a = a.
Proof. intros A. now apply Rmax_right. Qed.

Lemma relu_negative a : a <= 0 -> relu a = 0.
Proof. intros A. now apply Rmax_left. Qed.

Lemma chord_left l u : l < u -> chord l u l = 0.
Proof. intros L. unfold chord. field. lra. Qed.

Lemma chord_right l u : l < u -> chord l u u = u.
Proof. intros L. unfold chord. field. lra. Qed.

(* an affine function that is nonnegative at both ends is so in between *)
Lemma between_ends l u s t a : l < u -> l <= a <= u -> 0 <= s * l + t -> 0 <= s * u + t -> 0 <= s * a + t.
Proof.
  intros L A E F. apply Rmult_le_reg_l with (u - l); [lra|]. rewrite Rmult_0_r.
  replace ((u - l) * (s * a + t)) with ((u - a) * (s * l + t) + (a - l) * (s * u + t)) by ring.
  apply Rplus_le_le_0_compat; apply Rmult_le_pos; lra.
Qed.

Theorem relu_between_its_lines l u alpha a : l < 0 < u -> 0 <= alpha <= 1 -> l <= a <= u ->
  alpha * a <= relu a <= chord l u a.
Proof.
  intros L P A. assert (K : 0 < / (u - l)) by (apply Rinv_0_lt_compat; lra).
  unfold chord, Rdiv. destruct (Rle_lt_dec 0 a) as [B|B].
  - rewrite relu_positive by easy. split; [nra|].
    replace (u * (a - l) * / (u - l)) with (a + - l * (u - a) * / (u - l)) by (field; lra).
    assert (0 <= - l * (u - a)) by (apply Rmult_le_pos; lra). nra.
  - rewrite relu_negative by lra. split; [nra|]. apply Rmult_le_pos; [apply Rmult_le_pos|]; lra.
Qed.

(* how far the lines are from the ReLU at most, and where; both at best by the same -l u / (u - l) *)
Theorem gaps_of_the_lines l u alpha : l < 0 < u -> 0 <= alpha <= 1 -> let best := - l * u / (u - l) in
  (forall a, l <= a <= u -> chord l u a - relu a <= best) /\ chord l u 0 - relu 0 = best /\
  (forall a, l <= a <= u -> relu a - alpha * a <= Rmax ((1 - alpha) * u) (- alpha * l)) /\
  relu u - alpha * u = (1 - alpha) * u /\ relu l - alpha * l = - alpha * l /\
  best <= Rmax ((1 - alpha) * u) (- alpha * l) /\
  (Rmax ((1 - alpha) * u) (- alpha * l) = best <-> alpha = u / (u - l)).
Proof.
  intros L P best. assert (K : 0 < / (u - l)) by (apply Rinv_0_lt_compat; lra).
  assert (B0 : best = - l * (u / (u - l))) by (unfold best; field; lra).
  assert (B1 : best = (1 - u / (u - l)) * u) by (unfold best; field; lra).
  assert (Low : best <= Rmax ((1 - alpha) * u) (- alpha * l)).
  { destruct (Rle_lt_dec alpha (u / (u - l))) as [Q|Q].
    - eapply Rle_trans; [|apply Rmax_l]. rewrite B1. apply Rmult_le_compat_r; lra.
    - eapply Rle_trans; [|apply Rmax_r]. rewrite B0. nra. }
  split; [|split; [|split; [|split; [|split; [|split]]]]]; [| | | | |easy|].
  - intros a A. destruct (Rle_lt_dec 0 a) as [B|B].
    + rewrite relu_positive by easy. replace (chord l u a - a) with (best + l * a * / (u - l))
        by (unfold chord, best; field; lra). assert (l * a <= 0) by nra. nra.
    + rewrite relu_negative by lra. replace (chord l u a - 0) with (best + u * a * / (u - l))
        by (unfold chord, best; field; lra). assert (u * a <= 0) by nra. nra.
  - rewrite relu_positive by lra. unfold chord, best. field. lra.
  - intros a A. destruct (Rle_lt_dec 0 a) as [B|B].
    + rewrite relu_positive by easy. eapply Rle_trans; [|apply Rmax_l]. nra.
    + rewrite relu_negative by lra. eapply Rle_trans; [|apply Rmax_r]. nra.
  - rewrite relu_positive by lra. ring.
  - rewrite relu_negative by lra. ring.
  - split; [intros E|intros ->; rewrite <- B1; apply Rmax_left; apply Req_le; unfold best; field; lra].
    pose proof (Rmax_l ((1 - alpha) * u) (- alpha * l)) as M.
    pose proof (Rmax_r ((1 - alpha) * u) (- alpha * l)) as M'. rewrite E in M, M'. apply Rle_antisym.
    + rewrite B0 in M'. nra.
    + rewrite B1 in M. nra.
Qed.

(* any other line above the ReLU is above the chord; any other line below it is below one of the alpha a *)
Theorem no_line_is_closer l u s t : l < 0 < u ->
  ((forall a, l <= a <= u -> relu a <= s * a + t) -> forall a, l <= a <= u -> chord l u a <= s * a + t) /\
  ((forall a, l <= a <= u -> s * a + t <= relu a) ->
    exists alpha, 0 <= alpha <= 1 /\ forall a, l <= a <= u -> s * a + t <= alpha * a).
Proof.
  intros L. split; intros B.
  - intros a A. pose proof (B l ltac:(lra)) as E. pose proof (B u ltac:(lra)) as F.
    rewrite relu_negative in E by lra. rewrite relu_positive in F by lra.
    enough (0 <= (s - u / (u - l)) * a + (t + u / (u - l) * l)).
    { replace (chord l u a) with (u / (u - l) * a - u / (u - l) * l) by (unfold chord; field; lra). lra. }
    apply (between_ends l u); [lra|easy| |].
    + replace ((s - u / (u - l)) * l + (t + u / (u - l) * l)) with (s * l + t) by ring. easy.
    + replace ((s - u / (u - l)) * u + (t + u / (u - l) * l)) with (s * u + t - u) by (field; lra). lra.
  - pose proof (B l ltac:(lra)) as E. pose proof (B u ltac:(lra)) as F. pose proof (B 0 ltac:(lra)) as G.
    rewrite relu_negative in E by lra. rewrite relu_positive in F, G by lra.
    destruct (Rlt_le_dec s 0) as [S|S]; [|destruct (Rlt_le_dec 1 s) as [S'|S']].
    + exists 0. split; [lra|]. intros a A. nra.
    + exists 1. split; [lra|]. intros a A. nra.
    + exists s. split; [lra|]. intros a A. lra.
Qed.

(* over [-1, 2] the chord is 2 (a + 1) / 3 *)
Theorem lines_instance : 1/2 * 1 <= relu 1 <= 4/3 /\ chord (-1) 2 0 - relu 0 = 2/3.
Proof.
  pose proof (relu_between_its_lines (-1) 2 (1/2) 1 ltac:(lra) ltac:(lra) ltac:(lra)) as B.
  replace (chord (-1) 2 1) with (4/3) in B by (unfold chord; field). split; [easy|].
  destruct (gaps_of_the_lines (-1) 2 0 ltac:(lra) ltac:(lra)) as (_ & E & _). rewrite E. field.
Qed.

(* --- linear bounds, composed through the layers ------------------------------------------------------- *)

(* for each unit of a layer a line below its activation and one above, as slopes and offsets *)
Record lines :=
  { low_slope : nat -> R; low_offset : nat -> R; high_slope : nat -> R; high_offset : nat -> R }.

(* one number or another, by the sign of a coefficient *)
Definition by_sign t a b : R := if Rle_dec 0 t then a else b.

(* a row of coefficients on a layer's activations becomes one on its inputs, and leaves a constant *)
Definition row_through (L : layer) (l : lines) (w : nat -> R) c :=
  Sum (width L) (fun i => w i * by_sign (w i) (low_slope l i) (high_slope l i) * weight L c i).
Definition constant_through (L : layer) (l : lines) (w : nat -> R) :=
  Sum (width L) (fun i => w i * (by_sign (w i) (low_slope l i) (high_slope l i) * bias L i
    + by_sign (w i) (low_offset l i) (high_offset l i))).

(* the affine function below w^T h, h the last hidden layer, and the one above *)
Fixpoint below (layers : list layer) (ls : list lines) (w : nat -> R) : (nat -> R) * R :=
  match layers, ls with
  | L :: rest, l :: more => let (row, constant) := below rest more w in
      (row_through L l row, constant_through L l row + constant)
  | _, _ => (w, 0)
  end.
Definition above layers ls (w : nat -> R) :=
  let (row, constant) := below layers ls (fun i => - w i) in ((fun c => - row c), - constant).
Definition affine n (f : (nat -> R) * R) x := dot n (fst f) x + snd f.

(* at the activations a each unit of each layer is between its two lines *)
Definition between_lines n (L : layer) (l : lines) a := forall i, (i < width L)%nat ->
  low_slope l i * before L n a i + low_offset l i <= after L n a i /\
  after L n a i <= high_slope l i * before L n a i + high_offset l i.
Fixpoint all_between_lines n (layers : list layer) (ls : list lines) a : Prop :=
  match layers, ls with
  | L :: rest, l :: more => between_lines n L l a /\ all_between_lines (width L) rest more (after L n a)
  | nil, nil => True
  | _, _ => False
  end.

Lemma row_through_at n L l w a : dot n (row_through L l w) a = Sum (width L) (fun i =>
  w i * by_sign (w i) (low_slope l i) (high_slope l i) * transposed n (weight L) a i).
Proof.
  unfold dot, row_through, transposed. rewrite (Sum_ext n _ (fun c => Sum (width L) (fun i =>
    w i * by_sign (w i) (low_slope l i) (high_slope l i) * (weight L c i * a c)))).
  - rewrite Sum_swap. apply Sum_ext; intros. now rewrite Sum_scal.
  - intros c _. rewrite <- Sum_scal_r. apply Sum_ext; intros; ring.
Qed.

Lemma one_layer_below n L l w a : between_lines n L l a ->
  dot n (row_through L l w) a + constant_through L l w <= dot (width L) w (after L n a).
Proof.
  intros B. rewrite row_through_at. unfold constant_through. rewrite <- Sum_plus. apply Sum_le; intros i I.
  specialize (B i I). unfold before in B. set (t := transposed n (weight L) a i) in *.
  unfold by_sign. destruct (Rle_dec 0 (w i)); nra.
Qed.

Lemma below_the_hidden_units layers : forall n ls w a, all_between_lines n layers ls a ->
  affine n (below layers ls w) a <= dot (last_width n layers) w (hidden n layers a).
Proof.
  unfold affine. induction layers as [|L rest IH]; intros n [|l more] w a B; simpl in *; try easy; [lra|].
  destruct B as [B1 B2]. specialize (IH (width L) more w (after L n a) B2).
  destruct (below rest more w) as [row constant]. simpl in *.
  pose proof (one_layer_below n L l row a B1). lra.
Qed.

Lemma dot_opp n u v : dot n (fun c => - u c) v = - dot n u v.
Proof. rewrite <- (Rmult_1_l (dot n u v)), Ropp_mult_distr_l, <- dot_scal. apply dot_ext; intros; ring. Qed.

(* wherever the units are between their lines, the output is between the two affine functions *)
Theorem composed_lines n layers ls w a : all_between_lines n layers ls a ->
  affine n (below layers ls w) a <= dot (last_width n layers) w (hidden n layers a) <=
  affine n (above layers ls w) a.
Proof.
  intros B. split; [now apply below_the_hidden_units|].
  pose proof (below_the_hidden_units layers n ls (fun i => - w i) a B) as H. rewrite dot_opp in H.
  unfold affine, above in *. destruct (below layers ls _) as [row constant]. simpl in *.
  rewrite dot_opp. lra.
Qed.

(* bounds of a layer's pre-activations, and the slope of the line below each unit that may switch *)
Record interval := { least : nat -> R; most : nat -> R; free : nat -> R }.

(* a unit that cannot switch is its own line; above another runs the chord *)
Definition relaxation (L : layer) (b : interval) : lines := {|
  low_slope := fun i => if Rle_dec 0 (least b i) then 1 else if Rle_dec (most b i) 0 then slope L i
    else free b i;
  low_offset := fun _ => 0;
  high_slope := fun i => if Rle_dec 0 (least b i) then 1 else if Rle_dec (most b i) 0 then slope L i
    else (most b i - slope L i * least b i) / (most b i - least b i);
  high_offset := fun i => if Rle_dec 0 (least b i) then 0 else if Rle_dec (most b i) 0 then 0
    else (slope L i - 1) * least b i * most b i / (most b i - least b i) |}.
Fixpoint relaxations (layers : list layer) (bs : list interval) : list lines :=
  match layers, bs with L :: rest, b :: more => relaxation L b :: relaxations rest more | _, _ => nil end.

(* at the activations a the bounds hold, layer by layer; the units are (leaky) ReLUs, 0 <= slope <= 1 *)
Fixpoint bounds_hold n (layers : list layer) (bs : list interval) a : Prop :=
  match layers, bs with
  | L :: rest, b :: more => (forall i, (i < width L)%nat -> least b i <= before L n a i <= most b i /\
      0 <= slope L i <= free b i /\ free b i <= 1) /\ bounds_hold (width L) rest more (after L n a)
  | nil, nil => True
  | _, _ => False
  end.

(* no unit can switch within the bounds *)
Fixpoint none_switches (layers : list layer) (bs : list interval) : Prop :=
  match layers, bs with
  | L :: rest, b :: more => (forall i, (i < width L)%nat -> 0 <= least b i \/ most b i <= 0) /\
      none_switches rest more
  | _, _ => True
  end.

Lemma activation_positive alpha t : 0 <= t -> activation alpha t = t.
Proof. intros T. unfold activation. destruct (Rlt_dec 0 t); [easy|]. replace t with 0 by lra. ring. Qed.

Lemma activation_negative alpha t : t <= 0 -> activation alpha t = alpha * t.
Proof. intros T. unfold activation. destruct (Rlt_dec 0 t); [lra|easy]. Qed.

Lemma relaxation_holds n L b a : (forall i, (i < width L)%nat -> least b i <= before L n a i <= most b i /\
  0 <= slope L i <= free b i /\ free b i <= 1) -> between_lines n L (relaxation L b) a.
Proof.
  intros H i I. destruct (H i I) as (B & S & F). unfold after. set (t := before L n a i) in *. simpl.
  destruct (Rle_dec 0 (least b i)) as [P|P]; [|destruct (Rle_dec (most b i) 0) as [Q|Q]].
  - rewrite activation_positive by lra. lra.
  - rewrite activation_negative by lra. lra.
  - set (l := least b i) in *. set (u := most b i) in *. set (s := slope L i) in *.
    assert (K : 0 < / (u - l)) by (apply Rinv_0_lt_compat; lra).
    destruct (Rle_lt_dec 0 t) as [T|T].
    + rewrite activation_positive by easy. split; [nra|].
      replace ((u - s * l) / (u - l) * t + (s - 1) * l * u / (u - l))
        with (t + (1 - s) * (- l) * (u - t) * / (u - l)) by (field; lra).
      assert (0 <= (1 - s) * (- l) * (u - t)) by (repeat apply Rmult_le_pos; lra). nra.
    + rewrite activation_negative by lra. split; [nra|].
      replace ((u - s * l) / (u - l) * t + (s - 1) * l * u / (u - l))
        with (s * t + (1 - s) * u * (t - l) * / (u - l)) by (field; lra).
      assert (0 <= (1 - s) * u * (t - l)) by (repeat apply Rmult_le_pos; lra). nra.
Qed.

Lemma relaxations_hold layers : forall n bs a, bounds_hold n layers bs a ->
  all_between_lines n layers (relaxations layers bs) a.
Proof.
  induction layers as [|L rest IH]; intros n [|b more] a B; simpl in *; try easy. destruct B as [B1 B2].
  split; [now apply relaxation_holds|]. now apply IH.
Qed.

(* S: any set of inputs on which the bounds hold; w: the last layer's weights, as z_y - z_j has them *)
Theorem linear_bounds n layers bs w (S : (nat -> R) -> Prop) :
  (forall x, S x -> bounds_hold n layers bs x) -> let ls := relaxations layers bs in
  forall x, S x -> affine n (below layers ls w) x <= dot (last_width n layers) w (hidden n layers x) /\
    dot (last_width n layers) w (hidden n layers x) <= affine n (above layers ls w) x.
Proof. intros B ls x X. now apply composed_lines, relaxations_hold, B. Qed.

(* N and D are dual: |u^T r| <= D u N r, with equality along some r of each size *)
Definition dual n (N D : (nat -> R) -> R) := (forall u, 0 <= D u) /\
  (forall u r, Rabs (dot n u r) <= D u * N r) /\
  forall u rho, 0 <= rho -> exists r, N r <= rho /\ dot n u r = - rho * D u.

Lemma norm_is_its_own_dual n : dual n (norm n) (norm n).
Proof.
  split; [apply norm_ge0|]. split; [apply dot_le_norm|]. intros u rho P.
  destruct (Req_dec (norm n u) 0) as [Z|Z].
  - exists (fun _ => 0). split; [rewrite norm_0 by easy; lra|]. rewrite Z.
    unfold dot. rewrite (Sum_ext n _ (fun _ => 0)), Sum_0; [ring|intros; ring].
  - pose proof (norm_ge0 n u). exists (fun c => - (rho / norm n u) * u c). split.
    + rewrite norm_scal, Rabs_Ropp, Rabs_pos_eq; [apply Req_le; field; easy|].
      apply Rmult_le_pos; [easy|]. apply Rlt_le, Rinv_0_lt_compat. lra.
    + rewrite dot_sym, dot_scal. fold (sq n u). rewrite <- norm_sq. field. easy.
Qed.

Lemma norm_1_is_dual_to_norm_inf n : dual n (norm_inf n) (norm_1 n).
Proof.
  split; [apply norm_1_ge0|]. split; [apply hoelder|]. intros u rho P.
  exists (fun c => - rho * sgn (u c)). split.
  - apply norm_inf_le; [easy|]. intros c _. rewrite Rabs_mult, Rabs_sgn, Rabs_Ropp, Rabs_pos_eq by easy. lra.
  - rewrite dot_sym, dot_scal, dot_sym, dot_with_signs. easy.
Qed.

Lemma dot_plus n u r s : dot n u (fun c => r c + s c) = dot n u r + dot n u s.
Proof. unfold dot. rewrite <- Sum_plus. apply Sum_ext; intros; ring. Qed.

(* where no unit can switch, both functions are the output *)
Lemma relaxation_is_exact n L b a i : (i < width L)%nat -> (0 <= least b i \/ most b i <= 0) ->
  least b i <= before L n a i <= most b i -> let l := relaxation L b in
  low_slope l i * before L n a i + low_offset l i = after L n a i /\
  high_slope l i * before L n a i + high_offset l i = after L n a i.
Proof.
  intros I S B. unfold after. set (t := before L n a i) in *. simpl.
  destruct (Rle_dec 0 (least b i)) as [P|P]; [|destruct (Rle_dec (most b i) 0) as [Q|Q]].
  - rewrite activation_positive by lra. lra.
  - rewrite activation_negative by lra. lra.
  - now destruct S.
Qed.

Lemma below_is_exact layers : forall n bs w a, bounds_hold n layers bs a -> none_switches layers bs ->
  affine n (below layers (relaxations layers bs) w) a = dot (last_width n layers) w (hidden n layers a).
Proof.
  unfold affine. induction layers as [|L rest IH]; intros n [|b more] w a B S; simpl in *; try easy; [lra|].
  destruct B as [B1 B2], S as [S1 S2]. rewrite <- (IH (width L) more w (after L n a) B2 S2).
  destruct (below rest (relaxations rest more) w) as [row constant]. cbn [fst snd].
  rewrite <- Rplus_assoc. f_equal. apply Rle_antisym.
  - apply one_layer_below, relaxation_holds, B1.
  - enough (dot (width L) row (after L n a) <= dot n (row_through L (relaxation L b) row) a
      + constant_through L (relaxation L b) row) by easy.
    rewrite row_through_at. unfold constant_through. rewrite <- Sum_plus. apply Req_le, Sum_ext; intros i I.
    destruct (relaxation_is_exact n L b a i I (S1 i I) (proj1 (B1 i I))) as [E F].
    unfold before in E, F. unfold by_sign. destruct (Rle_dec 0 (row i)); [rewrite <- E|rewrite <- F]; ring.
Qed.

Theorem exact_without_switches n layers bs w x : bounds_hold n layers bs x -> none_switches layers bs ->
  let ls := relaxations layers bs in let value := dot (last_width n layers) w (hidden n layers x) in
  affine n (below layers ls w) x = value /\ affine n (above layers ls w) x = value.
Proof.
  intros B S ls value. split; [now apply below_is_exact|].
  pose proof (below_is_exact layers n bs (fun i => - w i) x B S) as E. rewrite dot_opp in E. fold value in E.
  unfold affine, above in *. fold ls in E. destruct (below layers ls _) as [row constant]. simpl in *.
  rewrite dot_opp. lra.
Qed.

(* over a ball of any norm: the dual norm of the row, times the radius, is taken off; the affine function
   reaches this value, and so does the network where no unit can switch *)
Theorem linear_bound_over_a_ball n layers bs w N D x rho : dual n N D -> 0 <= rho ->
  (forall r, N r <= rho -> bounds_hold n layers bs (fun c => x c + r c)) ->
  let value r := dot (last_width n layers) w (hidden n layers (fun c => x c + r c)) in
  let f := below layers (relaxations layers bs) w in let bound := affine n f x - rho * D (fst f) in
  (forall r, N r <= rho -> bound <= value r) /\
  (exists r, N r <= rho /\ affine n f (fun c => x c + r c) = bound) /\
  (none_switches layers bs -> exists r, N r <= rho /\ value r = bound).
Proof.
  intros (D0 & H & A) P B value f bound.
  assert (E : forall r, affine n f (fun c => x c + r c) = affine n f x + dot n (fst f) r).
  { intros r. unfold affine. rewrite dot_plus. ring. }
  destruct (A (fst f) rho P) as (r & L & R0).
  assert (F : affine n f (fun c => x c + r c) = bound) by (rewrite E, R0; unfold bound; ring).
  split; [|split].
  - intros s M. destruct (composed_lines n layers _ w _ (relaxations_hold layers n bs _ (B s M))) as [G _].
    fold f in G. rewrite E in G. specialize (H (fst f) s). specialize (D0 (fst f)).
    apply Rabs_le_between in H. unfold bound, value. nra.
  - now exists r.
  - intros S. exists r. split; [easy|]. rewrite <- F. symmetry. now apply below_is_exact; [apply B|].
Qed.

(* one ReLU of x in [-1, 1], with the coefficient -1: its chord (x + 1) / 2 is above *)
Definition one_relu : layer := Build_layer 1 (fun _ _ => 1) (fun _ => 0) (fun _ => 0).
Definition one_interval : interval := {| least := fun _ => -1; most := fun _ => 1; free := fun _ => 0 |}.

Theorem linear_bounds_instance r : norm 1 r <= 1 ->
  -1 <= dot 1 (fun _ => -1) (hidden 1 (one_relu :: nil) (fun c => 0 + r c)).
Proof.
  intros B. destruct (linear_bound_over_a_ball 1 (one_relu :: nil) (one_interval :: nil) (fun _ => -1)
    (norm 1) (norm 1) (fun _ => 0) 1 (norm_is_its_own_dual 1) ltac:(lra)) as (Bound & _).
  - intros s M. split; [|easy]. intros i _. pose proof (entry_le_norm 1 s 0 ltac:(lia)) as E.
    apply Rabs_le_between in E. unfold before, transposed. simpl. lra.
  - specialize (Bound r B). simpl in Bound. eapply Rle_trans; [|exact Bound].
    unfold affine, row_through, constant_through, by_sign; simpl.
    destruct (Rle_dec 0 (-1)); [lra|]. destruct (Rle_dec 0 (-1)); [lra|].
    destruct (Rle_dec 1 0); [lra|]. unfold norm, sq, dot; simpl.
    match goal with |- context [sqrt ?t] => replace t with ((1/2)^2) by field end.
    rewrite sqrt_pow2 by lra. lra.
Qed.

(* --- the guarantee from a local cross-Lipschitz constant ---------------------------------------------- *)

(* rho is at most each lead divided by its L, the Lipschitz constant of z_y - z_j on the ball *)
Theorem no_mistake_within K (z : (nat -> R) -> nat -> R) y x (N : (nat -> R) -> R) radius (L : nat -> R) rho :
  (forall r, 0 <= N r) ->
  (forall j, (j < K)%nat -> j <> y -> forall r, N r <= radius -> let moved c := x c + r c in
     Rabs ((z moved y - z moved j) - (z x y - z x j)) <= L j * N r) ->
  (forall j, (j < K)%nat -> j <> y -> 0 < z x y - z x j /\ rho * L j <= z x y - z x j) ->
  forall r, N r < Rmin radius rho -> forall j, (j < K)%nat -> j <> y -> let moved c := x c + r c in
    z moved j < z moved y.
Proof.
  intros P Lip Lead r S j J Ne moved. pose proof (Rmin_l radius rho). pose proof (Rmin_r radius rho).
  specialize (Lip j J Ne r ltac:(lra)). fold moved in Lip. destruct (Lead j J Ne) as [G E].
  specialize (P r). apply Rabs_le_between in Lip. destruct (Rle_lt_dec (L j) 0) as [Q|Q]; nra.
Qed.

(* a function on [0, 1] that near each point changes by M times the step at most does so altogether *)
Lemma slope_from_near g M : 0 <= M ->
  (forall t, 0 <= t < 1 -> exists e, 0 < e /\ forall s, 0 <= s < e -> t + s <= 1 ->
     Rabs (g (t + s) - g t) <= M * s) ->
  (forall t, 0 < t <= 1 -> exists e, 0 < e /\ forall s, 0 <= s < e -> s <= t ->
     Rabs (g (t - s) - g t) <= M * s) ->
  Rabs (g 1 - g 0) <= M.
Proof.
  intros M0 Ahead Behind.
  set (E t := 0 <= t <= 1 /\ forall s, 0 <= s <= t -> Rabs (g s - g 0) <= M * s).
  assert (E0 : E 0).
  { split; [lra|]. intros s S. replace s with 0 by lra. unfold Rminus. rewrite Rplus_opp_r, Rabs_R0. lra. }
  destruct (completeness E) as [T [Up Least]]; [exists 1; intros t [B _]; lra|now exists 0|].
  assert (T0 : 0 <= T) by now apply Up.
  assert (T1 : T <= 1) by (apply Least; intros t [B _]; lra).
  assert (Near : forall e, 0 < e -> exists t, E t /\ T - e < t).
  { intros e P. destruct (Classical_Prop.classic (exists t, E t /\ T - e < t)) as [H|H]; [easy|]. exfalso.
    enough (T <= T - e) by lra. apply Least. intros t Et. apply Rnot_lt_le. intros F. apply H. now exists t. }
  assert (ET : E T).
  { split; [lra|]. intros s S. destruct (Rle_lt_or_eq_dec s T (proj2 S)) as [F|F].
    - destruct (Near (T - s) ltac:(lra)) as (t & [_ H] & G). apply H. lra.
    - subst s. destruct (Req_dec T 0) as [Z|Z].
      { rewrite Z. apply E0. lra. }
      destruct (Behind T ltac:(lra)) as (e & P & H). destruct (Near e P) as (t & [B G] & F).
      assert (t <= T) by (apply Up; split; easy).
      specialize (H (T - t) ltac:(lra) ltac:(lra)). replace (T - (T - t)) with t in H by ring.
      specialize (G t ltac:(lra)). apply Rabs_le_between in H. apply Rabs_le_between in G.
      apply Rabs_le_between. lra. }
  destruct (Rle_lt_or_eq_dec T 1 T1) as [F|F]; [exfalso|subst T].
  - destruct (Ahead T ltac:(lra)) as (e & P & H). pose proof (Rmin_l (T + e / 2) 1).
    pose proof (Rmin_r (T + e / 2) 1). assert (T < Rmin (T + e / 2) 1) by (apply Rmin_glb_lt; lra).
    set (t := Rmin (T + e / 2) 1) in *. enough (t <= T) by lra. apply Up. split; [lra|]. intros s S.
    destruct ET as [_ G]. destruct (Rle_lt_dec s T) as [Q|Q]; [apply G; lra|].
    specialize (H (s - T) ltac:(lra) ltac:(lra)). replace (T + (s - T)) with s in H by ring.
    specialize (G T ltac:(lra)). apply Rabs_le_between in H. apply Rabs_le_between in G.
    apply Rabs_le_between. lra.
  - destruct ET as [_ G]. specialize (G 1 ltac:(lra)). lra.
Qed.

Lemma for_all_near w (P : nat -> R -> Prop) : (forall i, (i < w)%nat -> exists e, 0 < e /\ P i e) ->
  (forall i e e', 0 < e' <= e -> P i e -> P i e') -> exists e, 0 < e /\ forall i, (i < w)%nat -> P i e.
Proof.
  intros H Less. induction w as [|w IH]; [exists 1; split; [lra|intros; lia]|].
  destruct IH as (d & D & A); [intros; apply H; lia|]. destruct (H w ltac:(lia)) as (e & E' & B).
  assert (Q : 0 < Rmin d e) by now apply Rmin_glb_lt. pose proof (Rmin_l d e). pose proof (Rmin_r d e).
  exists (Rmin d e). split; [easy|]. intros i I.
  destruct (Nat.eq_dec i w) as [->|Ne]; [apply (Less w e); [lra|easy]|apply (Less i d); [lra|apply A; lia]].
Qed.

(* along a ray a unit's mask does not change at first *)
Lemma activation_along_a_ray alpha b c : exists e, 0 < e /\ forall s, 0 < s < e ->
  activation alpha (b + s * c) = activation alpha b + s * (mask alpha (b + e / 2 * c) * c) /\
  mask alpha (b + s * c) = mask alpha (b + e / 2 * c).
Proof.
  assert (P : 0 < Rabs c + 1) by (pose proof (Rabs_pos c); lra).
  assert (Q : - Rabs c <= c <= Rabs c) by (apply Rabs_le_between; lra).
  assert (H : forall e s, 0 <= s < e / (Rabs c + 1) -> s * (Rabs c + 1) < e).
  { intros e s S. apply Rmult_lt_reg_r with (/ (Rabs c + 1)); [now apply Rinv_0_lt_compat|].
    rewrite Rmult_assoc, Rinv_r, Rmult_1_r by lra. apply S. }
  destruct (Rtotal_order 0 b) as [B|[B|B]].
  - assert (E : 0 < b / (Rabs c + 1)) by (apply Rdiv_lt_0_compat; lra).
    exists (b / (Rabs c + 1)). split; [easy|]. intros s S. pose proof (H b s ltac:(lra)).
    pose proof (H b (b / (Rabs c + 1) / 2) ltac:(lra)) as H1. set (h := b / (Rabs c + 1) / 2) in *.
    assert (0 < h) by (unfold h; lra). assert (0 < b + s * c) by nra. assert (0 < b + h * c) by nra.
    unfold activation, mask. destruct (Rlt_dec 0 _), (Rlt_dec 0 b), (Rlt_dec 0 _); try lra.
  - subst b. exists 1. split; [lra|]. intros s S. rewrite !Rplus_0_l. unfold activation, mask.
    destruct (Rlt_dec 0 0); [lra|]. destruct (Rlt_dec 0 (s * c)), (Rlt_dec 0 (1 / 2 * c)); try lra; nra.
  - assert (E : 0 < - b / (Rabs c + 1)) by (apply Rdiv_lt_0_compat; lra).
    exists (- b / (Rabs c + 1)). split; [easy|]. intros s S. pose proof (H (- b) s ltac:(lra)).
    pose proof (H (- b) (- b / (Rabs c + 1) / 2) ltac:(lra)) as H1. set (h := - b / (Rabs c + 1) / 2) in *.
    assert (0 < h) by (unfold h; lra). assert (b + s * c < 0) by nra. assert (b + h * c < 0) by nra.
    unfold activation, mask. destruct (Rlt_dec 0 _), (Rlt_dec 0 b), (Rlt_dec 0 _); try lra.
Qed.

(* along a ray the hidden units are affine at first, with the slopes that the weights and masks give *)
Lemma hidden_along_a_ray n0 r layers : forall n (F : R -> nat -> R) (A : R -> nat -> nat -> R) B d, 0 < d ->
  (forall c s, (c < n)%nat -> 0 < s < d ->
     F s c = F 0 c + s * B c /\ Sum n0 (fun i => A s i c * r i) = B c) ->
  exists e B', 0 < e /\ forall j s, (j < last_width n layers)%nat -> 0 < s < e ->
    hidden n layers (F s) j = hidden n layers (F 0) j + s * B' j /\
    Sum n0 (fun i => product n layers (F s) (A s) i j * r i) = B' j.
Proof.
  induction layers as [|L rest IH]; intros n F A B d D H; simpl; [now exists d, B|].
  set (C := fun i => Sum n (fun c => weight L c i * B c)).
  assert (Be : forall i s, 0 < s < d -> before L n (F s) i = before L n (F 0) i + s * C i).
  { intros i s S. unfold C, before, transposed. rewrite (Sum_ext n _ (fun c => weight L c i * F 0 c
      + s * (weight L c i * B c))).
    - rewrite Sum_plus, Sum_scal. ring.
    - intros c Cn. rewrite (proj1 (H c s Cn S)). ring. }
  destruct (for_all_near (width L) (fun i e => exists m, forall s, 0 < s < e ->
    activation (slope L i) (before L n (F 0) i + s * C i)
      = activation (slope L i) (before L n (F 0) i) + s * (m * C i) /\
    mask (slope L i) (before L n (F 0) i + s * C i) = m)) as (e & E & Near).
  { intros i _. destruct (activation_along_a_ray (slope L i) (before L n (F 0) i) (C i)) as (e & E & Ray).
    exists e. split; [easy|]. now exists (mask (slope L i) (before L n (F 0) i + e / 2 * C i)). }
  { intros i e e' E [m Ray]. exists m. intros s S. apply Ray. lra. }
  pose proof (Rmin_l d e). pose proof (Rmin_r d e). assert (0 < Rmin d e) by now apply Rmin_glb_lt.
  set (h := Rmin d e) in *.
  apply (IH (width L) (fun s => after L n (F s))
    (fun s i j => Sum n (fun c => A s i c * weight L c j) * mask (slope L j) (before L n (F s) j))
    (fun i => mask (slope L i) (before L n (F (h / 2)) i) * C i) h); [easy|].
  intros i s I S. destruct (Near i I) as [m Ray]. unfold after. rewrite (Be i s), (Be i (h / 2)) by lra.
  destruct (Ray s ltac:(lra)) as [R1 R2]. destruct (Ray (h / 2) ltac:(lra)) as [_ R3].
  rewrite R1, R2, R3. split; [easy|].
  rewrite (Sum_ext n0 _ (fun k => m * Sum n (fun c => weight L c i * (A s k c * r k)))).
  - rewrite Sum_scal, Sum_swap. unfold C. f_equal. apply Sum_ext; intros c Cn.
    rewrite Sum_scal. now rewrite (proj2 (H c s Cn ltac:(lra))).
  - intros k _. rewrite <- Sum_scal_r, <- Sum_scal, <- Sum_scal_r. apply Sum_ext; intros; ring.
Qed.

Section Guarantee.
Variables (n : nat) (layers : list layer) (W : nat -> nat -> R) (b x : nat -> R) (y : nat).
Variables (N D : (nat -> R) -> R).
Let z := network n layers W b.
Let V := V_at n layers W.

Lemma lead_along_a_ray p r j : exists e beta, 0 < e /\ forall s, 0 < s < e -> let q c := p c + s * r c in
  z q y - z q j = z p y - z p j + s * beta /\ dot n (between (V q) y j) r = beta.
Proof.
  destruct (hidden_along_a_ray n r layers n (fun s c => p c + s * r c) (fun _ => delta) r 1 ltac:(lra))
    as (e & B & E & H).
  { intros c s C _. split; [ring|]. now apply (Sum_delta n c r). }
  set (m := last_width n layers) in *.
  exists e, (Sum m (fun i => (W i y - W i j) * B i)). split; [easy|]. intros s S q.
  assert (P : hidden n layers (fun c => p c + 0 * r c) = hidden n layers p).
  { f_equal. apply FunctionalExtensionality.functional_extensionality. intros c. ring. }
  split.
  - unfold z, network, transposed. fold m. enough (Q : forall k, Sum m (fun i => W i k * hidden n layers q i)
      = Sum m (fun i => W i k * hidden n layers p i) + s * Sum m (fun i => W i k * B i)).
    { rewrite !Q, (Sum_ext m (fun i => (W i y - W i j) * B i) (fun i => W i y * B i - W i j * B i))
        by (intros; ring). rewrite Sum_minus. ring. }
    intros k. rewrite <- Sum_scal, <- Sum_plus. apply Sum_ext; intros i I.
    destruct (H i s I S) as [H1 _]. fold q in H1. rewrite H1, P. ring.
  - unfold dot, between, V, V_at. fold m. rewrite (Sum_ext m (fun i => (W i y - W i j) * B i)
      (fun i => Sum n (fun d => (product n layers q delta d i * W i y - product n layers q delta d i * W i j)
        * r d))).
    + rewrite Sum_swap. apply Sum_ext; intros d _. now rewrite <- Sum_minus, <- Sum_scal_r.
    + intros i I. destruct (H i s I S) as [_ H2]. fold q in H2. rewrite <- H2, <- Sum_scal.
      apply Sum_ext; intros; ring.
Qed.

(* N scales as a norm does; D is its dual norm *)
Hypothesis Dual : dual n N D.
Hypothesis Scales : forall t r, N (fun c => t * r c) = Rabs t * N r.

Lemma lipschitz_by_the_gradient radius L j r : 0 <= radius ->
  (forall r, N r <= radius -> D (between (V (fun c => x c + r c)) y j) <= L) -> N r <= radius -> 0 <= N r ->
  let moved c := x c + r c in Rabs ((z moved y - z moved j) - (z x y - z x j)) <= L * N r.
Proof.
  intros R0 Bound S Nr moved. destruct Dual as (D0 & Hold & _).
  assert (L0 : 0 <= L).
  { eapply Rle_trans; [apply D0|apply (Bound (fun c => 0 * r c))]. rewrite Scales, Rabs_R0. lra. }
  assert (Slope : forall t, 0 <= t <= 1 ->
    Rabs (dot n (between (V (fun c => x c + t * r c)) y j) r) <= L * N r).
  { intros t T. eapply Rle_trans; [apply Hold|]. apply Rmult_le_compat_r; [easy|].
    apply (Bound (fun c => t * r c)). rewrite Scales, Rabs_pos_eq by lra. nra. }
  set (g t := z (fun c => x c + t * r c) y - z (fun c => x c + t * r c) j).
  replace (z moved y - z moved j) with (g 1).
  2: { unfold g. replace (fun c => x c + 1 * r c) with moved; [easy|].
       apply FunctionalExtensionality.functional_extensionality. intros c. unfold moved. ring. }
  replace (z x y - z x j) with (g 0).
  2: { unfold g. replace (fun c => x c + 0 * r c) with x; [easy|].
       apply FunctionalExtensionality.functional_extensionality. intros c. ring. }
  apply slope_from_near; [now apply Rmult_le_pos| |]; intros t T.
  - destruct (lead_along_a_ray (fun c => x c + t * r c) r j) as (e & beta & E & H). exists e. split; [easy|].
    intros s S0 T1. destruct (Req_dec s 0) as [->|Z].
    { rewrite Rplus_0_r. unfold Rminus. rewrite Rplus_opp_r, Rabs_R0. lra. }
    destruct (H s ltac:(lra)) as [H1 H2].
    replace (fun c => x c + t * r c + s * r c) with (fun c => x c + (t + s) * r c) in H1, H2
      by (apply FunctionalExtensionality.functional_extensionality; intros c; ring).
    unfold g. rewrite H1. fold (g t). replace (g t + s * beta - g t) with (beta * s) by ring.
    rewrite Rabs_mult, (Rabs_pos_eq s) by lra. apply Rmult_le_compat_r; [lra|].
    rewrite <- H2. apply Slope. lra.
  - destruct (lead_along_a_ray (fun c => x c + t * r c) (fun c => - r c) j) as (e & beta & E & H).
    exists e. split; [easy|]. intros s S0 T1. destruct (Req_dec s 0) as [->|Z].
    { rewrite Rminus_0_r. unfold Rminus. rewrite Rplus_opp_r, Rabs_R0. lra. }
    destruct (H s ltac:(lra)) as [H1 H2].
    replace (fun c => x c + t * r c + s * - r c) with (fun c => x c + (t - s) * r c) in H1, H2
      by (apply FunctionalExtensionality.functional_extensionality; intros c; ring).
    unfold g. rewrite H1. fold (g t). replace (g t + s * beta - g t) with (beta * s) by ring.
    rewrite Rabs_mult, (Rabs_pos_eq s) by lra. apply Rmult_le_compat_r; [lra|]. rewrite <- H2.
    rewrite dot_sym, dot_opp, Rabs_Ropp, dot_sym. apply Slope. lra.
Qed.

(* L j: at least the dual norm of the gradient of z_y - z_j at every point of the ball *)
Theorem cross_lipschitz_guarantee K radius (L : nat -> R) rho : (forall r, 0 <= N r) -> 0 <= radius ->
  (forall j, (j < K)%nat -> j <> y -> forall r, N r <= radius ->
     D (between (V (fun c => x c + r c)) y j) <= L j) ->
  (forall j, (j < K)%nat -> j <> y -> 0 < z x y - z x j /\ rho * L j <= z x y - z x j) ->
  forall r, N r < Rmin radius rho -> forall j, (j < K)%nat -> j <> y -> let moved c := x c + r c in
    z moved j < z moved y.
Proof.
  intros P R0 Bound Lead. apply (no_mistake_within K z y x N radius L rho P); [|easy].
  intros j J Ne r S. now apply (lipschitz_by_the_gradient radius (L j) j r R0 (Bound j J Ne) S).
Qed.
End Guarantee.

(* a hidden ReLU and a constant rival: at x = 1 the lead is 1/2, and |v_y - v_j| is at most 1 everywhere *)
Definition relu_and_half (k : nat) : R := match k with O => 0 | _ => 1/2 end.

Theorem guarantee_instance r : norm 1 r < 1/2 ->
  let z := network 1 (one_relu :: nil) (fun _ k => delta k 0) relu_and_half in
  z (fun c => 1 + r c) 1%nat < z (fun c => 1 + r c) 0%nat.
Proof.
  intros S z. assert (Zx : z (fun _ => 1) 0%nat - z (fun _ => 1) 1%nat = 1/2).
  { unfold z, network, transposed, hidden, after, before, transposed, activation, delta, relu_and_half; simpl.
    destruct (Rlt_dec 0 _); lra. }
  assert (G := cross_lipschitz_guarantee 1 (one_relu :: nil) (fun _ k => delta k 0) relu_and_half
    (fun _ => 1) 0 (norm 1) (norm 1) (norm_is_its_own_dual 1) (norm_scal 1) 2 1
    (fun _ => 1) (1/2) (norm_ge0 1) ltac:(lra)).
  apply G; [| |rewrite Rmin_right by lra; exact S|lia|lia].
  - intros j J Ne s B. apply norm_le_squares; [lra|]. unfold sq, dot, between, V_at, delta; simpl.
    unfold mask. destruct j as [|j]; [easy|]. simpl. destruct (Rlt_dec 0 _); nra.
  - intros j J Ne. replace j with 1%nat by lia. fold z. rewrite Zx. lra.
Qed.

(* --- the lower bound of the Lagrangian ---------------------------------------------------------------- *)

(* h = max(0, a), in quadratic and linear constraints *)
Theorem relu_in_constraints h a : h = relu a <-> h * (h - a) = 0 /\ 0 <= h /\ a <= h.
Proof.
  split.
  - intros ->. unfold relu. pose proof (Rmax_l 0 a). pose proof (Rmax_r 0 a).
    split; [|easy]. destruct (Rle_lt_dec 0 a) as [A|A]; [rewrite Rmax_right by easy|rewrite Rmax_left by lra];
      ring.
  - intros (E & P & A). destruct (Rmult_integral _ _ E) as [Z|Z].
    + subst h. now rewrite relu_negative.
    + replace h with a by lra. rewrite relu_positive; lra.
Qed.

(* the multipliers of a layer's constraints on h and n = h - a: h n = 0 (of any sign), h >= 0, n >= 0, and
   where l <= a <= u also h (u - h) >= 0 and n (- l - n) >= 0 *)
Record multipliers := { product_by : nat -> R; output_by : nat -> R; negative_by : nat -> R;
  output_range_by : nat -> R; negative_range_by : nat -> R }.
Definition signs_right m := forall i, 0 <= output_by m i /\ 0 <= negative_by m i /\
  0 <= output_range_by m i /\ 0 <= negative_range_by m i.
Definition unit_share m (b : interval) i h n :=
  product_by m i * (h * n) - output_by m i * h - negative_by m i * n
  - output_range_by m i * (h * (most b i - h)) - negative_range_by m i * (n * (- least b i - n)).

(* the units' share of the Lagrangian; hs: free variables in the place of each layer's activations *)
Fixpoint units_share n (layers : list layer) (bs : list interval) (ms : list multipliers) (a : nat -> R)
    (hs : list (nat -> R)) :=
  match layers, bs, ms, hs with
  | L :: rest, b :: others, m :: more, h :: later =>
      Sum (width L) (fun i => unit_share m b i (h i) (h i - before L n a i))
      + units_share (width L) rest others more h later
  | _, _, _, _ => 0
  end.

(* the squared length of the step, the units' share, the multiplier of the margin w^T h + b <= 0, and what
   further constraints add, as the box of pixels *)
Definition lagrangian n layers bs ms (w : nat -> R) b by_margin further x r hs :=
  sq n r + units_share n layers bs ms (fun c => x c + r c) hs
  + by_margin * (dot (last_width n layers) w (last hs (fun c => x c + r c)) + b) - further r hs.

(* the network's own activations, layer by layer *)
Fixpoint activations n (layers : list layer) (a : nat -> R) : list (nat -> R) :=
  match layers with nil => nil | L :: rest => after L n a :: activations (width L) rest (after L n a) end.
Definition relus (layers : list layer) := forall L, In L layers -> forall i, slope L i = 0.

Lemma last_by_any_default (A : Type) (l : list A) : forall x a b, last (x :: l) a = last (x :: l) b.
Proof. induction l as [|y l IH]; intros x a b; [easy|]. exact (IH y a b). Qed.

Lemma last_activations layers : forall n a, last (activations n layers a) a = hidden n layers a.
Proof.
  induction layers as [|L rest IH]; intros n a; [easy|]. cbn [activations hidden]. rewrite <- IH.
  destruct rest as [|M rest]; [easy|]. set (h := after L n a).
  exact (last_by_any_default _ (activations (width M) rest (after M (width L) h)) (after M (width L) h) a h).
Qed.

Lemma unit_share_of_a_relu m b i a : signs_right m -> least b i <= a <= most b i ->
  unit_share m b i (relu a) (relu a - a) <= 0.
Proof.
  intros S B. destruct (S i) as (S1 & S2 & S3 & S4). unfold unit_share.
  destruct (Rle_lt_dec 0 a) as [A|A]; [rewrite relu_positive by easy|rewrite relu_negative by lra].
  - replace (a - a) with 0 by ring. assert (0 <= a * (most b i - a)) by (apply Rmult_le_pos; lra). nra.
  - assert (0 <= (0 - a) * (- least b i - (0 - a))) by (apply Rmult_le_pos; lra). nra.
Qed.

Lemma units_share_of_the_network layers : forall n bs ms a, relus layers -> List.Forall signs_right ms ->
  bounds_hold n layers bs a -> units_share n layers bs ms a (activations n layers a) <= 0.
Proof.
  induction layers as [|L rest IH]; intros n [|b others] [|m more] a Z S B; simpl in *; try lra; try easy.
  destruct B as [B1 B2].
  assert (H := IH (width L) others more (after L n a) (fun M I => Z M (or_intror I)) (Forall_inv_tail S) B2).
  apply Forall_inv in S. enough (Sum (width L) (fun i =>
    unit_share m b i (after L n a i) (after L n a i - before L n a i)) <= 0) by lra.
  rewrite <- (Sum_0 (width L)). apply Sum_le; intros i I.
  assert (E : after L n a i = relu (before L n a i)).
  { unfold after, activation, relu. rewrite (Z L (or_introl eq_refl) i).
    destruct (Rlt_dec 0 (before L n a i)); [rewrite Rmax_right by lra|rewrite Rmax_left by lra]; ring. }
  rewrite E. apply unit_share_of_a_relu; [easy|]. now apply B1.
Qed.

(* S: any set of steps on which the bounds hold and no further constraint is broken. What is below the
   Lagrangian everywhere is below the squared length of every mistake in S *)
Theorem weak_duality n layers bs ms w b by_margin further x c (S : (nat -> R) -> Prop) : relus layers ->
  List.Forall signs_right ms -> 0 <= by_margin ->
  (forall r, S r -> let p i := x i + r i in
     bounds_hold n layers bs p /\ 0 <= further r (activations n layers p)) ->
  (forall r hs, length hs = length layers -> c <= lagrangian n layers bs ms w b by_margin further x r hs) ->
  forall r, S r -> dot (last_width n layers) w (hidden n layers (fun i => x i + r i)) + b <= 0 -> c <= sq n r.
Proof.
  intros Z Signs B Set_ Low r X M. destruct (Set_ r X) as [H F]. set (p := fun i => x i + r i) in *.
  assert (Len : forall ls n a, length (activations n ls a) = length ls).
  { induction ls as [|L rest IH]; intros; simpl; [easy|]. now rewrite IH. }
  specialize (Low r (activations n layers p) (Len layers n p)). unfold lagrangian in Low. fold p in Low.
  rewrite last_activations in Low. pose proof (units_share_of_the_network layers n bs ms p Z Signs H). nra.
Qed.

Lemma quad_applied m H v : quad m H v = dot m v (applied m H v).
Proof.
  unfold quad, dot, applied. apply Sum_ext; intros c _. rewrite <- Sum_scal. apply Sum_ext; intros; ring.
Qed.

(* a quadratic whose symmetric H is nowhere negative: with H u = g its least value, at v = -u / 2 *)
Theorem least_value_of_a_quadratic m c g H u : (forall i j, H i j = H j i) -> (forall v, 0 <= quad m H v) ->
  (forall i, (i < m)%nat -> applied m H u i = g i) ->
  (forall v, c - dot m g u / 4 <= c + dot m g v + quad m H v) /\
  c + dot m g (fun i => - (1/2) * u i) + quad m H (fun i => - (1/2) * u i) = c - dot m g u / 4.
Proof.
  intros Sym Pos E.
  assert (Gu : forall v, dot m v (applied m H u) = dot m v g) by (intros; apply dot_ext; auto).
  assert (Hv : forall v, dot m u (applied m H v) = dot m v g).
  { intros v. rewrite <- Gu. unfold dot, applied.
    rewrite (Sum_ext m (fun i => u i * _) (fun i => Sum m (fun k => u i * H i k * v k)))
      by (intros; rewrite <- Sum_scal; apply Sum_ext; intros; ring).
    rewrite Sum_swap. apply Sum_ext; intros i _. rewrite <- Sum_scal. apply Sum_ext; intros k _.
    rewrite (Sym k i). ring. }
  assert (Shift : forall v t, quad m H (fun i => v i + t * u i)
    = quad m H v + 2 * t * dot m v g + t^2 * dot m u g).
  { intros v t. rewrite !quad_applied. rewrite <- (Gu u).
    rewrite (dot_ext m _ (fun i => v i + t * u i) _ (fun i => applied m H v i + t * applied m H u i));
      [|easy|intros; unfold applied; rewrite <- Sum_scal, <- Sum_plus; apply Sum_ext; intros; ring].
    transitivity (dot m v (applied m H v) + t * dot m v (applied m H u) + t * dot m u (applied m H v)
      + t^2 * dot m u (applied m H u)).
    - unfold dot. rewrite <- !Sum_scal, <- !Sum_plus. apply Sum_ext; intros; ring.
    - rewrite (Gu v), (Hv v). ring. }
  split.
  - intros v. specialize (Pos (fun i => v i + 1/2 * u i)). rewrite Shift in Pos.
    rewrite (dot_sym m g v), (dot_sym m g u). lra.
  - rewrite (dot_sym m g), dot_scal, (dot_sym m g u). pose proof (Shift (fun _ => 0) (- (1/2))) as S.
    assert (Z : quad m H (fun _ => 0) = 0).
    { unfold quad. rewrite (Sum_ext m _ (fun _ => 0)), Sum_0; [easy|]. intros i _.
      rewrite (Sum_ext m _ (fun _ => 0)), Sum_0; [easy|]. intros; ring. }
    assert (Z' : dot m (fun _ => 0) g = 0).
    { unfold dot. rewrite (Sum_ext m _ (fun _ => 0)), Sum_0; [easy|]. intros; ring. }
    rewrite Z, Z' in S. replace (quad m H (fun i => - (1/2) * u i))
      with (quad m H (fun i => 0 + - (1/2) * u i)); [rewrite S; lra|].
    f_equal. apply FunctionalExtensionality.functional_extensionality. intros; ring.
Qed.

(* where the Lagrangian is such a quadratic of the step and the free variables, in any order *)
Theorem dual_bound n layers bs ms w b by_margin further x m c g H u (S : (nat -> R) -> Prop) : relus layers ->
  List.Forall signs_right ms -> 0 <= by_margin ->
  (forall r, S r -> let p i := x i + r i in
     bounds_hold n layers bs p /\ 0 <= further r (activations n layers p)) ->
  (forall r hs, length hs = length layers -> exists v,
     lagrangian n layers bs ms w b by_margin further x r hs = c + dot m g v + quad m H v) ->
  (forall i j, H i j = H j i) -> (forall v, 0 <= quad m H v) ->
  (forall i, (i < m)%nat -> applied m H u i = g i) ->
  forall r, S r -> dot (last_width n layers) w (hidden n layers (fun i => x i + r i)) + b <= 0 ->
    c - dot m g u / 4 <= sq n r.
Proof.
  intros Z Signs B Inside Form Sym Pos E.
  apply (weak_duality n layers bs ms w b by_margin further x); try easy. intros r hs Len.
  destruct (Form r hs Len) as [v ->]. now apply least_value_of_a_quadratic.
Qed.

(* one ReLU of x in [-1, 1], with the margin 1 - max(0, x): from 0 a mistake is 1 away, and the Lagrangian
   (r - h)^2 + (h - 1)^2 + 1 says so *)
Theorem dual_instance r : -1 <= r 0%nat <= 1 ->
  dot 1 (fun _ => -1) (hidden 1 (one_relu :: nil) (fun i => 0 + r i)) + 1 <= 0 -> 1 <= sq 1 r.
Proof.
  intros B M. set (none := fun _ : nat => 0).
  set (ms := Build_multipliers (fun _ => 2) none none none none :: nil).
  set (g i := match i with O => 0 | _ => -2 end).
  set (H i j := match i, j with O, O => 1 | S _, S _ => 2 | _, _ => -1 end).
  assert (Z : forall u, quad 2 H u = (u 0%nat - u 1%nat)^2 + (u 1%nat)^2)
    by (intros; unfold quad, H; simpl; ring).
  replace 1 with (2 - dot 2 g (fun _ => -2) / 4) by (unfold dot, g; simpl; field).
  apply (dual_bound 1 (one_relu :: nil) (one_interval :: nil) ms (fun _ => -1) 1 2 (fun _ _ => 0) (fun _ => 0)
    2 2 g H (fun _ => -2) (fun r => -1 <= r 0%nat <= 1)); [| | | | | | | |exact B|exact M].
  - intros L [<-|[]] i. reflexivity.
  - constructor; [|constructor]. intros i. unfold none; simpl. lra.
  - lra.
  - intros s I p. split; [|lra]. split; [|easy]. intros i _. unfold p, before, transposed; simpl. lra.
  - intros s [|h [|]] Len; try easy. exists (fun i => match i with O => s 0%nat | _ => h 0%nat end).
    rewrite Z. unfold lagrangian, ms, none, sq, dot, units_share, unit_share, before, transposed, g; simpl.
    ring.
  - intros [|i] [|j]; easy.
  - intros v. rewrite Z. nra.
  - intros [|[|i]] I; unfold applied, H, g; simpl; [lra|lra|lia].
Qed.

(* --- branch and bound --------------------------------------------------------------------------------- *)

(* a node: open or closed with a bound, or split by the sign of a unit's pre-activation *)
Inductive tree := leaf (bound : R) | split (unit : (nat -> R) -> R) (off on : tree).

(* the smallest bound of all leaves: what is certified *)
Fixpoint certified t := match t with leaf b => b | split _ off on => Rmin (certified off) (certified on) end.

Section BranchAndBound.
Variables (mistake : (nat -> R) -> Prop) (distance : (nat -> R) -> R).

(* b is a lower bound of the distance of all mistakes in S *)
Definition valid (S : (nat -> R) -> Prop) b := forall x, S x -> mistake x -> b <= distance x.
Definition where_off (S : (nat -> R) -> Prop) (a : (nat -> R) -> R) x := S x /\ a x <= 0.
Definition where_on (S : (nat -> R) -> Prop) (a : (nat -> R) -> R) x := S x /\ 0 <= a x.

(* every leaf's bound is one for the mistakes in its own set *)
Fixpoint sound S t := match t with
  | leaf b => valid S b
  | split a off on => sound (where_off S a) off /\ sound (where_on S a) on
  end.

(* what a search does to a leaf: a better bound, or a split whose bounds are no worse than the leaf's own *)
Inductive step : ((nat -> R) -> Prop) -> tree -> tree -> Prop :=
  | bounded S b b' : valid S b' -> step S (leaf b) (leaf (Rmax b b'))
  | splitted S a b off on : valid (where_off S a) off -> valid (where_on S a) on ->
      step S (leaf b) (split a (leaf (Rmax b off)) (leaf (Rmax b on)))
  | in_off S a off off' on : step (where_off S a) off off' -> step S (split a off on) (split a off' on)
  | in_on S a off on on' : step (where_on S a) on on' -> step S (split a off on) (split a off on').

(* d is the distance of the nearest mistake in S, or what they come arbitrarily near to *)
Definition nearest S d := valid S d /\
  forall eps, 0 < eps -> exists x, S x /\ mistake x /\ distance x < d + eps.

(* each leaf is solved, its bound the distance of the nearest mistake in its set, or closed, its bound >= d *)
Fixpoint solved S d t := match t with
  | leaf b => nearest S b \/ d <= b
  | split a off on => solved (where_off S a) d off /\ solved (where_on S a) d on
  end.

(* the two halves have all points of the node *)
Theorem a_split_covers (S : (nat -> R) -> Prop) a x : S x -> where_off S a x \/ where_on S a x.
Proof. intros X. destruct (Rle_lt_dec (a x) 0); [now left|right; split; [easy|lra]]. Qed.

Theorem certified_is_a_lower_bound t : forall S, sound S t -> valid S (certified t).
Proof.
  induction t as [b|a off IH on IH']; intros S B; simpl in *; [easy|]. destruct B as [B B']. intros x X M.
  pose proof (Rmin_l (certified off) (certified on)). pose proof (Rmin_r (certified off) (certified on)).
  destruct (a_split_covers S a x X) as [H'|H'].
  - specialize (IH _ B x H' M). lra.
  - specialize (IH' _ B' x H' M). lra.
Qed.

Lemma valid_below (S T : (nat -> R) -> Prop) b b' : valid S b -> valid T b' -> (forall x, T x -> S x) ->
  valid T (Rmax b b').
Proof. intros V V' I x X M. apply Rmax_lub; [apply V; auto|now apply V']. Qed.

Lemma step_keeps_sound S t t' : step S t t' -> sound S t -> sound S t'.
Proof.
  induction 1 as [S b b' V|S a b off on V V'|S a off off' on St IH|S a off on on' St IH]; simpl; intros B.
  - now apply (valid_below S S).
  - split; apply (valid_below S); try easy; now intros x [X _].
  - split; [apply IH|]; apply B.
  - split; [|apply IH]; apply B.
Qed.

Theorem certified_never_falls S t t' : step S t t' -> certified t <= certified t'.
Proof.
  induction 1 as [S b b' V|S a b off on V V'|S a off off' on St IH|S a off on on' St IH]; simpl.
  - apply Rmax_l.
  - apply Rmin_glb; apply Rmax_l.
  - apply Rle_min_compat_r. easy.
  - apply Rle_min_compat_l. easy.
Qed.

(* a search of the whole set S: after k steps the tree is T k, and some mistake is known, found away *)
Theorem interval_at_every_instant S d T : nearest S d -> sound S (T 0%nat) ->
  (forall k, step S (T k) (T (Datatypes.S k)) \/ T (Datatypes.S k) = T k) ->
  forall k found, (exists x, S x /\ mistake x /\ distance x = found) ->
    certified (T k) <= d <= found /\ certified (T k) <= certified (T (Datatypes.S k)) /\
    (solved S d (T k) -> certified (T k) = d).
Proof.
  intros [Low Near] B Steps k found Found. assert (So : forall k, sound S (T k)).
  { clear k. induction k as [|k IH]; [easy|]. destruct (Steps k) as [H| ->]; [|easy].
    now apply (step_keeps_sound S (T k)). }
  assert (Cd : certified (T k) <= d).
  { apply Rnot_lt_le. intros F. destruct (Near (certified (T k) - d) ltac:(lra)) as (x & X & M & L).
    pose proof (certified_is_a_lower_bound (T k) S (So k) x X M). lra. }
  split; [split; [easy|]|split].
  - destruct Found as (x & X & M & <-). now apply Low.
  - destruct (Steps k) as [H|H]; [now apply (certified_never_falls S)|rewrite H; lra].
  - intros H. apply Rle_antisym; [easy|].
    assert (G : forall t (P : (nat -> R) -> Prop), (forall x, P x -> S x) -> solved P d t ->
      d <= certified t).
    { induction t as [b|a off IH on IH']; simpl; intros P I Q.
      - destruct Q as [[_ Q]|Q]; [|easy]. apply Rnot_lt_le. intros F.
        destruct (Q (d - b) ltac:(lra)) as (x & X & M & L). specialize (Low x (I x X) M). lra.
      - apply Rmin_glb; [apply (IH (where_off P a))|apply (IH' (where_on P a))]; try apply Q;
          intros x [X _]; now apply I. }
    now apply (G (T k) S).
Qed.
End BranchAndBound.

(* the mistakes |x| >= 1 of one number, split at 0: both halves are 1 away *)
Theorem search_instance : let far x := 1 <= Rabs (x 0%nat) in let size x := Rabs (x 0%nat) in
  let whole (_ : nat -> R) := True in
  step far size whole (leaf 0) (split (fun x => x 0%nat) (leaf (Rmax 0 1)) (leaf (Rmax 0 1))) /\
  certified (split (fun x => x 0%nat) (leaf (Rmax 0 1)) (leaf (Rmax 0 1))) = 1.
Proof.
  intros far size whole. split; [now apply splitted; intros x _ M|].
  simpl. rewrite (Rmax_right 0 1) by lra. apply Rmin_left. lra.
Qed.
