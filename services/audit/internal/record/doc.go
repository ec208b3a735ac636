// Package record keeps what the platform publishes: a Watermill router hands
// it events and dead letters, and each message is acknowledged once what it
// says is in the database.
//
// What an entry is belongs to trail, how it is stored to store.
package record
