package work

import (
	"context"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/worker"
	"nexus.internal/services/corpus/internal/document"
)

// auditPage is how many documents are counted in one statement, few enough that
// a cancelled audit stops soon.
const auditPage = 100

// Graphs counts the graphs of documents page by page, in the order of their ids.
type Graphs interface {
	Graphs(ctx context.Context, after uuid.UUID, limit int) ([]document.GraphCounts, error)
}

// IntegrityAudit returns the handler of integrity_audit jobs: it compares the
// graph of every document with the document. The payload is not looked at.
func IntegrityAudit(graphs Graphs) worker.Handler {
	return func(ctx context.Context, _ worker.Job) (worker.Result, error) {
		result := contract.IntegrityAuditResult{Inconsistencies: []contract.Inconsistency{}}
		after := uuid.Nil
		for {
			page, err := graphs.Graphs(ctx, after, auditPage)
			if err != nil {
				return worker.Result{}, err
			}
			for _, counts := range page {
				after = counts.DocumentID
				addTo(&result, counts.Integrity())
			}
			if len(page) < auditPage {
				return worker.Result{Value: result}, nil
			}
		}
	}
}

func addTo(result *contract.IntegrityAuditResult, integrity contract.GraphIntegrity) {
	result.DocumentCount++
	if integrity.Consistent {
		return
	}
	result.InconsistencyCount++
	if len(result.Inconsistencies) < contract.MaxInconsistencies {
		result.Inconsistencies = append(result.Inconsistencies,
			contract.Inconsistency{DocumentID: integrity.DocumentID, Integrity: integrity})
	}
}
