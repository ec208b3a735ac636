package rpc

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/store"
)

// maxPage bounds the lists of an answer, in bytes of JSON. The rest of the
// message is for what stands beside them.
const maxPage = 700 << 10

// Answers answers requests from the store.
type Answers struct {
	store *store.Store
}

// New makes the answers over a store.
func New(s *store.Store) *Answers {
	return &Answers{store: s}
}

// Register has an RPC service give the answers. It must be called before the
// service runs.
func (a *Answers) Register(service *bus.RPC) {
	bus.Handle(service, contract.RPCCorpusDocuments, a.Documents)
	bus.Handle(service, contract.RPCCorpusDocument, a.Document)
	bus.Handle(service, contract.RPCCorpusText, a.Text)
	bus.Handle(service, contract.RPCCorpusAtoms, a.Atoms)
	bus.Handle(service, contract.RPCCorpusIntegrity, a.Integrity)
	bus.Handle(service, contract.RPCCorpusIngestJob, a.IngestJob)
	bus.Handle(service, contract.RPCCorpusGraph, a.Graph)
}

// documentID reads the id of a document. What is no id at all cannot be the id
// of a document either.
func documentID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, documentNotFound()
	}
	return id, nil
}

func documentNotFound() error {
	return fault.NotFoundf("Document not found")
}

// orNotFound puts a fault in the place of store.ErrNotFound.
func orNotFound(err, notFound error) error {
	if errors.Is(err, store.ErrNotFound) {
		return notFound
	}
	return err
}

// pageLimits checks an offset and a limit; a limit of 0 becomes the default one.
func pageLimits(offset, limit, byDefault, most int) (int, error) {
	if offset < 0 {
		return 0, fault.Invalidf(contract.CodeInvalid, "offset is %d; it must not be negative", offset)
	}
	if limit < 0 || limit > most {
		return 0, fault.Invalidf(contract.CodeInvalid, "limit is %d; it must be 1 to %d", limit, most)
	}
	if limit == 0 {
		return byDefault, nil
	}
	return limit, nil
}

// fitting returns how many entries of a list fit a page, at least one.
func fitting[T any](list []T) (int, error) {
	taken := 0
	for i, entry := range list {
		data, err := json.Marshal(entry)
		if err != nil {
			return 0, fmt.Errorf("measure an entry of a page: %w", err)
		}
		if taken += len(data) + 1; taken > maxPage && i > 0 {
			return i, nil
		}
	}
	return len(list), nil
}
