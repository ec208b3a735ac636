// Package ingestid knows the id of the ingest that a job makes.
package ingestid

import "github.com/google/uuid"

// Of returns the id of the ingest of a job. It follows from the job's id, so that
// a second run of the job continues the first one's ingest, and whoever knows the
// job can ask for it.
func Of(jobID string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("nexus:corpus:ingest:"+jobID))
}
