// Reads trades with polars and prints counts and sums as JSON, every value as text.
import pl from 'nodejs-polars'

const text = c => c.cast(pl.Utf8)
const rows = pl.scanParquet(process.argv[2]).filter(pl.col('kind').eq(pl.lit('trade')))
  .groupBy(['venue', 'symbol']).agg(
    text(pl.col('seq').count()).alias('trades'),
    text(pl.col('size').sum()).alias('volume'),
    text(pl.col('price_mantissa').sum()).alias('mantissas'),
    text(pl.col('ts_recv').cast(pl.Int64).min()).alias('first'),
    text(pl.col('ts_recv').cast(pl.Int64).max()).alias('last'))
  .sort(['venue', 'symbol'])
  .collectSync()
console.log(JSON.stringify(rows.rows()))
