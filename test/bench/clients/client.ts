/**
 * What every client process does: read its job, do it, and print what came of it.
 */
import { type ClientReport, type Delivery, type Job, now } from "../protocol.ts"

/** What ended, and when: the time is taken at the call. */
export interface Deliveries {
  readonly rows: (index: number, taskId: string, rows: ReadonlyArray<unknown>) => void
  readonly error: (index: number, error: unknown, taskId?: string) => void
}

/** A client of the benchmark. A kind of job it has no function for is an error. */
export interface Client {
  /** Runs `job.count` queries at once. */
  readonly tasks?: (job: Job, deliver: Deliveries) => Promise<void>
  /** Calls `query_task` so often, one after another. `begin` is called when the client is warm. */
  readonly calls?: (job: Job, begin: () => void) => Promise<void>
  /** Works without a Looker. `begin` is called when all is prepared. */
  readonly local?: (job: Job, begin: () => void) => Promise<void>
  /** Runs one query and reads its result as it comes; `rows` is told of each batch of rows. */
  readonly stream?: (job: Job, rows: (count: number) => void) => Promise<void>
}

/** Calls before the ones that count. */
export const warmUpCalls = 500

export const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

export const indices = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index)

/** Runs `use` for every item, so many at a time. */
export const inParallel = async <A>(items: ReadonlyArray<A>, atATime: number, use: (item: A) => Promise<void>) => {
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) await use(item)
  }
  await Promise.all(Array.from({ length: Math.min(atATime, items.length) }, worker))
}

const messageOf = (error: unknown): string => {
  const { _tag, message } = error as { _tag?: string; message?: string }
  return `${_tag ?? ""} ${message ?? String(error)}`.trim().slice(0, 200)
}

const megabytes = (kilobytes: number) => kilobytes / 1024

/** The job on the command line, done by this client. */
export const runClient = async (client: Client): Promise<void> => {
  const job: Job = JSON.parse(process.argv[2] ?? "{}")
  const startRssMb = megabytes(process.resourceUsage().maxRSS)
  const deliveries: Array<Delivery> = []
  let cpu = process.cpuUsage()
  let startedAt = now()
  let firstRowAt: number | undefined

  const begin = () => {
    cpu = process.cpuUsage()
    startedAt = now()
  }
  const deliver = (delivery: Omit<Delivery, "at">) => void deliveries.push({ ...delivery, at: now() })

  const work = async () => {
    if (job.kind === "tasks" && client.tasks) {
      await client.tasks(job, {
        rows: (index, taskId, rows) => deliver({ index, taskId, rows: rows.length }),
        error: (index, error, taskId = "") => deliver({ index, taskId, rows: 0, error: messageOf(error) })
      })
    } else if (job.kind === "calls" && client.calls) {
      await client.calls(job, begin)
      deliver({ index: 0, rows: 0 })
    } else if (job.kind === "local" && client.local) {
      await client.local(job, begin)
      deliver({ index: 0, rows: 0 })
    } else if (job.kind === "stream" && client.stream) {
      let rows = 0
      await client.stream(job, (count) => {
        firstRowAt ??= now()
        rows += count
      })
      deliver({ index: 0, rows })
    } else {
      throw new Error(`This client does not do ${job.kind}`)
    }
  }

  begin()
  await Promise.race([
    work().catch((error) => deliver({ index: 0, rows: 0, error: messageOf(error) })),
    sleep(job.deadlineMillis)
  ])
  const { system, user } = process.cpuUsage(cpu)
  const report: ClientReport = {
    deliveries,
    wallMillis: (deliveries.at(-1)?.at ?? now()) - startedAt,
    cpuUserMillis: user / 1000,
    cpuSystemMillis: system / 1000,
    maxRssMb: megabytes(process.resourceUsage().maxRSS),
    startRssMb,
    ...(firstRowAt === undefined ? {} : { firstRowAt })
  }
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
}
