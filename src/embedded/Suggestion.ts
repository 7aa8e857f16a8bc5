/**
 * What somebody may have meant who wrote a name that there is not.
 *
 * @since 0.1.0
 */

/** Suggests at most this many names. */
const suggestions = 8

const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/**
 * A sentence with the names that are close to a wrong one, or else with some that there are.
 *
 * @category conversions
 * @since 0.1.0
 */
export const suggest = (name: string, names: ReadonlyArray<string>): string => {
  const asked = name.slice(0, 100).toLowerCase()
  const close = names.filter((known) => distance(asked, known.toLowerCase()) <= Math.max(2, asked.length / 4))
  if (close.length > 0) return `Did you mean ${close.slice(0, suggestions).join(", ")}?`
  const more = names.length > suggestions ? ", ..." : ""
  return `There are ${names.slice(0, suggestions).join(", ")}${more}.`
}
