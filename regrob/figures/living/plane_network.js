/* A ReLU network with two inputs. The reader drags x; the affine map of x's polygon gives the local boundary
   and the quadratic model's, all polygons together the true one. */
import {
  along, curve, distance, dot, expose, format, handle, html, inputPlane, minus, nearestOf, plot, readout, sentence, set, sigmoid, softplus, svg,
} from "./common.js";

const sides = (corners) => corners.map((a, i) => [a, corners[(i + 1) % corners.length]]);

/* The part of a polygon on which both logits are equal; none if it has one class. */
function boundary({ corners, s, c }) {
  const ends = [];
  for (const [a, b] of sides(corners)) {
    const from = dot(s, a) + c, to = dot(s, b) + c;
    if (from * to < 0) ends.push(along(a, from / (from - to), minus(b, a)));
  }
  return ends.length === 2 ? ends : null;
}

/* How far x is outside a polygon: negative inside. */
function outside(corners, x) {
  const [a, b, c] = corners, turn = Math.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]));
  return Math.max(...sides(corners).map(([from, to]) => {
    const [u, v] = minus(to, from), [p, q] = minus(x, from);
    return (-turn * (u * q - v * p)) / Math.hypot(u, v);
  }));
}

/* (√(1 + 2pξ/q) − 1)/p by the rationalised root, as `theory.taylor_radius` has it; ν‖r*‖. */
function taylorMargin(m) {
  const xi = -Math.log1p(0.5 * Math.expm1(-m)), rootQ = Math.exp(-softplus(m) / 2);
  return (2 * xi) / (rootQ + Math.sqrt(rootQ * rootQ + 2 * sigmoid(m) * xi)) / rootQ;
}

const ROWS = [
  ["edge", "edge of the polytope", "grey"], ["margin", "dashed: affine boundary, d", "blue"],
  ["truth", "thick: true boundary", "ink"], ["taylor", "dotted: Taylor radius, ‖r*‖", "vermilion"],
];
const LENGTHS = [1e-4, 100];

export default {
  render({ model, el }) {
    const { limit, cut, start, points, pieces } = model.get("data");
    const panels = html(el, "div", { class: "panels" });
    const boundaries = pieces.map(boundary).filter(Boolean);
    const { map, area } = inputPlane(html(panels, "div"), {
      limit, polygons: pieces.map(({ corners }) => corners), points, boundary: boundaries, shade: "fill: var(--lv-piece)",
    });
    const local = curve(map, { class: "blue dashed" });
    const conic = [1, 2].map(() => curve(map, { class: "vermilion dotted" }));
    const ways = Object.fromEntries(ROWS.map(([key, , colour]) => [key, curve(map, { class: `${colour} thin` })]));

    const side = html(panels, "div");
    const scale = plot(side, {
      title: "How far to the boundary?", x: LENGTHS, y: [0, 4], log: "x", yticks: [], left: 12, height: 150,
      xlabel: "distance", xformat: (v) => (v === 1e-4 ? "" : format(v, 1)),
    });
    const marks = ROWS.map(([, , colour], i) => {
      const y = scale.Y(3.5 - i);
      svg(scale.marks, "line", { class: `${colour} thin`, x1: scale.X(LENGTHS[0]), y1: y, y2: y });
      return [scale.marks.lastChild, svg(scale.marks, "circle", { class: colour, r: 5.5, cy: y })];
    });
    const numbers = readout(side, ROWS);
    const say = sentence(side);

    const moved = (a, b) => {
      const x = [a, b];
      const piece = pieces.reduce((best, other) => {
        const value = outside(other.corners, x);
        return value < best.value ? { value, ...other } : best;
      }, { value: Infinity });
      const { corners, s, c } = piece;
      const size = Math.hypot(...s), lead = dot(s, x) + c, m = Math.abs(lead), toward = -Math.sign(lead) / size;
      /* A side on the square's own edge is no kink. */
      const kinks = sides(corners).filter(([p, q]) => ![0, 1].some((i) => p[i] === q[i] && Math.abs(p[i]) === cut));
      const edge = nearestOf(kinks, x), truth = nearestOf(boundaries, x), tau = taylorMargin(m), p = sigmoid(m);
      const unit = s.map((part) => part * toward), across = [-unit[1], unit[0]];
      const line = (length) => {
        const foot = along(x, length, unit);
        return [along(foot, -9, across), along(foot, 9, across)];
      };
      /* The model's other boundary, where the loss falls and the parabola rises again. */
      const behind = -(2 / p + tau);
      const lengths = { edge: distance(edge, x), margin: m / size, truth: distance(truth, x), taylor: tau / size };
      area.move(corners);
      local.move(line(lengths.margin));
      conic[0].move(line(lengths.taylor));
      conic[1].move(line(behind / size));
      ways.edge.move([x, edge]);
      ways.margin.move([x, along(x, lengths.margin, unit)]);
      ways.truth.move([x, truth]);
      ways.taylor.move([x, along(x, lengths.taylor, unit)]);
      ROWS.forEach(([key], i) => {
        const place = scale.X(Math.min(LENGTHS[1], Math.max(LENGTHS[0], lengths[key])));
        set(marks[i][0], { x2: place });
        set(marks[i][1], { cx: place });
      });
      numbers(lengths);
      const ratio = lengths.margin / lengths.truth;
      say(Math.abs(ratio - 1) < 1e-3 ? "Here the dashed line meets the true boundary at its nearest point."
        : `Here the affine map puts the boundary ${format(ratio, 2)} times as far away as it is, the quadratic `
          + `model ${format(lengths.taylor / lengths.truth, 2)} times.`);
      point.place(a, b, `x_1 = ${format(a)}, x_2 = ${format(b)}; ${ROWS.map(([key, name]) => `${name} ${format(lengths[key])}`).join(", ")}`);
      expose(el, { x, ...lengths });
    };
    const point = handle(map, { label: "the input x", moved });
    moved(...start);
  },
};
