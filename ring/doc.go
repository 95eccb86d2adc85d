// Package ring is the shared-memory ring between a feed and its consumers.
package ring
