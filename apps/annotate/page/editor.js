// The image in view and what can be done to its annotation. Mouse, touch, keys and buttons all end here.
// A state {authentic, boxes} is never changed in place; a box is {key, color, box: [x0, y0, x1, y1], points, choice} in
// pixels of the image.

import { History } from './history.js';
import { samePlace } from './store.js';

export const colors = ['#2bb8ff', '#ffb020', '#ff6b9a', '#45d483', '#bb93ff', '#ff8552', '#2fd6c7', '#f0e14a'];
export const smallest = 3; // pixels: what is thinner was a slip

let keys = 0;

export class Editor extends EventTarget {
  constructor(store, teacher, say) {
    super();
    this.store = store;
    this.teacher = teacher;
    this.say = say;
    this.histories = new Map();
    this.document = null;
    this.selected = null; // the key of a box
    this.draft = null; // boxes as they look in the middle of a gesture
    store.addEventListener('conflict', ({ detail }) => this.conflict(detail));
    store.addEventListener('refreshed', ({ detail }) => this.refreshed(detail));
  }

  emit() {
    this.dispatchEvent(new Event('change'));
  }

  // Gives boxes from the server a key and a colour, and keeps those of boxes that stayed where they were.
  dress(boxes, before = []) {
    const used = new Set();
    return boxes.map((box, i) => {
      const same = before.find((b) => !used.has(b.key) && JSON.stringify(b.box) === JSON.stringify(box.box));
      const key = same?.key ?? `box${++keys}`;
      used.add(key);
      const color = box.color ?? same?.color ?? colors[i % colors.length];
      return { key, color, box: box.box, points: box.points ?? [], choice: box.choice ?? null };
    });
  }

  history(document) {
    let history = this.histories.get(document.id);
    if (!history) {
      this.teacher.remember(document.id, document.stored.boxes);
      history = new History({ authentic: document.state.authentic ?? false, boxes: this.dress(document.state.boxes) });
      document.state = history.now;
      this.histories.set(document.id, history);
    }
    return history;
  }

  open(document) {
    this.document = document;
    this.draft = null;
    this.selected = null;
    this.now = this.history(document);
    this.teacher.open(document.id, this.boxes);
    this.emit();
  }

  get image() {
    return this.document;
  }

  get authentic() {
    return this.now?.now.authentic ?? false;
  }

  get boxes() {
    return this.draft ?? this.now?.now.boxes ?? [];
  }

  get box() {
    return this.boxes.find(({ key }) => key === this.selected) ?? null;
  }

  number(box) {
    return this.boxes.indexOf(box) + 1;
  }

  // One step that can be undone. `rests` is false for steps that likely go on (arrow keys).
  push(state, kind = null, rests = true) {
    this.draft = null;
    this.now.push(state, kind);
    this.settle(rests);
  }

  settle(rests = true) {
    if (this.selected && !this.box) this.selected = null;
    this.store.set(this.document, this.now.now);
    this.teacher.update(this.boxes, rests);
    this.emit();
  }

  with(box, change) {
    return this.now.now.boxes.map((b) => (b.key === box.key ? { ...b, ...change } : b));
  }

  select(key) {
    if (this.selected === key) return;
    this.selected = key;
    this.emit();
  }

  // Inside the image, whole pixels, corners in order.
  clean([x0, y0, x1, y1]) {
    const { width, height } = this.document;
    const inside = (value, limit) => Math.min(limit, Math.max(0, Math.round(value)));
    const xs = [inside(x0, width), inside(x1, width)].sort((a, b) => a - b);
    const ys = [inside(y0, height), inside(y1, height)].sort((a, b) => a - b);
    return [xs[0], ys[0], xs[1], ys[1]];
  }

  fits([x0, y0, x1, y1]) {
    return x1 - x0 >= smallest && y1 - y0 >= smallest;
  }

  freeColor() {
    const boxes = this.now.now.boxes;
    const free = colors.find((color) => !boxes.some((box) => box.color === color));
    return free ?? colors[boxes.length % colors.length];
  }

  add(corners) {
    const box = { key: `box${++keys}`, color: this.freeColor(), box: this.clean(corners), points: [], choice: null };
    if (!this.fits(box.box)) {
      this.preview(null);
      return false;
    }
    this.selected = box.key;
    const was = this.authentic;
    this.push({ authentic: false, boxes: [...this.now.now.boxes, box] });
    const count = this.boxes.length;
    this.say(`Box ${count} drawn${was ? '; the image no longer counts as authentic' : ''}`, { quiet: !was });
    return true;
  }

  // Boxes as a gesture in progress would leave them; null ends it.
  preview(boxes) {
    this.draft = boxes;
    this.emit();
  }

  reshape(box, corners, kind = null) {
    const shape = this.clean(corners);
    if (!this.fits(shape) || JSON.stringify(shape) === JSON.stringify(box.box)) return this.preview(null);
    this.push({ ...this.now.now, boxes: this.with(box, { box: shape }) }, kind && `${kind} ${box.key}`, kind === null);
  }

  nudge(dx, dy) {
    const { box } = this;
    if (!box) return;
    const { width, height } = this.document;
    const [x0, y0, x1, y1] = box.box;
    const mx = Math.max(-x0, Math.min(dx, width - x1));
    const my = Math.max(-y0, Math.min(dy, height - y1));
    this.reshape(box, [x0 + mx, y0 + my, x1 + mx, y1 + my], 'nudge');
    this.tell(this.box);
  }

