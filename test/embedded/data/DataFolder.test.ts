import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { DataFolder, EmbeddedLooker } from "effect-looker/embedded"
import * as DuckDb from "../../../src/embedded/database/DuckDb.ts"
import { root, vega } from "../../support/paths.ts"
import { call, createTask, ends, folder, inProcess, leaves, login, orders, results, wait } from "../support.ts"

const json = (query: object) => Effect.map(results(query), (answer) => answer.json)

const failure = (options: EmbeddedLooker.Options) =>
  Layer.build(EmbeddedLooker.layer(options)).pipe(Effect.scoped, Effect.flip)

describe("a data folder", () => {
  it.effect("is refused by name when it is missing, empty or unreadable", () =>
    Effect.gen(function* () {
      const missing = yield* failure({ data: "/no/such/folder" })
      assert.deepStrictEqual([missing._tag, missing.path], ["EmbeddedError", "/no/such/folder"])
      const nothing = yield* folder({ "notes.txt": "x" })
      const empty = yield* failure({ data: nothing })
      assert.deepStrictEqual([empty.path, empty.message.includes(".csv")], [nothing, true])
      assert.strictEqual((yield* failure({ data: join(nothing, "notes.txt") })).path, join(nothing, "notes.txt"))
      assert.include((yield* failure({ data: [] })).message, "no data")
      for (const [name, text] of [
        ["broken.parquet", "this is no parquet"],
        ["broken.json", '[{"a": 1}, {"a":'],
        ["broken.ndjson", '{"a": 1}\n{"a":'],
        ["ragged.csv", "a,b\n1,2\n3\n4,5,6\n"],
        ["void.csv", ""],
        ["blank.csv", " \n"],
        ["headless.csv", "\nb\n1\n"],
        ["quoted.csv", '"a","b"\n1,2\n3\n4,5,6\n'],
        ["nested.json", '[{"a":{"b":1,"B":2}}]']
      ] as const) {
        const path = yield* folder({ "good.csv": "a\n1\n", [name]: text })
        const error = yield* failure({ data: path })
        assert.strictEqual(error.path, join(path, name))
        assert.include(error.message, name)
      }
      const twice = yield* folder({ "a.csv": "x\n1\n", "A.json": '[{"x":1}]' })
      assert.include((yield* failure({ data: twice })).message, "second explore a")
    })
  )

  it.effect("says where a file is wrong and what to do, in no words of DuckDB's", () =>
    Effect.gen(function* () {
      const many = `id,name\n${"1,a\n".repeat(3000)}`
      const latin = (text: string) => Buffer.from(text, "latin1")
      for (const [name, content, message] of [
        ["latin.csv", latin("id,name\n1,caf\u00e9\n2,x\n"), "line 2 is not UTF-8. Save the file as UTF-8"],
        ["long.csv", latin(`${many}1,caf\u00e9\n`), "line 3002 is not UTF-8. Save the file as UTF-8"],
        ["void.csv", "", "its first line is empty, and has to have the names of the columns"],
        ["more.csv", "a,b\n1,2\n3,4,5\n6,7\n", "the header has 2, line 3 has 3 (3,4,5)"],
        ["less.csv", `${many}1\n`, "the header has 2, line 3002 has 1 (1)"],
        ["semicolons.csv", "a;b\n1;2\n3\n", "the header has 2, line 3 has 1 (3)"],
        ["quoted.csv", '"a, b",c\n1,2\n3\n', "the header has 2, line 3 has 1 (3)"]
      ] as const) {
        const path = join(yield* folder({}), name)
        writeFileSync(path, content)
        const error = yield* failure({ data: path })
        assert.isTrue(
          error.message.startsWith(`cannot read ${path}: `) && error.message.endsWith(message),
          error.message
        )
      }
      const path = yield* folder({})
      for (const [name, content] of [
        ["latin.json", latin('[{"a":"caf\u00e9"}]')],
        ["utf8.ndjson", '{"a": 1}\n{"a":'],
        ["empty.parquet", ""]
      ] as const) {
        writeFileSync(join(path, name), content)
        const { message } = yield* failure({ data: join(path, name) })
        assert.notMatch(message, /\n|SELECT|sample_size/)
        assert.strictEqual(message.endsWith("Save the file as UTF-8"), name === "latin.json")
      }
      assert.strictEqual(
        (yield* failure({ data: "no/such" })).message,
        `there is no file or folder ${resolve("no/such")}`
      )
      const outer = yield* folder({})
      mkdirSync(join(outer, "inner"))
      writeFileSync(join(outer, "inner", "a.csv"), "a\n1\n")
      assert.strictEqual(
        (yield* failure({ data: outer })).message,
        `no data in ${outer}: none of its files is .csv .json .ndjson .jsonl .parquet, and subfolders are not read`
      )
    })
  )

  it.effect("follows links, names one that leads nowhere, and leaves folders alone whatever their names", () =>
    Effect.gen(function* () {
      const elsewhere = yield* folder({ "real.csv": "a\n1\n" })
      const path = yield* folder({})
      mkdirSync(join(path, "folder.csv"))
      const empty = yield* failure({ data: path })
      assert.isTrue(empty.message.endsWith(".parquet, and subfolders are not read"), empty.message)
      symlinkSync(join(elsewhere, "real.csv"), join(path, "link.csv"))
      assert.deepStrictEqual([...(yield* loaded(path)).model.explores.keys()], ["link"])
      symlinkSync(join(elsewhere, "gone.csv"), join(path, "broken.csv"))
      const broken = yield* failure({ data: path })
      assert.strictEqual(broken.path, join(path, "broken.csv"))
    })
  )

  it.effect("leaves no temporary folder behind, after a failure neither", () =>
    Effect.gen(function* () {
      const own = yield* folder({})
      const shared = process.env.TMPDIR
      process.env.TMPDIR = own
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (shared === undefined) delete process.env.TMPDIR
          else process.env.TMPDIR = shared
        })
      )
      yield* failure({ data: "/no/such/folder" })
      yield* Effect.gen(function* () {
        yield* login
        assert.strictEqual(readdirSync(own).filter((name) => name.startsWith("effect-looker-")).length, 1)
      }).pipe(Effect.provide(inProcess({ "orders.csv": orders })))
      assert.deepStrictEqual(readdirSync(own), [])
    })
  )

  it.effect("has an object with a date in it as a text", () =>
    Effect.gen(function* () {
      const path = yield* folder({
        "deep.ndjson": '{"who":{"born":"2001-01-10"},"day":"2001-01-10"}\n{"day":null}\n'
      })
      const { database, model } = yield* loaded(path)
      const fields = model.explores.get("deep")?.fields
      assert.deepStrictEqual(
        ["who", "day"].map((name) => fields?.get(`deep.${name}`)?.type),
        ["string", "date"]
      )
      const [row] = yield* database.run("SELECT who FROM deep ORDER BY who")
      assert.deepStrictEqual(row, ['{"born":"2001-01-10"}'])
    })
  )

  it.effect("becomes explores with the fields of every type", () =>
    Effect.gen(function* () {
      const path = yield* folder({
        "2 Order Items.csv":
          "Order ID,Größe,when,day,flag,amount,count\n1,x,2001-01-10 18:20:31,2001-01-10,true,1.5,7\n",
        "nested.ndjson": '{"id":1,"tags":["a","b"],"who":{"n":1}}\n{"id":2}\n'
      })
      const { database, model } = yield* loaded(path)
      assert.deepStrictEqual([...model.explores.keys()], ["_2_order_items", "nested"])
      const explore = model.explores.get("_2_order_items")
      assert.deepStrictEqual(
        [...(explore?.fields.values() ?? [])].map(
          (field) => `${field.name.slice("_2_order_items.".length)}:${field.type}`
        ),
        [
          ...["order_id:number", "gr_e:string", "when:time", "day:date", "flag:yesno", "amount:number", "count:number"],
          ...["when_date:date", "when_week:date", "when_month:date", "when_quarter:date", "when_year:number"],
          ...["day_week:date", "day_month:date", "day_quarter:date", "day_year:number", "count_measure:number"],
          ...["order_id", "amount", "count"].flatMap((name) =>
            ["total", "average", "min", "max"].map((aggregate) => `${aggregate}_${name}:number`)
          )
        ]
      )
      assert.strictEqual(explore?.fields.get("_2_order_items.when_date")?.label, "2 Order Items When Date")
      const rows = yield* database.run("SELECT tags, who FROM nested ORDER BY id")
      assert.deepStrictEqual(rows, [
        ['["a","b"]', '{"n":1}'],
        [null, null]
      ])
    })
  )

  it.effect("may be files under the names their explores shall have", () =>
    Effect.gen(function* () {
      const path = yield* folder({ "2001-export.csv": orders })
      const { model } = yield* loaded({ Orders: join(path, "2001-export.csv") })
      assert.deepStrictEqual([...model.explores.keys()], ["orders"])
      assert.isTrue(model.explores.get("orders")?.fields.has("orders.total_price"))
      assert.include((yield* failure({ data: { orders: path } })).message, "is a folder")
    })
  )

  it.effect("is closed to every statement once it is loaded", () =>
    Effect.gen(function* () {
      const path = yield* folder({ "orders.csv": orders })
      const { database } = yield* loaded(path)
      for (const sql of [
        `SELECT * FROM read_csv('${path}/orders.csv')`,
        `COPY orders TO '${path}/out.csv'`,
        `ATTACH '${path}/x.db'`,
        "SELECT * FROM read_text('/etc/passwd')",
        "SET enable_external_access = true",
        "INSTALL httpfs"
      ]) {
        assert.match((yield* Effect.flip(database.run(sql))).message, /disabled|locked/)
      }
      assert.deepStrictEqual(readdirSync(path), ["orders.csv"])
    })
  )
})

