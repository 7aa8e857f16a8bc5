/**
 * What goes wrong in each phase of the soak, by its seed and the number of the phase.
 */
import { Fault, type Faults } from "effect-looker/embedded"

/** mulberry32: numbers from 0 to 1. */
export const randomOf = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export const oneOf = <A>(random: () => number, all: ReadonlyArray<A>): A => {
  const one = all[Math.floor(random() * all.length)]
  if (one === undefined) throw new Error("there is nothing to choose from")
  return one
}

/** What the connection does to requests, whatever they are about. Probabilities are for each request. */
export interface Line {
  /** A token bucket for as many requests per second, or none. */
  readonly perSecond: number | undefined
  /** No response ever. */
  readonly hang: number
  /** Half of the response, and then a reset. */
  readonly cut: number
}

export interface Phase {
  readonly rules: ReadonlyArray<Faults.Rule>
  readonly line: Line
  /** Whether results as csv are asked for: the end of one is not to be told from its middle, so nothing cuts them cleanly. */
  readonly csv: boolean
}

const calm: Phase = { rules: [], line: { perSecond: undefined, hang: 0, cut: 0 }, csv: true }

const endpoints: ReadonlyArray<Faults.Endpoint> = [
  "login",
  "create_query",
  "create_query_task",
  "query_task",
  "query_task_multi_results",
  "query_task_results",
  "kill_query",
  "all_running_queries"
]

const requestFault = (random: () => number, csv: boolean) =>
  oneOf(random, [
    Fault.delay(200 + 3000 * random()),
    Fault.tooManyRequests({ retryAfter: "1 second" }),
    Fault.tooManyRequests(),
    Fault.tooManyRequests({ retryAfter: new Date(Date.now() + 1000) }),
    Fault.unavailable(502),
    Fault.unavailable(503),
    Fault.unavailable(504),
    Fault.resetBefore,
    Fault.resetAfter,
    Fault.tokenDeath,
    Fault.htmlNotFound(),
    Fault.htmlNotFound("*/*"),
    Fault.truncated({ fraction: random() }),
    ...(csv
      ? []
      : [
          Fault.truncated({ fraction: random() }, { end: "clean" as const }),
          Fault.appendedError(),
          Fault.notFinished(202),
          Fault.notFinished(204)
        ])
  ])

const taskFault = (random: () => number) =>
  oneOf(random, [
    Fault.slow(50 + 2000 * random()),
    Fault.error("out of disk"),
    Fault.warning("development mode"),
    Fault.killed,
    Fault.missing,
    Fault.transientExpired({ polls: 2 }),
    Fault.expired,
    Fault.unknownStatus("thinking", { polls: 3 }),
    Fault.unknownStatus("lost"),
    Fault.leftOut({ polls: 2 }),
    Fault.leftOut()
  ])

/** The first phase is calm: it shows what the right results are. */
export const phaseOf = (seed: number, number: number): Phase => {
  if (number === 0) return calm
  const random = randomOf(seed * 1000 + number)
  const csv = random() < 0.4
  const often = () => oneOf(random, [2, 3, 5, 10, 30])
  // Tasks that end only when they are killed, so that one that was not is seen.
  const rules: Array<Faults.Rule> = [{ on: { every: 12 }, fault: Fault.slow("1 hour") }]
  for (let count = 1 + Math.floor(random() * 6); count > 0; count--) {
    const endpoint = oneOf(random, endpoints)
    rules.push({ on: { endpoint, every: often() }, fault: requestFault(random, csv) })
  }
  for (let count = Math.floor(random() * 3); count > 0; count--) {
    rules.push({ on: { every: often() }, fault: taskFault(random) })
  }
  if (random() < 0.1) rules.push({ on: { nth: 20 }, fault: Fault.restart })
  const line = {
    perSecond: random() < 0.3 ? oneOf(random, [20, 50, 100]) : undefined,
    hang: random() < 0.2 ? 0.02 : 0,
    cut: random() < 0.2 ? 0.02 : 0
  }
  return { rules, line, csv }
}
