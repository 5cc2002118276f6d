// Undo and redo over immutable states. `now` is what is shown; earlier and later states wait on two stacks.

const depth = 500;
const together = 800; // ms: steps of one kind in quick succession (holding an arrow key) are undone as one

export class History {
  constructor(state) {
    this.now = state;
    this.past = [];
    this.future = [];
    this.kind = null;
    this.time = 0;
  }

  get canUndo() {
    return this.past.length > 0;
  }

  get canRedo() {
    return this.future.length > 0;
  }

  // A new state; `kind` names steps that may be joined, null never joins.
  push(state, kind = null) {
    const time = performance.now();
    const joins = kind !== null && kind === this.kind && time - this.time < together && this.past.length > 0;
    if (!joins) this.past.push(this.now);
    if (this.past.length > depth) this.past.shift();
    this.now = state;
    this.future = [];
    this.kind = kind;
    this.time = time;
  }

  undo() {
    if (!this.canUndo) return false;
    this.future.push(this.now);
    this.now = this.past.pop();
    this.kind = null;
    return true;
  }

  redo() {
    if (!this.canRedo) return false;
    this.past.push(this.now);
    this.now = this.future.pop();
    this.kind = null;
    return true;
  }
}
