package seed

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/source"
)

// Documents says which documents there are.
type Documents interface {
	// Ingested returns those of some documents that are ingested.
	Ingested(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]bool, error)
}

// Config says where the corpus is, and what may come into it.
type Config struct {
	CorpusRoot   string
	MaxFileBytes int64
}

// Seeds brings seed texts under the corpus root. It may be used from several
// goroutines.
type Seeds struct {
	cfg       Config
	origin    *Origin
	documents Documents
	log       zerolog.Logger
	// fetching has room for one: a text that is on its way is not fetched twice.
	fetching chan struct{}
}

// New makes it.
func New(cfg Config, origin *Origin, documents Documents, log zerolog.Logger) *Seeds {
	return &Seeds{cfg: cfg, origin: origin, documents: documents, log: log, fetching: make(chan struct{}, 1)}
}

// place is where a text is, or would be.
type place struct {
	path   string
	exists bool
	id     uuid.UUID
}

// List returns every seed text and what there is of it.
func (s *Seeds) List(ctx context.Context, _ contract.SeedsRequest) (contract.SeedsReply, error) {
	texts := Texts()
	places, err := s.places(texts)
	if err != nil {
		return contract.SeedsReply{}, err
	}
	ids := make([]uuid.UUID, len(places))
	for i, p := range places {
		ids[i] = p.id
	}
	ingested, err := s.documents.Ingested(ctx, ids)
	if err != nil {
		return contract.SeedsReply{}, err
	}
	reply := contract.SeedsReply{Seeds: make([]contract.SeedText, len(texts))}
	for i, t := range texts {
		reply.Seeds[i] = contract.SeedText{
			Title: t.Title, Author: t.Author, Language: t.Language, SourceURL: t.SourceURL, AtomizationStatus: contract.SeedNotProvisioned,
		}
		p := places[i]
		if ingested[p.id] {
			reply.Seeds[i].AtomizationStatus = contract.SeedProvisioned
		}
		if p.exists || ingested[p.id] {
			reply.Seeds[i].LocalPath = &p.path
		}
	}
	return reply, nil
}

// places finds the texts' places. Where there is none, and without a corpus root,
// they are nowhere.
func (s *Seeds) places(texts []Text) (places []place, err error) {
	places = make([]place, len(texts))
	root, err := source.Open(s.cfg.CorpusRoot)
	var missing *source.MissingRootError
	if errors.As(err, &missing) {
		return places, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for i, t := range texts {
		if p, err := placeOf(root, t); err == nil {
			places[i] = p
		}
	}
	return places, nil
}

func placeOf(root *source.Root, t Text) (place, error) {
	path, exists, err := root.Lookup(t.Path())
	if err != nil {
		return place{}, fmt.Errorf("find the place of %s: %w", t.Title, err)
	}
	return place{path, exists, document.IDOf(path)}, nil
}

// Fetch brings a text under the corpus root, unless it is there. The reply names
// its document where it is ingested, and no document where that is still to do.
func (s *Seeds) Fetch(ctx context.Context, req contract.SeedRequest) (reply contract.SeedReply, err error) {
	text, known := Find(req.Title)
	if !known {
		return reply, fault.Invalidf(contract.CodeInvalid, "Unknown seed text: %s", req.Title)
	}
	root, err := source.Open(s.cfg.CorpusRoot)
	if err != nil {
		return reply, fault.Wrap(fault.Unavailable, err, "There is no corpus root to put the text in.")
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	select {
	case s.fetching <- struct{}{}:
		defer func() { <-s.fetching }()
	case <-ctx.Done():
		return reply, fault.Wrap(fault.Unavailable, ctx.Err(), "Another seed text is being fetched.")
	}
	at, err := placeOf(root, text)
	if err != nil {
		return reply, fault.Wrap(fault.Unavailable, err, unwritable)
	}
	ingested, err := s.documents.Ingested(ctx, []uuid.UUID{at.id})
	if err != nil {
		return reply, err
	}
	if ingested[at.id] {
		id := at.id.String()
		return contract.SeedReply{Title: text.Title, Status: contract.SeedProvisioned, LocalPath: &at.path, DocumentID: &id}, nil
	}
	if !at.exists {
		if err := s.bring(ctx, root, text); err != nil {
			return reply, err
		}
	}
	return contract.SeedReply{Title: text.Title, Status: contract.SeedNotProvisioned, LocalPath: &at.path}, nil
}

// unwritable is said when a text cannot be put in its place.
const unwritable = "The corpus root cannot be written now."

// bring fetches a text and writes it into the root.
func (s *Seeds) bring(ctx context.Context, root *source.Root, t Text) error {
	data, err := s.origin.read(ctx, t, s.cfg.MaxFileBytes)
	if err != nil {
		s.log.Warn().Err(err).Str("title", t.Title).Msg("a seed text could not be fetched")
		return fault.Wrap(fault.Unavailable, err, "The seed text cannot be fetched from its source now.")
	}
	if err := root.Write(t.Path(), data); err != nil {
		s.log.Warn().Err(err).Str("title", t.Title).Msg("a seed text could not be written")
		return fault.Wrap(fault.Unavailable, err, unwritable)
	}
	s.log.Info().Str("title", t.Title).Int("bytes", len(data)).Msg("fetched a seed text")
	return nil
}
