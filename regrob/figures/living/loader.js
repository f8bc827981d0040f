/* Starts each living figure of a page when it comes near the screen; its script lies beside this one. */
(() => {
  "use strict";
  const folder = document.currentScript.src.replace(/[^/]*$/, "");
  const scripts = {};
  const script = (name) => (scripts[name] ??= new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = `${folder}${name}.js`;
    element.onload = resolve;
    element.onerror = () => reject(new Error(`${element.src} does not load`));
    document.head.append(element);
  }));
  const start = async (figure) => {
    await script(figure.dataset.figure);
    const { textContent, dataset: { file } } = figure.querySelector("script");
    if (file) await script(`data/${file}`); /* a script, since file:// lets a page read nothing else */
    const data = file ? window.regrobLiving.data[file] : JSON.parse(textContent);
    const state = { data, alt: figure.dataset.alt };
    const stage = document.createElement("div");
    figure.querySelector(".still").before(stage);
    try {
      window.regrobLiving[figure.dataset.figure]({ get: (key) => state[key] }, stage);
      figure.classList.add("alive"); /* the still gives way */
    } catch (error) {
      stage.remove();
      throw error;
    }
  };
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      start(entry.target);
    }
  }, { rootMargin: "800px" });
  const begin = () => document.querySelectorAll("figure.living").forEach((figure) => near.observe(figure));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
