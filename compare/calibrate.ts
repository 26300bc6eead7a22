/** How sure `auto` has to be of a fast answer, from tasks of which it is known whether it was right. */

/** A fast answer: how sure it was, 0 to 1, and whether it was right. */
export interface Gauged {
  readonly sure: number
  readonly right: boolean
}

/** Of the answers that are kept, so many shall be right. */
const wanted = 0.95

/**
 * The lowest threshold at which 95% of the answers that are as sure or surer were right, on the calibration's own tasks. Above 1
 * where none is: then no fast answer is kept. With few tasks it says little; a hundred are a good number.
 */
export const threshold = (gauged: ReadonlyArray<Gauged>): number => {
  const surest = gauged.toSorted((a, b) => b.sure - a.sure)
  let right = 0
  let lowest = Number.POSITIVE_INFINITY
  for (const [i, one] of surest.entries()) {
    if (one.right) right++
    // Those that are equally sure stay together.
    if (surest[i + 1]?.sure !== one.sure && right >= wanted * (i + 1)) lowest = one.sure
  }
  return lowest
}
