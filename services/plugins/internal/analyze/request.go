package analyze

import (
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/services/plugins/internal/layer"
)

// request is a checked payload.
type request struct {
	source  source
	layers  []layer.Name
	mode    identity.Mode
	profile string
	// shadowOf is the job whose work is done once more; nil for no shadow.
	shadowOf *string
}

// source is what is analysed: a document or, where branch says so, a branch.
type source struct {
	id     string
	branch bool
}

// parse checks the payload of a job. Every error is one that another attempt
// cannot mend.
func parse(jobID string, payload json.RawMessage) (request, error) {
	var p contract.AnalyzePayload
	if err := contract.Decode(payload, &p); err != nil {
		return request{}, invalidf("the payload is not that of an analyze job: %v", err)
	}
	source, err := sourceOf(p)
	if err != nil {
		return request{}, err
	}
	layers, err := layer.Select(p.Layers)
	var unknown *layer.UnknownError
	if errors.As(err, &unknown) {
		return request{}, invalidf("%s", unknown)
	}
	mode, err := modeOf(p.Mode)
	if err != nil {
		return request{}, err
	}
	r := request{source: source, layers: layers, mode: mode, profile: p.PluginProfile}
	if p.ShadowOf != "" {
		if contract.ShadowJobID(p.ShadowOf) != jobID {
			return request{}, invalidf("shadow_of is set by the platform alone")
		}
		r.shadowOf = &p.ShadowOf
	}
	return r, nil
}

func invalidf(format string, args ...any) error {
	return fault.Invalidf("validation_error", format, args...)
}

func sourceOf(p contract.AnalyzePayload) (source, error) {
	switch {
	case p.DocumentID == "" && p.BranchID == "":
		return source{}, invalidf("give the document_id or the branch_id of what to analyse")
	case p.DocumentID != "" && p.BranchID != "":
		return source{}, invalidf("give document_id or branch_id, not both")
	case p.BranchID != "":
		id, err := uuid.Parse(p.BranchID)
		if err != nil {
			return source{}, fault.NotFoundf("Branch not found")
		}
		return source{id.String(), true}, nil
	}
	id, err := uuid.Parse(p.DocumentID)
	if err != nil {
		return source{}, fault.NotFoundf("Document not found")
	}
	return source{id.String(), false}, nil
}

func modeOf(mode string) (identity.Mode, error) {
	switch m := identity.Mode(mode); m {
	case "":
		return identity.ModePublic, nil
	case identity.ModePublic, identity.ModeRaw:
		return m, nil
	default:
		return "", invalidf("mode is neither PUBLIC nor RAW")
	}
}
