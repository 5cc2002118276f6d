// Puts the page together: opens images, runs commands, listens to the server.

import * as api from './api.js';
import { Canvas } from './canvas.js';
import { Clock } from './clock.js';
import { Editor } from './editor.js';
import { Keys } from './keys.js';
import { Panel } from './panel.js';
import { Pointer } from './pointer.js';
import { say } from './say.js';
import { Store } from './store.js';
import { Strip } from './strip.js';
import { Teacher } from './teacher.js';
import { View } from './view.js';

const $ = (id) => document.getElementById(id);
const stage = $('stage');

async function reach() {
  for (let wait = 500; ; wait = Math.min(4000, wait * 2)) {
    try {
      return await api.project();
    } catch (error) {
      if (error instanceof api.Refused) throw error;
      say('The server does not answer; trying again…', { stays: true });
      await new Promise((done) => setTimeout(done, wait));
    }
  }
}

class App {
  constructor(project) {
    this.project = project;
    this.images = project.images;
    this.indices = new Map(this.images.map(({ id }, index) => [id, index]));
    this.store = new Store(project.folder);
    this.teacher = new Teacher(project.teacher);
    this.store.iou = (id, box) => this.teacher.iou(id, box);
    this.view = new View();
    this.editor = new Editor(this.store, this.teacher, say);
    this.canvas = new Canvas(stage, this.view, this.editor, this.teacher);
    this.tool = 'box';
    this.pointer = new Pointer(stage, this.view, this.editor, this.canvas, this);
    this.commands = this.makeCommands();
    const { view, editor, canvas, pointer, commands, teacher, store } = this;
    new Keys({ stage, view, editor, canvas, pointer, commands });
    this.strip = new Strip($('strip'), this.images, (index) => this.open(index));
    this.panel = new Panel({ project, editor, teacher, store, canvas });
    new Clock((seconds) => editor.image && store.spend(editor.image, seconds));
    this.index = -1;
    this.bind();
    this.listen();
  }

  makeCommands() {
    const { editor, view, canvas } = this;
    return {
      next: () => this.step(1),
      previous: () => this.step(-1),
      undo: () => editor.undo(),
      redo: () => editor.redo(),
      remove: () => editor.remove(),
      authentic: () => editor.setAuthentic(),
      newBox: () => this.newBox(),
      cycle: () => editor.cycle(),
      look: () => this.look(),
      cross: () => this.crosshair(),
      fit: () => view.fit(),
      closer: () => view.zoom(1.25),
      farther: () => view.zoom(0.8),
      help: () => $('help').showModal(),
      escape: () => this.escape(),
      panel: () => this.togglePanel(),
      box: () => this.use('box'),
      plus: () => this.use('plus'),
      minus: () => this.use('minus'),
    };
  }

  bind() {
    for (const button of document.querySelectorAll('[data-do]')) {
      button.addEventListener('click', () => this.commands[button.dataset.do]());
      // A click with the mouse leaves the focus where it is, so that space and arrows still mean the stage.
      button.addEventListener('mousedown', (event) => event.preventDefault());
    }
    $('look').addEventListener('input', () => this.setLook(Number($('look').value) / 100));
    this.setLook(0.5);
    this.editor.addEventListener('change', () => this.editor.image && this.mark(this.editor.image));
    for (const type of ['conflict', 'refreshed']) this.store.addEventListener(type, ({ detail }) => this.mark(detail.document));
    this.view.addEventListener('change', () => ($('zoom').textContent = `${Math.round(this.view.scale * devicePixelRatio * 100)} %`));
    this.view.addEventListener('failed', ({ detail }) => say(`No picture: ${detail.message}`));
    this.teacher.addEventListener('failed', ({ detail }) => say(`No mask: ${detail.message}`));
    this.teacher.addEventListener('change', () => this.tellMask());
    // Focus that a script moves counts as visible or not by what was used last.
    addEventListener('keydown', () => (document.documentElement.dataset.input = 'keys'), { capture: true });
    addEventListener('pointerdown', () => (document.documentElement.dataset.input = 'pointer'), { capture: true });
    stage.addEventListener('pointerdown', () => this.togglePanel(false), { capture: true });
    addEventListener('pagehide', () => this.leave());
    document.addEventListener('visibilitychange', () => document.hidden && this.leave());
    addEventListener('beforeunload', (event) => this.store.unsaved > 0 && event.preventDefault());
  }

