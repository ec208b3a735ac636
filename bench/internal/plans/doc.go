// Package plans has a private Postgres say how it ran the statements that a
// service sent: it loads auto_explain into every session and reads the log.
// So a plan is that of the very statement, with the values it was sent with.
package plans
