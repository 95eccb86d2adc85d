package sim_test

// marketDigest is the hash of the books of the default market with seed 1 after
// 20,000 events.
const marketDigest = "e8724c7721eef5ef"
