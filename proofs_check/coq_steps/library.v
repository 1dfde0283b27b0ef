(* Tactics for the steps of the theorems. Nothing is assumed here: every lemma ends with Qed. *)
From Coq Require Export Reals Lra Psatz Rpower.
From Interval Require Export Tactic.
From Coquelicot Require Export Coquelicot.
Open Scope R_scope.

Lemma even_power_pos : forall (x : R) (n : nat), 0 <= x ^ (2 * n).
Proof. intros x n. rewrite pow_mult. apply pow_le. apply pow2_ge_0. Qed.

Lemma even_power_gt : forall (x : R) (n : nat), x <> 0 -> 0 < x ^ (2 * n).
Proof. intros x n H. rewrite pow_mult. apply pow_lt. apply pow2_gt_0. exact H. Qed.

Lemma plus_lt_le : forall a b, 0 < a -> 0 <= b -> 0 < a + b.
Proof. intros; lra. Qed.

Lemma plus_le_lt : forall a b, 0 <= a -> 0 < b -> 0 < a + b.
Proof. intros; lra. Qed.

Lemma div_le : forall a b, 0 <= a -> 0 < b -> 0 <= a / b.
Proof. intros a b Ha Hb. apply Rmult_le_pos; [exact Ha | left; apply Rinv_0_lt_compat; exact Hb]. Qed.

Lemma Rpower_pos : forall a b, 0 < Rpower a b.
Proof. intros; unfold Rpower; apply exp_pos. Qed.

Lemma exp_gt_1 : forall u, 0 < u -> 1 < exp u.
Proof. intros u H. rewrite <- exp_0. apply exp_increasing. exact H. Qed.

Lemma exp_lt_1 : forall u, u < 0 -> exp u < 1.
Proof. intros u H. rewrite <- exp_0. apply exp_increasing. exact H. Qed.

Lemma exp_ge_1 : forall u, 0 <= u -> 1 <= exp u.
Proof. intros u [H | H]; [left; apply exp_gt_1; exact H | subst; rewrite exp_0; lra]. Qed.

Lemma ln_gt_0 : forall u, 1 < u -> 0 < ln u.
Proof. intros u H. rewrite <- ln_1. apply ln_increasing; lra. Qed.

Lemma ln_lt_0 : forall u, 0 < u -> u < 1 -> ln u < 0.
Proof. intros u P H. rewrite <- ln_1. apply ln_increasing; lra. Qed.

Lemma sqrt_pow2 : forall u, 0 <= u -> sqrt u ^ 2 = u.
Proof. intros u H. simpl. rewrite Rmult_1_r. apply sqrt_sqrt. exact H. Qed.

Lemma ln_pow_pos : forall u n, 0 < u -> ln (u ^ n) = INR n * ln u.
Proof.
  intros u n H. induction n as [|n IH].
  - simpl. rewrite ln_1. ring.
  - rewrite S_INR. simpl pow. rewrite ln_mult; [rewrite IH; ring | exact H | apply pow_lt; exact H].
Qed.

Lemma ln_inverse : forall u, 0 < u -> ln (/ u) = - ln u.
Proof. intros; apply ln_Rinv; assumption. Qed.

Lemma ln_quotient : forall u v, 0 < u -> 0 < v -> ln (u / v) = ln u - ln v.
Proof.
  intros u v Hu Hv. unfold Rdiv. rewrite ln_mult; [rewrite ln_Rinv; [ring | exact Hv] | exact Hu |].
  apply Rinv_0_lt_compat; exact Hv.
Qed.

Lemma ln_root : forall u, 0 < u -> ln (sqrt u) = ln u / 2.
Proof.
  intros u H. assert (S : 0 < sqrt u) by (apply sqrt_lt_R0; exact H).
  replace (ln u) with (ln (sqrt u * sqrt u)) by (rewrite sqrt_sqrt; [reflexivity | lra]).
  rewrite ln_mult by exact S. field.
Qed.

Lemma ln_of_power : forall a b, ln (Rpower a b) = b * ln a.
Proof. intros; unfold Rpower; apply ln_exp. Qed.

Lemma Rpower_nat : forall u n, 0 < u -> Rpower u (/ INR n) ^ n = u \/ n = 0%nat.
Proof.
  intros u n H. destruct n as [|n]; [right; reflexivity | left].
  apply ln_inv; [apply pow_lt; apply Rpower_pos | exact H |].
  rewrite ln_pow_pos by apply Rpower_pos. rewrite ln_of_power. field. apply not_0_INR. discriminate.
