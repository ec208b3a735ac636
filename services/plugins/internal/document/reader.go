package document

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

// callTimeout bounds one request to the corpus service.
const callTimeout = 10 * time.Second

// RefusedError says that a document cannot be analysed and that asking again
// cannot help.
type RefusedError struct {
	// Reason is a sentence for the person who asked.
	Reason string
	// Kind says what is wrong.
	Kind fault.Kind
}

// Error is the reason.
func (e *RefusedError) Error() string { return e.Reason }

// Fault is the refusal as it leaves the service.
func (e *RefusedError) Fault() *fault.Error { return fault.New(e.Kind, "", e.Reason) }

func refusef(kind fault.Kind, format string, args ...any) error {
	return &RefusedError{Kind: kind, Reason: fmt.Sprintf(format, args...)}
}

// Document is the text of a document at one version, or that of a branch.
type Document struct {
	ID       string
	Modality contract.Modality
	// Checksum is the SHA-256 of the document's bytes, of a branch that of its
	// text, in hex.
	Checksum string
	// Text is empty for documents without text.
	Text string
	// HypergraphIDs names the nodes of the document's graph: of its atoms the
	// first contract.MaxAnalyzeAtoms. A branch has none.
	HypergraphIDs contract.HypergraphIDs
}

// Reader reads documents and branches over NATS.
type Reader struct {
	nc       *nats.Conn
	maxBytes int64
}

// NewReader makes a reader that refuses texts of more than maxBytes.
func NewReader(nc *nats.Conn, maxBytes int64) *Reader {
	return &Reader{nc: nc, maxBytes: maxBytes}
}

// Read returns a document with its whole text, all of it of one version. The
// error is a [*RefusedError] when the document is unknown, in conflict, not
// ingested or too long; any other error may pass.
func (r *Reader) Read(ctx context.Context, id string) (Document, error) {
	first, text, err := r.read(func(at int64, checksum string) (contract.TextReply, error) {
		return call[contract.TextReply](ctx, r.nc, contract.RPCCorpusText, contract.TextRequest{DocumentID: id, Offset: at, Checksum: checksum})
	}, "Document "+id)
	if err != nil {
		return Document{}, err
	}
	ids, err := r.hypergraphIDs(ctx, first)
	if err != nil {
		return Document{}, fmt.Errorf("read the graph of document %s: %w", id, err)
	}
	return Document{ID: id, Modality: first.Modality, Checksum: first.Checksum, Text: text, HypergraphIDs: ids}, nil
}

// ReadBranch returns a branch with its whole text. Its errors are those of Read;
// the text of a branch never changes.
func (r *Reader) ReadBranch(ctx context.Context, id string) (Document, error) {
	first, text, err := r.read(func(at int64, _ string) (contract.TextReply, error) {
		return call[contract.TextReply](ctx, r.nc, contract.RPCCorpusBranchText, contract.BranchTextRequest{BranchID: id, Offset: at})
	}, "Branch "+id)
	if err != nil {
		return Document{}, err
	}
	return Document{
		ID: id, Modality: first.Modality, Checksum: first.Checksum, Text: text, HypergraphIDs: contract.HypergraphIDs{AtomNodeIDs: []string{}},
	}, nil
}

// part asks for the text from an offset on. Checksum is that of the first part;
// empty when this is the first.
type part func(at int64, checksum string) (contract.TextReply, error)

// read returns the first part and the whole of a text. what begins the sentences
// of a refusal.
func (r *Reader) read(next part, what string) (first contract.TextReply, text string, err error) {
	if first, err = next(0, ""); err != nil {
		return first, "", fmt.Errorf("read %s: %w", what, refusal(err))
	}
	if err := r.check(first, what); err != nil {
		return first, "", err
	}
	if text, err = assemble(first, next); err != nil {
		return first, "", fmt.Errorf("read %s: %w", what, err)
	}
	return first, text, nil
}

func (r *Reader) check(first contract.TextReply, what string) error {
	switch {
	case first.ConflictFlag && first.ConflictReason != nil:
		return refusef(fault.Conflict, "%s is in conflict and cannot be analysed: %s", what, *first.ConflictReason)
	case first.ConflictFlag:
		return refusef(fault.Conflict, "%s is in conflict and cannot be analysed", what)
	case !first.Ingested:
		return refusef(fault.Conflict, "%s is not ingested and cannot be analysed", what)
	case first.TotalBytes > r.maxBytes:
		return refusef(fault.TooLarge, "%s has %d bytes of text; the limit for analysis is %d", what, first.TotalBytes, r.maxBytes)
	}
	return nil
}

// errChanged may pass: the next attempt reads the new version.
var errChanged = errors.New("the document changed while it was read")

// assemble puts the parts of a text together, beginning with the first.
func assemble(first contract.TextReply, next part) (string, error) {
	var text strings.Builder
	for reply := first; ; {
		text.WriteString(reply.Text)
		at := int64(text.Len())
		if reply.NextOffset != at || reply.TotalBytes != first.TotalBytes || at > first.TotalBytes {
			return "", fmt.Errorf("the corpus service sent %d of %d bytes and goes on at %d", at, reply.TotalBytes, reply.NextOffset)
		}
		if at == first.TotalBytes {
			return text.String(), nil
		}
		if reply.Text == "" {
			return "", fmt.Errorf("the corpus service sent nothing at %d of %d bytes", at, first.TotalBytes)
		}
		var err error
		if reply, err = next(at, first.Checksum); err != nil {
			return "", changed(err)
		}
	}
}

func (r *Reader) hypergraphIDs(ctx context.Context, first contract.TextReply) (contract.HypergraphIDs, error) {
	document, err := call[contract.Document](ctx, r.nc, contract.RPCCorpusDocument, contract.DocumentRequest{DocumentID: first.DocumentID})
	if err != nil {
		return contract.HypergraphIDs{}, changed(err)
	}
	if document.Provenance.Checksum != first.Checksum {
		return contract.HypergraphIDs{}, errChanged
	}
	ids := document.Provenance.Hypergraph
	ids.AtomNodeIDs = append([]string{}, ids.AtomNodeIDs...)
	if len(ids.AtomNodeIDs) > contract.MaxAnalyzeAtoms {
		ids.AtomNodeIDs, ids.AtomNodeIDsTruncated = ids.AtomNodeIDs[:contract.MaxAnalyzeAtoms], true
	}
	return ids, nil
}

func call[Resp any](ctx context.Context, nc *nats.Conn, subject string, req any) (Resp, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return bus.Call[Resp](ctx, nc, subject, req)
}

// refusal turns the answers that no later request can change into a RefusedError.
func refusal(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	switch f.Kind {
	case fault.NotFound, fault.Invalid, fault.Unprocessable, fault.Conflict, fault.TooLarge, fault.Forbidden, fault.Unauthenticated:
		return &RefusedError{Kind: f.Kind, Reason: f.Detail}
	default:
		return err
	}
}

// changed recognises that a document is no longer the one that was begun.
func changed(err error) error {
	if kind := fault.KindOf(err); kind == fault.Conflict || kind == fault.NotFound {
		return fmt.Errorf("%w: %w", errChanged, err)
	}
	return err
}
