// Package auth says who a client is and which topics it may have.
//
// A Verifier holds tokens (secrets that the configuration names by file or environment
// variable) and the keys of JSON Web Tokens. Verify turns what a client presented into a
// Grant: a name, patterns of topics, perhaps an end. Everything not granted is refused;
// a nil or zero Grant grants nothing, Open grants all for a gateway that asks nobody.
//
// It guarantees: tokens are compared in constant time, all of them for each guess; no
// error, log attribute or metric contains a token, a key, or a part of one; a signature
// is checked with the algorithm of the key and never with the one that a token names;
// secrets that are taken away end the grants made of them.
//
// It does not: fetch anything (a JWKS is a file), issue tokens, or know of connections.
package auth
