/**
 * Looker's official SDK as its examples use it: every task asks for itself, every half second.
 */
import { indices, runClient } from "./client.ts"
import { callQueryTask, connect, fetchRows, readResult, startTask, waitFor } from "./sdk.ts"

await runClient({
  tasks: async (job, deliver) => {
    const sdk = connect(job)
    const runOne = async (index: number) => {
      let taskId: string | undefined
      try {
        taskId = await startTask(sdk, job, index)
        await waitFor(sdk, taskId, job.options.pollMillis ?? 500)
        deliver.rows(index, taskId, await fetchRows(sdk, taskId))
      } catch (error) {
        deliver.error(index, error, taskId)
      }
    }
    await Promise.all(indices(job.count).map(runOne))
  },
  calls: callQueryTask,
  stream: readResult
})
