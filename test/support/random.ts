/** A generator of random numbers (mulberry32). */
export const randomFrom = (seed: number) => {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296
  }
  const upTo = (most: number) => Math.floor(next() * (most + 1))
  return {
    upTo,
    chance: (part: number) => next() < part,
    pick: <A>(values: readonly [A, ...Array<A>]): A => values[upTo(values.length - 1)] ?? values[0]
  }
}

export type Random = ReturnType<typeof randomFrom>
