// Draws the stage: picture and masks on a canvas, boxes and points as elements, which can have focus.

import { prepare } from './masks.js';

const blend = 0.5; // of a mask over the picture at the slider's middle

// What the slider's 0 (outline) to 1 (mask alone) means; 0.5 is the overlay.
export function looks(slider) {
  const low = Math.min(1, slider * 2);
  const high = Math.max(0, slider * 2 - 1);
  return { fill: low * blend + high * (1 - blend), dark: high };
}

export class Canvas {
  constructor(stage, view, editor, teacher) {
    Object.assign(this, { stage, view, editor, teacher });
    this.canvas = stage.querySelector('canvas');
    this.layer = stage.querySelector('.boxes');
    this.slider = 0.5;
    this.drawn = new Map(); // box key -> element
    this.draft = null; // [x0, y0, x1, y1] of a box being drawn
    this.cross = null; // [x, y] of the keyboard's crosshair
    new ResizeObserver(() => this.resize()).observe(stage);
    for (const source of [view, editor, teacher]) source.addEventListener('change', () => this.redraw());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.redraw());
    this.resize();
  }

  resize() {
    const { clientWidth, clientHeight } = this.stage;
    this.canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.canvas.height = Math.round(clientHeight * devicePixelRatio);
    this.view.resize(clientWidth, clientHeight);
    this.redraw();
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
      this.place();
    });
  }

  paint() {
    const { view, canvas, editor } = this;
    const context = canvas.getContext('2d');
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!view.image || !editor.image) return;
    const ratio = devicePixelRatio;
    const { width, height } = view.image;
    context.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, view.x * ratio, view.y * ratio);
    const { fill, dark } = looks(this.slider);
    if (view.picture) {
      context.imageSmoothingEnabled = view.scale * ratio < 6; // close up, pixels are what one wants to see
      context.imageSmoothingQuality = 'high';
      context.drawImage(view.picture.bitmap, 0, 0, width, height);
    } else {
      context.fillStyle = getComputedStyle(this.stage).getPropertyValue('--blank');
      context.fillRect(0, 0, width, height);
    }
    context.fillStyle = `rgb(8 10 14 / ${dark * 0.94})`;
    if (dark > 0) context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = true;
    for (const box of editor.boxes) this.paintMask(context, box, fill);
  }

  paintMask(context, box, fill) {
    const known = this.teacher.mask(this.editor.image.id, box);
    if (!known) return;
    const { width, height } = this.view.image;
    const mask = prepare(known.mask, box.color);
    const faint = known.stale ? 0.45 : 1;
    context.save();
    context.globalAlpha = fill * faint;
    if (fill > 0) context.drawImage(mask.canvas, 0, 0, width, height);
    context.scale(width / mask.width, height / mask.height);
    const pixel = mask.width / (width * this.view.scale); // one CSS pixel
    context.lineCap = 'round';
    for (const [color, thick, alpha] of [['#000', 3.2, 0.55], [box.color, 1.6, 1]]) {
      context.globalAlpha = alpha * faint;
      context.strokeStyle = color;
      context.lineWidth = thick * pixel;
      context.stroke(mask.path);
    }
    context.restore();
  }

  place() {
    const { editor, layer } = this;
    layer.classList.toggle('bare', this.slider > 0.97);
    const boxes = editor.image ? editor.boxes : [];
    const alive = new Set(boxes.map(({ key }) => key));
    for (const [key, element] of this.drawn) if (!alive.has(key)) this.drop(key, element);
    boxes.forEach((box, i) => this.placeBox(box, i, boxes.length));
    this.placeDraft();
    this.placeCross();
  }

  drop(key, element) {
    const focused = element === document.activeElement;
    element.remove();
    this.drawn.delete(key);
    if (focused) (this.drawn.get(this.editor.selected) ?? this.stage).focus({ preventScroll: true });
  }

  make(box) {
    const element = document.createElement('div');
    element.className = 'box';
    element.tabIndex = 0;
    element.dataset.key = box.key;
    element.setAttribute('role', 'button');
    element.innerHTML = '<span class="tag"></span>' + [...'nw n ne e se s sw w'.split(' ')].map((at) => `<i class="handle ${at}"></i>`).join('');
    element.addEventListener('focus', () => this.editor.select(box.key));
    this.layer.append(element);
    this.drawn.set(box.key, element);
    return element;
  }

  placeBox(box, i, count) {
    const element = this.drawn.get(box.key) ?? this.make(box);
    const selected = box.key === this.editor.selected;
    this.frame(element, box.box);
    element.style.setProperty('--color', box.color);
    element.classList.toggle('selected', selected);
    element.setAttribute('aria-pressed', selected);
    const known = this.teacher.mask(this.editor.image.id, box);
    const iou = known && !known.stale && known.iou !== null ? known.iou : null;
    const tag = element.firstChild;
    const text = `${i + 1}${iou === null ? '' : ` · ${iou.toFixed(2)}`}`;
    if (tag.textContent !== text) tag.textContent = text;
    const [x0, y0, x1, y1] = box.box.map(Math.round);
    const label = `Box ${i + 1} of ${count}: ${x1 - x0} by ${y1 - y0} pixels at ${x0}, ${y0}${iou === null ? '' : `, predicted IoU ${iou.toFixed(2)}`}`;
    if (element.getAttribute('aria-label') !== label) element.setAttribute('aria-label', label);
    this.placePoints(element, box);
  }

  placePoints(element, box) {
    const dots = element.querySelectorAll('.dot');
    for (let i = dots.length; i > box.points.length; --i) dots[i - 1].remove();
    box.points.forEach(({ x, y, positive }, i) => {
      const dot = dots[i] ?? element.appendChild(document.createElement('b'));
      dot.className = `dot ${positive ? 'plus' : 'minus'}`;
      dot.style.left = `${(x + 0.5 - box.box[0]) * this.view.scale}px`;
      dot.style.top = `${(y + 0.5 - box.box[1]) * this.view.scale}px`;
    });
  }

  frame(element, [x0, y0, x1, y1]) {
    const [left, top] = this.view.toStage(x0, y0);
    const { scale } = this.view;
    element.style.transform = `translate(${left}px, ${top}px)`;
    element.style.width = `${(x1 - x0) * scale}px`;
    element.style.height = `${(y1 - y0) * scale}px`;
    // A tag that would leave the stage goes inside its box.
    element.classList.toggle('inside', top < 26);
  }

  placeDraft() {
    const element = this.layer.querySelector('.draft') ?? this.layer.appendChild(document.createElement('div'));
    element.className = 'draft';
    element.hidden = !this.draft;
    if (!this.draft) return;
    element.style.setProperty('--color', this.editor.freeColor());
    this.frame(element, this.draft);
  }

  placeCross() {
    const element = this.layer.querySelector('.cross') ?? this.layer.appendChild(document.createElement('div'));
    element.className = 'cross';
    element.hidden = !this.cross;
    if (!this.cross) return;
    const [x, y] = this.view.toStage(this.cross[0] + 0.5, this.cross[1] + 0.5);
    element.style.transform = `translate(${x}px, ${y}px)`;
  }

  focus(key) {
    this.place();
    this.drawn.get(key)?.focus({ preventScroll: true });
  }
}
