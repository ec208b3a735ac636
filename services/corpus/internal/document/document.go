package document

import (
	"fmt"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/atom"
)

// ConflictReason is why a document with conflict markers is not ingested.
const ConflictReason = "Conflict markers detected"

// Document is one file of the corpus as it was when it was last ingested.
type Document struct {
	ID uuid.UUID
	// Path is absolute, with links resolved. It is the document's identity.
	Path     string
	Stem     string
	Title    string
	Modality contract.Modality
	// Status is ingested or conflict.
	Status contract.FileStatus
	// Checksum is the SHA-256 of the file's bytes, in hex; Bytes is their number.
	Checksum string
	Bytes    int64
	// Text, Segments and Selection are set for ingested documents only. Segments are
	// those of the modality; nil where there are none.
	Text      string
	Segments  any
	Selection atom.Selection
	// Warning says what is odd about the file, or was changed; empty for nothing.
	Warning string
}

// Ingested tells whether the document's content has been extracted.
func (d Document) Ingested() bool {
	return d.Status == contract.FileIngested
}

// Reason says why the document is not ingested; empty when it is.
func (d Document) Reason() string {
	switch d.Status {
	case contract.FileIngested:
		return ""
	case contract.FileConflict:
		return ConflictReason
	case contract.FileSkipped, contract.FileUnchanged, contract.FileError:
	}
	return fmt.Sprintf("recorded, but not ingested: the content of %s files is not extracted", d.Modality)
}

// Version is what decides whether a document has changed.
type Version struct {
	Checksum string
	Status   contract.FileStatus
}

// Unchanged tells whether next is what has been ingested already. A document
// that was recorded and not ingested is looked at each time.
func Unchanged(current Version, next Document) bool {
	return current.Status == contract.FileIngested && current.Checksum == next.Checksum
}

// ExtractionStatus says how far the content of a document is extracted.
func ExtractionStatus(status contract.FileStatus) string {
	switch status {
	case contract.FileIngested, contract.FileUnchanged:
		return "complete"
	case contract.FileConflict:
		return "conflict"
	case contract.FileSkipped, contract.FileError:
	}
	return "pending"
}

// Providers names what extracted the content of a document: nothing, unless it
// is ingested.
func Providers(modality contract.Modality, status contract.FileStatus) map[contract.Modality]string {
	if status != contract.FileIngested {
		return map[contract.Modality]string{}
	}
	provider := "builtin_" + string(modality)
	if modality == contract.ModalityPDF {
		provider = "pdfium"
	}
	return map[contract.Modality]string{modality: provider}
}

// IDOf returns the id of the document at a path: the same for the same path,
// wherever and whenever it is asked.
func IDOf(path string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("nexus:corpus:document:"+path))
}

// NodeID returns the id of a document's node in its graph.
func NodeID(documentID uuid.UUID) uuid.UUID {
	return uuid.NewSHA1(documentID, []byte("document"))
}

// AtomID returns the id of an atom, which is that of its node in the graph.
func AtomID(documentID uuid.UUID, level atom.Level, ordinal int) uuid.UUID {
	return uuid.NewSHA1(documentID, fmt.Appendf(nil, "%s/%d", level, ordinal))
}