describe("a file", () => {
  it.effect("is itself, and no pattern for others, whatever characters are in its name", () =>
    Effect.gen(function* () {
      const names = ["data[1]", "data1", "s*", "sx", "q?", "qx", "[[]", "**", "x{1,2}"]
      const formats = ["csv", "json", "ndjson", "parquet"]
      const path = yield* folder({})
      const data: Record<string, string> = {}
      for (const [index, name] of names.entries()) {
        for (const format of formats) {
          const file = join(path, `${name}.${format}`)
          if (format === "parquet") yield* parquetFile(file, `SELECT ${index}::BIGINT AS v`)
          else writeFileSync(file, format === "csv" ? `v\n${index}\n` : `{"v":${index}}\n`)
          data[`${format}_${index}`] = file
        }
      }
      const { database } = yield* loaded(data)
      for (const name of Object.keys(data)) {
        const rows = yield* database.run(`SELECT v FROM ${name}`)
        assert.deepStrictEqual([name, rows], [name, [[BigInt(name.split("_")[1] ?? "")]]])
      }
    })
  )

  it.effect("has its own columns only, in a folder named like a partition too", () =>
    Effect.gen(function* () {
      const path = join(yield* folder({}), "year=2020")
      mkdirSync(path)
      writeFileSync(join(path, "c.csv"), "v,year\n1,own\n")
      writeFileSync(join(path, "j.json"), '[{"v":1}]')
      writeFileSync(join(path, "n.ndjson"), '{"v":1}\n')
      yield* parquetFile(join(path, "p.parquet"), "SELECT 1 AS v, 'own' AS year")
      const { database } = yield* loaded(path)
      const tables = yield* Effect.forEach(["c", "j", "n", "p"], (name) => database.run(`SELECT * FROM ${name}`))
      assert.deepStrictEqual(tables, [[[1n, "own"]], [[1n]], [[1n]], [[1n, "own"]]])
    })
  )

  it.effect("may have a single column of any name", () =>
    Effect.gen(function* () {
      const path = yield* folder({
        "numbered.csv": "column0\n1\n",
        "quoted.csv": '"Name, full"\n"a, b"\nc\n',
        "single.csv": "'Name, full'\nc\n"
      })
      const { model } = yield* loaded(path)
      assert.deepStrictEqual(
        [...model.explores.values()].map(({ fields }) => fields.keys().next().value),
        ["numbered.column0", "quoted.name_full", "single.name_full"]
      )
    })
  )

  it.effect("has every measure under another name where a column has the name already", () =>
    Effect.gen(function* () {
      const path = yield* folder({
        "sales.csv": "count,total_price,min_price,min_price_measure,price\n7,1,2,3,10\n8,1,2,3,20\n"
      })
      const query = {
        view: "sales",
        fields: ["total_price", "count_measure", "total_price_measure", "min_price_measure_2", "total_count"].map(
          (name) => `sales.${name}`
        )
      }
      const rows = yield* json(query).pipe(Effect.provide(EmbeddedLooker.layer({ data: path })))
      assert.deepStrictEqual(rows, [
        {
          "sales.total_price": 1,
          "sales.count_measure": 2,
          "sales.total_price_measure": 30,
          "sales.min_price_measure_2": 10,
          "sales.total_count": 15
        }
      ])
    })
  )

  it.effect("has dates where they can be read in one way only, and keeps the others as text", () =>
    Effect.gen(function* () {
      const columns = {
        iso: ["2024-01-02", "2024-03-04", "2024-01-02", "DATE"],
        slashed: ["2024/01/02", "2024/03/04", "2024-01-02", "DATE"],
        dotted: ["2024.01.02", "2024.03.04", "2024-01-02", "DATE"],
        first: ["0001-01-01", "2024-03-04", "0001-01-01", "DATE"],
        time: ["2024-01-02 10:00:00", "2024-03-04T11:30", "2024-01-02 10:00:00", "TIMESTAMP"],
        zoned: ["2024-01-02 10:00:00+02", "2024-03-04 11:00:00Z", "2024-01-02 08:00:00", "TIMESTAMP"],
        slashes: ["01/02/2024", "03/04/2024", "01/02/2024", "VARCHAR"],
        dots: ["1.2.2024", "3.4.2024", "1.2.2024", "VARCHAR"],
        dashes: ["01-02-2024", "03-04-2024", "01-02-2024", "VARCHAR"],
        short: ["01/02/24", "03/04/24", "01/02/24", "VARCHAR"],
        unsure: ["13/02/24", "03/04/24", "13/02/24", "VARCHAR"],
        minutes: ["01/02/24 10:00", "03/04/24 10:00", "01/02/24 10:00", "VARCHAR"],
        times: ["01/02/2024 10:00:00", "03/04/2024 11:00:00", "01/02/2024 10:00:00", "VARCHAR"],
        noon: ["01/02/2024 10:00:00 AM", "03/04/2024 11:00:00 PM", "01/02/2024 10:00:00 AM", "VARCHAR"],
        mixed: ["2024-01-02", "13/02/2024", "2024-01-02", "VARCHAR"],
        years: ["13/02/2024", "14/02/24", "13/02/2024", "VARCHAR"],
        european: ["01/02/2024", "13/02/2024", "2024-02-01", "DATE"],
        american: ["01/02/2024", "02/13/2024", "2024-01-02", "DATE"],
        german: ["1.2.2024", "13.2.2024", "2024-02-01", "DATE"],
        century: ["13/02/24", "03/04/99", "2024-02-13", "DATE"],
        day: ["13/02/2024 10:00:00", "01/02/2024 11:00:00", "2024-02-13 10:00:00", "TIMESTAMP"]
      } as const
      const files = Object.entries(columns).map(([name, [first, second]]) => [
        `${name}.csv`,
        `id,v\n1,${first}\n2,${second}\n3,\n`
      ])
      const { database } = yield* loaded(yield* folder(Object.fromEntries(files)))
      for (const [name, [, , text, type]] of Object.entries(columns)) {
        const rows = yield* database.run(`SELECT CAST(v AS VARCHAR), typeof(v) FROM ${name} ORDER BY id`)
        assert.deepStrictEqual([name, rows[0], rows[2]?.[0]], [name, [text, type], null])
      }
    })
  )

  it.effect("has dates in each column for itself", () =>
    Effect.gen(function* () {
      const path = yield* folder({
        "c.csv":
          "late,sure,unsure,iso,time\n" +
          "13/02/2024 10:00:00,13/02/2024,01/02/2024,2024-01-02,2024-01-02 10:00:00\n" +
          "03/04/2024 10:00:00,03/04/2024,03/04/2024,2024-03-04,2024-03-04 10:00:00\n",
        "j.json":
          '[{"iso":"2024-01-02","time":"2024-01-02T10:00:00Z","unsure":"01-02-2024","late":"01-02-2024 10:00:00","zoned":"2024-01-02T10:00:00+02:00"}]'
      })
      const { database } = yield* loaded(path)
      const csv = "sure, unsure, iso, time, late"
      const json = "iso, time, unsure, late, zoned"
      const texts = (names: string) => names.replaceAll(/\w+/g, "CAST($& AS VARCHAR)")
      assert.deepStrictEqual((yield* database.run(`SELECT ${texts(csv)} FROM c`))[0], [
        ...["2024-02-13", "01/02/2024", "2024-01-02", "2024-01-02 10:00:00", "2024-02-13 10:00:00"]
      ])
      assert.deepStrictEqual((yield* database.run(`SELECT ${texts(json)} FROM j`))[0], [
        ...["2024-01-02", "2024-01-02 10:00:00", "01-02-2024", "01-02-2024 10:00:00", "2024-01-02 08:00:00"]
      ])
    })
  )

  it.effect("may have JSON keys that differ only in case", () =>
    Effect.gen(function* () {
      const { database } = yield* loaded(yield* folder({ "keys.json": '[{"a":1,"A":2},{"A":3}]' }))
      const columns = yield* database.run("SELECT a, a_1 FROM keys")
      assert.deepStrictEqual(columns, [
        [1n, 2n],
        [null, 3n]
      ])
    })
  )
})

