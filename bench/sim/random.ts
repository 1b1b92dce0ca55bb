/** Random numbers that a seed reproduces, in the distributions that a simulation draws from. */

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d = 1;

  /** sfc32 (Chris Doty-Humphrey, PractRand). */
  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.imul(seed, 0x9e3779b1) | 0;
    this.#c = 0x6a09e667;
    for (let i = 0; i < 16; i++) this.bits();
  }

  /** 32 bits, signed. */
  bits(): number {
    const t = (this.#a + this.#b + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t;
  }

  /** At least 0 and less than 1. */
  next(): number {
    return (this.bits() >>> 0) / 0x100000000;
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  /** Until the next of events that come at this rate. */
  gap(perMs: number): number {
    return -Math.log(1 - this.next()) / perMs;
  }

  /**
   * One of `count`, the first most often: number k with a frequency of about (k + 1)^-exponent, as Zipf's law for
   * exponents below 1.
   */
  skewed(count: number, exponent: number): number {
    return Math.floor(count * this.next() ** (1 / (1 - exponent)));
  }
}
