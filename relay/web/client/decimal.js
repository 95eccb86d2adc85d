// Exact decimals: value = mant × 10^exp with a BigInt mantissa. A number of the market
// is text or such a pair, never a float, unless toNumber is asked for.

const FORM = /^-?\d{1,400}(\.\d{1,400})?$/;

/**
 * parse reads decimal text such as "-64123.45", exactly: {mant, exp} with exp ≤ 0.
 * It throws a RangeError for anything else, exponent forms included.
 */
export function parse(text) {
  if (typeof text !== "string" || !FORM.test(text)) throw new RangeError("not a decimal: " + String(text).slice(0, 40));
  const dot = text.indexOf(".");
  if (dot < 0) return { mant: BigInt(text), exp: 0 };
  return { mant: BigInt(text.slice(0, dot) + text.slice(dot + 1)), exp: dot + 1 - text.length };
}

/** format writes mant × 10^exp as the shortest exact text, without exponent form. */
export function format(mant, exp) {
  if (mant === 0n) return "0";
  if (exp >= 0) return mant.toString() + "0".repeat(exp);
  const text = fixed(mant, -exp);
  let end = text.length;
  while (text.charCodeAt(end - 1) === 48) end--;
  if (text.charCodeAt(end - 1) === 46) end--;
  return text.slice(0, end);
}

/** fixed writes mant × 10^-places with all its decimals: fixed(150n, 2) is "1.50". */
export function fixed(mant, places) {
  const negative = mant < 0n;
  let digits = (negative ? -mant : mant).toString();
  if (places > 0) {
    digits = digits.padStart(places + 1, "0");
    digits = digits.slice(0, -places) + "." + digits.slice(-places);
  }
  return negative ? "-" + digits : digits;
}

/** places is the number of digits after the point of decimal text. */
export function places(text) {
  const dot = text.indexOf(".");
  return dot < 0 ? 0 : text.length - dot - 1;
}

/** scaled gives the mantissa of {mant, exp} at another exponent, which must not be larger. */
export function scaled(d, exp) {
  return d.exp === exp ? d.mant : d.mant * 10n ** BigInt(d.exp - exp);
}

/** compare two decimals {mant, exp} by value: negative, 0 or positive. */
export function compare(a, b) {
  const exp = Math.min(a.exp, b.exp);
  const x = scaled(a, exp), y = scaled(b, exp);
  return x < y ? -1 : x > y ? 1 : 0;
}

/** toNumber is the nearest double of decimal text or {mant, exp}: for charts, not for sums. */
export function toNumber(d) {
  return Number(typeof d === "string" ? d : format(d.mant, d.exp));
}
