// Package embedpg starts and stops a private PostgreSQL server: one process of
// the PostgreSQL programs installed on the machine, with a data folder of its
// own, reachable through a unix socket by its owner and by nobody else.
//
// The server runs beside the program, not in it. It survives Ctrl-C in the
// terminal (the program stops it in order), it shuts down cleanly when the
// program is killed (Linux), and what a crash left behind is cleared up by the
// next Start. Run as root it drops to an unprivileged user, because PostgreSQL
// refuses to run as root; a data folder that this user cannot reach by its name,
// or whose name PostgreSQL could misread, is handed to it open (Linux).
//
// Installing PostgreSQL, schemas and connection pools do not belong here.
package embedpg
