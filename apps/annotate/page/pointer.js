// Mouse, pen and touch on the stage. A gesture is an object with move(x, y), end(x, y) and cancel().

const slop = 4; // CSS pixels: less is a click
const reach = { mouse: 7, pen: 10, touch: 22 }; // how near to an edge one has to be to grab it

export class Pointer {
  constructor(stage, view, editor, canvas, tools) {
    Object.assign(this, { stage, view, editor, canvas, tools });
    this.down = new Map(); // pointer id -> [x, y]
    this.gesture = null;
    this.space = false;
    stage.addEventListener('pointerdown', (event) => this.press(event));
    stage.addEventListener('pointermove', (event) => this.move(event));
    stage.addEventListener('pointerup', (event) => this.release(event));
    stage.addEventListener('pointercancel', (event) => this.lose(event));
    stage.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    stage.addEventListener('contextmenu', (event) => event.preventDefault());
    stage.addEventListener('auxclick', (event) => event.preventDefault());
  }

  place(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  press(event) {
    if (!this.editor.image) return;
    event.preventDefault(); // focus goes to boxes by hand, and nothing gets selected as text
    if (!this.stage.contains(document.activeElement)) this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const at = this.place(event);
    this.down.set(event.pointerId, at);
    if (this.down.size === 2) return this.begin(this.pinch());
    if (this.down.size > 2 || this.gesture) return;
    if (event.button === 1 || this.space) return this.begin(this.panning(at));
    if (event.button !== 0) return;
    const tool = event.shiftKey ? 'plus' : event.altKey ? 'minus' : this.tools.tool;
    this.begin(tool === 'box' ? this.boxing(at, event.pointerType) : this.pointing(at, tool === 'plus'));
  }

  begin(gesture) {
    this.gesture?.cancel?.();
    this.gesture = gesture;
    this.cursor();
  }

  move(event) {
    const at = this.place(event);
    if (this.down.has(event.pointerId)) this.down.set(event.pointerId, at);
    if (this.gesture) this.gesture.move(...at);
    else this.hover(at, event);
  }

  release(event) {
    if (!this.down.delete(event.pointerId)) return;
    const { gesture } = this;
    // The finger that is left of a pinch draws nothing.
    if (gesture?.pinches && this.down.size > 0) {
      this.gesture = { move() {}, end() {} };
      return;
    }
    if (this.down.size > 0 || !gesture) return;
    this.gesture = null;
    gesture.end(...this.place(event));
    this.cursor();
  }

  lose(event) {
    this.down.delete(event.pointerId);
    this.cancel();
  }

  // True where there was something to cancel.
  cancel() {
    if (!this.gesture) return false;
    this.gesture.cancel?.();
    this.gesture = null;
    this.cursor();
    return true;
  }

  hold(space) {
    this.space = space;
    this.cursor();
  }

  cursor(name) {
    const pans = this.space || this.gesture?.pans;
    this.stage.style.cursor = pans ? (this.gesture ? 'grabbing' : 'grab') : (name ?? this.gesture?.cursor ?? 'crosshair');
  }

  hover(at, event) {
    if (event.pointerType === 'touch') return;
    const pointing = event.shiftKey || event.altKey || this.tools.tool !== 'box';
    const grip = pointing ? null : this.grip(at, event.pointerType);
    const diagonal = grip && (grip.dx === grip.dy ? 'nwse-resize' : 'nesw-resize');
    const straight = grip && (grip.dx ? 'ew-resize' : 'ns-resize');
    this.cursor(pointing ? 'cell' : !grip ? 'crosshair' : grip.moves ? 'move' : grip.dx && grip.dy ? diagonal : straight);
  }

  // Where the selected box would be grabbed: {dx, dy} are -1, 0 or 1 for the edges that follow, or {moves}.
  grip([x, y], type) {
    const { box } = this.editor;
    if (!box) return null;
    const near = reach[type] ?? reach.mouse;
    const [left, top] = this.view.toStage(box.box[0], box.box[1]);
    const [right, bottom] = this.view.toStage(box.box[2], box.box[3]);
    if (x < left - near || x > right + near || y < top - near || y > bottom + near) return null;
    // In a small box the edges must leave something of the inside to move it by.
    const nearX = Math.min(near, Math.max(2, (right - left) / 4));
    const nearY = Math.min(near, Math.max(2, (bottom - top) / 4));
    const side = (value, low, high, inside) => (value < low + inside ? -1 : value > high - inside ? 1 : 0);
    const dx = side(x, left, right, nearX);
    const dy = side(y, top, bottom, nearY);
    return dx || dy ? { dx, dy } : { moves: true };
  }

  boxing(start, type) {
    const grip = this.grip(start, type);
    const { editor, view } = this;
    const { box } = editor;
    const [ix, iy] = view.toImage(...start);
    let moved = false;
    const shape = (x, y) => {
      const [px, py] = view.toImage(x, y);
      if (!grip) return editor.clean([ix, iy, px, py]);
      const [mx, my] = [px - ix, py - iy];
      const [x0, y0, x1, y1] = box.box;
      if (grip.moves) return this.shifted(box.box, mx, my);
      return editor.clean([x0 + (grip.dx < 0 ? mx : 0), y0 + (grip.dy < 0 ? my : 0), x1 + (grip.dx > 0 ? mx : 0), y1 + (grip.dy > 0 ? my : 0)]);
    };
    const show = (corners) => {
      if (!grip) {
        this.canvas.draft = corners;
        this.canvas.redraw();
      } else {
        editor.preview(corners && editor.with(box, { box: corners }));
      }
    };
    return {
      cursor: grip?.moves ? 'move' : 'crosshair',
      move(x, y) {
        moved ||= Math.hypot(x - start[0], y - start[1]) >= slop;
        if (moved) show(shape(x, y));
      },
      end: (x, y) => {
        if (!moved) return this.click(start, type);
        const corners = shape(x, y);
        show(null);
        if (grip) editor.reshape(box, corners);
        else editor.add(corners);
        if (editor.selected) this.canvas.focus(editor.selected);
      },
      cancel: () => show(null),
    };
  }

  shifted([x0, y0, x1, y1], mx, my) {
    const { width, height } = this.editor.image;
    const dx = Math.round(Math.max(-x0, Math.min(mx, width - x1)));
    const dy = Math.round(Math.max(-y0, Math.min(my, height - y1)));
    return [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
  }

  // Selects the smallest box under the pointer, and one after another where it is clicked again; a point is taken away.
  click([x, y], type) {
    const { editor, view } = this;
    const near = (reach[type] ?? 7) + 2;
    for (const box of editor.boxes) {
      const index = box.points.findIndex((point) => {
        const [px, py] = view.toStage(point.x + 0.5, point.y + 0.5);
        return Math.hypot(px - x, py - y) <= near;
      });
      if (index >= 0) return editor.removePoint(box, index);
    }
    const [ix, iy] = view.toImage(x, y);
    const slack = near / view.scale;
    const under = editor.boxes
      .filter(({ box: [x0, y0, x1, y1] }) => ix >= x0 - slack && ix <= x1 + slack && iy >= y0 - slack && iy <= y1 + slack)
      .sort((a, b) => this.area(a) - this.area(b));
    const next = under[(under.findIndex(({ key }) => key === editor.selected) + 1) % Math.max(1, under.length)];
    editor.select(next?.key ?? null);
    if (next) this.canvas.focus(next.key);
    else this.stage.focus({ preventScroll: true });
  }

  area({ box: [x0, y0, x1, y1] }) {
    return (x1 - x0) * (y1 - y0);
  }

  pointing(start, positive) {
    return {
      cursor: 'cell',
      move() {},
      end: (x, y) => {
        if (Math.hypot(x - start[0], y - start[1]) > 3 * slop) return;
        this.editor.addPoint(...this.view.toImage(...start).map(Math.floor), positive);
      },
    };
  }

  panning(start) {
    let [px, py] = start;
    return {
      pans: true,
      move: (x, y) => {
        this.view.pan(x - px, y - py);
        [px, py] = [x, y];
      },
      end() {},
    };
  }

  // Two fingers: what was between them stays between them.
  pinch() {
    const measure = () => {
      const [[ax, ay], [bx, by]] = this.down.values();
      return { x: (ax + bx) / 2, y: (ay + by) / 2, apart: Math.max(20, Math.hypot(ax - bx, ay - by)) };
    };
    let last = measure();
    return {
      pinches: true,
      move: () => {
        if (this.down.size < 2) return;
        const now = measure();
        this.view.pan(now.x - last.x, now.y - last.y);
        this.view.zoom(now.apart / last.apart, now.x, now.y);
        last = now;
      },
      end() {},
    };
  }

  wheel(event) {
    event.preventDefault();
    if (this.gesture && !this.gesture.pans) return;
    const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    const strength = event.ctrlKey ? 0.01 : 0.0016; // a pinch on a touchpad comes as small steps with ctrl
    const delta = Math.max(-300, Math.min(300, event.deltaY * lines));
    this.view.zoom(Math.exp(-delta * strength), ...this.place(event));
  }
}
