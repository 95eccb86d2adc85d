package feeds

import "tickrelay/ring/book"

// Book is the price-level book that an engine keeps for one instrument: levels
// at the instrument's exponents, and in each the decimals that the wire had,
// from which a checksum's text can be made again.
type Book = book.Book
