// Package corpus is the service that owns the documents: it is the worker for
// ingest_batch and integrity_audit jobs and answers reads about documents, their
// texts, atoms and graphs, and about ingests.
//
// Jobs as such belong to the jobs service, analysis of texts to the plugins
// service. Nothing but what New needs is exported; the parts are in internal.
package corpus
