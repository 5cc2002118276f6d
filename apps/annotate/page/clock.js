// Seconds of work. They count only while the page is visible and somebody is at it.

const idle = 20000; // ms without a key, pointer or wheel after which nobody is

export class Clock {
  constructor(spend) {
    this.spend = spend; // called with the seconds worked since the last call
    this.visible = !document.hidden;
    this.active = performance.now();
    this.counted = this.active;
    for (const name of ['pointerdown', 'pointermove', 'keydown', 'wheel'])
      addEventListener(name, () => this.touch(), { capture: true, passive: true });
    document.addEventListener('visibilitychange', () => {
      this.count();
      this.visible = !document.hidden;
      if (this.visible) this.touch();
    });
    setInterval(() => this.count(), 1000);
  }

  touch() {
    this.count(); // what went by while nobody was here must not count from now on
    this.active = performance.now();
  }

  count() {
    const now = performance.now();
    const worked = this.visible ? Math.min(now, this.active + idle) - this.counted : 0;
    this.counted = now;
    if (worked > 0) this.spend(worked / 1000);
  }
}
