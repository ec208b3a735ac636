package analyze

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
	"nexus.internal/services/plugins/internal/layer"
)

// request is a checked payload.
type request struct {
	documentID uuid.UUID
	layers     []layer.Name
	mode       identity.Mode
	profile    string
}

// parse checks a payload. Every error is one that another attempt cannot mend.
func parse(payload json.RawMessage) (request, error) {
	var p contract.AnalyzePayload
	if err := contract.Decode(payload, &p); err != nil {
		return request{}, fmt.Errorf("the payload is not that of an analyze job: %w", err)
	}
	documentID, err := sourceOf(p)
	if err != nil {
		return request{}, err
	}
	layers, err := layer.Select(p.Layers)
	if err != nil {
		return request{}, err
	}
	mode, err := modeOf(p.Mode)
	if err != nil {
		return request{}, err
	}
	return request{documentID: documentID, layers: layers, mode: mode, profile: p.PluginProfile}, nil
}

func sourceOf(p contract.AnalyzePayload) (uuid.UUID, error) {
	switch {
	case p.DocumentID == "" && p.BranchID == "":
		return uuid.Nil, errors.New("give the document_id of what to analyse")
	case p.DocumentID != "" && p.BranchID != "":
		return uuid.Nil, errors.New("give document_id or branch_id, not both")
	case p.BranchID != "":
		return uuid.Nil, errors.New("branches have no text yet and cannot be analysed; give a document_id")
	}
	id, err := uuid.Parse(p.DocumentID)
	if err != nil {
		return uuid.Nil, errors.New("document_id is not a UUID")
	}
	return id, nil
}

func modeOf(mode string) (identity.Mode, error) {
	switch m := identity.Mode(mode); m {
	case "":
		return identity.ModePublic, nil
	case identity.ModePublic, identity.ModeRaw:
		return m, nil
	default:
		return "", errors.New("mode is neither PUBLIC nor RAW")
	}
}
