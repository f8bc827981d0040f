/* Gradient descent on two penalised losses over (v₊, v₋), from one start that the reader drops. */
import { calm, clamp, curve, expose, format, grid, handle, html, plot, sentence, set, sigmoid, slider, softplus, svg } from "./common.js";

const NAMES = [["crossLipschitz", "cross-Lipschitz, λν²/2", "purple"], ["jacobian", "Jacobian, λμ²", "vermilion"]];

export default {
  render({ model, el }) {
    const { labels: [right, wrong], rate, steps, reach, start, weight } = model.get("data");
    let lambda = weight, place = start, frame = 0;
    const loss = (d) => (right * softplus(-d) + wrong * softplus(d)) / (right + wrong);
    const slope = (d) => (wrong * sigmoid(d) - right * sigmoid(-d)) / (right + wrong);
    const objective = {
      crossLipschitz: ([a, b]) => loss(a - b) + (lambda * (a - b) ** 2) / 2,
      jacobian: ([a, b]) => loss(a - b) + lambda * (a * a + b * b),
    };
    const gradient = {
      crossLipschitz: ([a, b]) => [slope(a - b) + lambda * (a - b), -slope(a - b) - lambda * (a - b)],
      jacobian: ([a, b]) => [slope(a - b) + 2 * lambda * a, -slope(a - b) + 2 * lambda * b],
    };
    const descend = (name) => {
      const path = [place];
      for (let i = 0; i < steps; i += 1) {
        const [a, b] = path[i], [u, v] = gradient[name]([a, b]);
        path.push([a - rate * u, b - rate * v]);
      }
      return path;
    };
    /* Where a convex function of one number that grows from 0 on reaches a level, at most `most`. */
    const reaches = (f, level, most) => {
      let low = 0, high = most;
      if (f(high) < level) return most;
      for (let i = 0; i < 40; i += 1) {
        const middle = (low + high) / 2;
        if (f(middle) < level) low = middle; else high = middle;
      }
      return high;
    };
    const optimum = () => { /* of v₊ − v₋, the same for both */
      let low = -50, high = 50;
      for (let i = 0; i < 80; i += 1) {
        const d = (low + high) / 2;
        if (slope(d) + lambda * d < 0) low = d; else high = d;
      }
      return low;
    };

    const panels = html(el, "div", { class: "panels" });
    const planes = NAMES.map(([name, words, colour]) => {
      const panel = plot(html(panels, "div"), {
        title: words, x: [-reach, reach], y: [-reach, reach], xlabel: "v₊", ylabel: "v₋", height: 338, left: 46,
        xticks: [-2, -1, 0, 1, 2], yticks: [-2, -1, 0, 1, 2], grid: false,
      });
      const contours = curve(panel, { class: "grey thin", style: "opacity: .7" });
      curve(panel, { class: "ink dotted thin" }, [[-reach, reach], [reach, -reach]]);
      const best = name === "jacobian" ? svg(panel.marks, "circle", { r: 7, class: "orange" }) : curve(panel, { class: "orange", style: "stroke-width: 5" });
      const path = curve(panel, { class: colour, style: "stroke-width: 3" });
      const ball = svg(panel.marks, "circle", { r: 6, class: colour });
      return { name, panel, contours, best, path, ball };
    });
    slider(el, { label: "weight λ", min: Math.log(0.02), max: 0, value: Math.log(lambda), words: (v) => format(Math.exp(v), 2),
      changed: (v) => { lambda = Math.exp(v); landscape(); moved(...place); dropped(); } });
    const numbers = grid(el, ["", "end", "v₊ − v₋", "v₊ + v₋"], NAMES.map(([name, words, colour]) => [name, words.split(",")[0], colour]));
    const say = sentence(el);

    const landscape = () => {
      const d = optimum(), centre = [d / 2, -d / 2];
      for (const { name, panel, contours, best } of planes) {
        const f = objective[name], lowest = f(centre), drawn = [];
        for (let k = 1; k <= 12; k += 1) {
          const level = lowest + 1.2 * (k / 12) ** 2;
          if (name === "jacobian") {
            drawn.push(panel.path(Array.from({ length: 91 }, (_, i) => {
              const way = [Math.cos((i * Math.PI) / 45), Math.sin((i * Math.PI) / 45)];
              const along = (t) => [centre[0] + t * way[0], centre[1] + t * way[1]];
              return along(reaches((t) => f(along(t)), level, 60));
            })));
          } else {
            for (const sign of [1, -1]) {
              const gap = d + sign * reaches((t) => f([d + sign * t, 0]), level, 60);
              drawn.push(panel.path([[-9, -9 - gap], [9, 9 - gap]]));
            }
          }
        }
        contours.element.setAttribute("d", drawn.join(""));
        if (name === "jacobian") set(best, { cx: panel.X(centre[0]), cy: panel.Y(centre[1]) });
        else best.move([[-9, -9 - d], [9, 9 - d]]);
      }
    };

    let paths = [];
    const moved = (a, b) => {
      cancelAnimationFrame(frame);
      place = [a, b];
      paths = planes.map(({ name }) => descend(name));
      const ends = paths.map((path) => path[steps]);
      planes.forEach(({ panel, path, ball }, i) => {
        path.move(paths[i].filter((_, k) => k < 100 || k % 20 === 0));
        set(ball, { cx: panel.X(ends[i][0]), cy: panel.Y(ends[i][1]) });
      });
      numbers(Object.fromEntries(NAMES.map(([name], i) => [name, [ends[i].map((v) => format(v, 2)).join(", "), ends[i][0] - ends[i][1], ends[i][0] + ends[i][1]]])));
      const apart = Math.hypot(ends[0][0] - ends[1][0], ends[0][1] - ends[1][1]);
      say(apart < 0.01 ? "From the dotted line both descents take the same path, step by step."
        : `They end ${format(apart, 2)} apart, with the same v₊ − v₋: only the Jacobian penalty moves the sum.`);
      points.forEach((point) => point.place(a, b, `start at v₊ = ${format(a)}, v₋ = ${format(b)}; the ends are ${format(apart, 2)} apart`));
      expose(el, { start: place, weight: lambda, ends, apart });
    };
    /* When the hand rests, both balls run down their paths. */
    const dropped = () => {
      cancelAnimationFrame(frame);
      if (calm()) return;
      const begin = performance.now();
      const run = (now) => {
        const share = clamp((now - begin) / 2500, 0, 1), k = Math.round(steps * share ** 3);
        planes.forEach(({ panel, ball }, i) => set(ball, { cx: panel.X(paths[i][k][0]), cy: panel.Y(paths[i][k][1]) }));
        if (share < 1) frame = requestAnimationFrame(run);
      };
      frame = requestAnimationFrame(run);
    };
    const points = planes.map(({ name, panel }) => handle(panel, { label: `start of the descents (${name === "jacobian" ? "Jacobian" : "cross-Lipschitz"} plane)`, moved, dropped, step: [0.05, 0.05] }));
    landscape();
    moved(...start);
  },
};
