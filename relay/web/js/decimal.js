// Exact decimals. A number of the relay is text like "-64123.45"; it is held as
// {units: BigInt, scale: decimals} and never becomes a float where it is shown.

/** parse reads decimal text; exact. */
export function parse(text) {
  const dot = text.indexOf(".");
  if (dot < 0) return { units: BigInt(text), scale: 0 };
  return { units: BigInt(text.slice(0, dot) + text.slice(dot + 1)), scale: text.length - dot - 1 };
}

/** decimals is the number of digits after the point. */
export function decimals(text) {
  const dot = text.indexOf(".");
  return dot < 0 ? 0 : text.length - dot - 1;
}

/** at gives the units of a decimal at a scale that is not smaller than its own. */
export function at(d, scale) {
  return scale === d.scale ? d.units : d.units * 10n ** BigInt(scale - d.scale);
}

/** compare two decimals: negative, 0 or positive. */
export function compare(a, b) {
  const scale = Math.max(a.scale, b.scale);
  const x = at(a, scale), y = at(b, scale);
  return x < y ? -1 : x > y ? 1 : 0;
}

/** pad writes decimal text with a fixed number of decimals, so that points align. */
export function pad(text, places) {
  const have = decimals(text);
  if (have >= places) return text;
  return text + (have === 0 ? "." : "") + "0".repeat(places - have);
}

/** format writes units × 10^-scale, all decimals shown. */
export function format(units, scale) {
  const negative = units < 0n;
  let digits = (negative ? -units : units).toString();
  if (scale > 0) {
    digits = digits.padStart(scale + 1, "0");
    digits = digits.slice(0, -scale) + "." + digits.slice(-scale);
  }
  return negative ? "-" + digits : digits;
}

/** group puts thin spaces between thousands of the whole part. */
export function group(text) {
  const dot = text.indexOf(".");
  const whole = dot < 0 ? text : text.slice(0, dot);
  if (whole.length < 5) return text;
  return whole.replace(/\B(?=(\d{3})+$)/g, "\u2009") + (dot < 0 ? "" : text.slice(dot));
}
