package rpc

import (
	"context"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/jsonsize"
	"nexus.internal/services/corpus/internal/store"
)

// Documents lists documents, oldest first.
func (a *Answers) Documents(ctx context.Context, req contract.DocumentsRequest) (contract.DocumentsReply, error) {
	limit, err := pageLimits(req.Offset, req.Limit, contract.DefaultDocuments, contract.MaxDocuments)
	if err != nil {
		return contract.DocumentsReply{}, err
	}
	items, total, err := a.store.Documents(ctx, req.Offset, limit)
	if err != nil {
		return contract.DocumentsReply{}, err
	}
	count, err := fitting(items)
	if err != nil {
		return contract.DocumentsReply{}, err
	}
	reply := contract.DocumentsReply{Documents: items[:count], Total: total}
	if count < len(items) {
		reply.NextOffset = req.Offset + count
	}
	return reply, nil
}

// Document returns one document with its provenance.
func (a *Answers) Document(ctx context.Context, req contract.DocumentRequest) (contract.Document, error) {
	id, err := documentID(req.DocumentID)
	if err != nil {
		return contract.Document{}, err
	}
	details, err := a.store.Document(ctx, id, contract.MaxProvenanceText, contract.MaxProvenanceLinks+1)
	if err != nil {
		return contract.Document{}, orNotFound(err, documentNotFound())
	}
	return contract.Document{
		DocumentItem: details.Item,
		Title:        details.Title,
		Provenance:   provenanceOf(id, details),
	}, nil
}

func provenanceOf(id uuid.UUID, d store.Details) contract.Provenance {
	text := jsonsize.Cut(string(d.TextHead), contract.MaxProvenanceText, contract.MaxProvenanceText)
	siblingsTruncated := len(d.Siblings) > contract.MaxProvenanceLinks
	if siblingsTruncated {
		d.Siblings = d.Siblings[:contract.MaxProvenanceLinks]
	}
	links, siblings := relativesOf(d)
	return contract.Provenance{
		Checksum:               d.Checksum,
		Bytes:                  d.Bytes,
		ExtractedText:          text,
		ExtractedTextBytes:     d.TextBytes,
		ExtractedTextTruncated: int64(len(text)) < d.TextBytes,
		Segments:               d.Segments,
		Atomization: contract.Atomization{
			AtomTracks:            d.Tracks,
			ActiveAtomLevels:      d.Levels,
			FilenameSchemaVersion: atom.FileNameSchema,
		},
		Hypergraph:        hypergraphOf(id, d),
		CrossModalLinks:   links,
		Siblings:          siblings,
		SiblingsTruncated: siblingsTruncated,
	}
}

func hypergraphOf(id uuid.UUID, d store.Details) contract.HypergraphIDs {
	ids := contract.HypergraphIDs{AtomNodeIDs: []string{}}
	if d.Item.GraphProjectionStatus == contract.ProjectionComplete {
		ids.DocumentNodeID = document.NodeID(id).String()
	}
	for _, level := range d.LevelCounts {
		ids.AtomNodeCount += level.Count
		room := int64(contract.MaxProvenanceAtoms - len(ids.AtomNodeIDs))
		for ordinal := range min(level.Count, room) {
			ids.AtomNodeIDs = append(ids.AtomNodeIDs, document.AtomID(id, level.Level, int(ordinal)+1).String())
		}
	}
	ids.AtomNodeIDsTruncated = int64(len(ids.AtomNodeIDs)) < ids.AtomNodeCount
	return ids
}

func relativesOf(d store.Details) ([]contract.CrossModalLink, []contract.SiblingDocument) {
	links := []contract.CrossModalLink{}
	siblings := make([]contract.SiblingDocument, len(d.Siblings))
	for i, sibling := range d.Siblings {
		siblings[i] = contract.SiblingDocument{DocumentID: sibling.ID.String(), Group: sibling.Group}
		if document.CrossModal(d.Item.Modality, sibling.Modality) {
			links = append(links, contract.CrossModalLink{DocumentID: sibling.ID.String(), Modality: sibling.Modality})
		}
	}
	return links, siblings
}
