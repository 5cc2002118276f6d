// Masks as they come from the server, made into what a canvas can draw.

// COCO's uncompressed run lengths: columns from top to bottom, beginning with a run of zeros.
// Returns rows (one byte per pixel, 0 or 1) with width and height.
export function decode({ size: [height, width], counts }) {
  const pixels = new Uint8Array(width * height);
  let at = 0;
  let value = 0;
  for (const count of counts) {
    const end = Math.min(at + count, pixels.length);
    if (value) {
      let [x, y] = [Math.floor(at / height), at % height];
      for (; at < end; ++at) {
        pixels[y * width + x] = 1;
        if (++y === height) [x, y] = [x + 1, 0];
      }
    }
    at = end;
    value ^= 1;
  }
  return { pixels, width, height };
}

// The border between zeros and ones by marching squares on pixel centres, with zeros around the image.
// Corners of a cell, clockwise from the top left, are the bits 8, 4, 2, 1; sides are numbered top, right, bottom, left.
const sides = [
  [], [[3, 2]], [[2, 1]], [[3, 1]], [[1, 0]], [[1, 0], [3, 2]], [[2, 0]], [[3, 0]],
  [[0, 3]], [[0, 2]], [[0, 3], [2, 1]], [[0, 1]], [[1, 3]], [[1, 2]], [[2, 3]], [],
];
const middles = [[0.5, 0], [1, 0.5], [0.5, 1], [0, 0.5]];

function outline({ pixels, width, height }) {
  const path = new Path2D();
  const rowAt = (y) => (y < 0 || y >= height ? null : pixels.subarray(y * width, (y + 1) * width));
  for (let y = -1; y < height; ++y) {
    const above = rowAt(y);
    const below = rowAt(y + 1);
    let left = 0; // the bits of the column to the left
    for (let x = 0; x <= width; ++x) {
      const right = (above?.[x] ? 2 : 0) | (below?.[x] ? 1 : 0);
      const cell = ((left & 2) << 2) | ((right & 2) << 1) | ((right & 1) << 1) | (left & 1);
      left = right;
      for (const [from, to] of sides[cell]) {
        // The cell's top left corner is the centre of the pixel (x - 1, y).
        path.moveTo(x - 0.5 + middles[from][0], y + 0.5 + middles[from][1]);
        path.lineTo(x - 0.5 + middles[to][0], y + 0.5 + middles[to][1]);
      }
    }
  }
  return path;
}

function fill({ pixels, width, height }, color) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
  const word = (255 << 24) | (b << 16) | (g << 8) | r;
  for (let i = 0; i < pixels.length; ++i) if (pixels[i]) words[i] = word;
  context.putImageData(image, 0, 0);
  return canvas;
}

const drawable = new WeakMap(); // run lengths -> {width, height, path, fills: colour -> canvas}

export function prepare(mask, color) {
  let made = drawable.get(mask);
  if (!made) {
    const decoded = decode(mask);
    made = { width: decoded.width, height: decoded.height, path: outline(decoded), fills: new Map() };
    made.decoded = decoded;
    drawable.set(mask, made);
  }
  if (!made.fills.has(color)) made.fills.set(color, fill(made.decoded, color));
  return { ...made, canvas: made.fills.get(color) };
}
