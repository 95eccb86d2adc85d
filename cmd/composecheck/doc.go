// Command composecheck reads Compose files as docker compose config does, with the
// library that it uses (compose-go): schema, variables, anchors, references between
// services, volumes. It prints the project that results and exits with 1 if there is
// none. It is a module of its own, so that the relay does not depend on that library.
//
//	go run -C cmd/composecheck . ../../deploy/compose.yaml
package main
