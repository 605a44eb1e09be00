// A map on the film: interpolated once, coloured anew when the threshold moves.

import { clamp } from "/static/geometry.js";

/** @typedef {{width: number, height: number, place: [number, number, number, number], peak: number, full: number,
 *             target: string, method: string}} MapHeader */

const RAMP = [[255, 224, 138], [253, 174, 60], [244, 102, 28], [226, 44, 30]];
const FINE = 640;

export class Overlay {
  /**
   * @param {ArrayBuffer} bytes int16 levels, row by row
   * @param {MapHeader} header
   */
  constructor(bytes, header) {
    this.header = header;
    const times = Math.max(1, Math.floor(FINE / Math.max(header.width, header.height)));
    this.width = header.width * times;
    this.height = header.height * times;
    this.values = enlarge(new Int16Array(bytes), header.width, header.height, times);
    this.image = new ImageData(this.width, this.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.colours = table();
  }

  /**
   * Colour what reaches the threshold, and outline it.
   * @param {import("/static/viewer.js").Viewer} viewer
   * @param {number} threshold share of the map's maximum
   */
  paint(viewer, threshold) {
    const { width, height, values, pixels, colours, header } = this;
    const cut = Math.max(threshold * header.peak, 1);
    for (let i = 0; i < values.length; i++) {
      const v = values[i];
      pixels[i] = v < cut || header.peak <= 0 ? 0 : colours[clamp(Math.round((v / header.full) * 255), 0, 255)];
    }
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (!pixels[i]) continue;
        const edge = (x > 0 && values[i - 1] < cut) || (x < width - 1 && values[i + 1] < cut)
          || (y > 0 && values[i - width] < cut) || (y < height - 1 && values[i + width] < cut);
        if (edge) pixels[i] = 0xff7ad0ff;
      }
    }
    const { overlay } = viewer;
    if (overlay.width !== width || overlay.height !== height) { overlay.width = width; overlay.height = height; }
    viewer.place = header.place;
    overlay.getContext("2d")?.putImageData(this.image, 0, 0);
    viewer.apply();
  }
}

/** Bilinear, pixel centres aligned, constant beyond the outer ones. @param {Int16Array} from @param {number} w @param {number} t @param {number} times */
function enlarge(from, w, t, times) {
  const W = w * times, T = t * times, out = new Float32Array(W * T);
  const rows = steps(t, times), columns = steps(w, times);
  for (let y = 0, i = 0; y < T; y++) {
    const [a, b, f] = rows[y];
    for (let x = 0; x < W; x++, i++) {
      const [c, d, g] = columns[x];
      const top = from[a * w + c] * (1 - g) + from[a * w + d] * g;
      const low = from[b * w + c] * (1 - g) + from[b * w + d] * g;
      out[i] = top * (1 - f) + low * f;
    }
  }
  return out;
}

/** @param {number} size @param {number} times @returns {[number, number, number][]} */
function steps(size, times) {
  return Array.from({ length: size * times }, (_, i) => {
    const at = clamp((i + 0.5) / times - 0.5, 0, size - 1), low = Math.min(Math.floor(at), size - 1);
    return [low, Math.min(low + 1, size - 1), at - low];
  });
}

/** The report's warm colours, without its darkest, which would hide the film; as ABGR. */
function table() {
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const share = i / 255, at = share * (RAMP.length - 1), low = Math.min(Math.floor(at), RAMP.length - 2), f = at - low;
    const [r, g, b] = RAMP[low].map((v, k) => Math.round(v * (1 - f) + RAMP[low + 1][k] * f));
    const alpha = Math.round(255 * clamp(share * 1.5 - 0.15 + 0.2, 0.2, 1));
    return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}
