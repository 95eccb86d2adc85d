// Package nettune is the network seen from one event loop: non-blocking TCP
// streams, plain and TLS, with the socket options that market data wants.
package nettune
