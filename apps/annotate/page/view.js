// Which part of the image the stage shows, and the picture fetched for it: no larger than the screen can show.

import * as api from './api.js';

const margin = 28; // CSS pixels around a fitted image
const sizes = [640, 1024, 1536, 2048, 3072, 4096, 6144];
const limit = matchMedia('(pointer: coarse)').matches ? 4096 : 6144; // the largest picture that is decoded
const closest = 40; // CSS pixels per pixel of the image
const kept = 4; // pictures remembered

export class View extends EventTarget {
  constructor() {
    super();
    this.width = 1; // of the stage
    this.height = 1;
    this.image = null; // {id, width, height}
    this.scale = 1; // CSS pixels per pixel of the image
    this.x = 0; // of the image's corner on the stage
    this.y = 0;
    this.fitted = true;
    this.picture = null;
    this.pictures = new Map(); // "id side" -> bitmap, oldest first
  }

  emit() {
    this.dispatchEvent(new Event('change'));
  }

  resize(width, height) {
    if (this.width === width && this.height === height) return;
    this.x += (width - this.width) / 2;
    this.y += (height - this.height) / 2;
    this.width = width;
    this.height = height;
    if (this.fitted) this.fit();
    else this.changed();
  }

  // An image that could not be read has no size; then nothing is shown.
  open(image) {
    this.image = image.width > 0 && image.height > 0 ? image : null;
    this.picture = null;
    this.loading?.abort.abort();
    this.loading = null;
    this.fit();
    this.emit();
  }

  get fitScale() {
    const { width, height } = this.image;
    const room = Math.min(margin, this.width * 0.04);
    return Math.min((this.width - 2 * room) / width, (this.height - 2 * room) / height, closest / 4);
  }

  fit() {
    if (!this.image) return;
    this.scale = this.fitScale;
    this.x = (this.width - this.image.width * this.scale) / 2;
    this.y = (this.height - this.image.height * this.scale) / 2;
    this.fitted = true;
    this.changed();
  }

  // Keeps what lies under (x, y) of the stage where it is.
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    if (!this.image) return;
    const scale = Math.min(closest, Math.max(this.fitScale / 2, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.changed();
  }

  pan(dx, dy) {
    if (!this.image) return;
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.changed();
  }

  toImage(x, y) {
    return [(x - this.x) / this.scale, (y - this.y) / this.scale];
  }

  toStage(x, y) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }

  changed() {
    if (!this.image) return;
    // Some of the image always stays in reach.
    const reach = 60;
    const { width, height } = this.image;
    this.x = Math.min(this.width - reach, Math.max(reach - width * this.scale, this.x));
    this.y = Math.min(this.height - reach, Math.max(reach - height * this.scale, this.y));
    this.fetch();
    this.emit();
  }

  side(image, scale) {
    const longest = Math.max(image.width, image.height);
    const wanted = longest * scale * devicePixelRatio;
    const side = sizes.find((size) => size >= wanted) ?? limit;
    return Math.min(side, limit, longest);
  }

  // The picture for the scale in view; what there is stays until it arrives.
  fetch() {
    const { image } = this;
    const side = this.side(image, this.scale);
    if (this.picture && this.picture.side >= side) return;
    if (this.loading && this.loading.side >= side) return;
    const ready = this.pictures.get(`${image.id} ${side}`);
    if (ready) {
      this.picture = { side, bitmap: ready };
      return;
    }
    this.loading?.abort.abort();
    const loading = { side, abort: new AbortController() };
    this.loading = loading;
    this.load(image, side, loading.abort.signal)
      .then((bitmap) => {
        if (image === this.image) this.picture = { side, bitmap };
      })
      .catch((error) => {
        if (loading.abort.signal.aborted) return;
        this.dispatchEvent(new CustomEvent('failed', { detail: error }));
        if (error instanceof api.Offline) setTimeout(() => image === this.image && this.fetch(), 2000);
      })
      .finally(() => {
        if (this.loading === loading) this.loading = null;
        this.emit();
      });
  }

  async load(image, side, signal) {
    const bitmap = await api.picture(image.id, side, signal);
    this.pictures.set(`${image.id} ${side}`, bitmap);
    for (const [name, old] of this.pictures) {
      if (this.pictures.size <= kept) break;
      if (old === this.picture?.bitmap) continue;
      this.pictures.delete(name);
    }
    return bitmap;
  }

  // The image that likely comes next, at the size at which it will first be shown.
  prefetch(image) {
    if (!image.width || !image.height) return;
    const room = Math.min((this.width - 2 * margin) / image.width, (this.height - 2 * margin) / image.height);
    const side = this.side(image, Math.min(room, closest / 4));
    if (!this.pictures.has(`${image.id} ${side}`)) this.load(image, side).catch(() => {});
  }
}
