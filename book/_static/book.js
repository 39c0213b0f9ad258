// What the built pages do for a reader beyond showing: keep a prediction, and turn one library's number into another's.
// Without scripts the pages read the same: the question stands in the text, and the tables below the decoder too.

/** A chapter's "Predict": the reader chooses or writes; where the chapter sums up, it shows what that was. */
function predictions() {
  const question = document.querySelector("section#predict");
  const end = document.querySelector("section#remember");
  if (!question || !end) return;
  const key = `prediction ${location.pathname}`;
  const kept = (() => {
    try { return JSON.parse(localStorage.getItem(key)) ?? {}; } catch { return {}; } // storage may be forbidden
  })();
  const choices = [...question.querySelectorAll("p")]
    .map((p) => [...p.textContent.matchAll(/(?:^|· ?)\s*([A-F])\. /g)].map((m) => m[1]))
    .find((letters) => letters.length > 1) ?? [];

  const box = document.createElement("form");
  box.className = "prediction";
  box.addEventListener("submit", (event) => event.preventDefault());
  const buttons = choices.map((letter) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: letter });
    button.addEventListener("click", () => change({ ...kept, [letter]: !kept[letter] }));
    box.append(button);
    return button;
  });
  const label = Object.assign(document.createElement("label"), {
    textContent: choices.length ? "and why? " : "Your answers: ",
  });
  const words = Object.assign(document.createElement("textarea"), { rows: 2, value: kept.words ?? "" });
  words.addEventListener("input", () => change({ ...kept, words: words.value }));
  label.append(words);
  const note = document.createElement("small");
  note.textContent = "Kept in this browser only; it comes back under Remember.";
  box.append(label, note);
  question.append(box);

  const back = document.createElement("p");
  back.className = "prediction";
  end.querySelector("h2").after(back);

  function change(now) {
    Object.assign(kept, now);
    try { localStorage.setItem(key, JSON.stringify(kept)); } catch { /* then it lasts as long as the page */ }
    show();
  }
  function show() {
    for (const button of buttons) button.setAttribute("aria-pressed", Boolean(kept[button.textContent]));
    const letters = choices.filter((letter) => kept[letter]).join(", ");
    const said = [letters, kept.words?.trim()].filter(Boolean).join(": ");
    back.hidden = !said;
    back.replaceChildren("Before you read the chapter, ", link("you predicted"), ` “${said}”. Would you still?`);
  }
  function link(text) {
    return Object.assign(document.createElement("a"), { href: "#predict", textContent: text });
  }
  show();
}

/** Conventions: any library's number, and what all the others would write for it. */
function decoder() {
  const box = document.querySelector(".decoder");
  if (!box) return;
  const written = JSON.parse(box.dataset.words); // [word, quantity, libraries]
  const quantities = {
    // name: [from tau, to tau, least, most, what it is]; as companion.convert has them
    tau: [(t) => t, (v) => v, 0, 1, "weight of the new value"],
    decay: [(t) => 1 - t, (v) => 1 - v, 0, 1, "weight of the old value, 1 − tau"],
    window: [(t) => 1 / t, (v) => 1 / v, 1, Infinity, "updates, 1/tau"],
    "half-life": [(t) => Math.LN2 / -Math.log1p(-t), (v) => -Math.expm1(-Math.LN2 / v), 0, Infinity, "updates, ln 2 / −ln(1 − tau)"],
    "mean lag": [(t) => (1 - t) / t, (v) => 1 / (v + 1), 0, Infinity, "updates, (1 − tau)/tau"],
    "variance ratio": [(t) => t / (2 - t), (v) => (2 * v) / (1 + v), 0, 1, "of white noise, tau/(2 − tau)"],
    period: [(t) => 2 / t - 1, (v) => 2 / (v + 1), 1, Infinity, "updates between hard copies of equal mean lag"],
    steps: [(t) => n() * (2 / t - 1), (v) => 2 / (v / n() + 1), 0, Infinity, "environment steps between such copies"],
  };
  box.innerHTML = `
    <label>I have <select></select></label>
    <label>= <input type="number" step="any" value="0.995"></label>
    <label>with <input type="number" min="1" step="1" value="1"> environment steps an update</label>
    <p role="alert"></p>
    <table><thead><tr><th>quantity</th><th>value</th><th>what it is</th></tr></thead><tbody></tbody></table>
    <table><thead><tr><th>written as</th><th>by</th></tr></thead><tbody></tbody></table>`;
  const select = box.querySelector("select");
  const [value, steps] = box.querySelectorAll("input");
  const [meanings, words] = box.querySelectorAll("tbody");
  const n = () => Math.max(1, steps.valueAsNumber || 1);
  for (const [word, quantity, by] of [...written, ...Object.keys(quantities).filter((q) => q !== "steps").map((q) => [q, q, ""])]) {
    select.append(Object.assign(document.createElement("option"), { value: quantity, textContent: by ? `${word} · ${by}` : word }));
  }
  select.selectedIndex = written.findIndex(([word]) => word === "polyak");
  const short = (x) => (Number.isFinite(x) ? String(Number(x.toPrecision(6))) : "∞");
  const row = (cells) => {
    const tr = document.createElement("tr");
    for (const cell of cells) tr.append(Object.assign(document.createElement("td"), { textContent: cell }));
    return tr;
  };
  function show() {
    const [, toTau, least, most] = quantities[select.value];
    const given = value.valueAsNumber;
    const fits = given >= least && given <= most;
    const alert = box.querySelector("[role=alert]");
    alert.textContent = fits ? "" : `Give a number from ${least} ${most === 1 ? "to 1" : "upwards"}.`;
    if (!fits) return;
    const tau = Math.min(1, toTau(given));
    meanings.replaceChildren(...Object.entries(quantities).map(([name, [of, , , , what]]) => row([name, short(of(tau)), what])));
    words.replaceChildren(...written.map(([word, quantity, by]) => row([`${word} = ${short(quantities[quantity][0](tau))}`, by])));
  }
  box.addEventListener("input", show);
  show();
}

addEventListener("DOMContentLoaded", () => {
  predictions();
  decoder();
});
