import { defineConfig } from "vitest/config"

/** Tests of memory, of processes and of real time: each file has a process to itself, and nothing else runs beside it. */
const alone = ["test/embedded/EmbeddedLooker.badInput.test.ts", "test/embedded/EmbeddedLooker.stress.test.ts"]

export default defineConfig({
  ssr: { resolve: { conditions: ["effect-looker-source"] } },
  test: {
    // Long enough for a busy machine: only a test that hangs fails by it.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: "shared",
          include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
          exclude: alone,
          isolate: false,
          maxWorkers: 2,
          sequence: { groupOrder: 0 }
        }
      },
      {
        extends: true,
        test: { name: "alone", include: alone, isolate: true, maxWorkers: 1, sequence: { groupOrder: 1 } }
      }
    ]
  }
})
