/**
 * How fast a server accepts requests, as far as its refusals show. Times are elapsed milliseconds.
 *
 * Most limits are token buckets: each request takes a token, tokens come back at a constant rate, and a request that finds none is refused.
 * Two refusals both found the bucket empty. So the requests that were accepted between them, divided by the time between them, are the rate
 * of the limit (or less, where the bucket was full for a while). Once the rate is known, requests wait for tokens of a bucket of our own.
 *
 * One refusal shows no limit: it may be a stray one. A limit refuses together most of the requests that are under way when the bucket is
 * empty, and it refuses again at the same rate. Only then requests are paced.
 */

const second = 1000

/** The shortest pause after a refusal. */
const shortestPause = 250

/** A rate is measured over this time, or over so many accepted requests if they are fewer milliseconds apart. */
const shortestWindow = second
const fewestAccepted = 20

/** The first measurement takes a bucket to hold what comes back in this time, as most do: a longer pause does not fill it further. */
const usualBucket = second

/** The best of so many measurements counts: a limit accepts at least what it accepted once, and a stray refusal makes one too low. */
const windowsKept = 3

/** Rates that differ by no more than this part are the same. */
const tolerance = 0.15

/** A limit refuses at least this part of the requests under way, and more than one. */
const refusedByLimit = 1 / 3

/** After a pause this part of what the bucket seems to hold is sent at once. */
const burst = 0.9

/**
 * The time in which the pace doubles: at first, once requests were refused together, and at most. A refusal at the same rate as before
 * doubles it.
 */
const firstDoubling = second
const doublingOfLimit = 75 * second
const longestDoubling = 150 * second

/** A pace that has grown so many times without a refusal says nothing any more. */
const mostGrowth = 10

/** How long after the pause of a refusal another one counts as the second. */
const memory = 60 * second

/** The time between two refusals. */
interface Window {
  /** Accepted requests per second. */
  readonly rate: number
  /** Accepted requests whose tokens did not come back while they were sent, but before. */
  readonly fromBucket: number
}

export class Pace {
  private refusedAt = Number.NEGATIVE_INFINITY
  private pausedUntil = Number.NEGATIVE_INFINITY
  private windows: ReadonlyArray<Window> = []
  private windowSince = Number.NEGATIVE_INFINITY
  private accepted = 0
  /** Requests per second at the end of the last pause. */
  private rate = Number.POSITIVE_INFINITY
  private doubling = firstDoubling
  private tokens = 0
  private tokensAt = 0
  private mostTokens = 0
  /** When the last request was sent that is no poll. */
  private busyAt = Number.NEGATIVE_INFINITY
  private underWay = 0
  /** Of the requests under way at the last refusal: how many were refused, and all. */
  private refusedTogether = 0
  private underWayThen = 0

  /** Whether a limit is known, so that requests are paced. */
  get isKnown(): boolean {
    return this.rate !== Number.POSITIVE_INFINITY
  }

  /** When the pause after the last refusal ends. */
  get pauseEnds(): number {
    return this.pausedUntil
  }

  /** Whether there is a limit, or may be one: a refusal was not long ago. */
  isLimited(now: number): boolean {
    return this.isKnown || now - this.pausedUntil < memory
  }

  /** Requests per second. From what was accepted before it grows slowly at first, then fast, until the next refusal. */
  perSecond(now: number): number {
    if (!this.isKnown) return this.rate
    const growth = 1 + (Math.max(0, now - this.pausedUntil) / this.doubling) ** 3
    if (growth > mostGrowth) this.rate = Number.POSITIVE_INFINITY
    return this.rate * growth
  }

  /** When the next request may be sent. */
  allowedAt(now: number): number {
    const perSecond = this.perSecond(now)
    if (!this.isKnown) return Math.max(now, this.pausedUntil)
    this.tokens = Math.min(this.mostTokens, this.tokens + ((now - this.tokensAt) * perSecond) / second)
    this.tokensAt = now
    const missing = Math.max(0, 1 - this.tokens)
    return Math.max(now + (missing * second) / perSecond, this.pausedUntil)
  }

  noteSent(now: number, isPoll: boolean): void {
    if (!isPoll) {
      // While there are only polls the bucket fills, and what was accepted before says nothing about the rate.
      if (now - Math.max(this.busyAt, this.pausedUntil) > second) {
        this.accepted = 0
        this.windowSince = now
      }
      this.busyAt = now
    }
    this.tokens--
    this.underWay++
  }

  /** A sent request has ended in any way. */
  noteEnded(): void {
    this.underWay--
  }

  noteAccepted(): void {
    this.accepted++
  }

  /** A request was refused. Returns false if it was under way at the refusal before, and so shows nothing new. */
  noteRefused(now: number, sentAt: number, retryAfter: number): boolean {
    const isNew = sentAt > this.refusedAt
    const isMeasured = isNew && this.measure(now)
    if (isNew) {
      this.refusedAt = now
      this.refusedTogether = 0
      this.underWayThen = this.underWay + 1
    }
    this.refusedTogether++
    this.pausedUntil = Math.max(this.pausedUntil, now + Math.max(shortestPause, retryAfter))
    const pause = this.pausedUntil - this.refusedAt
    if (isMeasured) {
      this.accepted = 0
      this.windowSince = now
    }
    this.tokens = 0
    this.tokensAt = now
    const inBucket = Math.min((this.rate * pause) / second, ...this.windows.map(({ fromBucket }) => fromBucket))
    this.mostTokens = Math.max(1, burst * inBucket)
    return isNew
  }

  /** Measures the rate since the last refusal. Returns false if that was too short a time. */
  private measure(now: number): boolean {
    if (!this.isLimited(now)) {
      this.windows = []
      this.doubling = firstDoubling
      return true
    }
    const { accepted, isKnown, pausedUntil, rate, windows, windowSince } = this
    const idle = pausedUntil > windowSince ? pausedUntil - windowSince : usualBucket
    const busy = now - Math.max(pausedUntil, windowSince)
    const millis = busy + (windows.length === 0 ? Math.min(idle, usualBucket) : idle)
    if (millis < shortestWindow && accepted < fewestAccepted) return false
    const measured = (accepted * second) / millis
    const before = isKnown ? rate : (windows.at(-1)?.rate ?? 0)
    const isSame = Math.abs(measured / before - 1) <= tolerance
    const isLimit = this.refusedTogether > 1 && this.refusedTogether >= this.underWayThen * refusedByLimit
    // With tokens left, too much was sent at once, which does not make the rate wrong.
    const isBurst = isKnown && this.tokens >= 1
    const best = isBurst ? Math.max(rate, measured) : measured
    this.windows = [...windows.slice(1 - windowsKept), { rate: best, fromBucket: accepted - (best * busy) / second }]
    if (isLimit || isSame || isKnown) this.rate = Math.max(1, ...this.windows.map(({ rate }) => rate))
    if (!isBurst) this.doubling = isSame ? Math.min(this.doubling * 2, longestDoubling) : firstDoubling
    if (isLimit) this.doubling = Math.max(this.doubling, doublingOfLimit)
    return true
  }
}
