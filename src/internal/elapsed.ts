/**
 * The time that pauses are measured in. Unlike the time of day it never goes back.
 */
import type * as Clock from "effect/Clock"

const nanosInMilli = 1_000_000

export const elapsedMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / nanosInMilli
