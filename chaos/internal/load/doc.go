// Package load is the clients of a run: they submit jobs at both doors, try
// again under the same idempotency key until they are told that their job is
// recorded, cancel some, read some back, and write down every answer.
package load
