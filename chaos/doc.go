// Command chaos breaks a Nexus on purpose, under load, and checks that nothing
// was lost: it runs the real program as an installation would, kills, freezes
// and restarts its parts, and holds what clients were told against what became
// of their jobs.
//
// docs/chaos.md says what is broken, what is checked, and how to repeat a run.
package main
