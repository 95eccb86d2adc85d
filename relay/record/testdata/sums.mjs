// Reads Parquet files with hyparquet and prints what an independent reader makes of
// them: one JSON line per file.
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

// Times as exact nanoseconds, not as JavaScript dates of milliseconds.
const parsers = { timestampFromNanoseconds: ns => ns }

for (const path of process.argv.slice(2)) {
  const file = await asyncBufferFromFile(path)
  const meta = await parquetMetadataAsync(file)
  const sum = { rows: 0, price: 0n, size: 0n, ts: 0n, event: 0n, id: 0n, seq: 0n, count: 0, nulls: 0, unordered: 0, decimals: 0, symbols: {}, kinds: {} }
  let last = 0n
  for (const r of await parquetReadObjects({ file, metadata: meta, compressors, parsers })) {
    sum.rows++
    sum.price += r.price_mantissa ?? 0n
    sum.size += r.size_mantissa ?? 0n
    sum.ts += r.ts_recv
    sum.event += r.ts_event ?? 0n
    sum.id += r.id
    sum.seq += r.seq
    sum.count += r.count
    if (r.ts_recv < last) sum.unordered++
    last = r.ts_recv
    for (const c of ['price', 'size']) {
      if (r[c] === null || r[c] === undefined) { sum.nulls++; continue }
      const want = Number(r[c + '_mantissa']) * 10 ** r[c + '_exp']
      if (Math.abs(r[c] - want) > 1e-9 * Math.abs(want)) sum.decimals++
    }
    sum.symbols[r.symbol] = (sum.symbols[r.symbol] ?? 0) + 1
    sum.kinds[r.kind] = (sum.kinds[r.kind] ?? 0) + 1
  }
  sum.schema = Object.fromEntries(meta.schema.slice(1).map(e => [e.name, e.logical_type?.type === 'DECIMAL'
    ? `DECIMAL(${e.logical_type.precision},${e.logical_type.scale})`
    : e.logical_type?.type === 'TIMESTAMP' ? `TIMESTAMP(${e.logical_type.unit},${e.logical_type.isAdjustedToUTC})` : e.type]))
  sum.groups = meta.row_groups.map(g => Number(g.num_rows))
  sum.metadata = Object.fromEntries(meta.key_value_metadata.map(kv => [kv.key, kv.value]))
  console.log(JSON.stringify(sum, (_, v) => typeof v === 'bigint' ? v.toString() : v))
}
