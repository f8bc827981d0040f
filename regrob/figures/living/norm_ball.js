/* The smallest ball of a norm that reaches the half-plane sᵀr ≥ τ: its size is τ over the dual norm of s. */
import { arrow, choice, curve, expose, format, handle, html, plot, readout, sample, sentence, short, slider, svg, word } from "./common.js";

const NORMS = {
  1: { name: "ℓ₁", dual: ([a, b]) => Math.max(Math.abs(a), Math.abs(b)), ball: "diamond" },
  2: { name: "ℓ₂", dual: ([a, b]) => Math.hypot(a, b), ball: "disc" },
  inf: { name: "ℓ∞", dual: ([a, b]) => Math.abs(a) + Math.abs(b), ball: "square" },
};
/* In the plane ‖r‖ in the first norm is at least this many times ‖r‖ in the second. */
const FACTOR = { 1: { 2: 1, inf: 1 }, 2: { 1: Math.SQRT1_2, inf: 1 }, inf: { 1: 1 / 2, 2: Math.SQRT1_2 } };
const ORDER = ["1", "2", "inf"];
const LIMIT = 2.5;

/* The point of the unit sphere of a norm in a direction. */
const sphere = (norm, t) => {
  const [a, b] = [Math.cos(t), Math.sin(t)];
  const size = { 1: Math.abs(a) + Math.abs(b), 2: 1, inf: Math.max(Math.abs(a), Math.abs(b)) }[norm];
  return [a / size, b / size];
};

export default {
  render({ model, el }) {
    const { margin, tau, start } = model.get("data");
    const length = Math.hypot(...start);
    let norm = "inf", angle = (Math.atan2(start[1], start[0]) * 180) / Math.PI;
    const vector = (degrees) => [Math.cos, Math.sin].map((f) => length * f((degrees * Math.PI) / 180));
    const radius = (own, s) => tau / NORMS[own].dual(s);
    const borrowed = (own, other, s) => FACTOR[own][other] * radius(other, s);
    const others = () => ORDER.filter((other) => other !== norm);

    choice(el, { label: "norm of the step:", options: ORDER.map((key) => [key, NORMS[key].name]), value: norm,
      changed: (key) => { norm = key; show(); } });
    const turn = slider(el, { label: "direction of s", min: -180, max: 180, step: 1, value: Math.round(angle), words: (v) => `${short(v)}°`,
      changed: (v) => { angle = v; show(); } });
    const panels = html(el, "div", { class: "panels" });
    const plane = plot(html(panels, "div"), {
      title: "The smallest ball that gets there", x: [-LIMIT, LIMIT], y: [-LIMIT, LIMIT], xlabel: "r_1", ylabel: "r_2", height: 326, left: 46,
      xticks: [-2, -1, 0, 1, 2], yticks: [-2, -1, 0, 1, 2], grid: false,
    });
    const beyond = curve(plane, { style: "fill: var(--lv-vermilion); opacity: .25" }, [], true);
    const truth = curve(plane, { class: "ink dashed thin" });
    const ball = curve(plane, { class: "blue", style: "fill: var(--lv-blue); fill-opacity: .15" }, [], true);
    const way = arrow(plane, { class: "ink" });
    const touch = svg(plane.marks, "circle", { r: 5, class: "blue" });
    const label = word(plane, "s", { "text-anchor": "middle", dy: -16 });
    const side = html(panels, "div");
    const numbers = readout(el, [
      ["own", "radius in the chosen norm", "blue"], ["first", "borrowed", "orange dashed"], ["second", "borrowed", "purple dotted"],
      ["true", "true distance in that norm", "ink dashed"],
    ]);
    const names = [...el.querySelectorAll(".numbers th")].map((head) => head.lastChild);
    const say = sentence(el);

    const drawCurves = (bounds) => {
      side.replaceChildren();
      const most = Math.max(...sample((d) => radius(norm, vector(d)), -180, 180, 72).map(([, v]) => v));
      const chart = plot(side, { title: `Size in ${NORMS[norm].name}`, x: [-180, 180], y: [0, 1.15 * most], height: 326, xlabel: "direction of s, degrees",
        ylabel: "size", xticks: [-180, -90, 0, 90, 180] });
      curve(chart, { class: "blue" }, sample((d) => radius(norm, vector(d)), -180, 180, 360));
      others().forEach((other, i) => curve(chart, { class: ["orange dashed", "purple dotted"][i] },
        sample((d) => borrowed(norm, other, vector(d)), -180, 180, 360)));
      for (const [value, colour] of bounds) svg(chart.marks, "circle", { cx: chart.X(angle), cy: chart.Y(value), r: 5, class: colour });
    };

    const show = () => {
      const s = vector(angle), own = radius(norm, s), lent = others().map((other) => borrowed(norm, other, s));
      const along = s.map((v) => v / length), across = [-along[1], along[0]];
      const at = (depth, sideways) => [0, 1].map((i) => depth * along[i] + sideways * across[i]);
      beyond.move([at(tau / length, -9), at(tau / length, 9), at(9, 9), at(9, -9)]);
      truth.move([at(margin / length, -9), at(margin / length, 9)]);
      ball.move(Array.from({ length: 160 }, (_, k) => sphere(norm, (k * Math.PI) / 80).map((v) => own * v)));
      way.move([0, 0], s);
      label.move(...s);
      /* Where it touches: the direction that makes sᵀr largest for its size. */
      const best = { 1: Math.abs(s[0]) >= Math.abs(s[1]) ? [Math.sign(s[0]), 0] : [0, Math.sign(s[1])], 2: along,
        inf: s.map((v) => (Math.abs(v) < 1e-12 ? 0 : Math.sign(v))) }[norm];
      touch.setAttribute("cx", plane.X(own * best[0]));
      touch.setAttribute("cy", plane.Y(own * best[1]));
      drawCurves([[own, "blue"], [lent[0], "orange"], [lent[1], "purple"]]);
      others().forEach((other, i) => { names[i + 1].textContent = `lower bound borrowed from ${NORMS[other].name}`; });
      numbers({ own, first: lent[0], second: lent[1], true: margin / NORMS[norm].dual(s) });
      const [first, second] = others().map((other) => NORMS[other].name), better = Math.max(...lent);
      const winner = Math.abs(lent[0] - lent[1]) < 1e-6 * own ? "Both borrowed bounds are equal"
        : `The bound borrowed from ${lent[0] > lent[1] ? first : second} wins`;
      say(`The ${NORMS[norm].ball} has size ${format(own)}. ${winner}: `
        + (better > own * (1 - 1e-9) ? "it loses nothing here." : `it is ${format(100 * (1 - better / own), 2)} % short.`));
      turn.move(Math.round(angle));
      point.place(...s, `${format(angle)} degrees; size ${format(own)}`, angle);
      expose(el, { s, norm, own, borrowed: Object.fromEntries(others().map((other, i) => [other, lent[i]])), truth: margin / NORMS[norm].dual(s) });
    };
    const point = handle(plane, { label: "the tip of s", range: [-180, 180], step: [0.06, 0.06],
      moved: (a, b) => { if (Math.hypot(a, b) > 1e-9) { angle = (Math.atan2(b, a) * 180) / Math.PI; show(); } } });
    show();
  },
};
