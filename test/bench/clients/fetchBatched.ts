/**
 * Batched polling on bare `fetch`.
 */
import { batched, type Send } from "./batched.ts"
import { runClient } from "./client.ts"

const send: Send = async (url, init) => {
  const response = await fetch(url, init)
  return {
    status: response.status,
    retryAfter: response.headers.get("retry-after") ?? undefined,
    json: () => response.json(),
    bytes: () => response.body ?? new ReadableStream<Uint8Array>(),
    discard: () => response.arrayBuffer()
  }
}

await runClient(batched(send))
