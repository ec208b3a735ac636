package contract

import (
	"encoding/json"
	"time"
)

// Request subjects of the corpus service beside those its documents and texts
// are read through.
const (
	// RPCCorpusIntegrity answers IntegrityRequest with GraphIntegrity.
	RPCCorpusIntegrity = "nexus.rpc.corpus.integrity"
	// RPCCorpusAtoms answers AtomsRequest with AtomsReply.
	RPCCorpusAtoms = "nexus.rpc.corpus.atoms"
)

// ArtifactIngestBatch is the type of the artifact of an ingest_batch job.
const ArtifactIngestBatch = "ingest_batch_result"

// Modality is the kind of content a file holds.
type Modality string

// The modalities.
const (
	ModalityText   Modality = "text"
	ModalityPDF    Modality = "pdf"
	ModalityImage  Modality = "image"
	ModalityAudio  Modality = "audio"
	ModalityBinary Modality = "binary"
)

// Modalities lists the modalities.
func Modalities() []Modality {
	return []Modality{ModalityText, ModalityPDF, ModalityImage, ModalityAudio, ModalityBinary}
}

// IngestBatchPayload is the payload of an ingest_batch job.
type IngestBatchPayload struct {
	// SourcePaths are files and folders, relative to the corpus root or absolute
	// inside it. None means the whole corpus root.
	SourcePaths []string `json:"source_paths,omitempty"`
	// Modalities are those to ingest; none means all. Files of another one are
	// skipped.
	Modalities []string `json:"modalities,omitempty"`
	// AtomTracks are the tracks to split texts by; none means full.
	AtomTracks   []string           `json:"atom_tracks,omitempty"`
	ParseOptions IngestParseOptions `json:"parse_options,omitzero"`
}

// IngestParseOptions are the options of an ingest_batch job. Options that are
// not listed here are ignored and named in the warnings.
type IngestParseOptions struct {
	// Force ingests a document again although its bytes have not changed.
	Force bool `json:"force,omitempty"`
	// AtomTracks and AtomLevels name tracks as the field of the payload does; what
	// the three name counts together.
	AtomTracks []string `json:"atom_tracks,omitempty"`
	AtomLevels []string `json:"atom_levels,omitempty"`
	// Atomize, when false, keeps a document's text but splits it into no atoms.
	// Absent means true.
	Atomize *bool `json:"atomize,omitempty"`
}

// IngestScope says how much of the corpus an ingest looked at.
type IngestScope string

// The scopes.
const (
	// ScopeFull is the whole corpus root, ScopePartial the paths that were named.
	ScopeFull    IngestScope = "full"
	ScopePartial IngestScope = "partial"
)

// IngestBatchResult is the result of an ingest_batch job.
type IngestBatchResult struct {
	IngestJobID        string `json:"ingest_job_id"`
	DocumentsIngested  int    `json:"documents_ingested"`
	DocumentsUnchanged int    `json:"documents_unchanged"`
	AtomsCreated       int64  `json:"atoms_created"`
	// ProvenanceDigest is the SHA-256, in hex, over the sorted checksums of the
	// ingested and unchanged documents, joined by newlines; empty when there
	// were none.
	ProvenanceDigest string      `json:"provenance_digest"`
	IngestScope      IngestScope `json:"ingest_scope" enum:"full,partial"`
	// Warnings are at most MaxIngestNotes sentences; the last one then says how
	// many more there were.
	Warnings []string        `json:"warnings"`
	Status   IngestJobStatus `json:"status" enum:"running,completed,completed_with_errors,failed"`
	// Errors are sentences about files with status error and about the ingest
	// itself; at most MaxIngestNotes of them, as with warnings.
	Errors []string `json:"errors"`
}

// MaxIngestNotes bounds the warnings, and the errors, of one ingest.
const MaxIngestNotes = 100

// IngestBatchArtifact is the payload of the artifact of an ingest_batch job.
type IngestBatchArtifact struct {
	IngestJobID       string `json:"ingest_job_id"`
	DocumentsIngested int    `json:"documents_ingested"`
}

// FileStatus is what became of one file of an ingest, and, with the exception of
// FileUnchanged, of the document at its path.
type FileStatus string

// The states of a file.
const (
	FileIngested  FileStatus = "ingested"
	FileUnchanged FileStatus = "unchanged"
	// FileConflict files hold conflict markers: recorded, but not ingested.
	FileConflict FileStatus = "conflict"
	// FileSkipped files are of a modality that was not asked for.
	FileSkipped FileStatus = "skipped"
	// FileError files could not be read, are empty, or are not what their extension
	// says.
	FileError FileStatus = "error"
)