const parquetFile = (path: string, sql: string) =>
  Effect.promise(async () => {
    const instance = await DuckDBInstance.create(":memory:")
    const connection = await instance.connect()
    await connection.run(`COPY (${sql}) TO '${path}' (FORMAT parquet)`)
    connection.closeSync()
    instance.closeSync()
  })

const loaded = Effect.fnUntraced(function* (path: DataFolder.Data) {
  const database = yield* DuckDb.make({})
  const models = yield* DataFolder.load(database, { embedded: path })
  const model = models.get("embedded")
  return model === undefined ? yield* Effect.die("no model") : { database, model }
})

/** A Parquet file with the types that CSV has no words for. */
const parquet = Layer.unwrap(
  Effect.gen(function* () {
    const path = yield* folder({
      "time.csv": "t\n2001-01-07 23:59:59\n2001-01-08 00:00:00\n2000-12-31 12:00:00\n2004-02-29 00:00:00\n"
    })
    yield* parquetFile(
      join(path, "exact.parquet"),
      `SELECT 9007199254740993::BIGINT AS big, 'nan'::DOUBLE AS f, 0.1::FLOAT AS g, TIMESTAMPTZ '2001-01-01 00:00:00+02' AS z,
          12345678901234567890.123456789::DECIMAL(38, 9) AS money, 'k' AS k
        UNION ALL SELECT 1, 'infinity'::DOUBLE, 0.2, NULL, 0.000000001, 'k'
        UNION ALL SELECT 2, 2.5, 0.3, NULL, NULL, 'l'`
    )
    yield* parquetFile(
      join(path, "noise.parquet"),
      "SELECT i % 3 AS k, sin(i) * pow(10, i % 12) AS x FROM range(200000) r(i)"
    )
    yield* parquetFile(
      join(path, "narrow.parquet"),
      "SELECT 127::TINYINT AS a, 255::UTINYINT AS b, 32767::SMALLINT AS c, 2147483647::INTEGER AS d, 4294967295::UINTEGER AS e"
    )
    return EmbeddedLooker.layer({ data: [path, vega("airports.csv"), vega("flights-2k.json")] })
  })
)

