/* The pull of four penalties, −∂/∂m and −∂/∂ν, on one example at margin m and cross-Lipschitz constant ν. */
import { arrow, curve, expose, format, grid, handle, html, plot, sample, sentence, set, sigmoid, svg, word } from "./common.js";

const COLOURS = { "input-gradient": "green", curvature: "blue", jacobian: "vermilion", "cross-lipschitz": "purple" };

/* Each penalty over ν², as a function of m, and its slope in m: q², pq, and ½ twice (Jacobian: v₋ = −v₊). */
const FACTORS = {
  "input-gradient": (m) => [sigmoid(-m) ** 2, -2 * sigmoid(m) * sigmoid(-m) ** 2],
  curvature: (m) => [sigmoid(m) * sigmoid(-m), sigmoid(m) * sigmoid(-m) * (sigmoid(-m) - sigmoid(m))],
  jacobian: () => [0.5, 0],
  "cross-lipschitz": () => [0.5, 0],
};

export default {
  render({ model, el }) {
    const { critical, start, names } = model.get("data");
    const panels = html(el, "div", { class: "panels" });
    const plane = plot(html(panels, "div"), {
      title: "Which way each penalty pulls", x: [-6, 6], y: [0, 4], xlabel: "logit margin m", ylabel: "ν", left: 40,
      xticks: [-6, -4, -2, 0, 2, 4, 6], yticks: [0, 1, 2, 3, 4],
    });
    const ray = curve(plane, { class: "grey dashed thin" });
    for (const [name, place] of Object.entries(critical)) {
      curve(plane, { class: `${COLOURS[name]} dotted` }, [[place, 0], [place, 4]]);
    }
    word(plane, "wrong", { "text-anchor": "middle" }).move(-4, 3.65);
    word(plane, "right", { "text-anchor": "middle" }).move(4.4, 3.65);
    curve(plane, { class: "grey thin" }, [[0, 0], [0, 4]]);
    /* The two that agree are drawn over one another: a broad arrow and a thin one. */
    const arrows = Object.fromEntries(["jacobian", "cross-lipschitz", "input-gradient", "curvature"].map((name) => [
      name, arrow(plane, { class: COLOURS[name], style: name === "jacobian" ? "stroke-width: 5; opacity: .55" : undefined })]));

    const side = plot(html(panels, "div"), {
      title: "Sideways pull, in units of ν²", x: [-6, 6], y: [-0.13, 0.33], xlabel: "logit margin m", ylabel: "−∂/∂m, over ν²",
      xticks: [-6, -4, -2, 0, 2, 4, 6],
    });
    const here = svg(side.marks, "line", { class: "grey dashed thin", y1: 0, y2: 400 });
    const dots = Object.keys(names).map((name) => {
      curve(side, { class: `${COLOURS[name]} ${name === "jacobian" ? "dashed" : ""}` }, sample((m) => -FACTORS[name](m)[1], -6, 6));
      return [name, svg(side.marks, "circle", { r: 5, class: COLOURS[name] })];
    });
    const numbers = grid(el, ["", "pull on m", "pull on ν", "along the ray"],
      Object.entries(names).map(([name, words]) => [name, words, COLOURS[name]]));
    const say = sentence(el);

    const moved = (m, wished) => {
      const nu = Math.max(0.1, wished), shown = {}, values = {};
      for (const name of Object.keys(names)) {
        const [factor, slope] = FACTORS[name](m);
        const onM = -slope * nu * nu, onNu = -2 * factor * nu;
        /* Along the ray margin and ν grow in proportion: the classifier is scaled up. */
        const scaled = onM * m + onNu * nu;
        values[name] = { penalty: factor * nu * nu, m: onM, nu: onNu, ray: scaled };
        shown[name] = [onM, onNu, scaled];
        /* True direction on the screen; the length is compressed, so that weak pulls stay visible. */
        const right = plane.X(m + onM) - plane.X(m), down = plane.Y(nu + onNu) - plane.Y(nu);
        const length = Math.hypot(right, down), part = length > 0.01 ? (95 * length) / (length + 45) / length : 0;
        arrows[name].move([m, nu], [plane.atX(plane.X(m) + right * part), plane.atY(plane.Y(nu) + down * part)]);
      }
      ray.move([[0, 0], [8 * m, 8 * nu]]);
      set(here, { x1: side.X(m), x2: side.X(m) });
      for (const [name, dot] of dots) set(dot, { cx: side.X(m), cy: side.Y(-FACTORS[name](m)[1]) });
      numbers(shown);
      const up = ["input-gradient", "curvature"].filter((name) => values[name].ray > 0);
      say(m <= 0 ? `A wrong example, p_y = ${format(sigmoid(m))}: curvature pulls it to the left, the input-gradient penalty to the right.`
        : up.length ? `At p_y = ${format(sigmoid(m))} scaling the whole classifier up lowers the ${up.join(" penalty and the ")} penalty.`
        : `At p_y = ${format(sigmoid(m))} scaling the classifier down lowers all four penalties.`);
      point.place(m, nu, `margin ${format(m)}, ν ${format(nu)}`);
      expose(el, { margin: m, nu, values });
    };
    const point = handle(plane, { label: "margin and ν of the example", moved, step: [0.1, 0.05] });
    moved(...start);
  },
};
