/* The ledger, judged again on the reader's own machine: every derivation, enclosed check, tooth and exact counterexample. */
"use strict";
{
  const { Interpreter, make, plan, possible } = window.regrobLive;

  const offer = (place) => {
    const button = make("button", { type: "button", textContent: "Let my browser verify it" });
    const stop = make("button", { type: "button", textContent: "Stop", hidden: true });
    const bar = make("progress", { hidden: true, value: 0, ariaLabel: "Claims judged" });
    const note = make("output", { className: "live-note" });
    place.append(button, stop, bar, note);
    place.classList.add("live-bar");
    const rows = new Map([...document.querySelectorAll("ul.claims .claim[id]")]
      .map((claim) => [claim.id.replace("claim-", ""), claim.closest("li").querySelector("summary")]));
    let python, judged, leftOut, good, wrong, from;

    const end = (words) => {
      python?.stop();
      python = null;
      note.value = words;
      stop.hidden = true;
      button.disabled = false;
    };

    const say = {
      claims(data) {
        const { judged: ids, left_out: others } = JSON.parse(data);
        [judged, leftOut, good, wrong, from] = [ids, others, 0, [], performance.now()];
        bar.max = judged.length;
      },
      claim(data) {
        const { id, ok, verdict, failures, seconds } = JSON.parse(data);
        if (ok) good += 1;
        else wrong.push(id);
        bar.value = good + wrong.length;
        note.value = `${bar.value} of ${judged.length} claims`;
        const words = ok ? `${verdict}: verified here, ${seconds.toFixed(1)} s` : `not verified here: ${failures.join("; ")}`;
        rows.get(id)?.append(make("span", { className: `live-verified ${ok ? "holds" : "fails"}`, textContent: words }));
      },
      idle() {
        const seconds = Math.round((performance.now() - from) / 1000);
        const failed = wrong.length ? `; not verified: ${wrong.join(", ")}` : "";
        end(`${good} of ${judged.length} claims verified by your browser in ${seconds} s${failed}. Left out: `
          + `${leftOut.length} with nothing but checks in float64 (${leftOut.join(", ")}), and these checks of all others, `
          + "which need PyTorch.");
      },
      fatal(data) {
        end(`Python stopped: ${data}`);
      },
    };

    button.onclick = async () => {
      button.disabled = true;
      stop.hidden = bar.hidden = false;
      bar.removeAttribute("value");
      document.querySelectorAll(".live-verified").forEach((mark) => mark.remove());
      try {
        const { bytes } = await plan();
        python = new Interpreter(bytes, ({ kind, data }) => say[kind]?.(data), (words) => { note.value = words; });
        python.ask({ verify: true });
      } catch (error) {
        end(`Python did not start: ${error.message}`);
      }
    };
    stop.onclick = () => end("stopped");
  };

  if (possible) document.querySelectorAll(".live-ledger").forEach(offer);
}