Qed.

Lemma increasing_by_derivative : forall (f df : R -> R) (x y : R), x < y ->
  (forall t, x <= t <= y -> is_derive f t (df t)) -> (forall t, x <= t <= y -> 0 < df t) -> f x < f y.
Proof.
  intros f df x y L D P.
  destruct (MVT_cor2 f df x y L) as [c [E C]].
  - intros t T. apply is_derive_Reals. apply D. exact T.
  - assert (0 < df c) by (apply P; lra). assert (0 < df c * (y - x)) by (apply Rmult_lt_0_compat; lra). lra.
Qed.

Lemma decreasing_by_derivative : forall (f df : R -> R) (x y : R), x < y ->
  (forall t, x <= t <= y -> is_derive f t (df t)) -> (forall t, x <= t <= y -> df t < 0) -> f y < f x.
Proof.
  intros f df x y L D P.
  destruct (MVT_cor2 f df x y L) as [c [E C]].
  - intros t T. apply is_derive_Reals. apply D. exact T.
  - assert (df c < 0) by (apply P; lra). assert (0 < - df c * (y - x)) by (apply Rmult_lt_0_compat; lra). lra.
Qed.

Lemma limit_of_continuous : forall (f : R -> R) (p v : R), ex_derive f p -> f p = v ->
  filterlim f (at_right p) (locally v).
Proof.
  intros f p v D E. rewrite <- E.
  intros P H. pose proof (ex_derive_continuous f p D P H) as C.
  destruct C as [e C]. exists e. intros x B _. exact (C x B).
Qed.

(* c / x^q -> infinity at 0+, for c > 0 and q > 0 *)
Lemma limit_of_pole : forall c q : R, 0 < c -> 0 < q ->
  filterlim (fun x => c * exp (- (q * ln x))) (at_right 0) (Rbar_locally p_infty).
Proof.
  intros c q Hc Hq P [M HM].
  set (m := Rmax M 1 / c). assert (0 < m).
  { unfold m. apply Rdiv_lt_0_compat; [|exact Hc]. apply Rlt_le_trans with 1; [lra | apply Rmax_r]. }
  exists (mkposreal (exp (- (ln m / q))) (exp_pos _)). intros x B X. apply HM.
  assert (A : x < exp (- (ln m / q))).
  { unfold ball in B; simpl in B; unfold AbsRing_ball, abs, minus, plus, opp in B; simpl in B.
    rewrite Ropp_0, Rplus_0_r in B. rewrite Rabs_pos_eq in B; [exact B | left; exact X]. }
  assert (L : ln x < - (ln m / q)).
  { rewrite <- (ln_exp (- (ln m / q))). apply ln_increasing; [exact X | exact A]. }
  assert (G : ln m < - (q * ln x)).
  { apply Rmult_lt_compat_l with (r := q) in L; [|exact Hq].
    replace (q * - (ln m / q)) with (- ln m) in L by (field; lra). lra. }
  assert (T : m < exp (- (q * ln x))).
  { rewrite <- (exp_ln m) by assumption. apply exp_increasing. exact G. }
  apply Rle_lt_trans with (Rmax M 1); [apply Rmax_l|].
  replace (Rmax M 1) with (c * m) by (unfold m; field; lra).
  apply Rmult_lt_compat_l; assumption.
Qed.

