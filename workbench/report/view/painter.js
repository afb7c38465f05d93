// How points are drawn: by WebGL, or as a plain picture where that is missing.

const WHILE_MOVING = 120000; // points drawn while something moves and frames are slow
const LIVE = 6; // views that hold a WebGL context; browsers end the oldest of 16, and figures need some of these

const VERTEX = `#version 300 es
in vec3 a; in vec3 b; in vec4 ink;
uniform vec4 rx, ry, rz; uniform float mixed, size; out vec4 tint;
void main() {
  vec4 p = vec4(mix(a, b, mixed), 1.0);
  gl_Position = vec4(dot(rx, p), dot(ry, p), clamp(dot(rz, p), -1.0, 1.0), 1.0);
  gl_PointSize = size; tint = vec4(ink.rgb * ink.a, ink.a);
}`;
const FRAGMENT = `#version 300 es
precision highp float; in vec4 tint; uniform float size; out vec4 colour;
void main() {
  if (size < 3.0) { colour = tint; return; }
  float r = length(gl_PointCoord - 0.5) * size;
  colour = tint * clamp(0.5 * size - r + 0.5, 0.0, 1.0);
}`;

function glPainter(canvas) {
  const gl = canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true, premultipliedAlpha: true });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
  gl.useProgram(program);
  const place = Object.fromEntries(["a", "b", "ink"].map((name) => [name, gl.getAttribLocation(program, name)]));
  const uniform = Object.fromEntries(["rx", "ry", "rz", "mixed", "size"].map((name) => [name, gl.getUniformLocation(program, name)]));
  const buffers = { a: gl.createBuffer(), b: gl.createBuffer(), ink: gl.createBuffer(), top: gl.createBuffer() };
  let n = 0, k = 2, tops = 0;
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const fill = (name, data, target = gl.ARRAY_BUFFER) => { gl.bindBuffer(target, buffers[name]); gl.bufferData(target, data, gl.STATIC_DRAW); };
  // Every `step`-th point by widening the stride: thinning costs no copy.
  const point = (step) => {
    for (const name of ["a", "b", "ink"]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
      gl.enableVertexAttribArray(place[name]);
      if (name === "ink") gl.vertexAttribPointer(place.ink, 4, gl.UNSIGNED_BYTE, true, 4 * step, 0);
      else gl.vertexAttribPointer(place[name], k, gl.FLOAT, false, Math.min(4 * k * step, 255), 0);
    }
  };
  return {
    live: true,
    positions(from, to, dimensions) { k = dimensions; n = to.length / k; fill("a", from); fill("b", to); },
    colours(ink, top) { fill("ink", ink); tops = top.length; fill("top", top, gl.ELEMENT_ARRAY_BUFFER); },
    draw(rows, mixed, size, step) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      ["rx", "ry", "rz"].forEach((name, i) => gl.uniform4fv(uniform[name], rows[i]));
      gl.uniform1f(uniform.mixed, mixed);
      gl.uniform1f(uniform.size, size);
      const stride = Math.min(step, Math.floor(255 / (4 * k)));
      point(stride);
      gl.drawArrays(gl.POINTS, 0, Math.floor(n / stride));
      if (step === 1 || tops <= WHILE_MOVING) {
        if (stride > 1) point(1);
        gl.uniform1f(uniform.size, size + 1);
        gl.drawElements(gl.POINTS, tops, gl.UNSIGNED_INT, 0);
      }
    },
    finish() { gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); },
    end() { const lose = gl.getExtension("WEBGL_lose_context"); if (lose) lose.loseContext(); },
  };
}

// Views that hold a context, the one that drew longest ago first. Each widget's module is another copy of this one.
const holders = (globalThis[Symbol.for("workbench.points.holders")] ??= new Set());

// A view that rests leaves the holders, so that there is one fewer with each pass.
function makeRoom() {
  while (holders.size >= LIVE) {
    const all = [...holders];
    (all.find((view) => !view.onScreen()) || all[0]).rest();
  }
}

// What a view has whose context went to another: its picture stays as it was drawn last.
const RESTING = { live: true, positions() {}, colours() {}, draw() {}, finish() {}, end() {} };

// The same picture on the processor, for where WebGL is missing.
function plainPainter(canvas) {
  const context = canvas.getContext("2d");
  let from, to, k = 2, ink, top = [];
  return {
    live: false,
    positions(a, b, dimensions) { from = a; to = b; k = dimensions; },
    colours(colours, tops) { ink = new Uint32Array(colours.buffer); top = tops; },
    draw([rx, ry], mixed, size, step) {
      const { width, height } = canvas, image = context.createImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer), side = Math.max(1, Math.round(size * 0.85));
      const dot = (i) => {
        const at = (j) => (j < k ? from[k * i + j] + mixed * (to[k * i + j] - from[k * i + j]) : 0);
        const x = at(0), y = at(1), z = at(2);
        const u = Math.round((0.5 + 0.5 * (rx[0] * x + rx[1] * y + rx[2] * z + rx[3])) * width - side / 2);
        const v = Math.round((0.5 - 0.5 * (ry[0] * x + ry[1] * y + ry[2] * z + ry[3])) * height - side / 2);
        if (u < 0 || v < 0 || u + side >= width || v + side >= height) return;
        for (let q = 0; q < side; q++) pixels.fill(ink[i], (v + q) * width + u, (v + q) * width + u + side);
      };
      for (let i = 0; i < to.length / k; i += step) dot(i);
      if (step === 1 || top.length <= WHILE_MOVING) top.forEach(dot);
      context.putImageData(image, 0, 0);
    },
    finish() {},
    end() {},
  };
}