layer(parquet)("values", (it) => {
  it.effect("keep all digits of integers and decimals, and show NaN and infinity as null", () =>
    Effect.gen(function* () {
      const fields = ["exact.big", "exact.f", "exact.g", "exact.money", "exact.z"]
      const answer = yield* results({ view: "exact", fields, sorts: ["exact.big desc"] })
      assert.strictEqual(
        answer.text,
        '[{"exact.big":9007199254740993,"exact.f":null,"exact.g":0.1,"exact.money":12345678901234567890.123456789,"exact.z":"2000-12-31 22:00:00"},\n' +
          '{"exact.big":2,"exact.f":2.5,"exact.g":0.3,"exact.money":null,"exact.z":null},\n' +
          '{"exact.big":1,"exact.f":null,"exact.g":0.2,"exact.money":0.000000001,"exact.z":null}]'
      )
      const totals = yield* results(
        { view: "exact", fields: ["exact.k", "exact.total_money", "exact.max_big"], sorts: ["exact.k"] },
        "csv"
      )
      assert.strictEqual(
        totals.text,
        "Exact K,Exact Total Money,Exact Max Big\nk,12345678901234567890.123456790,9007199254740993\nl,,2\n"
      )
    })
  )

  it.effect("of narrow types are numbers like any other for an expression", () =>
    Effect.gen(function* () {
      const dynamic = ["a", "b", "c", "d", "e"].map((name) => ({
        category: "dimension",
        dimension: `twice_${name}`,
        expression: `\${narrow.${name}} + \${narrow.${name}}`
      }))
      const fields = dynamic.map(({ dimension }) => dimension)
      assert.deepStrictEqual(yield* json({ view: "narrow", fields, dynamic_fields: JSON.stringify(dynamic) }), [
        { twice_a: 254, twice_b: 510, twice_c: 65534, twice_d: 4294967294, twice_e: 8589934590 }
      ])
    })
  )

  it.effect("add up to the same digits every time", () =>
    Effect.gen(function* () {
      const query = { view: "noise", fields: ["noise.k", "noise.total_x", "noise.average_x"], sorts: ["noise.k"] }
      const first = yield* results(query)
      for (let run = 0; run < 5; run++) assert.strictEqual((yield* results(query)).text, first.text)
    })
  )

  it.effect("group times by week from Monday, month, quarter and year", () =>
    Effect.gen(function* () {
      const fields = ["t", "t_date", "t_week", "t_month", "t_quarter", "t_year"].map((name) => `time.${name}`)
      const answer = yield* results({ view: "time", fields, sorts: ["time.t"] }, "csv")
      assert.strictEqual(
        answer.text.split("\n").slice(1).join("\n"),
        "2000-12-31 12:00:00,2000-12-31,2000-12-25,2000-12,2000-Q4,2000\n" +
          "2001-01-07 23:59:59,2001-01-07,2001-01-01,2001-01,2001-Q1,2001\n" +
          "2001-01-08 00:00:00,2001-01-08,2001-01-08,2001-01,2001-Q1,2001\n" +
          "2004-02-29 00:00:00,2004-02-29,2004-02-23,2004-02,2004-Q1,2004\n"
      )
      const january = { view: "time", fields: ["time.count"], filters: { "time.t_month": "2001-01" } }
      assert.deepStrictEqual(yield* json(january), [{ "time.count": 2 }])
    })
  )

  it.effect("come in Looker's default order: latest date, then largest measure, then first dimension", () =>
    Effect.gen(function* () {
      const column = (query: object, field: string) =>
        Effect.map(json(query), (rows: ReadonlyArray<Record<string, unknown>>) => rows.map((row) => row[field]))
      assert.deepStrictEqual(
        yield* column({ view: "time", fields: ["time.t_year", "time.t_month", "time.count"] }, "time.t_month"),
        ["2004-02", "2001-01", "2000-12"]
      )
      assert.deepStrictEqual(
        yield* column({ view: "time", fields: ["time.count", "time.t_year"] }, "time.t_year"),
        [2004, 2001, 2000]
      )
      assert.deepStrictEqual(yield* column({ view: "exact", fields: ["exact.k"] }, "exact.k"), ["k", "l"])
    })
  )

  it.effect("of real files agree with what is known about them", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* json({ view: "airports", fields: ["airports.count", "airports.max_latitude"] }), [
        { "airports.count": 3376, "airports.max_latitude": 71.2854475 }
      ])
      const busiest = yield* json({
        view: "flights_2k",
        fields: ["flights_2k.origin", "flights_2k.count"],
        filters: { "flights_2k.count": ">=60", "flights_2k.origin": "-HOU" },
        limit: "3"
      })
      assert.strictEqual(busiest.length, 3)
      assert.isTrue(busiest.every((row: Record<string, number>) => (row["flights_2k.count"] ?? 0) >= 60))
    })
  )
})