(* signs of sums, products and powers *)
Ltac pos :=
  match goal with
  | H : 0 < ?x |- 0 < ?x => exact H
  | H : 0 <= ?x |- 0 <= ?x => exact H
  | H : 0 < ?x |- 0 <= ?x => left; exact H
  | |- ?x > 0 => change (0 < x); pos
  | |- ?x >= 0 => apply Rle_ge; pos
  | |- 0 < exp _ => apply exp_pos
  | |- 0 < Rpower _ _ => apply Rpower_pos
  | |- 0 <= exp _ => left; apply exp_pos
  | |- 0 <= Rpower _ _ => left; apply Rpower_pos
  | |- 0 < PI => apply PI_RGT_0
  | |- 0 < sqrt _ => apply sqrt_lt_R0; pos
  | |- 0 <= sqrt _ => apply sqrt_pos
  | |- 0 < ?a * ?b => apply Rmult_lt_0_compat; pos
  | |- 0 <= ?a * ?a => apply Rle_0_sqr
  | |- 0 <= ?a * ?b => apply Rmult_le_pos; pos
  | |- 0 < ?a / ?b => apply Rdiv_lt_0_compat; pos
  | |- 0 <= ?a / ?b => apply div_le; pos
  | |- 0 < / ?a => apply Rinv_0_lt_compat; pos
  | |- 0 <= / ?a => left; apply Rinv_0_lt_compat; pos
  | |- 0 < ?a ^ 0 => simpl; lra
  | |- 0 < ?a ^ ?n => first [ apply pow_lt; pos | change n with (2 * Nat.div2 n)%nat; apply even_power_gt; nonzero ]
  | |- 0 <= ?a ^ ?n => first [ apply pow_le; pos | change n with (2 * Nat.div2 n)%nat; apply even_power_pos ]
  | |- 0 < ?a + ?b => first [ apply plus_le_lt; [pos | pos] | apply plus_lt_le; [pos | pos] | lra ]
  | |- 0 <= ?a + ?b => first [ apply Rplus_le_le_0_compat; pos | lra ]
  | |- 0 < ln _ => apply ln_gt_0; below
  | |- _ => lra
  end
with below :=
  first [ lra
        | match goal with |- ?a < ?b => apply Rminus_lt_0; first [ pos | ring_simplify; pos ] end
        | nra ]
with nonzero :=
  first [ assumption
        | match goal with |- ?a <> 0 => apply Rgt_not_eq; solve [ pos ] end
        | match goal with |- ?a <> 0 => apply Rlt_not_eq; lra end
        | match goal with H : ?f <> 0 |- ?a <> 0 => replace a with f by ring; exact H end
        | match goal with H : ?f <> 0 |- ?a <> 0 => replace a with (- f) by ring; apply Ropp_neq_0_compat; exact H end
        | match goal with H : 0 < ?f |- ?a <> 0 => replace a with f by ring; apply Rgt_not_eq; exact H end
        | match goal with H : 0 < ?f |- ?a <> 0 => replace a with (- f) by ring; apply Rlt_not_eq; lra end
        | match goal with |- ?a * ?b <> 0 => apply Rmult_integral_contrapositive_currified; nonzero end
        | match goal with |- ?a ^ ?n <> 0 => apply pow_nonzero; nonzero end
        | match goal with |- ?a <> 0 => apply Rgt_not_eq; ring_simplify; solve [ pos ] end
        | match goal with |- ?a <> 0 => apply Rlt_not_eq; apply Ropp_lt_cancel; rewrite Ropp_0;
            ring_simplify; solve [ pos ] end
        | intro; nra ].

Ltac sides := repeat match goal with |- _ /\ _ => split end; nonzero.

(* logarithms of products, quotients, powers and roots of what is positive *)
Ltac expand_ln := repeat match goal with
  | |- context [ ln (exp ?u) ] => rewrite (ln_exp u)
  | |- context [ ln (Rpower ?a ?b) ] => rewrite (ln_of_power a b)
  | |- context [ ln (?a * ?b) ] => rewrite (ln_mult a b) by pos
  | |- context [ ln (?a / ?b) ] => rewrite (ln_quotient a b) by pos
  | |- context [ ln (/ ?a) ] => rewrite (ln_inverse a) by pos
  | |- context [ ln (?a ^ ?n) ] => rewrite (ln_pow_pos a n) by pos
  | |- context [ ln (sqrt ?a) ] => rewrite (ln_root a) by pos
  | |- context [ ln 1 ] => rewrite ln_1
  end; simpl INR.

Ltac decide_field := first [ reflexivity | ring | solve [ field; sides ] ].

Ltac same_ln := apply ln_inv; [ solve [ pos ] | solve [ pos ] | expand_ln; decide_field ].

Ltac below_zero := first [ lra
  | match goal with |- ?a < 0 => apply Ropp_lt_cancel; rewrite Ropp_0 end;
    first [ solve [ pos ]
          | match goal with |- 0 < - (- ?a / ?b) => replace (- (- a / b)) with (a / b) by (field; sides); solve [ pos ] end
          | match goal with |- 0 < - (- ?a) => replace (- (- a)) with a by ring; solve [ pos ] end
          | nra ] ].

