// Package tune audits a host against a table of kernel, device and process
// settings, changes them, proves what helped, and puts everything back.
package tune
