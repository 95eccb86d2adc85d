// A canvas in the resolution of the screen, with the colours of the theme.

const NAMES = ["panel", "raised", "line", "strong", "text", "soft", "faint", "buy", "sell", "accent", "buy-bar", "sell-bar", "stage1", "stage2", "stage3", "mono"];
let colours = null;

/** forget makes the next drawing read the theme's colours again. */
export function forget() { colours = null; }

function palette() {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
  }
  return colours;
}

/** Surface is one canvas; begin clears it and gives what is needed to draw. */
export class Surface {
  constructor(canvas) {
    this.canvas = canvas;
    this.g = canvas.getContext("2d");
    this.width = this.height = 0;
    new ResizeObserver(() => this.measure()).observe(canvas);
    this.measure();
  }

  measure() {
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.stale = true;
  }

  begin() {
    const ratio = window.devicePixelRatio || 1;
    const w = Math.round(this.width * ratio), h = Math.round(this.height * ratio);
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
    }
    const c = palette();
    this.g.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.g.clearRect(0, 0, this.width, this.height);
    this.g.font = "11px " + c.mono;
    this.g.lineWidth = 1;
    this.stale = false;
    return { g: this.g, c, w: this.width, h: this.height };
  }
}

/** steps are round values between low and high, about `many` of them. */
export function steps(low, high, many) {
  const raw = (high - low) / Math.max(1, many);
  if (!(raw > 0) || !Number.isFinite(raw)) return [];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= raw);
  const out = [];
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) out.push(v);
  return out;
}
