// Attention of one batch element, and batch normalization. They stand in programs that call them.
function looked(q, k, mask, T, S, scale, causal) {
  const d = q.length / T, w = new Float64Array(T * S);
  for (let t = 0; t < T; t++) {
    let most = -Infinity, sum = 0;
    for (let s = 0; s < S; s++) {
      let score = 0;
      for (let i = 0; i < d; i++) score += q[t * d + i] * scale * k[s * d + i];
      if (mask) score += mask[t * S + s];
      w[t * S + s] = causal && s > t ? -Infinity : score;
      most = Math.max(most, w[t * S + s]);
    }
    for (let s = 0; s < S; s++) sum += w[t * S + s] = Math.exp(w[t * S + s] - most);
    for (let s = 0; s < S; s++) w[t * S + s] /= sum;
  }
  return w;
}

// rows × columns of a product; of either, which axis is summed over is said by how far its elements are apart
function product2(a, b, rows, inner, columns, [ar, ak], [bk, bc]) {
  return each(rows * columns, (i) => {
    const r = Math.floor(i / columns), c = i % columns;
    let total = 0;
    for (let k = 0; k < inner; k++) total += a[r * ar + k * ak] * b[k * bk + c * bc];
    return total;
  });
}

const attended = (w, v, T, S) => product2(w, v, T, S, v.length / S, [S, 1], [v.length / S, 1]);

function attendedCotangents(g, w, q, k, v, T, S, scale) {
  const e = v.length / S, d = q.length / T, dw = product2(g, v, T, e, S, [e, 1], [1, e]);
  const mean = each(T, (t) => [...Array(S).keys()].reduce((sum, s) => sum + w[t * S + s] * dw[t * S + s], 0));
  const ds = each(T * S, (i) => scale * w[i] * (dw[i] - mean[Math.floor(i / S)]));
  return [product2(ds, k, T, S, d, [S, 1], [d, 1]), product2(ds, q, S, T, d, [1, S], [d, 1]), product2(w, g, S, T, e, [1, S], [e, 1])];
}

function attendedTangent(dq, dk, y, w, v, T, S, scale) {
  const d = dq.length / T, e = v.length / S, ds = product2(dq, dk, T, d, S, [d, 1], [1, d]);
  const dw = each(T * S, (i) => scale * w[i] * ds[i]), moved = attended(dw, v, T, S);
  return each(T * e, (i) => moved[i] - y[i] * dw.subarray(Math.floor(i / e) * S, (Math.floor(i / e) + 1) * S).reduce((a, b) => a + b, 0));
}

// of images: the mean and the variance of each channel, and what else is computed from them
function moments(x, channels, area) {
  const at = (i) => Math.floor(i / area) % channels, n = x.length / channels;
  const means = (y) => {
    const sums = new Float64Array(channels);
    y.forEach((v, i) => (sums[at(i)] += v));
    return sums.map((s) => s / n);
  };
  const mean = means(x), centred = x.map((v, i) => v - mean[at(i)]), variance = means(centred.map((v) => v * v));
  return { mean, variance, centred, at, means, n };
}

function channelMoments(x, channels, area) {
  const { mean, variance } = moments(x, channels, area);
  return [mean, variance];
}

function normalized(x, w, b, area, eps) {
  const { variance, centred, at } = moments(x, w.length, area), scale = variance.map((v) => 1 / Math.sqrt(v + eps));
  return centred.map((v, i) => v * w[at(i)] * scale[at(i)] + b[at(i)]);
}

function normalizedCotangents(g, x, w, area, eps) {
  const { variance, centred, at, means, n } = moments(x, w.length, area), scale = variance.map((v) => 1 / Math.sqrt(v + eps));
  const mean = means(g), along = means(g.map((v, i) => v * centred[i]));
  const dx = g.map((v, i) => (v - mean[at(i)] - centred[i] * along[at(i)] * scale[at(i)] ** 2) * w[at(i)] * scale[at(i)]);
  return [dx, along.map((v, c) => v * scale[c] * n), mean.map((v) => v * n)];
}
