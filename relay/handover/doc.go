// Package handover passes a gateway's listening socket to the process that replaces it.
//
// The gateway that runs listens on a Unix socket (Serve). A new one connects (Take), gets
// a duplicate of the listening socket by SCM_RIGHTS (unix(7)), makes itself ready while
// the old one still serves, and says so; from then on it alone accepts, and the old one
// sends its clients away. Until the new one has said that it is ready nothing has changed:
// when it dies or gives up the old one goes on.
//
//	new → "takeover\n"
//	old → "socket\n"     with the descriptor
//	new → "ready\n"
//	old → closes when its last client has gone
//
// Only processes of the same user, and root, are served.
package handover
