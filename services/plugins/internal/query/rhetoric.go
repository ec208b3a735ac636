package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/plugins/internal/document"
	"nexus.internal/services/plugins/internal/layer"
)

// Rhetoric scores a text at once; it leaves no run behind.
func (a *Answers) Rhetoric(ctx context.Context, req contract.RhetoricRequest) (contract.RhetoricReply, error) {
	text, modality := req.Text, string(contract.ModalityText)
	if req.DocumentID != "" {
		if req.Text != "" {
			return contract.RhetoricReply{}, fault.Invalidf("validation_error", "give text or document_id, not both")
		}
		doc, err := a.document(ctx, req.DocumentID)
		if err != nil {
			return contract.RhetoricReply{}, err
		}
		text, modality = doc.Text, string(doc.Modality)
	}
	out := a.analyzer.Rhetoric(layer.Read(text, modality))
	why, err := json.Marshal(out.Explainability)
	if err != nil {
		return contract.RhetoricReply{}, fmt.Errorf("encode what the rhetoric rests on: %w", err)
	}
	return contract.RhetoricReply{
		EthosScore: out.EthosScore, PathosScore: out.PathosScore, LogosScore: out.LogosScore,
		Strategies: out.Strategies, Devices: out.Devices, Fallacies: out.Fallacies, Explainability: why,
	}, nil
}

func (a *Answers) document(ctx context.Context, id string) (document.Document, error) {
	if _, err := uuid.Parse(id); err != nil {
		return document.Document{}, fault.NotFoundf("Document not found")
	}
	doc, err := a.documents.Read(ctx, id)
	var refused *document.RefusedError
	if errors.As(err, &refused) {
		return document.Document{}, refused.Fault()
	}
	return doc, err
}
