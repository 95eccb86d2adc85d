// Numbers as they are shown: exact text, points aligned, thousands apart.

import { places } from "/client/tickrelay.js";

/** pad writes decimal text with a fixed number of decimals, so that points align. */
export function pad(text, to) {
  const have = places(text);
  if (have >= to) return text;
  return text + (have === 0 ? "." : "") + "0".repeat(to - have);
}

/** group puts thin spaces between thousands of the whole part. */
export function group(text) {
  const dot = text.indexOf(".");
  const whole = dot < 0 ? text : text.slice(0, dot);
  if (whole.length < 5) return text;
  return whole.replace(/\B(?=(\d{3})+$)/g, "\u2009") + (dot < 0 ? "" : text.slice(dot));
}

/** short writes a count or volume in three digits, for overviews. */
export function short(value) {
  const size = Math.abs(value);
  for (const [limit, unit] of [[1e9, "B"], [1e6, "M"], [1e4, "k"]]) {
    if (size >= limit) return (value / (unit === "k" ? 1e3 : limit)).toFixed(size >= limit * 100 ? 0 : 2) + " " + unit;
  }
  return size >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** duration writes nanoseconds with a unit. */
export function duration(ns) {
  const size = Math.abs(ns);
  if (size >= 1e9) return (ns / 1e9).toFixed(size >= 1e10 ? 0 : 1) + " s";
  if (size >= 1e6) return (ns / 1e6).toFixed(size >= 1e7 ? 0 : 1) + " ms";
  return (ns / 1e3).toFixed(size >= 1e4 ? 0 : 1) + " µs";
}

/** put changes an element's text only if it differs: layout costs, comparing does not. */
export function put(element, text) {
  if (element.shown === text) return;
  element.shown = text;
  element.textContent = text;
}
