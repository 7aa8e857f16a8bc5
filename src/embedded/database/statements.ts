/**
 * The statements and connections that DuckDB works on now, counted over all embedded Lookers of the process: no test time passes meanwhile (`TestTime`).
 *
 * @internal
 */
export const statements = { running: 0 }
