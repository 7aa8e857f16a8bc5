/**
 * Counters with attributes, for updates on hot paths: with `Metric.withAttributes` each update would make the key of its series anew.
 */
import * as Metric from "effect/Metric"
import * as LookerMetrics from "../LookerMetrics.ts"

/** The series of a counter by one value, from which the others of its attributes follow. */
export const by = (
  { attributes, description, id }: Metric.Counter<number>,
  attributesOf: (value: string) => Metric.Metric.AttributeSet
): ((value: string) => Metric.Counter<number>) => {
  const known = new Map<string, Metric.Counter<number>>()
  return (value) => {
    let series = known.get(value)
    if (series === undefined) {
      const options = { description, attributes: { ...attributes, ...attributesOf(value) }, incremental: true }
      series = Metric.counter(id, options)
      known.set(value, series)
    }
    return series
  }
}

/** Tasks that got into a state. */
export const tasksIn = by(LookerMetrics.tasks, (state) => ({ state }))
