/**
 * Batched polling written by hand for one transport: no types, no schema, no care. What a library can hardly beat.
 */
import { credentials, type Job, now, queryOf } from "../protocol.ts"
import { type Client, indices, inParallel, sleep, warmUpCalls } from "./client.ts"
import { rowBatches } from "./rowBatches.ts"

export interface Response {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly json: () => Promise<unknown>
  readonly bytes: () => AsyncIterable<Uint8Array>
  readonly discard: () => Promise<unknown>
}

export type Send = (
  url: string,
  init: { readonly method: string; readonly headers: Record<string, string>; readonly body?: string }
) => Promise<Response>

const defaults = { pollMillis: 100, chunk: 100, submitters: 32, tries: 1 }

interface Api {
  readonly startTask: (index: number) => Promise<string>
  readonly call: (method: string, path: string, body?: unknown) => Promise<Response>
}

const logIn = async (send: Send, job: Job): Promise<Api> => {
  const tries = job.options.tries ?? defaults.tries
  const base = `${job.baseUrl}/api/4.0`
  const form = `client_id=${credentials.clientId}&client_secret=${credentials.clientSecret}`
  const type = { "content-type": "application/x-www-form-urlencoded" }
  const login = await send(`${base}/login`, { method: "POST", headers: type, body: form })
  const { access_token } = (await login.json()) as { access_token: string }
  const headers = { authorization: `Bearer ${access_token}` }
  const jsonHeaders = { ...headers, "content-type": "application/json" }

  /** A 429 pauses everything. */
  let pausedUntil = 0

  const call = async (method: string, path: string, body?: unknown): Promise<Response> => {
    for (let attempt = 1; ; attempt++) {
      while (pausedUntil > now()) await sleep(pausedUntil - now())
      const response = await send(
        base + path,
        body === undefined ? { method, headers } : { method, headers: jsonHeaders, body: JSON.stringify(body) }
      )
      if (response.status === 200) return response
      await response.discard()
      if (response.status !== 429 || attempt === tries) throw new Error(`HTTP status ${response.status}`)
      pausedUntil = now() + Number(response.retryAfter ?? 1) * 1000
    }
  }

  const create = async (path: string, body: unknown) =>
    ((await (await call("POST", path, body)).json()) as { id: string }).id

  const startTask = async (index: number) =>
    create("/query_tasks", { query_id: await create("/queries", queryOf(job, index)), result_format: "json" })

  return { call, startTask }
}

const runTasks =
  (send: Send): NonNullable<Client["tasks"]> =>
  async (job, deliver) => {
    const { chunk, overlap, pollMillis, submitters } = { ...defaults, overlap: false, ...job.options }
    const { call, startTask } = await logIn(send, job)
    const running = new Map<string, number>()
    const asked = new Set<string>()
    let submitting = true

    const submit = async (index: number) => {
      try {
        running.set(await startTask(index), index)
      } catch (error) {
        deliver.error(index, error)
      }
    }

    const ask = async (ids: ReadonlyArray<string>) => {
      const response = await call("GET", `/query_tasks/multi_results?query_task_ids=${ids.join("%2C")}`)
      const entries = (await response.json()) as Record<string, { status: string; data: ReadonlyArray<unknown> }>
      for (const [id, { data, status }] of Object.entries(entries)) {
        const index = running.get(id)
        if (index === undefined || status === "running") continue
        running.delete(id)
        if (status === "complete") deliver.rows(index, id, data)
        else deliver.error(index, status, id)
      }
    }

    const askOnce = (ids: ReadonlyArray<string>) => {
      for (const id of ids) asked.add(id)
      return ask(ids)
        .catch(() => {})
        .finally(() => {
          for (const id of ids) asked.delete(id)
        })
    }

    const poll = async () => {
      while (submitting || running.size > 0) {
        await sleep(pollMillis)
        const ids = [...running.keys()].filter((id) => !asked.has(id))
        const requests = []
        for (let from = 0; from < ids.length; from += chunk) requests.push(askOnce(ids.slice(from, from + chunk)))
        if (!overlap) await Promise.all(requests)
      }
    }

    const submitted = inParallel(indices(job.count), submitters, submit).then(() => {
      submitting = false
    })
    await Promise.all([submitted, poll()])
  }

const callQueryTask =
  (send: Send): NonNullable<Client["calls"]> =>
  async (job, begin) => {
    const { call, startTask } = await logIn(send, job)
    const taskId = await startTask(0)
    for (let count = 0; count < warmUpCalls + job.count; count++) {
      if (count === warmUpCalls) begin()
      await (await call("GET", `/query_tasks/${taskId}`)).json()
    }
  }

const readResult =
  (send: Send): NonNullable<Client["stream"]> =>
  async (job, rows) => {
    const { call, startTask } = await logIn(send, job)
    const taskId = await startTask(0)
    while (true) {
      const task = (await (await call("GET", `/query_tasks/${taskId}`)).json()) as { status: string }
      if (task.status === "complete") break
      await sleep(defaults.pollMillis)
    }
    const response = await call("GET", `/query_tasks/${taskId}/results`)
    for await (const batch of rowBatches(response.bytes())) rows(batch.length)
  }

export const batched = (send: Send): Client => ({
  tasks: runTasks(send),
  calls: callQueryTask(send),
  stream: readResult(send)
})
