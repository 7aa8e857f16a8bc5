/**
 * Rows of JSON to objects: with every number that a double cannot hold as its text, or (`plain`) as JSON.parse has them.
 */
import * as Effect from "effect/Effect"
import { ResultRows } from "effect-looker"
import type { Job } from "../protocol.ts"
import { runClient } from "./client.ts"

const rowText = (id: number, double: number | null) =>
  JSON.stringify({
    "orders.id": 10_000_000 + id,
    "orders.created_date": `2024-0${1 + (id % 9)}-1${id % 10}`,
    "users.email": `customer.${id}@example.com`,
    "users.state": ["California", "New York", "Texas", "Ohio"][id % 4],
    "users.is_active": id % 3 === 0,
    "orders.total": id * 1.25 + 0.01,
    "orders.discount": double,
    "orders.note": `said "leave it at the [back] door", {twice}, and went on to say ${"so ".repeat(18)}`
  })

/** The part behind the point of multiples of the golden ratio: 16 or 17 digits, nowhere near each other. */
const doubleOf = (id: number) => (id * 0.6180339887498949) % 1

/** As it is decoded from a response, in one piece. */
const textOf = (job: Job) => {
  const { doubles = false } = job.options
  const rows = Array.from({ length: job.count }, (_, id) => rowText(id, doubles ? doubleOf(id + 1) : null))
  return new TextDecoder().decode(new TextEncoder().encode(`[${rows.join(",")}]`))
}

await runClient({
  local: async (job, begin) => {
    const text = textOf(job)
    const parse = (text: string) =>
      job.options.plain ? JSON.parse(text) : Effect.runSync(ResultRows.parse("json", text, "t1"))
    for (let warmUp = 0; warmUp < 3; warmUp++) parse(textOf({ ...job, count: 10_000 }))
    begin()
    const rows = parse(text) as ReadonlyArray<unknown>
    if (rows.length !== job.count) throw new Error(`parsed ${rows.length} rows`)
  }
})
