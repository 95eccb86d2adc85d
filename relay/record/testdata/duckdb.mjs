// Runs queries with DuckDB and prints the rows of each as JSON, every value as text.
import duckdb from '@duckdb/node-api'

const db = await duckdb.DuckDBInstance.create(':memory:')
const c = await db.connect()
await c.run("SET TimeZone = 'UTC'")
const all = []
for (const query of process.argv.slice(2)) {
  const rows = (await c.runAndReadAll(query)).getRowsJson()
  all.push(rows.map(r => r.map(v => String(v))))
}
console.log(JSON.stringify(all))
