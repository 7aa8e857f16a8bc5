/** What refusals show of a limit, in times made up by hand. */
import { assert, describe, it } from "@effect/vitest"
import { Pace } from "../../src/internal/pace.ts"

/** Accepts a request each so many milliseconds, for ten seconds. */
const acceptFor10Seconds = (pace: Pace, from: number, every: number) => {
  for (let now = from; now < from + 10_000; now += every) {
    pace.noteSent(now, false)
    pace.noteEnded()
    pace.noteAccepted()
  }
}

/** One request is sent and refused. */
const refuse = (pace: Pace, now: number) => {
  pace.noteSent(now, false)
  pace.noteEnded()
  return pace.noteRefused(now, now, 0)
}

/** Of so many requests under way, so many are refused together; the others are accepted. */
const refuseTogether = (pace: Pace, underWay: number, refused: number) => {
  for (let sent = 0; sent < underWay; sent++) pace.noteSent(0, false)
  for (let ended = 0; ended < underWay; ended++) {
    pace.noteEnded()
    if (ended < refused) pace.noteRefused(1, 0, 0)
    else pace.noteAccepted()
  }
}

describe("a pace", () => {
  it("is known from three refusals with the same rate between them, one at a time", () => {
    const pace = new Pace()
    refuse(pace, 0)
    acceptFor10Seconds(pace, 250, 100)
    refuse(pace, 10_250)
    assert.isFalse(pace.isKnown)
    acceptFor10Seconds(pace, 10_500, 100)
    refuse(pace, 20_500)
    assert.isTrue(pace.isKnown)
    assert.approximately(pace.perSecond(20_750), 10, 0.5)
  })

  it("is not known from refusals with different rates between them", () => {
    const pace = new Pace()
    refuse(pace, 0)
    acceptFor10Seconds(pace, 250, 100)
    refuse(pace, 10_250)
    acceptFor10Seconds(pace, 10_500, 50)
    refuse(pace, 20_500)
    assert.isFalse(pace.isKnown)
  })

  it("is known from two refusals when the first was of a third of the requests under way, and of two at least", () => {
    for (const [underWay, refused, isKnown] of [
      [6, 2, true],
      [7, 2, false],
      [2, 1, false]
    ] as const) {
      const pace = new Pace()
      refuseTogether(pace, underWay, refused)
      acceptFor10Seconds(pace, 251, 100)
      refuse(pace, 10_251)
      assert.strictEqual(pace.isKnown, isKnown, `${refused} of ${underWay}`)
    }
  })

  it("counts the refusals of requests that were under way together as one", () => {
    const pace = new Pace()
    pace.noteSent(0, false)
    pace.noteSent(0, false)
    pace.noteEnded()
    assert.isTrue(pace.noteRefused(5, 0, 1000))
    pace.noteEnded()
    assert.isFalse(pace.noteRefused(6, 0, 2000))
    assert.strictEqual(pace.pauseEnds, 2006)
    assert.isTrue(refuse(pace, 2006))
  })

  it("may be limited for a minute after the pause of a refusal", () => {
    const pace = new Pace()
    assert.isFalse(pace.isLimited(0))
    refuse(pace, 0)
    assert.strictEqual(pace.pauseEnds, 250)
    assert.isTrue(pace.isLimited(60_249))
    assert.isFalse(pace.isLimited(60_250))
  })
})
