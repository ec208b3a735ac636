// Package deliver posts what is due: it claims deliveries, posts them side by
// side, and writes what came of each. It reaches the public internet and nothing
// else, unless it is told otherwise.
//
// What a delivery is belongs to hook, how it is kept to store.
package deliver
