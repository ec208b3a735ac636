package rpc

import (
	"context"
	"slices"
	"unicode/utf8"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/jsonsize"
)

// Text returns a part of a document's text: as much as was asked for and fits
// one message, but at least one character, so that a reader who goes on at
// NextOffset always comes to the end.
func (a *Answers) Text(ctx context.Context, req contract.TextRequest) (contract.TextReply, error) {
	id, err := documentID(req.DocumentID)
	if err != nil {
		return contract.TextReply{}, err
	}
	limit, err := textLimits(req)
	if err != nil {
		return contract.TextReply{}, err
	}
	// Some bytes more, so that the last character asked for is whole.
	slice, err := a.store.Text(ctx, id, req.Offset, limit+utf8.UTFMax)
	if err != nil {
		return contract.TextReply{}, orNotFound(err, documentNotFound())
	}
	if req.Checksum != "" && req.Checksum != slice.Checksum {
		return contract.TextReply{}, fault.Conflictf("The document changed while it was being read: begin again")
	}
	if err := checkOffset(req.Offset, slice.Total, slice.Content); err != nil {
		return contract.TextReply{}, err
	}
	_, first := utf8.DecodeRune(slice.Content)
	text := jsonsize.Cut(string(slice.Content), max(limit, first), contract.MaxTextChunkEncoded)
	return contract.TextReply{
		DocumentID:     id.String(),
		Title:          slice.Title,
		Modality:       slice.Modality,
		Ingested:       slice.Status == contract.FileIngested,
		ConflictFlag:   slice.Status == contract.FileConflict,
		ConflictReason: slice.ConflictReason(),
		Checksum:       slice.Checksum,
		Text:           text,
		Offset:         req.Offset,
		NextOffset:     req.Offset + int64(len(text)),
		TotalBytes:     slice.Total,
	}, nil
}

func textLimits(req contract.TextRequest) (int, error) {
	if req.Offset < 0 {
		return 0, fault.Invalidf(contract.CodeInvalid, "offset is %d; it must not be negative", req.Offset)
	}
	if req.Limit < 0 || req.Limit > contract.MaxTextChunk {
		return 0, fault.Invalidf(contract.CodeInvalid, "limit is %d; it must be 1 to %d bytes", req.Limit, contract.MaxTextChunk)
	}
	if req.Limit == 0 {
		return contract.MaxTextChunk, nil
	}
	return req.Limit, nil
}

func checkOffset(offset, total int64, content []byte) error {
	if offset > total {
		return fault.Invalidf(contract.CodeInvalid, "offset is %d; the text has %d bytes", offset, total)
	}
	if len(content) > 0 && !utf8.RuneStart(content[0]) {
		return fault.Invalidf(contract.CodeInvalid, "offset %d is inside a character", offset)
	}
	return nil
}

// Atoms returns atoms of one level of a document.
func (a *Answers) Atoms(ctx context.Context, req contract.AtomsRequest) (contract.AtomsReply, error) {
	id, err := documentID(req.DocumentID)
	if err != nil {
		return contract.AtomsReply{}, err
	}
	level := atom.Level(req.Level)
	if !slices.Contains(atom.Levels(), level) {
		return contract.AtomsReply{}, fault.Invalidf(contract.CodeInvalid, "unknown atom level %q: known levels are %v", req.Level, atom.Levels())
	}
	limit, err := pageLimits(req.Offset, req.Limit, contract.MaxAtoms, contract.MaxAtoms)
	if err != nil {
		return contract.AtomsReply{}, err
	}
	page, err := a.store.Atoms(ctx, id, level, req.Offset, limit, max(contract.MaxAtomContent, atom.TokenRunes))
	if err != nil {
		return contract.AtomsReply{}, orNotFound(err, documentNotFound())
	}
	reply := contract.AtomsReply{DocumentID: id.String(), Level: req.Level, Atoms: make([]contract.Atom, len(page.Atoms)), Total: page.Total}
	for i, at := range page.Atoms {
		reply.Atoms[i] = contract.Atom{
			ID:       document.AtomID(id, level, at.Ordinal).String(),
			Level:    req.Level,
			Ordinal:  at.Ordinal,
			Content:  atom.FirstRunes(at.Content, contract.MaxAtomContent),
			FileName: atom.FileName(page.Path, at),
		}
	}
	return reply, nil
}

// Integrity compares the graph of a document with the document.
func (a *Answers) Integrity(ctx context.Context, req contract.IntegrityRequest) (contract.GraphIntegrity, error) {
	id, err := documentID(req.DocumentID)
	if err != nil {
		return contract.GraphIntegrity{}, err
	}
	counts, err := a.store.Graph(ctx, id)
	if err != nil {
		return contract.GraphIntegrity{}, orNotFound(err, documentNotFound())
	}
	return counts.Integrity(), nil
}
