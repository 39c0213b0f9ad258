// A figure of `study.explore`: sliders (and places in the picture) that choose which of its drawn states is seen.
// It stands in the page once for each figure, so that each works alone, in a notebook's output too.
(() => {
  for (const box of document.querySelectorAll(".explore[data-states]")) {
    const { controls, start, says, spots, changes } = JSON.parse(box.dataset.states);
    box.removeAttribute("data-states"); // done once
    const still = box.querySelector("img");
    const bytes = Uint8Array.from(atob(still.src.split(",")[1]), (c) => c.charCodeAt(0));
    const parsed = new DOMParser().parseFromString(new TextDecoder().decode(bytes), "image/svg+xml").documentElement;
    const svg = document.importNode(parsed, true);
    const elements = [svg, ...svg.querySelectorAll("*")];
    svg.removeAttribute("height");
    svg.setAttribute("width", still.width);
    svg.style.cssText += "; max-width: 100%; height: auto; font-family: DejaVu Sans, Verdana, sans-serif";
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", still.alt);
    still.replaceWith(svg);

    const panel = document.createElement("div");
    panel.className = "explore-controls";
    panel.style.cssText = "max-width: 45em; margin: 0.4em auto 0; text-align: left";
    const sliders = controls.map(([name, values], i) => {
      const row = panel.appendChild(document.createElement("label"));
      row.style.cssText = "display: flex; flex-wrap: wrap; gap: 0.2em 0.8em; align-items: center; margin: 0.2em 0";
      const shown = document.createElement("output");
      shown.style.cssText = "min-width: 9em";
      const slider = document.createElement("input");
      Object.assign(slider, { type: "range", min: 0, max: values.length - 1, step: 1, value: start[i] });
      slider.setAttribute("aria-label", name);
      slider.style.cssText = "flex: 1 1 12em; min-width: 0; height: 2em";
      row.append(shown, slider);
      slider.addEventListener("input", move);
      return { name, values, slider, shown };
    });
    const words = panel.appendChild(document.createElement("p"));
    words.style.cssText = "margin: 0.2em 0; min-height: 3em";
    words.setAttribute("aria-live", "polite");
    svg.after(panel);

    function move() {
      let state = 0;
      for (const { name, values, slider, shown } of sliders) {
        state = state * values.length + slider.valueAsNumber;
        shown.textContent = `${name} = ${values[slider.valueAsNumber]}`;
        slider.setAttribute("aria-valuetext", values[slider.valueAsNumber]);
      }
      for (const [element, what, values, index] of changes) {
        if (what) elements[element].setAttribute(what, values[index[state]]);
        else elements[element].innerHTML = values[index[state]];
      }
      words.textContent = says[state];
    }

    function choose(event) {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const far = spots.map(([x, y]) => Math.hypot(x - at.x, y - at.y));
      const nearest = far.indexOf(Math.min(...far));
      if (far[nearest] > 25) return;
      let rest = nearest;
      for (const { values, slider } of [...sliders].reverse()) {
        slider.value = rest % values.length;
        rest = Math.floor(rest / values.length);
      }
      move();
    }
    if (spots.length) {
      svg.style.cursor = "pointer";
      svg.addEventListener("click", choose);
      svg.addEventListener("pointermove", (event) => event.pointerType === "mouse" && choose(event));
    }
    move();
  }
})();