  leave() {
    for (const document of this.store.documents.values()) this.store.settle(document, true);
  }

  async start() {
    $('folder').textContent = this.project.folder.split(/[\\/]/).filter(Boolean).at(-1) ?? this.project.folder;
    $('folder').title = this.project.folder;
    if (this.images.length === 0) return say('There are no images in this folder', { stays: true });
    this.store.adoptAll(this.images);
    const named = this.images.findIndex(({ name }) => name === decodeURIComponent(location.hash.slice(1)));
    const open = this.images.findIndex(({ state }) => state === 'open');
    await this.open(named >= 0 ? named : Math.max(0, open));
  }

  step(by) {
    const to = this.index + by;
    if (to < 0 || to >= this.images.length) return say(by > 0 ? 'This is the last image' : 'This is the first image');
    this.open(to);
  }

  async open(index) {
    if (index === this.index) return;
    this.pointer.cancel();
    this.canvas.cross = null;
    if (this.editor.image) this.store.settle(this.editor.image);
    this.index = index;
    const image = this.images[index];
    this.strip.select(index);
    this.view.open(image);
    $('name').textContent = image.name;
    $('size').textContent = `${image.width} × ${image.height}`;
    stage.setAttribute('aria-label', `${image.name}. Drag to draw a box, or press B.`);
    history.replaceState(null, '', `#${encodeURIComponent(image.name)}`);
    this.editor.document = null;
    this.editor.emit();
    await this.load(index);
  }

  async load(index) {
    try {
      const { id } = this.images[index];
      const known = this.store.documents.has(id);
      const document = await this.store.load(id);
      if (index !== this.index) return;
      this.editor.open(document);
      if (known) this.store.refresh(id);
      const boxes = document.state.boxes.length;
      say(`Image ${index + 1} of ${this.images.length}, ${document.state.authentic ? 'authentic' : `${boxes} ${boxes === 1 ? 'box' : 'boxes'}`}`, { quiet: true });
      if (this.images[index + 1]) this.view.prefetch(this.images[index + 1]);
    } catch (error) {
      if (index !== this.index) return;
      say(`Cannot open this image: ${error.message}`, { stays: true });
      if (error instanceof api.Offline) setTimeout(() => index === this.index && this.load(index), 2000);
    }
  }

  // The thumbnail follows the annotation.
  mark({ id, state: { authentic, boxes } }) {
    const index = this.indices.get(id);
    const state = authentic ? 'authentic' : boxes.length > 0 ? 'boxed' : 'open';
    Object.assign(this.images[index], { state, boxes: boxes.length });
    this.strip.update(index);
  }

  newBox() {
    const { editor, view } = this;
    if (!editor.image) return;
    // A third of what is in view, around its middle.
    const [cx, cy] = view.toImage(view.width / 2, view.height / 2);
    const { width, height } = editor.image;
    const w = Math.max(8, Math.min(width, view.width / view.scale) / 3);
    const h = Math.max(8, Math.min(height, view.height / view.scale) / 3);
    const x = Math.min(width - w, Math.max(0, cx - w / 2));
    const y = Math.min(height - h, Math.max(0, cy - h / 2));
    if (editor.add([x, y, x + w, y + h])) this.canvas.focus(editor.selected);
  }

  crosshair() {
    const { canvas, editor } = this;
    const { box } = editor;
    if (!canvas.cross && !box) return say('Choose a box first: points correct the mask of a box');
    canvas.cross = canvas.cross ? null : [Math.round((box.box[0] + box.box[2]) / 2), Math.round((box.box[1] + box.box[3]) / 2)];
    if (canvas.cross) canvas.focus(box.key);
    canvas.redraw();
    say(canvas.cross ? 'Arrows move the crosshair, Enter adds a positive point, Shift+Enter a negative one, X ends' : 'Crosshair off');
  }

