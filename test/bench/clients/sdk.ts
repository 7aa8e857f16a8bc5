/**
 * Looker's official SDK as the benchmark's clients use it.
 */
import { type Looker40SDK, ResultFormat } from "@looker/sdk"
import { LookerNodeSDK, NodeSettings } from "@looker/sdk-node"
import type { IApiSection, IApiSettings } from "@looker/sdk-rtl"
import { credentials, type Job, queryOf } from "../protocol.ts"
import { sleep, warmUpCalls } from "./client.ts"

/** Settings from values. */
class Settings extends NodeSettings {
  constructor(baseUrl: string) {
    super("LOOKERSDK", { base_url: baseUrl } as IApiSettings)
  }
  override readConfig(): IApiSection {
    return { base_url: this.base_url, client_id: credentials.clientId, client_secret: credentials.clientSecret }
  }
}

export interface Sdk {
  readonly sdk: Looker40SDK
  readonly options: { readonly maxTries: number }
}

export const connect = (job: Job): Sdk => {
  // It prints a line for every call that is made without a signal.
  Object.assign(console, { debug: () => {} })
  return { sdk: LookerNodeSDK.init40(new Settings(job.baseUrl)), options: { maxTries: job.options.tries ?? 1 } }
}

/** The id of a new task for the job's nth query. */
export const startTask = async ({ options, sdk }: Sdk, job: Job, index: number): Promise<string> => {
  const query = await sdk.ok(sdk.create_query(queryOf(job, index), undefined, options))
  const body = { query_id: query.id ?? "", result_format: ResultFormat.json }
  const task = await sdk.ok(sdk.create_query_task({ body }, options))
  return task.id ?? ""
}

/** What the SDK's examples do: ask, wait half a second, ask. */
export const waitFor = async ({ options, sdk }: Sdk, taskId: string, pollMillis: number): Promise<void> => {
  while (true) {
    const { status } = await sdk.ok(sdk.query_task(taskId, undefined, options))
    if (status === "complete") return
    if (status === "error" || status === "failure") throw new Error(`The query failed: ${status}`)
    await sleep(pollMillis)
  }
}

/** The rows of a finished task. The SDK's type says string; json arrives parsed. */
export const fetchRows = async ({ options, sdk }: Sdk, taskId: string): Promise<ReadonlyArray<unknown>> => {
  const rows: unknown = await sdk.ok(sdk.query_task_results(taskId, options))
  if (!Array.isArray(rows)) throw new Error("The result is no array")
  return rows
}

export const callQueryTask = async (job: Job, begin: () => void): Promise<void> => {
  const sdk = connect(job)
  const taskId = await startTask(sdk, job, 0)
  for (let call = 0; call < warmUpCalls + job.count; call++) {
    if (call === warmUpCalls) begin()
    await sdk.sdk.ok(sdk.sdk.query_task(taskId))
  }
}

/** The SDK has the whole result in memory before it gives out a row. */
export const readResult = async (job: Job, rows: (count: number) => void): Promise<void> => {
  const sdk = connect(job)
  const taskId = await startTask(sdk, job, 0)
  await waitFor(sdk, taskId, job.options.pollMillis ?? 100)
  rows((await fetchRows(sdk, taskId)).length)
}
