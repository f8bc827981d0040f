/* Stored results: one measure of one network against λ, a line a penalty; each dot with its interval and seeds. */
import { choice, clamp, curve, expose, format, html, menu, picker, plot, readout, sentence, set, steps, svg, write } from "./common.js";

/* Colour and dashes of each penalty's line, as in all figures of the book. */
const LOOKS = {
  "input-gradient": "green dashdot", jacobian: "vermilion dashed", curvature: "blue", "cross-lipschitz": "purple dotted",
  "adversarial-training": "orange", none: "ink dashed", reference: "grey dotted",
};
const known = (value) => value !== null;

export default {
  render({ model, el }) {
    const { networks, measures, quantities, attacks, penalties, start } = model.get("data");
    let network = networks[start.network], measure = measures.find(({ key }) => key === start.measure);
    let chosen = network.settings.findIndex(([name, weight]) => name === start.penalty && weight === start.weight);
    let dots = [], groups = {}, point, panel, marks, penalty;

    const offered = (quantity) => attacks.filter(([attack]) => measures.some((m) => m.quantity === quantity && m.attack === attack));
    const measured = (quantity, attack) => measures.find((m) => m.quantity === quantity && m.attack === attack);
    menu(el, {
      label: "Network", value: String(networks.indexOf(network)), options: networks.map(({ name }, i) => [String(i), name]),
      changed: (key) => {
        const [name, weight] = network.settings[chosen];
        network = networks[Number(key)];
        chosen = closest(name, weight);
        offerPenalties();
        draw();
      },
    });
    menu(el, {
      label: "Quantity", value: measure.quantity, options: quantities.filter(([key]) => offered(key).length),
      changed: (quantity) => {
        attack.offer(offered(quantity));
        measure = measured(quantity, attack.value());
        draw();
      },
    });
    const attack = menu(el, {
      label: "Attack", value: measure.attack, options: offered(measure.quantity),
      changed: (key) => { measure = measured(measure.quantity, key); draw(); },
    });
    const box = html(el, "div", { class: "panels" });
    const picture = html(box, "div"), beside = html(box, "div");
    const numbers = readout(beside, [
      ["penalty", "penalty"], ["weight", "λ, of adversarial training ε"], ["mean", "mean"],
      ["interval", "95 % interval, or both of two seeds"], ["seeds", "seeds that are counted"],
    ]);
    const strip = html(beside, "div");
    const each = html(beside, "p", { class: "note" });
    const say = sentence(beside);

    /* The setting of a penalty (or, where the network has not been given it, of the first one) nearest to a λ. */
    const closest = (name, weight) => {
      const own = network.settings.map(([other], i) => (other === name ? i : -1)).filter((i) => i >= 0);
      const away = (i) => Math.abs(Math.log((network.settings[i][1] || 1e-9) / (weight || 1e-9)));
      return own.length ? own.reduce((a, b) => (away(b) < away(a) ? b : a)) : network.settings.findIndex(([, w]) => w > 0);
    };
    const offerPenalties = () => {
      penalty?.element.remove();
      const there = Object.entries(penalties).filter(([name]) => network.settings.some(([other]) => other === name));
      penalty = choice(el, {
        label: "Penalty", value: network.settings[chosen][0], options: there.map(([name, words]) => [name, words, LOOKS[name]]),
        changed: (name) => pick(closest(name, network.settings[chosen][1])),
      });
    };
    const written = (value) => (measure.digits === null ? format(value) : value.toFixed(measure.digits).replace("-", "−"));

    const draw = () => {
      const { settings } = network, { mean, low, high, values } = network.measures[measure.key];
      const weights = settings.map(([, weight]) => weight).filter((weight) => weight > 0);
      const [least, most] = [Math.min(...weights), Math.max(...weights)];
      const zero = least / Math.max(2.5, (most / least) ** 0.22); /* where settings without λ stand */
      const every = [mean, low, high, values].flat(2).filter(known);
      let [bottom, top] = [Math.min(...every), Math.max(...every)];
      const logarithmic = !measure.share && bottom > 0 && top / bottom > 20;
      if (logarithmic) [bottom, top] = [bottom / 1.2, top * 1.2];
      else {
        const room = Math.max((top - bottom) * 0.06, 0.005 * measure.most);
        [bottom, top] = [Math.max(0, bottom - room), top + room];
        if (measure.share) top = Math.min(top, measure.most);
      }
      const between = steps(least, most);
      picture.replaceChildren();
      panel = plot(picture, {
        x: [zero / 1.5, most * 1.5], y: [bottom, top], log: logarithmic ? "xy" : "x", height: 320, ylabel: measure.title,
        xlabel: network.sign === "ε" ? "ε of adversarial training" : "weight λ of the penalty",
        xticks: [zero, ...between], xformat: (v) => (v === zero ? "none" : String(Number(v.toPrecision(3)))),
        yticks: logarithmic ? steps(bottom, top) : undefined,
      });
      const x = ([, weight]) => weight || zero;
      dots = settings.map((setting, i) => ({ i, setting, at: [x(setting), mean[i]] })).filter(({ i }) => known(mean[i]));
      groups = {};
      for (const [name, look] of Object.entries(LOOKS).reverse()) {
        const own = dots.filter(({ setting }) => setting[0] === name), colour = look.split(" ")[0];
        if (!own.length) continue;
        const group = groups[name] = svg(panel.marks, "g"), layer = { ...panel, marks: group };
        const points = own.map(({ at }) => at);
        if (own[0].setting[1] === 0) points.push([most * 1.5, points[0][1]]); /* without λ: a level */
        curve(layer, { class: look }, points);
        for (const { i, at } of own) {
          if (known(low[i])) curve(layer, { class: `${colour} thin` }, [[at[0], low[i]], [at[0], high[i]]]);
          svg(group, "circle", { cx: panel.X(at[0]), cy: panel.Y(at[1]), r: 3.5, class: colour });
        }
      }
      settings.forEach((setting, i) => {
        if (values[i].every(known)) return;
        const [name] = setting;
        svg(panel.words, "text", { x: panel.X(x(setting)), y: panel.inner.y + panel.inner.height + 4, "text-anchor": "middle",
          class: LOOKS[name].split(" ")[0], style: "font-weight: 700" }, "×");
      });
      marks = svg(panel.marks, "g");
      point = picker(panel, { label: "dot: right and left along a penalty's line, up and down to another line", range: [0, most],
        dots: dots.map(({ at }) => at), next, picked: (k) => pick(dots[k].i) });
      if (!known(mean[chosen])) chosen = dots[0].i;
      pick(chosen);
    };

    /* Which dot is so many steps to the right on the same line, or so many lines higher near the same λ. */
    const next = (right, up) => {
      const [name, weight] = network.settings[chosen];
      const index = (i) => dots.findIndex((dot) => dot.i === i);
      if (right) {
        const own = dots.filter(({ setting }) => setting[0] === name).map(({ i }) => i);
        return index(own[clamp(own.indexOf(chosen) + right, 0, own.length - 1)]);
      }
      const { mean } = network.measures[measure.key];
      const lines = Object.keys(penalties).filter((other) => dots.some(({ setting }) => setting[0] === other));
      const near = lines.map((other) => (other === name ? chosen : closest(other, weight))).filter((i) => known(mean[i]));
      near.sort((a, b) => mean[a] - mean[b]);
      return index(near[clamp(near.indexOf(chosen) + up, 0, near.length - 1)]);
    };

    /* The chosen dot on a scale of its own: its interval, its mean, and a dot a seed. */
    const enlarge = (i, colour) => {
      const { mean: { [i]: mean }, low: { [i]: low }, high: { [i]: high }, values } = network.measures[measure.key];
      const kept = values[i].filter(known), every = [...kept, ...[low, high].filter(known)];
      const room = Math.max((Math.max(...every) - Math.min(...every)) * 0.08, Math.abs(mean) * 0.003, 1e-9);
      strip.replaceChildren();
      const own = plot(strip, { x: [Math.min(...every) - room, Math.max(...every) + room], y: [0, 1], yticks: false, left: 18,
        height: 92, xlabel: `${measure.title}: each seed`, grid: false });
      if (known(low)) curve(own, { class: colour, style: "stroke-width: 7; opacity: .35" }, [[low, 0.5], [high, 0.5]]);
      curve(own, { class: colour }, [[mean, 0.15], [mean, 0.85]]);
      kept.forEach((value, k) => svg(own.marks, "circle", { r: 3.5, cx: own.X(value), cy: own.Y(0.3 + 0.1 * ((2 * k) % 5)), class: "ink" }));
    };

    const pick = (i) => {
      const { mean, low, high, values } = network.measures[measure.key];
      if (!known(mean[i])) return;
      chosen = i;
      const [name, weight] = network.settings[i], kept = values[i].filter(known), lost = values[i].length - kept.length;
      const { at } = dots.find((dot) => dot.i === i), colour = LOOKS[name].split(" ")[0];
      marks.replaceChildren();
      if (known(low[i])) {
        const ends = [low[i], high[i]].map(panel.Y);
        svg(marks, "path", { class: colour, style: "stroke-width: 3", d: `M${panel.X(at[0])} ${ends[0]}V${ends[1]}`
          + ends.map((end) => `M${panel.X(at[0]) - 7} ${end}h14`).join("") });
      }
      for (const [other, group] of Object.entries(groups)) set(group, { opacity: other === name ? 1 : 0.55 });
      panel.marks.append(groups[name], marks); /* on top */
      enlarge(i, colour);
      const interval = kept.length === 1 ? "one seed, no interval" : kept.length === 2 ? `${written(low[i])} and ${written(high[i])}`
        : `[${written(low[i])}, ${written(high[i])}]`;
      const words = weight ? `${penalties[name]}, ${network.sign} = ${weight}` : penalties[name];
      const counted = lost ? `${kept.length} of ${values[i].length}; ${lost} diverged` : String(kept.length);
      numbers({ penalty: penalties[name], weight: weight ? String(weight) : "–", mean: written(mean[i]), interval, seeds: counted });
      write(each, `Each seed: ${values[i].map((v) => (known(v) ? written(v) : "diverged")).join(", ")}.`);
      const around = kept.length === 1 ? "from one seed" : kept.length === 2 ? `the mean of ${interval}` : `${interval} over ${kept.length} seeds`;
      say(`${network.name}. ${words}: ${measure.title} ${written(mean[i])}, ${around}${lost ? `; ${lost} diverged` : ""}.`);
      point.place(...at, `${words}: ${written(mean[i])}, ${around}`, weight);
      penalty.choose(name);
      expose(el, { network: network.name, attack: measure.attack, metric: measure.quantity, penalty: name, weight, mean: mean[i],
        low: low[i], high: high[i], values: values[i], seeds: kept.length, diverged: lost });
    };
    offerPenalties();
    draw();
  },
};
