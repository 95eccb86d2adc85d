// Dark and light: as the system says, until the reader chooses.

import { forget } from "./canvas.js";

/** theme wires the switch; changed is called when the colours are others. */
export function theme(button, changed) {
  const light = matchMedia("(prefers-color-scheme: light)");
  const paint = () => {
    const name = stored() ?? (light.matches ? "light" : "dark");
    document.documentElement.dataset.theme = name;
    button.setAttribute("aria-pressed", String(name === "light"));
    forget();
    changed();
  };
  light.addEventListener("change", paint);
  button.addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "light" ? "dark" : "light";
    try { localStorage.setItem("theme", next); } catch { chosen = next; }
    paint();
  });
  paint();
}

let chosen = null; // where the browser stores nothing

function stored() {
  try { return localStorage.getItem("theme") ?? chosen; } catch { return chosen; }
}
