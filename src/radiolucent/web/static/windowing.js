// Window and level: a lookup table over the film's own grey levels into one reused ImageData.

import { clamp } from "/static/geometry.js";

/** @typedef {{centre: number, width: number, invert: boolean}} Window shares of the grey range */

export class Greys {
  /**
   * @param {ArrayBuffer} bytes
   * @param {number} bits 8 or 16
   * @param {number} width
   * @param {number} height
   */
  constructor(bytes, bits, width, height) {
    this.values = bits === 16 ? new Uint16Array(bytes) : new Uint8Array(bytes);
    if (this.values.length !== width * height) throw new Error("film of another size than announced");
    this.top = bits === 16 ? 65535 : 255;
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.table = new Uint32Array(this.top + 1);
    const [low, high] = this.ends();
    this.low = low;
    this.high = high;
  }

  /** Grey shares below which 1 % and 99 % of the pixels lie. @returns {[number, number]} */
  ends() {
    const counts = new Uint32Array(256), shift = this.top === 255 ? 0 : 8;
    const step = Math.max(1, Math.floor(this.values.length / 400_000));
    let total = 0;
    for (let i = 0; i < this.values.length; i += step, total++) counts[this.values[i] >> shift]++;
    let low = 0, high = 255;
    for (let sum = counts[0]; sum < total * 0.01 && low < 255; sum += counts[low]) low++;
    for (let sum = counts[255]; sum < total * 0.01 && high > 0; sum += counts[high]) high--;
    return high > low ? [low / 255, high / 255] : [0, 1];
  }

  /**
   * Windows by key 1 to 5.
   * @returns {{name: string, centre: number, width: number}[]}
   */
  presets() {
    const { low, high } = this, span = high - low;
    return [
      { name: "Full", centre: 0.5, width: 1 },
      { name: "Auto", centre: (low + high) / 2, width: span },
      { name: "Lung", centre: low + 0.32 * span, width: 0.64 * span },
      { name: "Bone", centre: low + 0.68 * span, width: 0.64 * span },
      { name: "Contrast", centre: low + 0.5 * span, width: 0.45 * span },
    ];
  }

  /**
   * Draw with a window into a canvas of the film's size.
   * @param {CanvasRenderingContext2D} context
   * @param {Window} window
   */
  draw(context, { centre, width, invert }) {
    const { table, top, values, pixels } = this;
    const start = centre - width / 2;
    for (let i = 0; i <= top; i++) {
      const share = clamp((i / top - start) / width, 0, 1);
      const grey = Math.round(255 * (invert ? 1 - share : share));
      table[i] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    for (let i = 0; i < values.length; i++) pixels[i] = table[values[i]];
    context.putImageData(this.image, 0, 0);
  }
}
