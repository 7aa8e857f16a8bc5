import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { EmbeddedLooker } from "effect-looker/embedded"
import { createTask, ends, inProcess, login } from "../support.ts"

const most = 300_000
const numbers = `n\n${Array.from({ length: most + 1 }, (_, index) => index).join("\n")}\n`

layer(inProcess({ "numbers.csv": numbers }))("a result", (it) => {
  it.effect("has a length up to three hundred thousand cells, and is streamed with more", () =>
    Effect.gen(function* () {
      const token = yield* login
      const responseOf = Effect.fnUntraced(function* (limit: number) {
        const id = yield* createTask(token, { view: "numbers", fields: ["numbers.n"], limit: String(limit) }, "csv")
        yield* ends(token, id)
        const url = `${EmbeddedLooker.inProcessBaseUrl}/api/4.0/query_tasks/${id}/results`
        const request = HttpClientRequest.get(url, { headers: { authorization: `token ${token}` } })
        const response = yield* HttpClient.execute(request)
        return { length: response.headers["content-length"], text: yield* response.text }
      })
      const whole = yield* responseOf(most)
      assert.strictEqual(whole.length, String(whole.text.length))
      const streamed = yield* responseOf(most + 1)
      assert.isUndefined(streamed.length)
      assert.strictEqual(streamed.text.split("\n").length, whole.text.split("\n").length + 1)
    })
  )
})
