// The annotations: what the server has, what is drawn here, and how the first follows the second.
//
// Every change is sent at once. What the server has not confirmed is also kept in the browser's storage, so that neither
// a dead server nor a closed page loses it; sending is tried again until it works. Each annotation carries the version it
// was made from: where another window was first (409), the stored annotation is shown and ours becomes a step to undo to.

import * as api from './api.js';

const waits = [1000, 2000, 4000, 8000]; // ms before the next try while nobody answers

export const samePlace = (a, b) => JSON.stringify(plain(a)) === JSON.stringify(plain(b));

// What the server is told of a state: no colours, no keys. Always in the same order, so that texts can be compared.
function plain({ authentic, boxes }) {
  return {
    authentic: authentic ?? false,
    boxes: boxes.map(({ box, points, choice }) => ({
      box,
      points: (points ?? []).map(({ x, y, positive }) => ({ x, y, positive })),
      choice: choice ?? null,
    })),
  };
}

export class Store extends EventTarget {
  constructor(folder) {
    super();
    this.prefix = `boxprompt ${folder} `;
    this.documents = new Map();
    this.failures = 0;
    this.problem = null; // {offline, message} of the last try, null where it worked
    this.iou = () => null; // set by whoever knows the masks
    addEventListener('online', () => this.retry());
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // {id, version, stored, state, dirty, seconds, unsaved}: `stored` and `state` are {authentic, boxes}.
  async load(id) {
    let document = this.documents.get(id);
    if (document) return document;
    const answer = await api.image(id);
    document = this.documents.get(id); // two loads may cross
    if (document) return document;
    const { name, width, height } = answer;
    document = { id, name, width, height, saving: false, seen: 0, unsaved: 0 };
    this.take(document, answer);
    this.documents.set(id, document);
    this.adopt(document);
    return document;
  }

  take(document, answer) {
    document.version = answer.version;
    document.seconds = answer.seconds ?? 0;
    document.stored = { authentic: answer.authentic, boxes: answer.boxes };
    document.state = document.stored;
    document.dirty = false;
  }

  // What an earlier page could not send.
  adopt(document) {
    const kept = this.kept(document.name);
    if (!kept) return;
    if (samePlace(kept.state, document.stored)) {
      this.forget(document, kept.stamp);
      return;
    }
    if (kept.version !== document.version) {
      this.emit('conflict', { document, mine: kept.state });
      this.forget(document, kept.stamp);
      return;
    }
    document.stamp = kept.stamp;
    document.state = kept.state;
    document.dirty = true;
    this.flush(document);
  }

  // All images with changes that an earlier page could not send.
  async adoptAll(images) {
    for (const { id, name } of images) if (this.kept(name)) await this.load(id).catch(() => {});
  }

  set(document, state) {
    document.state = state;
    document.dirty = !samePlace(state, document.stored);
    this.keep(document);
    this.flush(document);
  }

  spend(document, seconds) {
    document.unsaved += seconds;
  }

  // Sends the time spent, where enough of it came together to be worth a version.
  settle(document, keepalive = false) {
    if (document.unsaved >= 1 || document.dirty) this.flush(document, keepalive);
  }

  get unsaved() {
    return [...this.documents.values()].filter((document) => document.dirty).length;
  }

  get saving() {
    return [...this.documents.values()].some((document) => document.saving);
  }

  async flush(document, keepalive = false) {
    if (document.saving) {
      document.again = true;
      return;
    }
    document.saving = true;
    this.emit('saving');
    try {
      do {
        document.again = false;
        await this.send(document, keepalive);
      } while (document.again && (document.dirty || document.unsaved >= 1));
      this.failures = 0;
      this.problem = null;
    } catch (error) {
      this.problem = { offline: !(error instanceof api.Refused), message: error.message };
      if (this.problem.offline) this.later();
    }
    document.saving = false;
    this.emit('saving');
    if (document.seen > document.version) this.refresh(document.id, document.seen);
  }

  async send(document, keepalive) {
    const { version, state } = document;
    const spent = document.unsaved;
    const seconds = Math.round((document.seconds + spent) * 10) / 10;
    const boxes = plain(state).boxes.map((box, i) => ({ ...box, iou: this.iou(document.id, state.boxes[i]) }));
    const { saved, body } = await api.save(document.id, { version, authentic: state.authentic, seconds, boxes }, keepalive);
    if (saved) {
      document.version = body.version;
      document.seconds = seconds;
      document.unsaved -= spent;
      document.stored = state;
      document.dirty = !samePlace(document.state, state);
      if (!document.dirty) this.forget(document, document.stamp);
      this.emit('saved', document);
      return;
    }
    const mine = document.state;
    const edited = !samePlace(mine, document.stored) && !samePlace(mine, body);
    this.take(document, body); // and the time spent here goes on top of it, with the next save
    this.forget(document, document.stamp);
    this.emit(edited ? 'conflict' : 'refreshed', { document, mine });
  }

  later() {
    clearTimeout(this.timer);
    const wait = waits[Math.min(this.failures++, waits.length - 1)];
    this.timer = setTimeout(() => this.retry(), wait);
  }

  retry() {
    for (const document of this.documents.values()) if (document.dirty) this.flush(document);
    if (this.unsaved === 0) this.problem = null;
    this.emit('saving');
  }

  // Another window saved this image as `version`; without one, it may have.
  async refresh(id, version = null) {
    const document = this.documents.get(id);
    if (!document) return;
    document.seen = Math.max(document.seen, version ?? 0);
    if (document.saving || document.dirty || (version !== null && document.version >= version)) return;
    try {
      const answer = await api.image(id);
      if (document.saving || document.dirty || answer.version <= document.version) return;
      const mine = document.state;
      this.take(document, answer);
      this.emit('refreshed', { document, mine });
    } catch {
      // The next save finds out by its version.
    }
  }

  key(name) {
    return this.prefix + name;
  }

  keep(document) {
    document.stamp = `${Date.now()} ${Math.random()}`;
    const { version, state, stamp } = document;
    try {
      localStorage.setItem(this.key(document.name), JSON.stringify({ version, state, stamp }));
    } catch {
      // A full or forbidden storage costs only the safety net.
    }
  }

  kept(name) {
    try {
      return JSON.parse(localStorage.getItem(this.key(name)));
    } catch {
      return null;
    }
  }

  forget(document, stamp) {
    if (stamp && this.kept(document.name)?.stamp === stamp) localStorage.removeItem(this.key(document.name));
  }
}
