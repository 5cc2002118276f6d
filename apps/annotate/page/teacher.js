// The teacher's masks: asked for when a prompt changes, remembered for undo, shown again after a reload.

import * as api from './api.js';

const pause = 150; // ms that a prompt must rest before its mask is asked for while keys change it
const poll = 1500; // ms between questions for an embedding, where no event came

const prompt = ({ box, points }) => JSON.stringify([box, points]);

export class Teacher extends EventTarget {
  constructor(name) {
    super();
    this.name = name; // null: no teacher, boxes only
    this.state = name ? 'waiting' : 'none';
    this.image = null;
    this.boxes = [];
    this.choices = new Map(); // image and prompt -> the four masks
    this.stored = new Map(); // image, prompt and choice -> {iou, mask} that came with the annotation
    this.last = new Map(); // box key -> the mask shown last, while a new one is on its way
    this.asking = new Map(); // box key -> {prompt, abort}
  }

  emit() {
    this.dispatchEvent(new Event('change'));
  }

  open(image, boxes) {
    for (const { abort } of this.asking.values()) abort.abort();
    this.asking.clear();
    this.last.clear();
    if (this.choices.size > 400) this.choices.clear();
    this.image = image;
    this.boxes = boxes;
    if (!this.name) return;
    this.state = 'waiting';
    this.wait();
  }

  remember(image, boxes) {
    for (const box of boxes)
      if (box.mask) this.stored.set(`${image} ${prompt(box)} ${box.choice}`, { iou: box.iou, mask: box.mask });
  }

  // {iou, mask, choices: how many there are to choose from, stale: whether it belongs to an earlier prompt} or null.
  mask(image, box) {
    const all = this.choices.get(`${image} ${prompt(box)}`);
    const one = all ? all[box.choice === null ? 0 : box.choice + 1] : this.stored.get(`${image} ${prompt(box)} ${box.choice}`);
    if (one?.mask) {
      if (image === this.image) this.last.set(box.key, one);
      return { ...one, choices: all?.length ?? 0, stale: false };
    }
    const last = image === this.image && this.last.get(box.key);
    return last && this.state !== 'none' ? { ...last, choices: 0, stale: true } : null;
  }

  iou(image, box) {
    const known = this.mask(image, box);
    return known && !known.stale ? known.iou : null;
  }

  get busy() {
    return this.asking.size > 0;
  }

  // The boxes are now these; what has no mask is asked for, at once or when the prompt rests.
  update(boxes, rests = true) {
    this.boxes = boxes;
    clearTimeout(this.timer);
    if (this.state !== 'ready') return;
    if (rests) this.ask();
    else this.timer = setTimeout(() => this.ask(), pause);
  }

  ask() {
    const alive = new Set(this.boxes.map(({ key }) => key));
    for (const [key, { abort }] of this.asking) if (!alive.has(key)) this.stop(key, abort);
    for (const box of this.boxes) {
      const known = this.mask(this.image, box);
      if (!known || known.stale) this.request(box);
    }
  }

  stop(key, abort) {
    abort.abort();
    this.asking.delete(key);
  }

  // Also the other choices of a box whose stored mask is all that is known.
  async request(box) {
    if (this.state !== 'ready') return;
    const { image } = this;
    const asked = prompt(box);
    if (this.choices.has(`${image} ${asked}`)) return;
    const before = this.asking.get(box.key);
    if (before?.prompt === asked) return;
    before?.abort.abort();
    const abort = new AbortController();
    this.asking.set(box.key, { prompt: asked, abort });
    this.emit();
    try {
      const choices = await api.masks(image, { box: box.box, points: box.points }, abort.signal);
      if (choices) this.choices.set(`${image} ${asked}`, choices);
      else if (image === this.image) this.waitAgain('working');
    } catch (error) {
      if (abort.signal.aborted) return;
      this.dispatchEvent(new CustomEvent('failed', { detail: error }));
      if (error instanceof api.Offline) setTimeout(() => image === this.image && this.ask(), poll);
    } finally {
      if (this.asking.get(box.key)?.abort === abort) this.asking.delete(box.key);
      this.emit();
    }
  }

  // Until the embedding of the image in view is ready.
  async wait() {
    const { image } = this;
    clearTimeout(this.polling);
    let state = 'waiting';
    try {
      state = await api.embedding(image);
    } catch {
      // Asked again below.
    }
    if (image !== this.image) return;
    if (state === 'waiting' || state === 'working') return this.waitAgain(state);
    this.state = state;
    this.emit();
    if (state === 'ready') this.ask();
  }

  waitAgain(state) {
    const { image } = this;
    this.state = state;
    this.emit();
    clearTimeout(this.polling);
    this.polling = setTimeout(() => image === this.image && this.wait(), poll);
  }

  // The server says that an image's embedding came to be.
  ready(image) {
    if (image === this.image && this.state !== 'ready') this.wait();
  }
}