describe("three million rows", () => {
  it.live("are streamed, killed in the middle and left at once", () =>
    Effect.gen(function* () {
      const token = yield* login
      const all = {
        view: "flights_3m",
        fields: ["date", "delay", "distance", "origin", "destination"].map((name) => `flights_3m.${name}`),
        limit: "-1"
      }
      const killed = yield* createTask(token, all, "csv")
      yield* leaves(token, killed, ["added"])
      assert.strictEqual((yield* call("DELETE", `/running_queries/${killed}`, { token })).status, 204)
      assert.strictEqual((yield* call("GET", `/query_tasks/${killed}`, { token })).json.status, "killed")

      const id = yield* createTask(token, { ...all, filters: { "flights_3m.date": "2001-01" } }, "csv")
      assert.strictEqual(yield* ends(token, id), "complete")
      const count = yield* json({
        view: "flights_3m",
        fields: ["flights_3m.count"],
        filters: { "flights_3m.date": "2001-01" }
      })
      const { text } = yield* call("GET", `/query_tasks/${id}/results`, { token })
      const lines = text.split("\n").length - 2
      assert.isAbove(lines, 50_000)
      assert.isAtMost(lines, count[0]["flights_3m.count"])

      for (let index = 0; index < 4; index++) yield* createTask(token, all, "json")
      yield* wait(30)
    }).pipe(Effect.provide(EmbeddedLooker.layer({ data: vega("flights-3m.parquet") })))
  )
})

