package httpapi

import (
	"cmp"
	"encoding/json"
	"fmt"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

// withShadow returns an analyze job and the job that does its work once more, to
// be recorded together. The shadow is async and waits behind other jobs.
func withShadow(primary contract.Submission) ([]contract.Submission, error) {
	var payload contract.AnalyzePayload
	if err := json.Unmarshal(primary.Payload, &payload); err != nil {
		return nil, fault.Invalidf("validation_error", "the payload is not that of an analyze job")
	}
	payload.PluginProfile = cmp.Or(payload.ShadowProfile, payload.PluginProfile, contract.ProfileShadow)
	payload.ShadowProfile, payload.ShadowOf = "", primary.JobID
	body, err := contract.Encode(payload)
	if err != nil {
		return nil, fmt.Errorf("encode the payload of a shadow: %w", err)
	}
	shadow := contract.Submission{
		JobID: contract.ShadowJobID(primary.JobID), JobType: primary.JobType, ExecutionMode: contract.ModeAsync, Payload: body,
		MaxAttempts: primary.MaxAttempts, Priority: contract.PriorityLow, TimeoutSeconds: primary.TimeoutSeconds, Tags: primary.Tags,
		CreatedBy: primary.CreatedBy, RequestID: primary.RequestID, TraceParent: primary.TraceParent,
	}
	if primary.IdempotencyKey != "" {
		// Recorded by the same request repeated, it is the same job.
		shadow.IdempotencyKey, shadow.RequestHash = "shadow of "+primary.JobID, primary.RequestHash
	}
	return []contract.Submission{primary, shadow}, nil
}
