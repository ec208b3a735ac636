// Package access is the one table of who may do what at the REST door. Routes
// take their least role from it, the documentation shows it, and tests hold
// every route to it.
//
// How a caller is known does not belong here; that is admission.
package access

import "nexus.internal/libs/identity"

// Rule says who may use one route.
type Rule struct {
	Method string
	// Path is the route's pattern, never a raw URL.
	Path string
	// Least is the least role; empty means that no key is needed.
	Least identity.Role
}

// The methods of routes.
const (
	get   = "GET"
	post  = "POST"
	put   = "PUT"
	patch = "PATCH"
	del   = "DELETE"
)

// Table lists every route.
func Table() []Rule { return append(platform(), texts()...) }

// platform lists the routes of jobs and of whoever runs them.
func platform() []Rule {
	return []Rule{
		{get, "/healthz", ""},
		{get, "/readyz", ""},
		{get, "/metrics", ""},
		{get, "/metrics/prometheus", ""},

		{get, "/.well-known/jwks.json", ""},

		{get, "/api/v1/auth/whoami", identity.Viewer},
		{post, "/api/v1/auth/token", identity.Viewer},
		{post, "/api/v1/auth/token/refresh", identity.Viewer},
		{get, "/api/v1/auth/keys", identity.Admin},
		{post, "/api/v1/auth/keys", identity.Admin},
		{get, "/api/v1/auth/keys/{id}", identity.Admin},
		{patch, "/api/v1/auth/keys/{id}", identity.Admin},
		{post, "/api/v1/auth/keys/{id}/rotate", identity.Admin},
		{get, "/api/v1/features", identity.Viewer},
		{put, "/api/v1/features/{name}", identity.Admin},

		{post, "/api/v1/jobs/submit", identity.Operator},
		{post, "/api/v1/jobs/batch", identity.Operator},
		{post, "/api/v1/jobs/retry", identity.Operator},
		{get, "/api/v1/jobs/counts", identity.Viewer},
		{get, "/api/v1/jobs", identity.Viewer},
		{get, "/api/v1/jobs/{id}", identity.Viewer},
		{get, "/api/v1/jobs/{id}/result", identity.Viewer},
		{get, "/api/v1/jobs/{id}/artifacts/{number}", identity.Viewer},
		{post, "/api/v1/jobs/{id}/cancel", identity.Operator},
		{post, "/api/v1/jobs/{id}/retry", identity.Operator},

		{get, "/api/v1/job-types", identity.Viewer},
		{post, "/api/v1/job-types", identity.Admin},
		{put, "/api/v1/job-types/{name}", identity.Admin},
		{patch, "/api/v1/job-types/{name}", identity.Admin},
		{get, "/api/v1/queues", identity.Viewer},
		{post, "/api/v1/queues/{name}/pause", identity.Admin},
		{post, "/api/v1/queues/{name}/resume", identity.Admin},
		{get, "/api/v1/workers", identity.Admin},

		{get, "/api/v1/jobs/{id}/events", identity.Viewer},
		{get, "/api/v1/events", identity.Viewer},

		{get, "/api/v1/webhooks", identity.Operator},
		{post, "/api/v1/webhooks", identity.Operator},
		{post, "/api/v1/webhooks/secret", identity.Operator},
		{get, "/api/v1/webhooks/{id}", identity.Operator},
		{patch, "/api/v1/webhooks/{id}", identity.Operator},
		{del, "/api/v1/webhooks/{id}", identity.Operator},
		{get, "/api/v1/webhooks/{id}/deliveries", identity.Operator},
		{post, "/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver", identity.Operator},

		{get, "/api/v1/log-level", identity.Admin},
		{put, "/api/v1/log-level", identity.Admin},

		{get, "/api/v1/audit/logs", identity.Admin},
		{get, "/api/v1/audit/logs/export", identity.Admin},
		{get, "/api/v1/dead-letters", identity.Admin},
		{get, "/api/v1/dead-letters/{id}", identity.Admin},
		{post, "/api/v1/dead-letters/{id}/replay", identity.Admin},
		{post, "/api/v1/dead-letters/{id}/discard", identity.Admin},
	}
}

// texts lists the routes of the corpus and of what is made of it.
func texts() []Rule {
	return []Rule{
		{get, "/api/v1/documents", identity.Viewer},
		{get, "/api/v1/documents/{id}", identity.Viewer},
		{post, "/api/v1/ingest/batch", identity.Operator},
		{get, "/api/v1/ingest/jobs/{id}", identity.Viewer},

		{post, "/api/v1/analyze", identity.Operator},
		{get, "/api/v1/analysis/runs", identity.Viewer},
		{get, "/api/v1/analysis/runs/{id}", identity.Viewer},
		{get, "/api/v1/analysis/runs/{id}/shadow", identity.Viewer},
		{post, "/api/v1/rhetorical_analysis", identity.Operator},
		{get, "/api/v1/plugins", identity.Viewer},

		{post, "/api/v1/evolve/branch", identity.Operator},
		{post, "/api/v1/evolve/multi", identity.Operator},
		{get, "/api/v1/branches", identity.Viewer},
		{post, "/api/v1/branches/merge", identity.Operator},
		{get, "/api/v1/branches/{id}/timeline", identity.Viewer},
		{post, "/api/v1/branches/{id}/replay", identity.Viewer},
		{get, "/api/v1/branches/{id}/compare/{other}", identity.Viewer},
		{get, "/api/v1/branches/{id}/visualization", identity.Viewer},
		{get, "/api/v1/corpus/seeds", identity.Viewer},
		{post, "/api/v1/corpus/seed", identity.Admin},
		{post, "/api/v1/remix", identity.Operator},
		{post, "/api/v1/remix/compose", identity.Operator},
		{get, "/api/v1/remix", identity.Viewer},
		{get, "/api/v1/remix/{id}", identity.Viewer},
		{post, "/api/v1/governance/evaluate", identity.Operator},
		{get, "/api/v1/audit/policy-decisions", identity.Operator},
		{get, "/api/v1/hypergraph/query", identity.Viewer},
		{get, "/api/v1/hypergraph/documents/{id}/integrity", identity.Viewer},
	}
}

// Find is the rule of a route.
func Find(method, path string) (Rule, bool) {
	for _, r := range Table() {
		if r.Method == method && r.Path == path {
			return r, true
		}
	}
	return Rule{}, false
}
