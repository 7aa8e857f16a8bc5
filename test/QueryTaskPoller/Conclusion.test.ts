import { assert, describe, it } from "@effect/vitest"
import { LookerError } from "effect-looker"
import * as Conclusion from "../../src/QueryTaskPoller/Conclusion.ts"

const message = "A message"

describe("the failure of a request about several tasks", () => {
  it("may be due to one of them when it is a refusal", () => {
    assert.isTrue(Conclusion.isDueToOne(new LookerError.NotFound({ message }), 0, 1000))
    assert.isTrue(Conclusion.isDueToOne(new LookerError.BadRequest({ message }), 0, 1000))
  })

  it("may be due to one of them when the response has been unreadable for half the grace period", () => {
    const unreadable = new LookerError.UnexpectedResponse({ message })
    assert.isFalse(Conclusion.isDueToOne(unreadable, 499, 1000))
    assert.isTrue(Conclusion.isDueToOne(unreadable, 500, 1000))
  })

  it("may be due to one of them when any error has lasted for half the grace period, and not before", () => {
    for (const error of [
      new LookerError.LookerUnavailable({ message, reached: "maybe" }),
      new LookerError.Unauthorized({ message }),
      new LookerError.TooManyRequests({ message })
    ]) {
      assert.isFalse(Conclusion.isDueToOne(error, 499, 1000))
      assert.isTrue(Conclusion.isDueToOne(error, 500, 1000))
    }
  })

  it("is due to none of them when it is one of a login", () => {
    const endpoint = "GET /query_tasks/multi_results"
    assert.isTrue(Conclusion.isAboutTasks(new LookerError.Unauthorized({ message, endpoint })))
    assert.isTrue(Conclusion.isAboutTasks(new LookerError.Unauthorized({ message })))
    assert.isFalse(Conclusion.isAboutTasks(new LookerError.Unauthorized({ message, endpoint: "POST /login" })))
  })
})
