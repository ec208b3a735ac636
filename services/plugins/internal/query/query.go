package query

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/plugins/internal/document"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
	"nexus.internal/services/plugins/internal/store"
)

// Answers answers the requests of other services.
type Answers struct {
	runs      *store.Store
	plugins   *plugin.Registry
	documents *document.Reader
	analyzer  *layer.Analyzer
}

// New makes the answers of this service.
func New(runs *store.Store, plugins *plugin.Registry, documents *document.Reader) *Answers {
	return &Answers{runs: runs, plugins: plugins, documents: documents, analyzer: layer.NewAnalyzer()}
}

// Register puts the answers on their subjects.
func (a *Answers) Register(rpc *bus.RPC) {
	bus.Handle(rpc, contract.RPCPluginsRuns, a.Runs)
	bus.Handle(rpc, contract.RPCPluginsRun, a.Run)
	bus.Handle(rpc, contract.RPCPluginsShadow, a.Shadow)
	bus.Handle(rpc, contract.RPCPluginsHealth, a.Health)
	bus.Handle(rpc, contract.RPCPluginsRhetoric, a.Rhetoric)
}

// Runs lists analysis runs, newest first.
func (a *Answers) Runs(ctx context.Context, req contract.AnalysisRunsRequest) (contract.AnalysisRunsReply, error) {
	page, err := pageOf(req)
	if err != nil {
		return contract.AnalysisRunsReply{}, err
	}
	runs, err := a.runs.Runs(ctx, page)
	if err != nil {
		return contract.AnalysisRunsReply{}, err
	}
	return contract.AnalysisRunsReply{Runs: runs, Limit: page.Limit, Offset: page.Offset}, nil
}

func pageOf(req contract.AnalysisRunsRequest) (store.Page, error) {
	page := store.Page{Limit: req.Limit, Offset: req.Offset}
	if page.Limit == 0 {
		page.Limit = contract.DefaultAnalysisRuns
	}
	if page.Limit < 1 || page.Limit > contract.MaxAnalysisRuns {
		return store.Page{}, fault.Unprocessablef("limit is %d: want 1 to %d", req.Limit, contract.MaxAnalysisRuns)
	}
	if page.Offset < 0 {
		return store.Page{}, fault.Unprocessablef("offset is %d: want 0 or more", req.Offset)
	}
	if req.DocumentID == "" {
		return page, nil
	}
	id, err := uuid.Parse(req.DocumentID)
	if err != nil {
		return store.Page{}, fault.Unprocessablef("document_id is not a UUID")
	}
	page.DocumentID = &id
	return page, nil
}

// Run returns one analysis run with the outputs of its layers.
func (a *Answers) Run(ctx context.Context, req contract.AnalysisRunRequest) (contract.AnalysisRun, error) {
	notFound := fault.NotFoundf("Analysis run not found")
	id, err := uuid.Parse(req.AnalysisRunID)
	if err != nil {
		return contract.AnalysisRun{}, notFound
	}
	run, err := a.runs.Run(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return contract.AnalysisRun{}, notFound
	}
	return run, err
}

// Health says how the plugins are doing.
func (a *Answers) Health(ctx context.Context, _ contract.PluginsHealthRequest) (contract.PluginsHealthReply, error) {
	return a.plugins.Health(ctx), nil
}
