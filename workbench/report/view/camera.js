// From the data to the canvas, and the frame that a view begins with.

const OUTLYING = 3; // times as wide as the middle of the points: the view then begins with the middle

// Rows of the projection from data to the canvas, -1 to 1 either way. Turned in three dimensions, never in perspective.
function makeCamera(k) {
  let centre = [0, 0, 0], half = 1, pan = [0, 0], zoom = 1, turn = k > 2 ? [0.5, -0.4] : [0, 0];
  const axes = () => {
    const [c, s, d, e] = [Math.cos(turn[0]), Math.sin(turn[0]), Math.cos(turn[1]), Math.sin(turn[1])];
    return [[c, 0, s], [s * -e, d, c * e], [-s * d, -e, c * d]];
  };
  return {
    fit(low, high) {
      centre = low.map((l, j) => (l + high[j]) / 2);
      const spread = high.map((h, j) => (h - low[j]) / 2);
      half = (k > 2 ? Math.hypot(...spread) * 0.8 : 1) || 1;
      this.spread = spread;
      pan = [0, 0]; zoom = 1;
    },
    rows(width, height) {
      const [sx, sy] = k > 2 ? [half, half] : this.spread;
      const unit = (0.94 * zoom) / (Math.max(sx / width, sy / height) || 1); // equal scales on both axes
      return axes().map((axis, r) => {
        const f = r === 2 ? -0.3 / (half * 2) : unit / [width, height][r];
        return [...axis.map((a) => a * f), -f * axis.reduce((sum, a, j) => sum + a * (centre[j] || 0), 0) + (r < 2 ? pan[r] : 0)];
      });
    },
    state: () => ({ pan: [...pan], zoom, turn: [...turn] }),
    restore(state) { ({ pan, zoom, turn } = { pan: [...state.pan], zoom: state.zoom, turn: [...state.turn] }); },
    move(dx, dy) { pan[0] += dx; pan[1] += dy; },
    turnBy(dx, dy) { turn[0] += dx; turn[1] = Math.max(-1.5, Math.min(1.5, turn[1] + dy)); },
    zoomAt(factor, x, y) {
      const next = Math.max(0.2, Math.min(5000, zoom * factor)), by = next / zoom;
      pan = [x - (x - pan[0]) * by, y - (y - pan[1]) * by];
      zoom = next;
    },
  };
}

function bounds(frames, k) {
  const low = [0, 0, 0].fill(Infinity, 0, k), high = [0, 0, 0].fill(-Infinity, 0, k), far = { low: [...low], high: [...high] };
  const n = frames[0].length / k, step = Math.max(1, Math.floor((n * frames.length) / 20000));
  for (let j = 0; j < k; j++) {
    const seen = []; // every step-th value of this coordinate so far, for its quantiles; far has the extremes of all
    for (const frame of frames) for (let i = 0; i < n; i++) {
      const v = frame[k * i + j];
      if (v < far.low[j]) far.low[j] = v;
      if (v > far.high[j]) far.high[j] = v;
      if (i % step === 0) seen.push(v);
    }
    seen.sort((a, b) => a - b);
    const [a, b] = [seen[Math.floor(0.01 * seen.length)], seen[Math.ceil(0.99 * seen.length) - 1]];
    [low[j], high[j]] = [Math.max(far.low[j], a - (b - a) / 2), Math.min(far.high[j], b + (b - a) / 2)];
  }
  const outlying = n > 100 && high.some((h, j) => j < k && h > low[j] && far.high[j] - far.low[j] > OUTLYING * 0.5 * (h - low[j]));
  return { far, near: outlying ? within(frames, k, low, high) : far };
}

// The extremes of the points that lie between low and high: what was left around them was room for none.
function within(frames, k, low, high) {
  const near = { low: [0, 0, 0].fill(Infinity, 0, k), high: [0, 0, 0].fill(-Infinity, 0, k) };
  for (const frame of frames) for (let i = 0; i < frame.length; i += k) {
    let inside = true;
    for (let j = 0; j < k; j++) inside &&= frame[i + j] >= low[j] && frame[i + j] <= high[j];
    if (inside) for (let j = 0; j < k; j++) { near.low[j] = Math.min(near.low[j], frame[i + j]); near.high[j] = Math.max(near.high[j], frame[i + j]); }
  }
  return near.low[0] < Infinity ? near : { low, high };
}
