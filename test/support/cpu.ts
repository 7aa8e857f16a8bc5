import { Effect } from "effect"

/** The milliseconds of processor time that this process takes for an effect: as many on a busy machine as on an idle one. */
export const cpuTimed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const before = process.cpuUsage()
    return Effect.map(effect, (value) => {
      const { system, user } = process.cpuUsage(before)
      return { value, millis: (system + user) / 1000 }
    })
  })
