package contract

// Request subjects of the corpus service for seed texts.
const (
	// RPCCorpusSeeds answers SeedsRequest with SeedsReply.
	RPCCorpusSeeds = "nexus.rpc.corpus.seeds"
	// RPCCorpusFetchSeed answers SeedRequest with SeedReply. It fetches the text, and
	// does not ingest it.
	RPCCorpusFetchSeed = "nexus.rpc.corpus.fetch_seed"
)

// SeedStatus says what there is of a seed text.
type SeedStatus string

// The states of seed texts. Lists know the first two alone.
const (
	SeedNotProvisioned SeedStatus = "not_provisioned"
	SeedProvisioned    SeedStatus = "provisioned"
	// SeedAlreadyProvisioned answers a request for what was there before.
	SeedAlreadyProvisioned SeedStatus = "already_provisioned"
	// SeedIngesting is a text whose ingest goes on behind the answer.
	SeedIngesting SeedStatus = "ingesting"
)

// SeedsRequest asks for the list of seed texts.
type SeedsRequest struct{}

// SeedsReply is the list of seed texts.
type SeedsReply struct {
	Seeds []SeedText `json:"seeds"`
}

// SeedText is a text that a corpus may begin with.
type SeedText struct {
	Title     string `json:"title"`
	Author    string `json:"author"`
	Language  string `json:"language"`
	SourceURL string `json:"source_url"`
	// LocalPath is where the text is under the corpus root; nil while it is not.
	LocalPath         *string    `json:"local_path"`
	AtomizationStatus SeedStatus `json:"atomization_status" enum:"not_provisioned,provisioned"`
}

// SeedRequest asks for one seed text.
type SeedRequest struct {
	Title string `json:"title"`
}

// SeedReply is what became of a seed text. DocumentID is nil while it is not
// ingested.
type SeedReply struct {
	Title      string     `json:"title"`
	Status     SeedStatus `json:"status" enum:"provisioned,already_provisioned,ingesting"`
	LocalPath  *string    `json:"local_path"`
	DocumentID *string    `json:"document_id" format:"uuid"`
}
