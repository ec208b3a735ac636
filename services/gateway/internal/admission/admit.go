package admission

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

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
	// Priority is empty for normal.
	Priority string
	// RunAt and DelaySeconds put the first run off; at most one may be set.
	RunAt        *time.Time
	DelaySeconds *float64
	// TimeoutSeconds is zero for that of the job type.
	TimeoutSeconds int
	Tags           []string
	// Webhook is where the events of the job are posted; nil for nowhere.
	Webhook   *contract.JobWebhook
	RequestID string
}

// Admit turns an ask into a submission in the caller's name, or says why not.
// The rules are the same for both doors.
func (a *Admission) Admit(ctx context.Context, caller identity.Caller, ask Ask) (contract.Submission, error) {
	if err := RequireRole(caller, identity.Operator); err != nil {
		return contract.Submission{}, err
	}
	mode, err := a.executionMode(ctx, caller, ask)
	if err != nil {
		return contract.Submission{}, err
	}
	t, err := a.jobType(ctx, ask.JobType)
	if err != nil {
		return contract.Submission{}, err
	}
	if t.MinRole != "" {
		if err := RequireRole(caller, identity.Role(t.MinRole)); err != nil {
			return contract.Submission{}, err
		}
	}
	payload, err := a.compact(ask.Payload)
	if err != nil {
		return contract.Submission{}, err
	}
	if err := a.checkMode(ctx, caller, t, payload); err != nil {
		return contract.Submission{}, err
	}
	if err := a.schemas.check(t, payload); err != nil {
		return contract.Submission{}, err
	}
	if err := a.checkTerms(ask); err != nil {
		return contract.Submission{}, err
	}
	id, err := jobID(caller.Owner, ask.JobType, ask.IdempotencyKey)
	if err != nil {
		return contract.Submission{}, err
	}
	sub := contract.Submission{
		JobID: id, JobType: ask.JobType, ExecutionMode: mode, Payload: payload, IdempotencyKey: ask.IdempotencyKey,
		MaxAttempts: ask.MaxAttempts, Priority: ask.Priority, RunAt: ask.RunAt, TimeoutSeconds: ask.TimeoutSeconds, Tags: ask.Tags, Webhook: ask.Webhook,
		CreatedBy: caller.Owner, RequestID: ask.RequestID, TraceParent: telemetry.TraceParent(ctx),
	}
	if ask.DelaySeconds != nil {
		sub.DelaySeconds = *ask.DelaySeconds
	}
	if sub.MaxAttempts == 0 {
		sub.MaxAttempts = t.MaxAttempts
	}
	if ask.IdempotencyKey != "" {
		sub.RequestHash, err = requestHash(ask, payload)
	}
	return sub, err
}

// executionMode is how an ask will be answered. Shadow is sync where the platform
// or the feature says no to it.
func (a *Admission) executionMode(ctx context.Context, caller identity.Caller, ask Ask) (contract.ExecutionMode, error) {
	switch ask.ExecutionMode {
	case contract.ModeSync:
		return contract.ModeSync, nil
	case contract.ModeAsync:
		if !a.opts.AsyncEnabled {
			return "", fault.Invalidf("async_disabled", "Async jobs are disabled by feature flag")
		}
		return contract.ModeAsync, nil
	case contract.ModeShadow:
		if ask.JobType != contract.JobAnalyze {
			return "", fault.Unprocessablef("execution_mode shadow is for %s jobs", contract.JobAnalyze)
		}
		// The shadow itself is async.
		open, err := a.Open(ctx, contract.FeatureShadowExecution, caller.Role)
		if err != nil || !open || !a.opts.AsyncEnabled {
			return contract.ModeSync, err
		}
		return contract.ModeShadow, nil
	default:
		return "", fault.Unprocessablef("Unknown execution_mode '%s': want async, sync or shadow", ask.ExecutionMode)
	}
}

