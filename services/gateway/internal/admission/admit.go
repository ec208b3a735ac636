package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/telemetry"
)

// Ask is what a caller wants done, at either door.
type Ask struct {
	JobType        string
	Payload        json.RawMessage
	ExecutionMode  contract.ExecutionMode
	IdempotencyKey string
	// MaxAttempts is zero for the default of the job type.
	MaxAttempts int
	RequestID   string
}

// Admit turns an ask into a submission in the caller's name, or says why not.
// The rules are the same for both doors.
func (a *Admission) Admit(ctx context.Context, caller identity.Caller, ask Ask) (contract.Submission, error) {
	if err := RequireRole(caller, identity.Operator); err != nil {
		return contract.Submission{}, err
	}
	if ask.ExecutionMode != contract.ModeAsync && ask.ExecutionMode != contract.ModeSync {
		return contract.Submission{}, fault.Unprocessablef("Unknown execution_mode '%s': want async or sync", ask.ExecutionMode)
	}
	if ask.ExecutionMode == contract.ModeAsync && !a.opts.AsyncEnabled {
		return contract.Submission{}, fault.Invalidf("async_disabled", "Async jobs are disabled by feature flag")
	}
	t, err := a.jobType(ctx, ask.JobType)
	if err != nil {
		return contract.Submission{}, err
	}
	payload, err := compact(ask.Payload)
	if err != nil {
		return contract.Submission{}, err
	}
	if err := a.checkMode(ctx, caller, t, payload); err != nil {
		return contract.Submission{}, err
	}
	if err := contract.CheckIdempotencyKey(ask.IdempotencyKey); err != nil {
		return contract.Submission{}, fault.Unprocessablef("%s", err)
	}
	if ask.MaxAttempts == 0 {
		ask.MaxAttempts = t.MaxAttempts
	}
	if ask.MaxAttempts < 1 || ask.MaxAttempts > contract.MaxAttemptsLimit {
		return contract.Submission{}, fault.Unprocessablef("max_attempts is %d: want 1 to %d", ask.MaxAttempts, contract.MaxAttemptsLimit)
	}
	id, err := jobID(caller.Owner, ask.JobType, ask.IdempotencyKey)
	if err != nil {
		return contract.Submission{}, err
	}
	return contract.Submission{
		JobID: id, JobType: ask.JobType, ExecutionMode: ask.ExecutionMode, Payload: payload, IdempotencyKey: ask.IdempotencyKey,
		MaxAttempts: ask.MaxAttempts, CreatedBy: caller.Owner, RequestID: ask.RequestID, TraceParent: telemetry.TraceParent(ctx),
	}, nil
}

// compact checks a payload and takes the white space out of it, so that the
// same payload laid out differently is the same request. No payload means {}.
func compact(p json.RawMessage) (json.RawMessage, error) {
	if len(p) == 0 {
		return json.RawMessage(`{}`), nil
	}
	if len(p) > contract.MaxPayload {
		return nil, fault.New(fault.TooLarge, "", fmt.Sprintf("The payload has %d bytes; the limit is %d.", len(p), contract.MaxPayload))
	}
	if err := contract.CheckPayload(p); err != nil {
		return nil, fault.Unprocessablef("%s", err)
	}
	var out bytes.Buffer
	out.Grow(len(p))
	if err := json.Compact(&out, p); err != nil {
		return nil, fault.Unprocessablef("payload is not valid JSON")
	}
	return out.Bytes(), nil
}

// checkMode refuses a payload whose mode the caller may not use. A payload
// without a mode means PUBLIC.
func (a *Admission) checkMode(ctx context.Context, caller identity.Caller, t contract.JobType, payload json.RawMessage) error {
	if !t.ModeGated {
		return nil
	}
	mode, err := modeOf(payload)
	if err != nil {
		return err
	}
	if mode != identity.ModePublic && mode != identity.ModeRaw {
		return fault.Unprocessablef("Unknown mode '%s': want PUBLIC or RAW", mode)
	}
	raw := false
	if mode == identity.ModeRaw {
		if raw, err = a.Open(ctx, contract.FeatureRawMode, caller.Role); err != nil {
			return err
		}
	}
	if !caller.MayUse(mode, raw) {
		return fault.Forbiddenf("Mode '%s' is not allowed for this key", mode)
	}
	return nil
}

// modeOf reads the mode of a payload that is a JSON object. Readers differ in
// which of two equal names counts and whether case matters, so there must be one
// name in one spelling: what is checked here is what the worker will read.
func modeOf(payload json.RawMessage) (identity.Mode, error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	if _, err := dec.Token(); err != nil {
		return "", fault.Unprocessablef("payload is not valid JSON")
	}
	mode, seen := identity.ModePublic, false
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return "", fault.Unprocessablef("payload is not valid JSON")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return "", fault.Unprocessablef("payload is not valid JSON")
		}
		key, _ := name.(string)
		if !strings.EqualFold(key, "mode") {
			continue
		}
		var text string
		if seen || key != "mode" || json.Unmarshal(value, &text) != nil {
			return "", fault.Unprocessablef("payload.mode must be given once, as a text")
		}
		seen = true
		if text != "" {
			mode = identity.Mode(text)
		}
	}
	return mode, nil
}

// idNamespace is the namespace of job ids that are derived from a key.
func idNamespace() uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceURL, []byte("nexus:jobs")) }

// jobID is the id of a job to be. With an idempotency key it is derived from
// actor, type and key (UUID version 5), so that a repeat is the same job by
// construction; without one it is new and ordered by time (version 7).
func jobID(actor, jobType, idempotencyKey string) (string, error) {
	if idempotencyKey == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return "", fmt.Errorf("make a job id: %w", err)
		}
		return id.String(), nil
	}
	return uuid.NewSHA1(idNamespace(), []byte(actor+"\x00"+jobType+"\x00"+idempotencyKey)).String(), nil
}