(* equalities of roots' powers, used for rewriting by field *)
Ltac field_with_roots :=
  match goal with
  | S1 : ?a ^ _ = _, S2 : ?b ^ _ = _, S3 : ?c ^ _ = _ |- _ =>
      lazymatch a with b => fail | c => fail | _ => lazymatch b with c => fail | _ =>
        solve [ field [S1 S2 S3]; sides ] end end
  | S1 : ?a ^ _ = _, S2 : ?b ^ _ = _ |- _ => lazymatch a with b => fail | _ => solve [ field [S1 S2]; sides ] end
  | S1 : _ ^ _ = _ |- _ => solve [ field [S1]; sides ]
  end.

Ltac atom_field := first [ reflexivity | ring | solve [ field; sides ] | field_with_roots
  | solve [ field_simplify_eq; [ nra | sides ] ] ].

Ltac equal rewriting := first [ reflexivity | ring | solve [ field; sides ]
  | rewriting; first [ reflexivity | ring | solve [ field; sides ] | field_with_roots ]
  | rewriting; field_simplify_eq; [ first [ ring | nra ] | sides ] ].

Ltac defined rewriting := first
  [ solve [ match goal with |- _ <> 0 => nonzero | |- _ => pos end ]
  | lra
  | rewriting; solve [ match goal with |- _ <> 0 => nonzero | |- _ => pos end ]
  | rewriting; nra
  | below_zero
  | match goal with |- ?a > 0 => apply Rminus_gt_0_lt; nra end ].

Ltac member := first [ solve [ pos ] | below_zero | apply exp_lt_1; below_zero | apply exp_gt_1; solve [ pos ] | lra | nra ].

Ltac constant := first [ lra | interval | interval with (i_prec 64) | interval with (i_prec 128) | interval with (i_prec 256) ].

Ltac conditions := repeat match goal with |- _ /\ _ => split | |- True => exact I end;
  try solve [ match goal with |- _ <> 0 => nonzero | |- _ => pos end ]; try lra; try nra.

(* differences and quotients as they are written, after auto_derive has spelled them out *)
Ltac fold_back := repeat match goal with
  | |- context [ ?a + - ?b ] => change (a + - b) with (a - b)
  | |- context [ ?a * / ?b ] => change (a * / b) with (a / b)
  end.

Ltac derive := auto_derive; [ fold_back; conditions
  | first [ solve [ equal ltac:(idtac) ] | fold_back; solve [ equal ltac:(idtac) ]
          | fold_back; simpl; field_simplify_eq; [ ring | sides ] ] ].

Ltac at_start := first [ solve [ field; sides ] | rewrite ?exp_0, ?ln_1; first [ ring | field; sides ]
  | match goal with |- context [ ln ?u ] => replace u with 1 by (first [ ring | field ]); rewrite ln_1; field end
  | match goal with |- context [ exp ?u ] => replace u with 0 by (first [ ring | field ]); rewrite exp_0; field end ].

Ltac simplify_at_zero := rewrite ?Rmult_0_l, ?Rmult_0_r, ?Rplus_0_l, ?Rplus_0_r, ?Rminus_0_r.

Ltac at_point := conditions;
  repeat match goal with |- context [ 0 ^ ?n ] => rewrite (pow_i n) by (repeat constructor) end;
  try solve [ simpl; conditions ];
  try solve [ simplify_at_zero; rewrite ?sqrt_1; conditions ].

Ltac at_value := first [ solve [ field; sides ]
  | match goal with |- context [ ln ?u ] => replace u with 1 by ring; rewrite ln_1; field end
  | match goal with |- context [ sqrt ?u ] => replace u with 1 by (simpl; ring); rewrite sqrt_1; field; sides end
  | unfold Rdiv; simpl; ring ].

Ltac nearby := first [ exists 1; split; [ lra | intros; conditions ]
  | exists (1 / 2); split; [ lra | intros; conditions ] ].

Ltac pole c q := apply (filterlim_ext_loc (fun x => c * exp (- (q * ln x))));
  [ exists (mkposreal 1 Rlt_0_1); intros x _ X;
    first [ rewrite exp_Ropp; change (exp (q * ln x)) with (Rpower x q);
            first [ field; split; apply Rgt_not_eq; apply Rpower_pos
                  | rewrite <- (Rpower_sqrt x X); replace (/ 2) with q by lra; field; apply Rgt_not_eq; apply Rpower_pos ] ]
  | apply limit_of_pole; lra ].