// checkTerms checks how and when a job is to be run.
func (a *Admission) checkTerms(ask Ask) error {
	if err := contract.CheckIdempotencyKey(ask.IdempotencyKey); err != nil {
		return fault.Unprocessablef("%s", err)
	}
	if ask.MaxAttempts < 0 || ask.MaxAttempts > contract.MaxAttemptsLimit {
		return fault.Unprocessablef("max_attempts is %d: want 1 to %d", ask.MaxAttempts, contract.MaxAttemptsLimit)
	}
	if ask.Priority != "" && !contract.ValidPriority(ask.Priority) {
		return fault.Unprocessablef("Unknown priority '%s': want high, normal or low", ask.Priority)
	}
	if ask.TimeoutSeconds < 0 || ask.TimeoutSeconds > contract.MaxTimeoutSeconds {
		return fault.Unprocessablef("timeout_seconds is %d: want 1 to %d", ask.TimeoutSeconds, contract.MaxTimeoutSeconds)
	}
	if ask.RunAt != nil && ask.DelaySeconds != nil {
		return fault.Unprocessablef("run_at and delay_seconds exclude each other")
	}
	if ask.RunAt != nil && !contract.ValidTime(*ask.RunAt) {
		return fault.Unprocessablef("run_at is outside of the years 1 to 9999, in UTC")
	}
	if ask.RunAt != nil && ask.RunAt.After(a.now().Add(contract.MaxDelay)) {
		return fault.Unprocessablef("run_at is more than %d days ahead", int(contract.MaxDelay.Hours()/24))
	}
	if d := ask.DelaySeconds; d != nil && !(*d >= 0 && *d <= contract.MaxDelay.Seconds()) {
		return fault.Unprocessablef("delay_seconds is %g: want 0 to %g", *d, contract.MaxDelay.Seconds())
	}
	if err := contract.CheckTags(ask.Tags); err != nil {
		return fault.Unprocessablef("%s", err)
	}
	return a.checkWebhook(ask.Webhook)
}

// checkWebhook refuses a hook to which nothing would ever be posted. Where a name
// leads is found out when it is dialled: a submit does not wait for that.
func (a *Admission) checkWebhook(h *contract.JobWebhook) error {
	if err := contract.CheckJobWebhook(h); err != nil {
		return fault.Unprocessablef("%s", err)
	}
	if h == nil || a.opts.PrivateWebhooks {
		return nil
	}
	if err := a.hosts.CheckHost(contract.WebhookName(h.URL)); err != nil {
		return fault.Unprocessablef("webhook.url: %s", err)
	}
	return nil
}

// requestHash stands for all that a client sent, as it was sent: a default that
// changes later does not make a repeated request another one.
func requestHash(ask Ask, payload json.RawMessage) (string, error) {
	tags := slices.Sorted(slices.Values(ask.Tags))
	if ask.RunAt != nil {
		at := ask.RunAt.UTC()
		ask.RunAt = &at
	}
	sent := []any{
		ask.JobType, ask.ExecutionMode, ask.MaxAttempts, cmp.Or(ask.Priority, contract.PriorityNormal), ask.RunAt, ask.DelaySeconds, ask.TimeoutSeconds, tags,
	}
	if ask.Webhook != nil {
		// Only where there is one: requests from before there were webhooks keep
		// their hash.
		sent = append(sent, ask.Webhook.URL, slices.Sorted(slices.Values(ask.Webhook.Events)))
	}
	text, err := json.Marshal(sent)
	if err != nil {
		return "", fmt.Errorf("encode what is compared: %w", err)
	}
	h := sha256.New()
	h.Write(text)
	h.Write([]byte{0})
	h.Write(payload)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// compact checks a payload and takes the white space out of it, so that the
// same payload laid out differently is the same request. No payload means {}.
func (a *Admission) compact(p json.RawMessage) (json.RawMessage, error) {
	if len(p) == 0 {
		return json.RawMessage(`{}`), nil
	}
	if len(p) > a.opts.MaxPayload {
		return nil, fault.New(fault.TooLarge, "", fmt.Sprintf("The payload has %d bytes; the limit is %d.", len(p), a.opts.MaxPayload))
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
	return a.CheckMode(ctx, caller, mode)
}

// CheckMode refuses a mode that the caller may not use.
func (a *Admission) CheckMode(ctx context.Context, caller identity.Caller, mode identity.Mode) error {
	if mode != identity.ModePublic && mode != identity.ModeRaw {
		return fault.Unprocessablef("Unknown mode '%s': want PUBLIC or RAW", mode)
	}
	raw := false
	if mode == identity.ModeRaw {
		var err error
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
