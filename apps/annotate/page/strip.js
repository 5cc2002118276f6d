// The thumbnails. Only those in sight exist, so that folders of many thousands of images scroll like small ones.

import * as api from './api.js';

const beyond = 4; // thumbnails kept ready on either side
const remembered = 300;

export class Strip {
  constructor(element, images, open) {
    Object.assign(this, { element, images, open });
    this.track = element.querySelector('.track');
    this.shown = new Map(); // index -> button
    this.urls = new Map(); // index -> promise of a blob's address
    this.current = -1;
    this.pitch = parseFloat(getComputedStyle(element).getPropertyValue('--pitch'));
    this.track.style.width = `${images.length * this.pitch}px`;
    element.addEventListener('scroll', () => this.fill(), { passive: true });
    element.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    element.addEventListener('keydown', (event) => this.key(event));
    new ResizeObserver(() => {
      this.pitch = parseFloat(getComputedStyle(element).getPropertyValue('--pitch'));
      this.track.style.width = `${images.length * this.pitch}px`;
      this.shown.forEach((button, i) => (button.style.left = `${i * this.pitch}px`));
      this.fill();
    }).observe(element);
  }

  wheel(event) {
    if (event.deltaX || event.ctrlKey) return;
    event.preventDefault();
    this.element.scrollLeft += event.deltaY;
  }

  key(event) {
    const last = this.images.length - 1;
    const to = { ArrowLeft: this.current - 1, ArrowRight: this.current + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.open(Math.min(last, Math.max(0, to)));
    this.shown.get(this.current)?.focus({ preventScroll: true });
  }

  select(index) {
    const jump = this.current < 0;
    this.current = index;
    const left = index * this.pitch - (this.element.clientWidth - this.pitch) / 2;
    const calm = jump || matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.element.scrollTo({ left, behavior: calm ? 'instant' : 'smooth' });
    this.make(index);
    this.fill();
    this.shown.forEach((_, i) => this.update(i));
  }

  fill() {
    const { scrollLeft, clientWidth } = this.element;
    const first = Math.max(0, Math.floor(scrollLeft / this.pitch) - beyond);
    const last = Math.min(this.images.length - 1, Math.ceil((scrollLeft + clientWidth) / this.pitch) + beyond);
    for (const [i, button] of this.shown) {
      if ((i >= first && i <= last) || i === this.current || button === document.activeElement) continue;
      button.remove();
      this.shown.delete(i);
    }
    for (let i = first; i <= last; ++i) this.make(i);
  }

  make(i) {
    if (this.shown.has(i)) return;
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'thumb';
    button.style.left = `${i * this.pitch}px`;
    button.innerHTML = '<img alt="" draggable="false"><span class="badge"></span>';
    button.addEventListener('click', () => this.open(i));
    const after = [...this.shown.keys()].filter((k) => k > i).sort((a, b) => a - b)[0];
    this.track.insertBefore(button, this.shown.get(after) ?? null); // Tab and screen readers go by this order
    this.shown.set(i, button);
    this.update(i);
    this.picture(i).then((url) => url && (button.firstChild.src = url));
  }

  picture(i) {
    if (!this.urls.has(i)) {
      const loading = api.thumbnail(this.images[i].id).then(URL.createObjectURL).catch(() => {
        this.urls.delete(i);
        return null;
      });
      this.urls.set(i, loading);
      for (const [old, address] of this.urls) {
        if (this.urls.size <= remembered) break;
        if (this.shown.has(old)) continue;
        this.urls.delete(old);
        address.then((url) => url && URL.revokeObjectURL(url));
      }
    }
    return this.urls.get(i);
  }

  update(i) {
    const button = this.shown.get(i);
    if (!button) return;
    const { name, state, boxes } = this.images[i];
    const current = i === this.current;
    button.classList.toggle('current', current);
    button.tabIndex = current ? 0 : -1;
    if (current) button.setAttribute('aria-current', 'true');
    else button.removeAttribute('aria-current');
    button.dataset.state = state;
    const what = state === 'authentic' ? 'authentic' : state === 'boxed' ? `${boxes} ${boxes === 1 ? 'box' : 'boxes'}` : 'open';
    button.setAttribute('aria-label', `${name}, ${what}`);
    button.title = name;
    button.lastChild.textContent = state === 'authentic' ? '✓' : state === 'boxed' ? boxes : '';
  }
}