  escape() {
    if (this.pointer.cancel()) return;
    if (this.canvas.cross) return this.crosshair();
    if (this.tool !== 'box') return this.use('box');
    this.editor.select(null);
    stage.focus({ preventScroll: true });
  }

  use(tool) {
    this.tool = tool;
    for (const name of ['box', 'plus', 'minus'])
      for (const button of document.querySelectorAll(`[data-do=${name}]`)) button.setAttribute('aria-pressed', name === tool);
    const texts = { box: 'Drag to draw a box', plus: 'Tap what belongs to the mask', minus: 'Tap what does not belong to the mask' };
    say(texts[tool], { quiet: tool === 'box' });
  }

  look() {
    const stops = [0, 0.5, 1];
    this.setLook(stops.find((stop) => stop > this.canvas.slider + 0.01) ?? 0);
  }

  setLook(value) {
    this.canvas.slider = value;
    $('look').value = Math.round(value * 100);
    const text = value < 0.25 ? 'outline' : value < 0.75 ? 'overlay' : 'mask';
    $('look').setAttribute('aria-valuetext', text);
    $('look').dataset.at = text;
    $('look').style.setProperty('--at', `${value * 100}%`);
    this.canvas.redraw();
  }

  togglePanel(force) {
    const open = document.body.classList.toggle('panel-open', force);
    for (const button of document.querySelectorAll('[data-do=panel]')) button.setAttribute('aria-expanded', open);
  }

  // Says once that the mask of the selected box came.
  tellMask() {
    const { editor, teacher } = this;
    const { box } = editor;
    const known = box && editor.image && teacher.mask(editor.image.id, box);
    if (!known || known.stale || known.mask === this.told) return;
    this.told = known.mask;
    if (known.iou !== null) say(`Mask of box ${editor.number(box)}, predicted IoU ${known.iou.toFixed(2)}`, { quiet: true });
  }

  // One stream of events while the page is visible; browsers allow only a few connections to a server.
  async listen() {
    for (let wait = 500; ; wait = Math.min(8000, wait * 2)) {
      while (document.hidden) await new Promise((done) => document.addEventListener('visibilitychange', done, { once: true }));
      const stop = new AbortController();
      const hide = () => document.hidden && stop.abort();
      document.addEventListener('visibilitychange', hide);
      const began = performance.now();
      try {
        await this.catchUp();
        this.lost(false);
        await api.events((event) => this.hear(event), stop.signal);
      } catch {
        if (!stop.signal.aborted) this.lost(true);
      }
      document.removeEventListener('visibilitychange', hide);
      if (performance.now() - began > 5000) wait = 250;
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  lost(lost) {
    this.panel.lost = lost;
    this.panel.refresh();
    if (!lost) this.store.retry();
  }

  // What happened while nobody listened.
  async catchUp() {
    const { images } = await api.project();
    images.forEach((image, i) => {
      if (this.images[i]?.name !== image.name || this.store.documents.has(image.id)) return;
      Object.assign(this.images[i], image);
      this.strip.update(i);
    });
    if (this.editor.image) this.store.refresh(this.editor.image.id);
    this.panel.refresh();
  }

  async hear({ image, version, embedding }) {
    if (embedding === 'ready') this.teacher.ready(image);
    if (version === undefined) return;
    if (this.store.documents.has(image)) return this.store.refresh(image, version);
    const answer = await api.image(image).catch(() => null);
    if (!answer || !this.indices.has(image)) return;
    this.images[this.indices.get(image)].seconds = answer.seconds;
    this.mark({ id: image, state: answer });
    this.panel.refresh();
  }
}

try {
  const app = new App(await reach());
  window.boxprompt = app; // for the console and the tests
  say('');
  await app.start();
} catch (error) {
  say(error.message, { stays: true });
  throw error;
}
