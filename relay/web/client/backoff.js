// The pause before the next attempt: exponential with full jitter, so that many clients
// that lost one relay do not come back together.

export class Backoff {
  /** first and most in ms; random returns [0, 1). */
  constructor({ first = 250, most = 15000, random = Math.random } = {}) {
    Object.assign(this, { first, most, random });
    this.tries = 0;
  }

  /** next is the pause in ms: anything from 0 to first × 2^tries, at most `most`. */
  next() {
    const span = Math.min(this.most, this.first * 2 ** Math.min(this.tries, 30));
    this.tries++;
    return Math.round(this.random() * span);
  }

  reset() { this.tries = 0; }
}

/**
 * staysAway reports whether a close code says that coming back changes nothing: the
 * client broke the protocol, or is not allowed in.
 */
export function staysAway(code) {
  return [1002, 1003, 1007, 1009, 1010].includes(code);
}
