(* The glossary: what the words of every other file mean. A vector is a function from indices to numbers, a
   matrix a function from two indices; their sizes (n inputs, K classes) go along as arguments. *)
From Coq Require Import Reals.
Open Scope R_scope.

(* f 0 + ... + f (n - 1) *)
Fixpoint Sum (n : nat) (f : nat -> R) : R :=
  match n with O => 0 | S m => Sum m f + f m end.

(* the sum of f i j over the pairs i < j < n *)
Definition Pairs n (f : nat -> nat -> R) := Sum n (fun j => Sum j (fun i => f i j)).

(* the entries of the identity matrix; delta k y is the one-hot vector of the label y *)
Definition delta (i j : nat) : R := if Nat.eqb i j then 1 else 0.

(* u^T v,  ||u||_2^2,  ||u||_2,  ||u||_1,  ||u||_inf *)
Definition dot n (u v : nat -> R) := Sum n (fun c => u c * v c).
Definition sq n (u : nat -> R) := dot n u u.
Definition norm n (u : nat -> R) := sqrt (sq n u).
Definition norm_1 n (u : nat -> R) := Sum n (fun c => Rabs (u c)).
Fixpoint Max (n : nat) (f : nat -> R) : R :=
  match n with O => 0 | S m => Rmax (Max m f) (f m) end.
Definition norm_inf n (u : nat -> R) := Max n (fun c => Rabs (u c)).

(* A^T r, for a matrix with n rows; A v, for a matrix with m columns; r^T H r *)
Definition transposed n (A : nat -> nat -> R) (r : nat -> R) k := Sum n (fun c => A c k * r c).
Definition applied m (A : nat -> nat -> R) (v : nat -> R) c := Sum m (fun k => A c k * v k).
Definition quad n (H : nat -> nat -> R) r := Sum n (fun c => Sum n (fun d => r c * H c d * r d)).

(* ||A||_2 = s for an n x m matrix: the largest length of A v over unit vectors v *)
Definition spectral_norm n m A s :=
  (forall v, norm n (applied m A v) <= s * norm m v) /\
  exists v, norm m v = 1 /\ norm n (applied m A v) = s.

(* s is the largest eigenvalue of a symmetric H: the largest r^T H r over unit vectors r *)
Definition largest_eigenvalue n H s :=
  (forall r, quad n H r <= s * sq n r) /\ exists u, sq n u = 1 /\ quad n H u = s.

(* ||V||_F *)
Definition frobenius n K (V : nat -> nat -> R) := sqrt (Sum n (fun c => Sum K (fun k => (V c k)^2))).

(* V C, C = I - 11^T/K: the columns of V less their mean *)
Definition centred K (V : nat -> nat -> R) c k := V c k - Sum K (V c) / INR K.

(* v_i - v_j, and the sum of ||v_i - v_j||_2^2 over the pairs i < j *)
Definition between (V : nat -> nat -> R) i j c := V c i - V c j.
Definition spread n K V := Pairs K (fun i j => sq n (between V i j)).

(* the logits V^T x + c of an affine classifier, softmax, cross-entropy *)
Definition logits n (V : nat -> nat -> R) (c : nat -> R) (x : nat -> R) k := transposed n V x k + c k.
Definition softmax K (z : nat -> R) k := exp (z k) / Sum K (fun j => exp (z j)).
Definition cross_entropy K y (z : nat -> R) := - ln (softmax K z y).

(* p has positive entries that sum to 1, as softmax has; the label y has the largest of them *)
Definition distribution K (p : nat -> R) := (forall k, (k < K)%nat -> 0 < p k) /\ Sum K p = 1.
Definition correct K (p : nat -> R) y := forall k, (k < K)%nat -> p k <= p y.

(* the label y alone has the largest of them *)
Definition strictly_correct K (p : nat -> R) y := forall k, (k < K)%nat -> k <> y -> p k < p y.

(* V (p - e_y)   and   V (diag p - p p^T) V^T *)
Definition gradient K (V : nat -> nat -> R) y (p : nat -> R) c := Sum K (fun k => V c k * (p k - delta k y)).
Definition hessian K (V : nat -> nat -> R) (p : nat -> R) c d :=
  Sum K (fun k => Sum K (fun l => V c k * (delta k l * p k - p k * p l) * V d l)).

(* how much the quadratic model of the loss grows along r: g^T r + r^T H r / 2 *)
Definition growth n (g : nat -> R) (H : nat -> nat -> R) r := dot n g r + quad n H r / 2.

(* rho is the least size (in the norm N) of a step along which the growth reaches xi *)
Definition least_step (N : (nat -> R) -> R) (growth : (nat -> R) -> R) xi rho :=
  (exists r, xi <= growth r /\ N r = rho) /\ forall r, xi <= growth r -> rho <= N r.

(* f is (Frechet) differentiable at x with the gradient g *)
Definition differentiable n (f : (nat -> R) -> R) (x g : nat -> R) :=
  forall eps, 0 < eps -> exists d, 0 < d /\
  forall x', norm n (fun c => x' c - x c) < d ->
    Rabs (f x' - f x - dot n g (fun c => x' c - x c)) <= eps * norm n (fun c => x' c - x c).

(* near x the classifier g is affine: its logits are V^T x' + c in a ball around x *)
Definition affine_near n K (g : (nat -> R) -> nat -> R) x V c :=
  exists d, 0 < d /\ forall x', norm n (fun c => x' c - x c) < d ->
    forall k, (k < K)%nat -> g x' k = logits n V c x' k.

(* H is the matrix of second derivatives of f at x *)
Definition has_hessian n (f : (nat -> R) -> R) x H := exists G d, 0 < d /\
  (forall x', norm n (fun c => x' c - x c) < d -> differentiable n f x' (G x')) /\
  forall c, (c < n)%nat -> differentiable n (fun x' => G x' c) x (H c).
