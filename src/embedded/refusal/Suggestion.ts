/**
 * Suggestions for a name that does not exist: the similar names.
 *
 * @since 0.1.0
 */

/** The most names in one suggestion. */
const mostNames = 8

/** The Levenshtein distance. */
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

/** Common names of aggregates, and the names that the model of a folder of files has for them. */
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

/** The name of a field without its view. */
const withoutView = (name: string): string => name.slice(name.lastIndexOf(".") + 1)

/** Renames a measure as the model of a folder of files names it: `orders.sum_price` and `orders.price_sum` to `orders.total_price`. */
const canonical = (name: string): string => {
  const words = withoutView(name).split("_")
  const [first = "", last = ""] = [words[0], words.at(-1)]
  if (words.length < 2) return name
  const view = name.slice(0, name.lastIndexOf(".") + 1)
  const leading = Object.hasOwn(aggregates, first) ? [aggregates[first], ...words.slice(1)] : undefined
  const trailing = Object.hasOwn(aggregates, last) ? [aggregates[last], ...words.slice(0, -1)] : undefined
  return `${view}${(leading ?? trailing ?? words).join("_")}`
}

/** The first names, and how many more there are. */
const listed = (names: ReadonlyArray<string>): string => {
  const more = names.length - mostNames
  return more > 0 ? `${names.slice(0, mostNames).join(", ")} … and ${more} more` : names.join(", ")
}

/**
 * A sentence that lists the names similar to `name`, by their spelling or else by a common word. Without similar names it lists the first of
 * all. If it does not list all names, a second sentence refers to the `page` of the server that does.
 *
 * @category conversions
 * @since 0.1.0
 */
export const suggest = (name: string, names: ReadonlyArray<string>, page?: string): string => {
  const wanted = name.slice(0, 100).toLowerCase()
  const renamed = canonical(wanted)
  const distances = new Map(
    names.map((known) => {
      // A name without a view is compared with the names of the fields alone.
      const candidate = wanted.includes(".") ? known.toLowerCase() : withoutView(known.toLowerCase())
      return [
        known,
        renamed === wanted
          ? distance(wanted, candidate)
          : Math.min(distance(wanted, candidate), distance(renamed, candidate))
      ]
    })
  )
  const nearestFirst = [...distances].sort(([, a], [, b]) => a - b).map(([known]) => known)
  const close = nearestFirst.filter((known) => (distances.get(known) ?? 0) <= Math.max(2, wanted.length / 4))
  const lastWord = withoutView(wanted).split("_").at(-1)
  const related = names.filter((known) => {
    const words = withoutView(known.toLowerCase())
    return `_${words}_`.includes(`_${withoutView(wanted)}_`) || words.split("_").at(-1) === lastWord
  })
  const similar = close.length > 0 ? close : related
  const shown = Math.min(similar.length || names.length, mostNames)
  const rest = page === undefined || shown === names.length ? "" : ` The page ${page} of the server lists all.`
  if (similar.length > 0) return `Did you mean ${listed(similar)}?${rest}`
  return names.length === 1 ? `There is only ${listed(names)}.` : `There are ${listed(names)}.${rest}`
}
