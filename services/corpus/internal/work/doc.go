// Package work holds the handlers of the corpus jobs: it reads payloads, has the
// work done, and makes results and artifacts of it.
//
// Fetching, claiming and retrying jobs belongs to libs/worker.
package work
