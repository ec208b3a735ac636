// Package fakecorpus stands in for the corpus service in the tests of this
// service: it answers for documents and branches held in memory, over NATS, as the
// contract says. It is no part of a program.
package fakecorpus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

// Document is a document of the fake.
type Document struct {
	Text     string
	Modality contract.Modality
	// Conflict and Skipped documents are not ingested.
	Conflict, Skipped bool
	// Atoms is how many atoms the document has.
	Atoms int
}

// Corpus answers the requests of a corpus service. Change it only through its
// methods while it runs.
type Corpus struct {
	mu        sync.Mutex
	documents map[string]Document
	branches  map[string]string
	part      int
	onText    func(contract.TextRequest, *contract.TextReply) error
	requests  int
}

// Start answers on nc until the test ends. Texts are sent in parts of the given
// number of bytes.
func Start(t *testing.T, nc *nats.Conn, part int) *Corpus {
	t.Helper()
	c := &Corpus{documents: map[string]Document{}, branches: map[string]string{}, part: part}
	rpc := bus.NewRPC(nc, zerolog.Nop(), noop.NewTracerProvider(), "corpus")
	bus.Handle(rpc, contract.RPCCorpusText, c.text)
	bus.Handle(rpc, contract.RPCCorpusDocument, c.document)
	bus.Handle(rpc, contract.RPCCorpusBranchText, c.branchText)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- rpc.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-stopped)
	})
	<-ready
	return c
}

// Put adds or changes a document.
func (c *Corpus) Put(id string, d Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.Modality == "" {
		d.Modality = contract.ModalityText
	}
	c.documents[id] = d
}

// PutBranch adds a branch with its text.
func (c *Corpus) PutBranch(id, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.branches[id] = text
}

// OnText lets fn change, or refuse, every answer to a request for text.
func (c *Corpus) OnText(fn func(contract.TextRequest, *contract.TextReply) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onText = fn
}

// Requests is how many requests for text have come.
func (c *Corpus) Requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// Checksum is that of a document with the given text.
func Checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (c *Corpus) find(id string) (Document, error) {
	d, found := c.documents[id]
	if !found {
		return Document{}, fault.NotFoundf("Document not found")
	}
	return d, nil
}

func (c *Corpus) text(_ context.Context, req contract.TextRequest) (contract.TextReply, error) {
	reply, hook, err := c.slice(req)
	if err != nil {
		return contract.TextReply{}, err
	}
	if hook != nil {
		err = hook(req, &reply)
	}
	return reply, err
}

func (c *Corpus) slice(req contract.TextRequest) (contract.TextReply, func(contract.TextRequest, *contract.TextReply) error, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	d, err := c.find(req.DocumentID)
	if err != nil {
		return contract.TextReply{}, nil, err
	}
	if req.Checksum != "" && req.Checksum != Checksum(d.Text) {
		return contract.TextReply{}, nil, fault.Conflictf("The document has changed")
	}
	reply := contract.TextReply{
		DocumentID: req.DocumentID, Modality: d.Modality, Ingested: !d.Conflict && !d.Skipped, ConflictFlag: d.Conflict,
		Checksum: Checksum(d.Text), Offset: req.Offset, TotalBytes: int64(len(d.Text)),
	}
	if d.Conflict {
		reason := "Conflict markers detected"
		reply.ConflictReason = &reason
	}
	end := min(req.Offset+int64(c.part), reply.TotalBytes)
	reply.Text, reply.NextOffset = d.Text[req.Offset:end], end
	return reply, c.onText, nil
}

func (c *Corpus) branchText(_ context.Context, req contract.BranchTextRequest) (contract.TextReply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, found := c.branches[req.BranchID]
	if !found {
		return contract.TextReply{}, fault.NotFoundf("Branch not found")
	}
	end := min(int(req.Offset)+c.part, len(text))
	return contract.TextReply{
		DocumentID: req.BranchID, Modality: contract.ModalityText, Ingested: true, Checksum: Checksum(text),
		Text: text[req.Offset:end], Offset: req.Offset, NextOffset: int64(end), TotalBytes: int64(len(text)),
	}, nil
}

func (c *Corpus) document(_ context.Context, req contract.DocumentRequest) (contract.Document, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.find(req.DocumentID)
	if err != nil {
		return contract.Document{}, err
	}
	ids := contract.HypergraphIDs{DocumentNodeID: "document-node", AtomNodeIDs: make([]string, d.Atoms), AtomNodeCount: int64(d.Atoms)}
	for i := range ids.AtomNodeIDs {
		ids.AtomNodeIDs[i] = "atom-node"
	}
	return contract.Document{
		DocumentItem: contract.DocumentItem{ID: req.DocumentID, Modality: d.Modality},
		Provenance:   contract.Provenance{Checksum: Checksum(d.Text), Hypergraph: ids},
	}, nil
}
