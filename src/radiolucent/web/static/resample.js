// Levels at any zoom: the mean over each screen pixel's area when reduced, linear between pixel centres when enlarged.

/** @typedef {{width: number, height: number, data: Uint16Array}} Level */
/** @typedef {{starts: Int32Array, counts: Int32Array, weights: Float32Array, most: number}} Taps */

/**
 * Which source pixels a row of screen pixels takes, and how much of each; weights sum to 1, counts are 0 outside.
 * @param {number} n screen pixels
 * @param {number} size source pixels
 * @param {number} scale screen pixels a source pixel
 * @param {number} offset source coordinate of the first screen pixel's edge
 * @returns {Taps}
 */
export function taps(n, size, scale, offset) {
  const most = scale >= 1 ? 2 : Math.ceil(1 / scale) + 1;
  const starts = new Int32Array(n), counts = new Int32Array(n), weights = new Float32Array(n * most);
  for (let i = 0; i < n; i++) {
    const low = i / scale + offset, high = (i + 1) / scale + offset;
    const from = Math.max(low, 0), to = Math.min(high, size), place = i * most;
    if (to <= from) continue;
    if (scale >= 1) {
      const at = Math.min(Math.max((from + to) / 2 - 0.5, 0), size - 1), first = Math.min(Math.floor(at), Math.max(size - 2, 0));
      starts[i] = first;
      counts[i] = Math.min(2, size);
      weights[place + 1] = at - first;
      weights[place] = 1 - weights[place + 1];
      continue;
    }
    const first = Math.floor(from), last = Math.min(Math.ceil(to), size), whole = to - from;
    starts[i] = first;
    counts[i] = last - first;
    for (let j = first; j < last; j++) weights[place + j - first] = (Math.min(j + 1, to) - Math.max(j, from)) / whole;
  }
  return { starts, counts, weights, most };
}

/**
 * Levels on a grid of screen pixels. Outside the film they stay 0; see `counts` of the taps.
 * @param {Level} level
 * @param {Taps} across
 * @param {Taps} down
 * @param {Uint16Array} out rows × columns
 */
export function resample({ width, data }, across, down, out) {
  const columns = across.starts.length, rows = down.starts.length, sum = new Float32Array(columns);
  const kept = [new Float32Array(columns), new Float32Array(columns)], held = [-1, -1];
  let turn = 0;
  const line = (/** @type {number} */ y) => { // of two neighbouring rows, each is reduced once
    const old = held.indexOf(y);
    if (old >= 0) return kept[old];
    turn = 1 - turn;
    held[turn] = y;
    const made = kept[turn], { starts, counts, weights, most } = across, row = y * width;
    for (let x = 0; x < columns; x++) {
      let total = 0;
      for (let j = 0, n = counts[x], from = row + starts[x], w = x * most; j < n; j++) total += data[from + j] * weights[w + j];
      made[x] = total;
    }
    return made;
  };
  for (let y = 0; y < rows; y++) {
    const count = down.counts[y];
    if (!count) { out.fill(0, y * columns, (y + 1) * columns); continue; }
    sum.fill(0);
    for (let j = 0; j < count; j++) {
      const from = line(down.starts[y] + j), weight = down.weights[y * down.most + j];
      for (let x = 0; x < columns; x++) sum[x] += from[x] * weight;
    }
    for (let x = 0, at = y * columns; x < columns; x++) out[at + x] = sum[x] + 0.5;
  }
}

/** The mean of each 2 × 2 levels, odd edges repeated. @param {Level} level @returns {Level} */
export function halved({ width, height, data }) {
  const w = Math.ceil(width / 2), t = Math.ceil(height / 2), made = new Uint16Array(w * t);
  for (let y = 0, i = 0; y < t; y++) {
    const one = 2 * y * width, other = Math.min(2 * y + 1, height - 1) * width;
    for (let x = 0; x < w; x++, i++) {
      const a = 2 * x, b = Math.min(a + 1, width - 1);
      made[i] = (data[one + a] + data[one + b] + data[other + a] + data[other + b] + 2) >> 2;
    }
  }
  return { width: w, height: t, data: made };
}
