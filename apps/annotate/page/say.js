// The live region: what just happened, for eyes (a note on the stage) and for screen readers (also the quiet ones).

const note = document.getElementById('note');
const live = document.getElementById('live');
const shown = 4500; // ms

let timer = 0;

// quiet: for screen readers only. stays: until the next one. action: {label, run} adds a button.
export function say(text, { quiet = false, stays = false, action = null } = {}) {
  live.textContent = text;
  if (quiet) return;
  clearTimeout(timer);
  note.replaceChildren(text);
  note.hidden = !text;
  if (action) note.append(button(action));
  if (!stays) timer = setTimeout(hide, shown);
  else if (action) timer = setTimeout(hide, 4 * shown);
}

function hide() {
  note.hidden = true;
}

function button({ label, run }) {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = label;
  made.addEventListener('click', () => {
    hide();
    run();
  });
  return made;
}
