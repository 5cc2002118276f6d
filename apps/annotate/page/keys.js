// The keyboard. Plain letters are commands wherever the focus is; arrows and space belong to a focused control first.

const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const letters = {
  n: 'next', p: 'previous', a: 'authentic', b: 'newBox', m: 'cycle', v: 'look', x: 'cross', 0: 'fit',
  '+': 'closer', '=': 'closer', '-': 'farther', '?': 'help', Delete: 'remove', Backspace: 'remove', Escape: 'escape',
};

export class Keys {
  constructor({ stage, view, editor, canvas, pointer, commands }) {
    Object.assign(this, { stage, view, editor, canvas, pointer, commands });
    addEventListener('keydown', (event) => this.press(event));
    addEventListener('keyup', (event) => event.code === 'Space' && this.pointer.hold(false));
    addEventListener('blur', () => this.pointer.hold(false));
  }

  // Controls that make something of arrows or space themselves.
  get control() {
    return document.activeElement?.closest('input, button, a, summary, .strip');
  }

  press(event) {
    if (document.querySelector('dialog[open]') || event.defaultPrevented) return;
    if (this.handle(event)) event.preventDefault();
  }

  handle(event) {
    const { key } = event;
    if (arrows[key]) return !this.control && this.arrow(event, ...arrows[key]);
    if (key === 'Alt') return !this.control; // alone it would open the browser's menu
    if (key === ' ') {
      if (this.control) return false;
      this.pointer.hold(true);
      return true;
    }
    if (key === 'Enter' && this.canvas.cross && !this.control) {
      this.editor.addPoint(...this.canvas.cross, !event.shiftKey);
      return true;
    }
    if (event.ctrlKey || event.metaKey) return this.chord(event);
    if (event.altKey) return false;
    const command = letters[key.length === 1 ? key.toLowerCase() : key];
    if (!command) return false;
    if (event.repeat && ['authentic', 'newBox'].includes(command)) return true;
    this.commands[command]();
    return true;
  }

  chord({ key, shiftKey }) {
    const letter = key.toLowerCase();
    if (letter !== 'z' && letter !== 'y') return false;
    this.commands[letter === 'y' || shiftKey ? 'redo' : 'undo']();
    return true;
  }

  // Arrows move the crosshair, else the selected box, with ctrl its lower right corner, else the view.
  arrow({ shiftKey, ctrlKey, metaKey, altKey }, dx, dy) {
    if (altKey || !this.editor.image) return false;
    const step = Math.max(1, Math.round(1 / this.view.scale)) * (shiftKey ? 10 : 1);
    const { cross } = this.canvas;
    if (cross) {
      const { width, height } = this.editor.image;
      const within = (value, limit) => Math.min(limit - 1, Math.max(0, value));
      this.canvas.cross = [within(cross[0] + dx * step, width), within(cross[1] + dy * step, height)];
      this.canvas.redraw();
    } else if (!this.editor.box) {
      this.view.pan(-dx * (shiftKey ? 200 : 40), -dy * (shiftKey ? 200 : 40));
    } else if (ctrlKey || metaKey) {
      this.editor.grow(dx * step, dy * step);
    } else {
      this.editor.nudge(dx * step, dy * step);
    }
    return true;
  }
}
