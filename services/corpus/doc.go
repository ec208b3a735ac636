// Package corpus is the service that owns the documents and the branches that grow
// out of them: it is the worker for ingest_batch, branch_replay and integrity_audit
// jobs and answers requests about documents, their texts, atoms and graphs, about
// ingests, branches and remixes, and about what the policy says of a text.
//
// Jobs as such belong to the jobs service, analysis of texts to the plugins
// service. Nothing but what New needs is exported; the parts are in internal.
package corpus
