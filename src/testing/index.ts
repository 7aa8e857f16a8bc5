/**
 * effect-looker/testing: what tests on `TestClock` need.
 *
 * @since 0.1.0
 */
export * as TestTime from "./TestTime.ts"
