// What is written around the stage: the boxes of the image, progress, and how saving and the teacher are doing.

const calm = 300; // ms

const $ = (id) => document.getElementById(id);

const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export class Panel {
  constructor({ project, editor, teacher, store, canvas }) {
    Object.assign(this, { project, editor, teacher, store, canvas });
    this.rows = new Map(); // box key -> list item
    this.since = new Map(); // what goes on -> when it began
    for (const source of [editor, teacher, store])
      for (const type of ['change', 'saving', 'saved']) source.addEventListener(type, () => this.refresh());
    $('choices').hidden = !teacher.name;
    $('choices').addEventListener('click', (event) => {
      const button = event.target.closest('button');
      if (button && editor.box) editor.choose(button.value === '' ? null : Number(button.value), editor.box);
    });
    setInterval(() => this.progress(), 1000);
  }

  refresh() {
    if (this.waiting) return;
    this.waiting = true;
    queueMicrotask(() => {
      this.waiting = false;
      this.saving();
      this.eye();
      if (!this.editor.image) return;
      this.list();
      this.controls();
      this.progress();
    });
  }

  // Whether something has gone on for long enough to be worth a word: what is over at once should not flicker.
  lasts(what, active) {
    const now = performance.now();
    if (!active) this.since.delete(what);
    else if (!this.since.has(what)) {
      this.since.set(what, now);
      setTimeout(() => this.refresh(), calm + 10);
    }
    return active && now - this.since.get(what) >= calm;
  }

  saving() {
    const { problem, unsaved, saving } = this.store;
    const changes = `${unsaved} ${unsaved === 1 ? 'image' : 'images'}`;
    let [state, text] = ['saved', 'Saved'];
    if (problem && !problem.offline && unsaved) [state, text] = ['refused', `Not saved: ${problem.message}`];
    else if (this.lost || (problem && unsaved)) [state, text] = ['offline', unsaved ? `Offline · ${changes} kept here` : 'Offline'];
    else if (this.lasts('saving', saving || unsaved > 0)) [state, text] = ['saving', 'Saving…'];
    $('saved').dataset.state = state;
    put($('saved').lastElementChild, text);
  }

  eye() {
    const { name, state, busy } = this.teacher;
    const texts = { ready: 'Teacher ready', working: 'Teacher is looking…', waiting: 'Teacher is waiting…', none: 'Boxes only' };
    $('teacher').dataset.state = this.lasts('masks', busy) ? 'working' : state;
    $('teacher').title = name ? `Masks by ${name}` : 'Started without weights: boxes are saved, masks are not shown';
    put($('teacher').lastElementChild, name && state === 'none' ? 'No mask for this image' : texts[state]);
  }

  list() {
    const { boxes } = this.editor;
    const alive = new Set(boxes.map(({ key }) => key));
    for (const [key, row] of this.rows) {
      if (alive.has(key)) continue;
      row.remove();
      this.rows.delete(key);
    }
    boxes.forEach((box, i) => this.row(box, i));
    $('none').hidden = boxes.length > 0;
    put($('none'), this.editor.authentic ? 'Marked authentic: nothing is manipulated.' : 'Drag over a manipulated region.');
    put($('count'), boxes.length ? String(boxes.length) : '');
  }

  row(box, i) {
    let row = this.rows.get(box.key);
    if (!row) {
      row = document.createElement('li');
      row.innerHTML =
        '<button type="button" class="pick"><i></i><span></span><em></em></button>' +
        '<button type="button" class="drop"><svg aria-hidden="true"><use href="#i-close"></use></svg></button>';
      row.firstChild.addEventListener('click', () => {
        this.editor.select(box.key);
        this.canvas.focus(box.key);
      });
      row.lastChild.addEventListener('click', () => this.editor.remove(this.editor.boxes.find(({ key }) => key === box.key)));
      this.rows.set(box.key, row);
    }
    if ($('boxes').children[i] !== row) $('boxes').insertBefore(row, $('boxes').children[i] ?? null);
    const selected = box.key === this.editor.selected;
    row.classList.toggle('selected', selected);
    row.firstChild.setAttribute('aria-pressed', selected);
    row.firstChild.firstChild.style.background = box.color;
    const [x0, y0, x1, y1] = box.box.map(Math.round);
    put(row.querySelector('span'), `${i + 1}   ${x1 - x0} × ${y1 - y0}`);
    const known = this.teacher.mask(this.editor.image.id, box);
    put(row.querySelector('em'), known && !known.stale && known.iou !== null ? known.iou.toFixed(2) : '');
    row.querySelector('em').title = 'predicted IoU';
    row.lastChild.setAttribute('aria-label', `Remove box ${i + 1}`);
  }

  controls() {
    const { editor } = this;
    const { box } = editor;
    for (const button of $('choices').querySelectorAll('button')) {
      button.disabled = !box;
      button.setAttribute('aria-pressed', box ? String(box.choice ?? '') === button.value : false);
    }
    const able = { undo: editor.now.canUndo, redo: editor.now.canRedo, remove: !!box, cycle: editor.boxes.length > 0 && !!this.teacher.name };
    for (const [name, can] of Object.entries(able))
      for (const button of document.querySelectorAll(`[data-do=${name}]`)) button.disabled = !can;
    for (const button of document.querySelectorAll('[data-do=authentic]')) button.setAttribute('aria-pressed', editor.authentic);
  }

  // Seconds count for images that are done: what was spent on all of them, shared among these.
  progress() {
    const { images } = this.project;
    const done = images.filter(({ state }) => state !== 'open').length;
    const seconds = images.reduce((sum, { id, seconds: before }) => {
      const open = this.store.documents.get(id);
      return sum + (open ? open.seconds + open.unsaved : (before ?? 0));
    }, 0);
    const left = images.length - done;
    const each = done ? seconds / done : null;
    $('bar').max = images.length || 1;
    $('bar').value = done;
    put($('done'), `${done} of ${images.length}`);
    put($('left'), String(left));
    put($('each'), each === null ? '–' : each < 100 ? `${each.toFixed(1)} s` : duration(each));
    put($('remaining'), left === 0 ? 'all done' : each === null ? '–' : `about ${duration(each * left)}`);
    const here = this.editor.image;
    put($('here'), here ? duration(here.seconds + here.unsaved) : '–');
  }
}
