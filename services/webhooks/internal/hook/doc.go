// Package hook is what a subscription and a delivery are: how a post is signed,
// when it is tried again, and what a secret looks like. It is pure: no database,
// no broker, no network.
package hook
