import { join } from "node:path"

export const root = join(import.meta.dirname, "../..")

/** A file of the sample data. */
export const vega = (name: string) => join(root, "node_modules/vega-datasets/data", name)
