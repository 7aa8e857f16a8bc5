/**
 * Looker's official SDK by somebody who read its reference: `query_task_multi_results` every half second for all that run.
 */
import { DelimArray } from "@looker/sdk-rtl"
import { indices, inParallel, runClient, sleep } from "./client.ts"
import { connect, startTask } from "./sdk.ts"

/** What spectacles found a URL to hold. */
const mostIds = 250

await runClient({
  tasks: async (job, deliver) => {
    const sdk = connect(job)
    const running = new Map<string, number>()
    let submitting = true

    const submit = async (index: number) => {
      try {
        running.set(await startTask(sdk, job, index), index)
      } catch (error) {
        deliver.error(index, error)
      }
    }

    /** A request that fails is made again with the next round. */
    const ask = async (ids: ReadonlyArray<string>) => {
      const answer = await sdk.sdk.query_task_multi_results(new DelimArray([...ids]), sdk.options)
      if (!answer.ok) return
      for (const [id, { data, status }] of Object.entries(answer.value)) {
        const index = running.get(id)
        if (index === undefined || status === "running" || status === "added") continue
        running.delete(id)
        if (status === "complete") deliver.rows(index, id, data)
        else deliver.error(index, status, id)
      }
    }

    const poll = async () => {
      while (submitting || running.size > 0) {
        await sleep(job.options.pollMillis ?? 500)
        const ids = [...running.keys()]
        const chunks = []
        for (let from = 0; from < ids.length; from += mostIds) chunks.push(ids.slice(from, from + mostIds))
        await Promise.all(chunks.map(ask))
      }
    }

    const submitted = inParallel(indices(job.count), job.options.submitters ?? 32, submit).then(() => {
      submitting = false
    })
    await Promise.all([submitted, poll()])
  }
})
