/**
 * Batched polling on bare undici.
 */
import { request } from "@effect/platform-node/Undici"
import { batched, type Send } from "./batched.ts"
import { runClient } from "./client.ts"

const send: Send = async (url, init) => {
  const { body, headers, statusCode } = await request(url, { ...init, method: init.method as "GET" })
  return {
    status: statusCode,
    retryAfter: headers["retry-after"]?.toString(),
    json: () => body.json(),
    bytes: () => body,
    discard: () => body.dump()
  }
}

await runClient(batched(send))
