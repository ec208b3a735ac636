package submit

import (
	"fmt"

	"github.com/google/uuid"
)

// JobID is the id of a job to be. With an idempotency key it is derived from
// actor, type and key (UUID version 5), so that a repeat is the same job by
// construction; without one it is new and ordered by time (version 7).
func JobID(actor, jobType, idempotencyKey string) (string, error) {
	if idempotencyKey == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return "", fmt.Errorf("make a job id: %w", err)
		}
		return id.String(), nil
	}
	namespace := uuid.NewSHA1(uuid.NameSpaceURL, []byte("nexus:jobs"))
	return uuid.NewSHA1(namespace, []byte(actor+"\x00"+jobType+"\x00"+idempotencyKey)).String(), nil
}
