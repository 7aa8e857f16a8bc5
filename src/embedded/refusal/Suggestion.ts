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

/** What others call the measures of a column, and what a folder of files does. */
const aggregates: Readonly<Record<string, string>> = {
  total: "total",
  sum: "total",
  average: "average",
  avg: "average",
  mean: "average",
  min: "min",
  minimum: "min",
  max: "max",
  maximum: "max"
}

/** The name without its view. */
const own = (name: string): string => name.slice(name.lastIndexOf(".") + 1)

/** `orders.sum_price` and `orders.price_sum` are `orders.total_price` here. */
const inOurWords = (name: string): string => {
  const words = own(name).split("_")
  const [first = "", last = ""] = [words[0], words.at(-1)]
  if (words.length < 2) return name
  const view = name.slice(0, name.lastIndexOf(".") + 1)
  const leading = Object.hasOwn(aggregates, first) ? [aggregates[first], ...words.slice(1)] : undefined
  const trailing = Object.hasOwn(aggregates, last) ? [aggregates[last], ...words.slice(0, -1)] : undefined
  return `${view}${(leading ?? trailing ?? words).join("_")}`
}

/** The beginning of a list, and how much is left out. */
const listed = (names: ReadonlyArray<string>): string => {
  const more = names.length - suggestions
  return more > 0 ? `${names.slice(0, suggestions).join(", ")} … and ${more} more` : names.join(", ")
}

/**
 * A sentence with the names that are close to a wrong one, else with those that have a word of it, or else with some that there are. Where
 * it leaves some out, another says which `page` of a server lists all.
 *
 * @category conversions
 * @since 0.1.0
 */
export const suggest = (name: string, names: ReadonlyArray<string>, page?: string): string => {
  const asked = name.slice(0, 100).toLowerCase()
  const meant = inOurWords(asked)
  const away = new Map(
    names.map((known) => {
      // Without its view a name is as good as found.
      const spelt = asked.includes(".") ? known.toLowerCase() : own(known.toLowerCase())
      return [
        known,
        meant === asked ? distance(asked, spelt) : Math.min(distance(asked, spelt), distance(meant, spelt))
      ]
    })
  )
  const nearestFirst = [...away].sort(([, a], [, b]) => a - b).map(([known]) => known)
  const close = nearestFirst.filter((known) => (away.get(known) ?? 0) <= Math.max(2, asked.length / 4))
  const lastWord = own(asked).split("_").at(-1)
  const related = names.filter((known) => {
    const words = own(known.toLowerCase())
    return `_${words}_`.includes(`_${own(asked)}_`) || words.split("_").at(-1) === lastWord
  })
  const similar = close.length > 0 ? close : related
  const shown = Math.min(similar.length || names.length, suggestions)
  const rest = page === undefined || shown === names.length ? "" : ` The page ${page} of the server lists all.`
  if (similar.length > 0) return `Did you mean ${listed(similar)}?${rest}`
  return names.length === 1 ? `There is only ${listed(names)}.` : `There are ${listed(names)}.${rest}`
}