describe("a server", () => {
  const nonsense = JSON.parse('"nonsense"')
  for (const [option, values] of [
    ["concurrency", [0, -1, 1.5, Number.NaN]],
    ["port", [99_999, -1, 1.5, Number.NaN]],
    ["tokenLife", [nonsense, -1, Number.NaN, "Infinity"]],
    ["resultLife", [nonsense, -1, Number.NaN]],
    ["taskDelay", [nonsense, -1, Number.NaN]],
    ["memoryLimit", [nonsense]]
  ] as const) {
    it.effect(`refuses a ${option} that it cannot work with`, () =>
      Effect.gen(function* () {
        const data = yield* folder({ "orders.csv": orders })
        for (const value of values) {
          const server = EmbeddedLooker.layerServer({ data, [option]: value })
          const error = yield* Layer.build(server).pipe(Effect.scoped, Effect.flip)
          assert.strictEqual(error._tag, "EmbeddedError")
          assert.include(error.message, `${option} ${option === "memoryLimit" ? "" : "is "}${value}`)
        }
      })
    )
  }

  it.effect("says that its port is in use", () =>
    Effect.gen(function* () {
      const data = yield* folder({ "orders.csv": orders })
      yield* Effect.gen(function* () {
        const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
        const port = Number(new URL(baseUrl).port)
        const error = yield* Layer.build(EmbeddedLooker.layerServer({ data, port })).pipe(Effect.scoped, Effect.flip)
        assert.strictEqual(error.message, `cannot listen on 127.0.0.1:${port}: the port is in use`)
      }).pipe(Effect.provide(EmbeddedLooker.layerServer({ data })))
    })
  )

  it.effect("says why it cannot listen to an address that is not the machine's", () =>
    Effect.gen(function* () {
      const data = yield* folder({ "orders.csv": orders })
      const server = EmbeddedLooker.layerServer({ data, host: "192.0.2.1" })
      const error = yield* Layer.build(server).pipe(Effect.scoped, Effect.flip)
      assert.match(error.message, /^cannot listen on 192\.0\.2\.1:0: listen EADDRNOTAVAIL/)
    })
  )

  it.live("lets its process end while queries run", () =>
    Effect.gen(function* () {
      const main = `
        import * as Effect from "effect/Effect"
        import * as EmbeddedLooker from "${join(root, "src/embedded/EmbeddedLooker.ts")}"
        const run = Effect.gen(function* () {
          const { baseUrl } = yield* EmbeddedLooker.EmbeddedServer
          const post = (path, token, body) => Effect.promise(() => fetch(baseUrl + "/api/4.0" + path, {
            method: "POST",
            headers: token ? { authorization: "token " + token, "content-type": "application/json" } : {},
            body: token ? JSON.stringify(body) : new URLSearchParams(body)
          }).then((response) => response.json()))
          const { access_token } = yield* post("/login", undefined, { client_id: "embedded", client_secret: "embedded" })
          const fields = ["date", "delay", "distance", "origin", "destination"].map((name) => "flights_3m." + name)
          const { id } = yield* post("/queries", access_token, { model: "embedded", view: "flights_3m", fields, limit: "-1" })
          for (let i = 0; i < 4; i++) yield* post("/query_tasks", access_token, { query_id: id, result_format: "json" })
        })
        await Effect.runPromise(run.pipe(Effect.provide(EmbeddedLooker.layerServer({ data: "${vega("flights-3m.parquet")}" }))))
        console.log("closed")
      `
      const output = yield* Effect.sync(() =>
        execFileSync(process.execPath, ["--conditions=effect-looker-source", "--input-type=module", "-e", main], {
          cwd: root,
          timeout: 100_000,
          encoding: "utf8"
        })
      )
      assert.strictEqual(output, "closed\n")
    })
  )
})
