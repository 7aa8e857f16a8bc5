import { defineConfig } from "vitest/config"

export default defineConfig({
  ssr: { resolve: { conditions: ["effect-looker-source"] } },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})
