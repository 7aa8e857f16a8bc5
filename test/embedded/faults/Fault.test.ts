import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { Fault } from "effect-looker/embedded"

describe("a fault", () => {
  it("has the defaults that are documented", () => {
    assert.deepStrictEqual(Fault.notFinished(), { _tag: "NotFinished", status: 202 })
    assert.deepStrictEqual(Fault.htmlNotFound(), { _tag: "HtmlNotFound", contentType: "text/html" })
    assert.deepStrictEqual(Fault.truncated({ bytes: 1 }), { _tag: "Truncated", at: { bytes: 1 }, end: "broken" })
    assert.deepStrictEqual(Fault.tooManyRequests(), { _tag: "TooManyRequests", retryAfter: undefined })
    assert.deepStrictEqual(Fault.error("no"), { _tag: "Error", message: "no", line: undefined })
    const until = { for: "2 seconds" } as const
    assert.deepStrictEqual(Fault.transientExpired(), { _tag: "Shown", status: "expired", until })
    assert.deepStrictEqual(Fault.unknownStatus("odd"), { _tag: "Shown", status: "odd", until: {} })
    assert.deepStrictEqual(Fault.leftOut(), { _tag: "LeftOut", until: {} })
  })

  it("keeps what it is given", () => {
    assert.deepStrictEqual(Fault.delay("3 seconds"), { _tag: "Delay", duration: Duration.seconds(3) })
    assert.deepStrictEqual(Fault.slow("3 seconds"), { _tag: "Slow", duration: Duration.seconds(3) })
    assert.deepStrictEqual(
      [Fault.resetBefore, Fault.resetAfter],
      [
        { _tag: "Reset", when: "before" },
        { _tag: "Reset", when: "after" }
      ]
    )
    assert.deepStrictEqual(Fault.expired, { _tag: "Shown", status: "expired", until: {} })
  })
})
