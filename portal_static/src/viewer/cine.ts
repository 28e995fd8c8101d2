/** Goes through the stack by itself, and round again. */

const A_SECOND = 12;

export class Cine {
  private timer = 0;

  constructor(private readonly next: () => void) {}

  get runs(): boolean {
    return this.timer !== 0;
  }

  toggle(): void {
    if (this.runs) this.stop();
    else this.timer = setInterval(this.next, 1000 / A_SECOND);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = 0;
  }
}