// IngestJobStatus is the state of an ingest.
type IngestJobStatus string

// The states of an ingest. A failed one runs again when its job is retried.
const (
	IngestRunning   IngestJobStatus = "running"
	IngestCompleted IngestJobStatus = "completed"
	// IngestCompletedWithErrors ingests took every file up, and some have an error.
	IngestCompletedWithErrors IngestJobStatus = "completed_with_errors"
	IngestFailed              IngestJobStatus = "failed"
)

// IngestJobRequest asks for an ingest and one page of its files.
type IngestJobRequest struct {
	IngestJobID string `json:"ingest_job_id"`
	// FilesOffset and FilesLimit select files; a limit of 0 means as many as
	// fit one message.
	FilesOffset int `json:"files_offset,omitempty"`
	FilesLimit  int `json:"files_limit,omitempty"`
}

// IngestJob is an ingest with a page of its files, in the order they were
// taken up.
type IngestJob struct {
	IngestBatchResult
	Files []IngestFile `json:"files"`
	// FilesTotal is how many files the ingest has recorded. When the page does
	// not reach the last of them, FilesNext is where the next page begins.
	FilesTotal int       `json:"files_total"`
	FilesNext  int       `json:"files_next_offset,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

// IngestFile is one file of an ingest.
type IngestFile struct {
	Path       string     `json:"path"`
	Status     FileStatus `json:"status" enum:"ingested,unchanged,conflict,skipped,error"`
	DocumentID *string    `json:"document_id"`
	// Error says why the file is not ingested; null when it is.
	Error *string `json:"error"`
	// Warning says what was changed or is odd about a file that is ingested.
	Warning *string `json:"warning,omitempty"`
}

// IntegrityAuditResult is the result of an integrity_audit job.
type IntegrityAuditResult struct {
	DocumentCount int `json:"document_count"`
	// Inconsistencies are the first MaxInconsistencies of InconsistencyCount.
	Inconsistencies    []Inconsistency `json:"inconsistencies"`
	InconsistencyCount int             `json:"inconsistency_count"`
}

// MaxInconsistencies bounds the list in an IntegrityAuditResult.
const MaxInconsistencies = 500

// Inconsistency is a document whose graph does not agree with it.
type Inconsistency struct {
	DocumentID string         `json:"document_id"`
	Integrity  GraphIntegrity `json:"integrity"`
}

// IntegrityRequest asks for the integrity of one document's graph.
type IntegrityRequest struct {
	DocumentID string `json:"document_id"`
}

// GraphIntegrity compares the graph of a document with what the document says
// about itself.
type GraphIntegrity struct {
	DocumentID            string           `json:"document_id"`
	DocumentNodes         int64            `json:"document_nodes"`
	ExpectedDocumentNodes int64            `json:"expected_document_nodes"`
	AtomNodes             int64            `json:"atom_nodes"`
	ContainsEdges         int64            `json:"contains_edges"`
	ExpectedAtomNodes     int64            `json:"expected_atom_nodes"`
	ProjectionStatus      ProjectionStatus `json:"projection_status" enum:"complete,pending"`
	// Consistent is set when every count equals its expected one.
	Consistent bool `json:"consistent"`
}

// ProjectionStatus says whether a document's graph has been written.
type ProjectionStatus string

// The projection states.
const (
	ProjectionComplete ProjectionStatus = "complete"
	ProjectionPending  ProjectionStatus = "pending"
)

// Limits of DocumentsRequest.
const (
	MaxDocuments     = 1000
	DefaultDocuments = 100
)

// DocumentsRequest selects documents, oldest first. A limit of 0 means
// DefaultDocuments; the most is MaxDocuments.
type DocumentsRequest struct {
	Limit  int `json:"limit,omitempty"`
	Offset int `json:"offset,omitempty"`
}

// DocumentsReply is one page of documents.
type DocumentsReply struct {
	Documents []DocumentItem `json:"documents"`
	// Total is how many documents the corpus has.
	Total int `json:"total"`
	// NextOffset is set when the page holds fewer documents than asked for
	// because more would not fit one message: the page goes on there.
	NextOffset int `json:"next_offset,omitempty"`
}

// DocumentItem is a document as lists show it.
type DocumentItem struct {
	ID string `json:"id"`
	// Path is absolute, with symbolic links resolved.
	Path           string     `json:"path"`
	Modality       Modality   `json:"modality" enum:"text,pdf,image,audio,binary"`
	Ingested       bool       `json:"ingested"`
	IngestStatus   FileStatus `json:"ingest_status" enum:"ingested,conflict,skipped"`
	ConflictFlag   bool       `json:"conflict_flag"`
	ConflictReason *string    `json:"conflict_reason"`
	AtomCount      int64      `json:"atom_count"`
	// GraphProjectedAtomCount is how many atoms the document's graph holds.
	GraphProjectedAtomCount int64            `json:"graph_projected_atom_count"`
	GraphProjectionStatus   ProjectionStatus `json:"graph_projection_status" enum:"complete,pending"`
	// ModalityStatus says for each modality of the document how far its
	// content is extracted: complete, pending or conflict.
	ModalityStatus map[Modality]string `json:"modality_status"`
	// ProviderSummary names, for each modality, what extracted its content.
	ProviderSummary map[Modality]string `json:"provider_summary"`
	CreatedAt       time.Time           `json:"created_at"`
	UpdatedAt       time.Time           `json:"updated_at"`
}

// DocumentRequest names one document.
type DocumentRequest struct {
	DocumentID string `json:"document_id"`
}

// Document is a document with everything known about it. It always fits one
// message: see Provenance.
type Document struct {
	DocumentItem
	// Title is the name of the file with its extension.
	Title      string     `json:"title"`
	Provenance Provenance `json:"provenance"`
}

// Limits of what a Provenance holds, so that a Document fits one message.
const (
	// MaxProvenanceText bounds extracted_text, in bytes of its JSON encoding.
	MaxProvenanceText = 192 << 10
	// MaxProvenanceAtoms, MaxProvenanceLinks bound the lists of ids.
	MaxProvenanceAtoms = 1000
	MaxProvenanceLinks = 100
)

// Provenance says where a document's content comes from and what was made of
// it. Texts and lists of any length are cut to a bounded beginning, with a flag
// that says so; the rest is read through the text and atoms requests.
type Provenance struct {
	// Checksum is the SHA-256 of the file's bytes, in hex.
	Checksum string `json:"checksum"`
	// Bytes is the size of the file.
	Bytes int64 `json:"bytes"`
	// ExtractedText is the beginning of the text, up to MaxProvenanceText.
	ExtractedText          string `json:"extracted_text"`
	ExtractedTextBytes     int64  `json:"extracted_text_bytes"`
	ExtractedTextTruncated bool   `json:"extracted_text_truncated"`
	// Segments depend on the modality: TextSegments, PDFSegments, ImageSegments,
	// AudioSegments; {} where nothing is extracted.
	Segments        json.RawMessage  `json:"segments"`
	Atomization     Atomization      `json:"atomization"`
	Hypergraph      HypergraphIDs    `json:"hypergraph"`
	CrossModalLinks []CrossModalLink `json:"cross_modal_links"`
	// Siblings are the first MaxProvenanceLinks of them; CrossModalLinks are
	// those among these that are of another kind.
	Siblings          []SiblingDocument `json:"siblings"`
	SiblingsTruncated bool              `json:"siblings_truncated"`
}

// TextSegments are the segments of a text. The counts are of the whole text,
// the lists of its beginning when ListsTruncated is set.
type TextSegments struct {
	LineCount int `json:"line_count"`
	// CharCount counts Unicode code points.
	CharCount         int              `json:"char_count"`
	ParagraphBlocks   []ParagraphBlock `json:"paragraph_blocks"`
	HeadingCandidates []string         `json:"heading_candidates"`
	CitationMarkers   []string         `json:"citation_markers"`
	ListsTruncated    bool             `json:"lists_truncated,omitempty"`
}

// PDFSegments are the segments of a PDF: those of its text, and its pages.
type PDFSegments struct {
	TextSegments
	PageCount int `json:"page_count"`
}

// ImageSegments are the segments of an image.
type ImageSegments struct {
	// Format is png, jpeg or webp.
	Format string `json:"format"`
	// Width and Height are in pixels.
	Width  int `json:"width"`
	Height int `json:"height"`
}

// AudioSegments are the segments of a sound.
type AudioSegments struct {
	// Format is wav, mp3 or flac.
	Format          string  `json:"format"`
	DurationSeconds float64 `json:"duration_seconds"`
	// SampleRate is in samples a second.
	SampleRate int `json:"sample_rate"`
	Channels   int `json:"channels"`
}

// ParagraphBlock is one paragraph of a text.
type ParagraphBlock struct {
	// Index counts from 1.
	Index     int    `json:"index"`
	CharCount int    `json:"char_count"`
	Preview   string `json:"preview"`
}

// Atomization says how a document was split into atoms.
type Atomization struct {
	AtomTracks            []string `json:"atom_tracks"`
	ActiveAtomLevels      []string `json:"active_atom_levels"`
	FilenameSchemaVersion string   `json:"filename_schema_version"`
}

// HypergraphIDs names the nodes of a document's graph.
type HypergraphIDs struct {
	// DocumentNodeID is empty while the document has no graph.
	DocumentNodeID string `json:"document_node_id"`
	// AtomNodeIDs are the first MaxProvenanceAtoms of AtomNodeCount.
	AtomNodeIDs          []string `json:"atom_node_ids"`
	AtomNodeCount        int64    `json:"atom_node_count"`
	AtomNodeIDsTruncated bool     `json:"atom_node_ids_truncated"`
}

// CrossModalLink is a document of another kind with the same stem: an image or
// audio file of a text or pdf, and the other way round.
type CrossModalLink struct {
	DocumentID string   `json:"document_id"`
	Modality   Modality `json:"modality"`
}

// SiblingDocument is another document with the same normalised stem.
type SiblingDocument struct {
	DocumentID string `json:"document_id"`
	// Group is `sibling::<stem>`.
	Group string `json:"variant_group"`
}

// Limits of a TextReply's text.
const (
	// MaxTextChunk is the most text of one reply, in bytes.
	MaxTextChunk = 512 << 10
	// MaxTextChunkEncoded is the most its JSON encoding may take, in bytes:
	// characters that need escaping make the chunk shorter.
	MaxTextChunkEncoded = 900 << 10
)

// TextRequest asks for a part of a document's extracted text.
type TextRequest struct {
	DocumentID string `json:"document_id"`
	// Offset is in bytes of UTF-8, at the beginning of a character.
	Offset int64 `json:"offset,omitempty"`
	// Limit is in bytes; 0 means MaxTextChunk, which is also the most.
	Limit int `json:"limit,omitempty"`
	// Checksum, when set, is that of the version the reader has begun to read;
	// the answer is a conflict when the document has changed since.
	Checksum string `json:"checksum,omitempty"`
}

// TextReply is a part of a document's extracted text.
type TextReply struct {
	DocumentID     string   `json:"document_id"`
	Title          string   `json:"title"`
	Modality       Modality `json:"modality"`
	Ingested       bool     `json:"ingested"`
	ConflictFlag   bool     `json:"conflict_flag"`
	ConflictReason *string  `json:"conflict_reason"`
	Checksum       string   `json:"checksum"`
	// Text begins at Offset and ends with a whole character. It is empty for a
	// document without extracted text.
	Text   string `json:"text"`
	Offset int64  `json:"offset"`
	// NextOffset is where the next part begins; it equals TotalBytes at the end.
	NextOffset int64 `json:"next_offset"`
	TotalBytes int64 `json:"total_bytes"`
}

// MaxAtoms bounds the atoms of one reply.
const MaxAtoms = 500

// MaxAtomContent is where the content of an atom is cut in a reply, in
// characters.
const MaxAtomContent = 200

// AtomsRequest selects atoms of one document and level, in order. A limit of 0
// means MaxAtoms, which is also the most.
type AtomsRequest struct {
	DocumentID string `json:"document_id"`
	Level      string `json:"level"`
	Offset     int    `json:"offset,omitempty"`
	Limit      int    `json:"limit,omitempty"`
}

// AtomsReply is one page of a document's atoms.
type AtomsReply struct {
	DocumentID string `json:"document_id"`
	Level      string `json:"level"`
	Atoms      []Atom `json:"atoms"`
	// Total is how many atoms the document has at this level.
	Total int64 `json:"total"`
}

// Atom is a piece of a document's text and a node of its graph.
type Atom struct {
	ID      string `json:"id"`
	Level   string `json:"level"`
	Ordinal int    `json:"ordinal"`
	// Content is cut after MaxAtomContent characters.
	Content  string `json:"content"`
	FileName string `json:"filename"`
}