  grow(dx, dy) {
    const { box } = this;
    if (!box) return;
    const [x0, y0, x1, y1] = box.box;
    this.reshape(box, [x0, y0, Math.max(x0 + smallest, x1 + dx), Math.max(y0 + smallest, y1 + dy)], 'grow');
    this.tell(this.box);
  }

  tell(box) {
    const [x0, y0, x1, y1] = box.box.map(Math.round);
    this.say(`Box ${this.number(box)}: ${x1 - x0} by ${y1 - y0} at ${x0}, ${y0}`, { quiet: true });
  }

  remove(box = this.box) {
    if (!box) return;
    const boxes = this.now.now.boxes;
    const at = boxes.findIndex(({ key }) => key === box.key);
    const left = boxes.filter(({ key }) => key !== box.key);
    this.selected = left[Math.min(at, left.length - 1)]?.key ?? null;
    this.push({ ...this.now.now, boxes: left });
    this.say(`Box ${at + 1} removed`, { quiet: true });
  }

  // The box that a point at (x, y) is meant for.
  boxFor(x, y) {
    if (this.box) return this.box;
    const area = ({ box: [x0, y0, x1, y1] }) => (x1 - x0) * (y1 - y0);
    const around = this.boxes.filter(({ box: [x0, y0, x1, y1] }) => x >= x0 && x <= x1 && y >= y0 && y <= y1);
    return around.sort((a, b) => area(a) - area(b))[0] ?? this.boxes.at(-1) ?? null;
  }

  addPoint(x, y, positive) {
    const box = this.boxFor(x, y);
    if (!box) return this.say('Draw a box first: points correct the mask of a box');
    const { width, height } = this.document;
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const point = { x: Math.round(x), y: Math.round(y), positive };
    this.selected = box.key;
    this.push({ ...this.now.now, boxes: this.with(box, { points: [...box.points, point] }) });
    this.say(`${positive ? 'Positive' : 'Negative'} point added to box ${this.number(this.box)}`, { quiet: true });
  }

  removePoint(box, index) {
    this.push({ ...this.now.now, boxes: this.with(box, { points: box.points.filter((_, i) => i !== index) }) });
    this.say('Point removed', { quiet: true });
  }

  choose(choice, box = this.box ?? this.boxes.at(-1)) {
    if (!box || !this.teacher.name) return;
    this.selected = box.key;
    this.push({ ...this.now.now, boxes: this.with(box, { choice }) });
    this.teacher.request(this.box);
    this.say(`Box ${this.number(this.box)}: ${choice === null ? 'the single mask' : `mask ${choice + 1} of 3`}`, { quiet: true });
  }

  cycle() {
    const box = this.box ?? this.boxes.at(-1);
    if (!box) return this.say('Draw a box first');
    if (!this.teacher.name) return this.say('Without a teacher there are no masks');
    this.choose(box.choice === null ? 0 : box.choice === 2 ? null : box.choice + 1, box);
  }

  setAuthentic(authentic = !this.authentic) {
    const removed = authentic ? this.boxes.length : 0;
    this.selected = null;
    this.push({ authentic, boxes: authentic ? [] : this.now.now.boxes });
    const boxes = removed ? `; ${removed} ${removed === 1 ? 'box' : 'boxes'} removed` : '';
    this.say(authentic ? `Marked authentic${boxes}` : 'No longer marked authentic', { quiet: !removed });
  }

  undo() {
    this.preview(null);
    if (!this.now.undo()) return this.say('Nothing to undo', { quiet: true });
    this.settle();
    this.say('Undone', { quiet: true });
  }

  redo() {
    this.preview(null);
    if (!this.now.redo()) return this.say('Nothing to redo', { quiet: true });
    this.settle();
    this.say('Done again', { quiet: true });
  }

  // Another window saved this image first. What it saved is shown, ours is one step back.
  conflict({ document, mine }) {
    const history = this.history(document);
    if (!samePlace(history.now, mine)) history.push({ authentic: mine.authentic, boxes: this.dress(mine.boxes) });
    const ours = history.now;
    this.replace(document);
    const count = document.state.boxes.length;
    const what = document.state.authentic ? 'authentic' : count === 1 ? '1 box' : `${count} boxes`;
    const here = document === this.document;
    this.say(`Another window changed ${here ? 'this image' : document.name}: now as saved there (${what}).`, {
      stays: true,
      action: here ? { label: 'Bring back mine', run: () => document === this.document && this.push(ours) } : null,
    });
  }

  refreshed({ document }) {
    if (this.replace(document) && document === this.document) this.say('Updated from another window');
  }

  // Shows what is stored; false where that is what is shown already.
  replace(document) {
    const history = this.history(document);
    const { authentic, boxes } = document.stored;
    this.teacher.remember(document.id, boxes);
    const differs = !samePlace(history.now, document.stored);
    if (differs) history.push({ authentic: authentic ?? false, boxes: this.dress(boxes, history.now.boxes) });
    document.state = history.now;
    if (document !== this.document) return differs;
    if (differs) this.draft = null;
    if (!this.box) this.selected = null;
    this.teacher.update(this.boxes);
    this.emit();
    return differs;
  }
}
