/**
 * Time for pauses: it never steps back, as the time of day may.
 */
import type * as Clock from "effect/Clock"

const nanosInMilli = 1_000_000

export const elapsedMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / nanosInMilli
