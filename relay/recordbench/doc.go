// Package recordbench measures what recording costs: how many records per second one
// core takes from a ring's poll to a sealed Parquet file, in how much memory and how many
// bytes, beside two baselines of the same run and the same records: the raw 64 bytes
// through zstd into a file, and parquet-go's own writer of Go structs with the same
// columns. It models book updates of three instruments; real feeds have more trades and
// tickers, which compress worse. It would lie on a machine whose other core helps: it
// sets GOMAXPROCS to 1 for each measurement.
package recordbench
