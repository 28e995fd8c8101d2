/** How a second stack follows the first: by millimetres along the stack, or by share where images do not say where they lie. */

export class Link {
  /** What is added to a place of the first stack to find the same place in the second. */
  private offset: number;

  constructor(
    private readonly first: (number | null)[],
    private readonly second: (number | null)[],
  ) {
    this.offset = this.measured ? start(first as number[], second as number[]) : 0;
  }

  private get measured(): boolean {
    return ![...this.first, ...this.second].includes(null);
  }

  /** The slice of the second stack that lies where slice `index` of the first does. */
  follow(index: number): number {
    if (this.measured) return nearest(this.second as number[], (this.first[index] as number) + this.offset);
    const share = index / Math.max(1, this.first.length - 1) + this.offset;
    return Math.round(Math.min(1, Math.max(0, share)) * (this.second.length - 1));
  }

  /** From now on these two slices belong together. */
  anchor(first: number, second: number): void {
    this.offset = this.measured
      ? (this.second[second] as number) - (this.first[first] as number)
      : second / Math.max(1, this.second.length - 1) - first / Math.max(1, this.first.length - 1);
  }
}

/** Two examinations on one kind of scanner mostly share their table's positions; where they do not, the middles meet. */
function start(first: number[], second: number[]): number {
  const [low, high] = [Math.max(Math.min(...first), Math.min(...second)), Math.min(Math.max(...first), Math.max(...second))];
  const shorter = Math.min(span(first), span(second));
  return high - low >= shorter / 2 ? 0 : middle(second) - middle(first);
}

const span = (places: number[]): number => Math.max(...places) - Math.min(...places);
const middle = (places: number[]): number => (Math.max(...places) + Math.min(...places)) / 2;

function nearest(places: number[], wanted: number): number {
  return places.reduce((best, place, i) => (Math.abs(place - wanted) < Math.abs(places[best]! - wanted) ? i : best), 0);
}
