// Package tune audits a host against a table of kernel, device and process
// settings, changes them, proves which of them helped, and puts everything back.
//
//	Table (knobs as data) ─┐   Profile (built in, or YAML)
//	                       ▼   ▼
//	Host ──▶ survey ──▶ settings: key, wanted value
//	 │ this machine        │
//	 │ or a copied tree    ├─▶ Audit   findings by severity      reads only
//	 │                     ├─▶ Plan    old and new of each       reads only
//	 │                     ├─▶ Apply   journal, write, read back
//	 │      journal ◀──────┤   Verify  drift since apply         reads only
//	 │      (old values)   ├─▶ Prove   rounds without and with, in turns
//	 └── read, write ──────┴─▶ Revert  from the journal, last change first
//
// # Guarantees
//
// Nothing is written before its old value is on disk: the journal is written
// aside, synced and renamed into place before the first setting is touched, so
// Revert restores every value after a crash at any instruction of Apply, Prove
// or Revert itself. The first old value counts, however often Apply runs.
// Every write is read back, and a driver that ignored or rounded it is
// reported. Revert leaves values alone that somebody else has set since, and
// says so. A journal of another network namespace is refused; after a restart
// only what the sysctl.d file set again is reverted. What Prove keeps it kept at
// the stated confidence over all groups together. Only one Apply, Prove or
// Revert works on a journal at a time. Files are read up to 8 MiB; a tree's
// links cannot lead out of it.
//
// # What it does not do
//
// It writes no boot parameters, units or daemons' files except its own sysctl.d
// drop-in; checks say what to do there. It does not watch: run verify from a
// timer. Settings of network devices do not outlive a reboot or the device. A
// value that a program sets on its own socket (SO_RCVBUF, TCP_NODELAY) is not
// looked at: nettune's Granted reports those.
//
// # A tree of another machine
//
// Tree reads DIR/proc, DIR/sys, DIR/dev and DIR/etc as copied, the output of
// ethtool -i, -c, -g, -k and -S in DIR/ethtool/IFACE/{driver,coalesce,ring,
// feature,stat}, and adjtimex(2)'s fields in DIR/adjtimex. Dump writes one.
//
// # Goroutines
//
// None. Audit, Plan, Apply, Verify, Revert and Prove work in the caller's, and
// in the network namespace of its thread.
package tune
